//! The list of types: what each is called by people, its extensions, its media type, and how its content is recognised.
//!
//! A file is taken where its extension stands here **and** its content is what that extension says.

use std::io::{Read, Seek};

use super::{Refused, content::Content};
use crate::providers::MediaType;

/// A type of file that is taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// What a file's name may end with; the first is the usual one.
    extensions: &'static [&'static str],
    /// Its name as HTTP has it.
    media_type: &'static str,
    /// What people call it.
    label: &'static str,
    /// How its content is recognised.
    content: Content,
}

/// Files that are called the same everywhere and have no extension. They are text.
const WHOLE_NAMES: &[&str] =
    &["authors", "changelog", "contributing", "copying", "dockerfile", "license", "makefile", "notice", "readme"];

const fn kind(
    extensions: &'static [&'static str],
    media_type: &'static str,
    label: &'static str,
    content: Content,
) -> Kind {
    Kind { extensions, media_type, label, content }
}

/// Every type there is.
#[rustfmt::skip]
const KINDS: &[Kind] = &[
    kind(&["txt", "text", "log"],      "text/plain",                "text",             Content::Prose),
    kind(&["md", "markdown"],          "text/markdown",             "Markdown",         Content::Prose),
    kind(&["rst", "adoc", "org"],      "text/plain",                "text",             Content::Prose),
    kind(&["tex", "bib"],              "text/x-tex",                "TeX",              Content::Prose),
    kind(&["csv"],                     "text/csv",                  "CSV",              Content::Prose),
    kind(&["tsv"],                     "text/tab-separated-values", "TSV",              Content::Prose),
    kind(&["srt", "vtt"],              "text/vtt",                  "subtitles",        Content::Prose),
    kind(&["ics"],                     "text/calendar",             "a calendar",       Content::Prose),
    kind(&["eml"],                     "message/rfc822",            "an e-mail",        Content::Prose),
    kind(&["json", "geojson"],         "application/json",          "JSON",             Content::Json),
    kind(&["ipynb"],                   "application/x-ipynb+json",  "a notebook",       Content::Json),
    kind(&["jsonl", "ndjson"],         "application/x-ndjson",      "JSON lines",       Content::Json),
    kind(&["xml", "xsd", "xsl"],       "application/xml",           "XML",              Content::Markup),
    kind(&["html", "htm"],             "text/html",                 "HTML",             Content::Markup),
    kind(&["svg"],                     "image/svg+xml",             "an SVG image",     Content::Svg),
    kind(&["yaml", "yml"],             "application/yaml",          "YAML",             Content::Source),
    kind(&["toml"],                    "application/toml",          "TOML",             Content::Source),
    kind(&["ini", "cfg", "conf", "properties"], "text/plain",       "settings",         Content::Source),
    kind(&["diff", "patch"],           "text/x-diff",               "a patch",          Content::Source),
    kind(&["css", "scss"],             "text/css",                  "a style sheet",    Content::Source),
    kind(&["js", "mjs", "cjs", "jsx"], "text/javascript",           "JavaScript",       Content::Script),
    kind(&["ts", "tsx"],               "text/x-typescript",         "TypeScript",       Content::Script),
    kind(&["py"],                      "text/x-python",             "Python",           Content::Script),
    kind(&["rb"],                      "text/x-ruby",               "Ruby",             Content::Script),
    kind(&["pl", "pm"],                "text/x-perl",               "Perl",             Content::Script),
    kind(&["php"],                     "text/x-php",                "PHP",              Content::Script),
    kind(&["lua"],                     "text/x-lua",                "Lua",              Content::Script),
    kind(&["r"],                       "text/x-r",                  "R",                Content::Script),
    kind(&["jl"],                      "text/x-julia",              "Julia",            Content::Script),
    kind(&["sh", "bash"],              "text/x-sh",                 "a shell script",   Content::Script),
    kind(&["rs"],                      "text/x-rust",               "Rust",             Content::Source),
    kind(&["go"],                      "text/x-go",                 "Go",               Content::Source),
    kind(&["java"],                    "text/x-java",               "Java",             Content::Source),
    kind(&["kt", "scala", "swift"],    "text/plain",                "source code",      Content::Source),
    kind(&["c", "h"],                  "text/x-c",                  "C",                Content::Source),
    kind(&["cpp", "cc", "hpp"],        "text/x-c++",                "C++",              Content::Source),
    kind(&["cs"],                      "text/x-csharp",             "C#",               Content::Source),
    kind(&["sql"],                     "application/sql",           "SQL",              Content::Source),
    kind(&["proto", "graphql"],        "text/plain",                "a schema",         Content::Source),
    kind(&["pdf"],                     "application/pdf",           "a PDF",            Content::Pdf),
    kind(&["png"],                     "image/png",                 "a PNG image",      Content::Image(MediaType::Png)),
    kind(&["jpg", "jpeg"],             "image/jpeg",                "a JPEG image",     Content::Image(MediaType::Jpeg)),
    kind(&["gif"],                     "image/gif",                 "a GIF image",      Content::Image(MediaType::Gif)),
    kind(&["webp"],                    "image/webp",                "a WebP image",     Content::Image(MediaType::Webp)),
    kind(&["bmp"],                     "image/bmp",                 "a BMP image",      Content::Bitmap),
    kind(&["docx"], "application/vnd.openxmlformats-officedocument.wordprocessingml.document",   "a Word document",       Content::Office("word/document.xml")),
    kind(&["xlsx"], "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",         "an Excel workbook",     Content::Office("xl/workbook.xml")),
    kind(&["pptx"], "application/vnd.openxmlformats-officedocument.presentationml.presentation", "a PowerPoint document", Content::Office("ppt/presentation.xml")),
    kind(&["odt"],  "application/vnd.oasis.opendocument.text",         "an OpenDocument text",         Content::OpenDocument("application/vnd.oasis.opendocument.text")),
    kind(&["ods"],  "application/vnd.oasis.opendocument.spreadsheet",  "an OpenDocument spreadsheet",  Content::OpenDocument("application/vnd.oasis.opendocument.spreadsheet")),
    kind(&["odp"],  "application/vnd.oasis.opendocument.presentation", "an OpenDocument presentation", Content::OpenDocument("application/vnd.oasis.opendocument.presentation")),
    kind(&["epub"], "application/epub+zip",                            "an EPUB book",                 Content::OpenDocument("application/epub+zip")),
    kind(&["zip"],                     "application/zip",           "a zip archive",    Content::Zip),
    kind(&["tar"],                     "application/x-tar",         "a tar archive",    Content::Tar),
    kind(&["tar.gz", "tgz"],           "application/gzip",          "a tar archive compressed with gzip", Content::TarGzip),
    kind(&["gz"],                      "application/gzip",          "a file compressed with gzip", Content::Gzip),
    kind(&["parquet"],                 "application/vnd.apache.parquet", "a Parquet table", Content::Parquet),
    kind(&["arrow"],                   "application/vnd.apache.arrow.file", "an Arrow table", Content::Begins(b"ARROW1\0\0")),
    kind(&["npy"],                     "application/x-npy",         "a NumPy array",    Content::Begins(b"\x93NUMPY")),
    kind(&["sqlite", "sqlite3"],       "application/vnd.sqlite3",   "an SQLite database", Content::Begins(b"SQLite format 3\0")),
    kind(&["wav"],                     "audio/wav",                 "a WAV recording",  Content::Wave),
    kind(&["mp3"],                     "audio/mpeg",                "an MP3 recording", Content::Mp3),
    kind(&["flac"],                    "audio/flac",                "a FLAC recording", Content::Begins(b"fLaC")),
    kind(&["ogg", "oga", "opus"],      "audio/ogg",                 "an Ogg recording", Content::Begins(b"OggS")),
    kind(&["m4a"],                     "audio/mp4",                 "an MP4 recording", Content::Mp4),
    kind(&["mp4", "m4v"],              "video/mp4",                 "an MP4 film",      Content::Mp4),
    kind(&["webm"],                    "video/webm",                "a WebM film",      Content::Begins(b"\x1a\x45\xdf\xa3")),
];

impl Kind {
    /// Returns the type that a name says, with the extension as it stands in the list.
    ///
    /// # Errors
    ///
    /// Refuses a name whose extension is not in the list, and says what is.
    pub(crate) fn of_name(name: &str) -> Result<(&'static Self, &'static str), Refused> {
        let name = name.to_ascii_lowercase();
        Self::find(&name).ok_or_else(|| {
            let known: Vec<&str> = KINDS.iter().flat_map(|kind| kind.extensions).copied().collect();
            let what = match name.rsplit_once('.') {
                Some((_, extension)) => format!("files that end with `.{extension}` are not taken"),
                None => "a file without an extension does not say what it is".to_owned(),
            };
            Refused::of_type(format!("{what}; the extensions are: {}", known.join(", ")))
        })
    }

    /// Looks an extension up, such as `csv` or `tar.gz`.
    pub(crate) fn of_extension(extension: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.extensions.contains(&extension))
    }

    fn find(name: &str) -> Option<(&'static Self, &'static str)> {
        if WHOLE_NAMES.contains(&name) {
            return Some((Self::of_extension("txt")?, "txt"));
        }
        // The longest ending that is known: `a.tar.gz` is no `gz`.
        let mut best: Option<(&'static Self, &'static str)> = None;
        for kind in KINDS {
            for extension in kind.extensions {
                let is_longer = best.is_none_or(|(_, found)| found.len() < extension.len());
                let stem = name.strip_suffix(extension).and_then(|rest| rest.strip_suffix('.'));
                if is_longer && stem.is_some_and(|stem| !stem.is_empty()) {
                    best = Some((kind, extension));
                }
            }
        }
        best
    }

    /// Returns its name as HTTP has it.
    pub(crate) fn media_type(&self) -> &'static str {
        self.media_type
    }

    /// Looks a file through. Blocks, and reads it at most a few times; what it unpacks to is bounded.
    ///
    /// # Errors
    ///
    /// Refuses content that is not of this type, that hides something of another, or that is larger than is looked through.
    pub(crate) fn check(&self, file: &mut (impl Read + Seek)) -> Result<(), Refused> {
        self.content.check(file, self.label)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_says_one_type() {
        let all: Vec<&str> = KINDS.iter().flat_map(|kind| kind.extensions).copied().collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "an extension stands once");
        assert!(KINDS.len() >= 30, "{}", KINDS.len());
        for (name, extension) in [
            ("a.csv", "csv"),
            ("A.CSV", "csv"),
            ("a.tar.gz", "tar.gz"),
            ("a.csv.gz", "gz"),
            ("a.b.tgz", "tgz"),
            ("Dockerfile", "txt"),
            ("README", "txt"),
        ] {
            assert_eq!(Kind::of_name(name).unwrap().1, extension, "{name}");
        }
        for bad in
            ["a", "a.exe", "a.dll", "a.docm", "a.jar", "csv", ".csv", "a.csv.exe", "a.csv ", "a.csv.", "a.sh\u{0}"]
        {
            assert!(matches!(Kind::of_name(bad), Err(Refused::Type(_))), "{bad}");
        }
    }

    #[test]
    fn the_guide_lists_every_extension() {
        let guide = include_str!("../../../docs/guide/files.md");
        for extension in KINDS.iter().flat_map(|kind| kind.extensions) {
            assert!(guide.contains(&format!("`{extension}`")), "docs/guide/files.md does not tell of `{extension}`");
        }
    }
}
