//! How the content of each type is recognised: by what it begins with, what it ends with, or by being read through.

use std::io::{Read, Seek, SeekFrom};

use super::{
    Refused,
    archive::{self, Archive},
    package::Package,
    tar, text, zip,
};
use crate::providers::{ImageShape, MediaType};

/// What the beginnings of all types, and the first header of a tar archive, fit into.
pub(super) const HEAD_BYTES: usize = 512;
/// Pixels of an image: more than any camera takes, and a quarter of a gigabyte once it is unpacked.
const PIXELS_MAX: u64 = 64_000_000;
/// The root of an SVG image stands behind a declaration and comments at most.
const SVG_HEAD_BYTES: u64 = 16 * 1024;

/// How the content of a type is recognised.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Text for people and spreadsheets: UTF-8, UTF-16 that says so, or a byte a letter.
    Prose,
    /// Text for programs: UTF-8.
    Source,
    /// Source that may begin with `#!`.
    Script,
    /// Text that begins as JSON does.
    Json,
    /// Text that begins with `<`.
    Markup,
    /// Markup whose root is `svg`, without entities of its own.
    Svg,
    /// Exactly these first bytes.
    Begins(&'static [u8]),
    /// A PDF.
    Pdf,
    /// An image that models take.
    Image(MediaType),
    /// A BMP image.
    Bitmap,
    /// A Parquet table.
    Parquet,
    /// A WAV recording.
    Wave,
    /// An MP3 recording, with or without a label in front.
    Mp3,
    /// An MP4 film or recording.
    Mp4,
    /// A zip archive.
    Zip,
    /// An office document that has this part.
    Office(&'static str),
    /// A document that says first that it is of this media type.
    OpenDocument(&'static str),
    /// A tar archive.
    Tar,
    /// Something compressed.
    Gzip,
    /// A tar archive, compressed.
    TarGzip,
}

impl Content {
    /// Looks a file through. `label` is what people call the type.
    pub(super) fn check(&self, file: &mut (impl Read + Seek), label: &str) -> Result<(), Refused> {
        let head = head(file)?;
        let is_it = match self {
            Self::Prose | Self::Source | Self::Script | Self::Json | Self::Markup | Self::Svg => {
                return self.check_text(file, &head, label);
            }
            Self::Zip => return look_through(file, &head, Archive::Zip, Package::Any, label),
            Self::Office(part) => return look_through(file, &head, Archive::Zip, Package::Office(part), label),
            Self::OpenDocument(name) => {
                return look_through(file, &head, Archive::Zip, Package::OpenDocument(name), label);
            }
            Self::Tar => return look_through(file, &head, Archive::Tar, Package::Any, label),
            Self::Gzip => return look_through(file, &head, Archive::Gzip, Package::Any, label),
            Self::TarGzip => return look_through(file, &head, Archive::TarGzip, Package::Any, label),
            Self::Image(media_type) => check_image(file, *media_type)?,
            Self::Bitmap => check_bitmap(&head)?,
            Self::Begins(start) => head.starts_with(start),
            Self::Pdf => head.starts_with(b"%PDF-"),
            Self::Parquet => head.starts_with(b"PAR1") && tail(file)? == *b"PAR1",
            Self::Wave => is_riff(&head, *b"WAVE"),
            Self::Mp3 => is_mp3(&head),
            Self::Mp4 => head.get(4..8) == Some(b"ftyp"),
        };
        match is_it {
            false => Err(mismatch(&head, label)),
            true if zip::ends_as_archive(file)? => {
                Err(Refused::of_type(format!("behind {label} a zip archive is hidden in this file")))
            }
            true => Ok(()),
        }
    }

    fn check_text(&self, file: &mut (impl Read + Seek), head: &[u8], label: &str) -> Result<(), Refused> {
        let takes_wide = matches!(self, Self::Prose | Self::Markup);
        file.rewind()?;
        let mut is_text = match takes_wide && text::is_wide(head) {
            true => text::is_utf16(file)?,
            false => text::is_utf8(file)?,
        };
        if !is_text && *self == Self::Prose && marked(head).is_none() {
            file.rewind()?;
            is_text = text::is_one_byte(file)?;
        }
        if !is_text {
            return Err(mismatch(head, label));
        }
        let start = first_visible(head);
        let is_it = match self {
            Self::Script => true,
            _ if head.starts_with(b"#!") => false,
            Self::Json => {
                start.is_none_or(|start| matches!(start, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'))
            }
            Self::Markup => start == Some(b'<'),
            Self::Svg => start == Some(b'<') && is_svg(file)?,
            _ => true,
        };
        match is_it {
            true => Ok(()),
            false => Err(mismatch(head, label)),
        }
    }
}

/// Returns the first bytes of a file.
fn head(file: &mut (impl Read + Seek)) -> Result<Vec<u8>, Refused> {
    let mut head = Vec::new();
    file.rewind()?;
    file.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Returns the last four bytes of a file.
fn tail(file: &mut (impl Read + Seek)) -> Result<[u8; 4], Refused> {
    let mut tail = [0; 4];
    file.seek(SeekFrom::End(-4))?;
    file.read_exact(&mut tail)?;
    Ok(tail)
}

fn look_through(
    file: &mut (impl Read + Seek),
    head: &[u8],
    archive: Archive,
    package: Package,
    label: &str,
) -> Result<(), Refused> {
    match archive.begins(head) {
        true => archive::check(file, archive, package, label),
        false => Err(mismatch(head, label)),
    }
}

fn check_image(file: &mut (impl Read + Seek), media_type: MediaType) -> Result<bool, Refused> {
    let Some(shape) = ImageShape::read(file).filter(|shape| shape.media_type == media_type) else { return Ok(false) };
    check_pixels(shape.width, shape.height).map(|()| true)
}

/// Reads the size out of the header that all writers have used since Windows 3; older ones are no images here.
fn check_bitmap(head: &[u8]) -> Result<bool, Refused> {
    let side = |at: usize| {
        let bytes = head.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(|bytes| i32::from_le_bytes(bytes).unsigned_abs())
    };
    match (head.starts_with(b"BM"), side(14), side(18), side(22)) {
        (true, Some(40..=128), Some(width), Some(height)) if width > 0 && height > 0 => {
            check_pixels(width, height).map(|()| true)
        }
        _ => Ok(false),
    }
}

fn check_pixels(width: u32, height: u32) -> Result<(), Refused> {
    match u64::from(width) * u64::from(height) <= PIXELS_MAX {
        true => Ok(()),
        false => {
            let most = PIXELS_MAX / 1_000_000;
            Err(Refused::too_large(format!("an image has at most {most} megapixels; this one is {width} x {height}")))
        }
    }
}

fn is_riff(head: &[u8], form: [u8; 4]) -> bool {
    head.starts_with(b"RIFF") && head.get(8..12) == Some(&form)
}

/// A frame begins with eleven ones, then says that it is layer III and of a rate that exists.
fn is_mp3(head: &[u8]) -> bool {
    match head {
        [b'I', b'D', b'3', ..] => true,
        [0xff, second, third, ..] => second & 0xe6 == 0xe2 && third >> 4 != 0xf,
        _ => false,
    }
}

/// Returns the first byte that is neither blank, part of a mark of the byte order, nor half of a wide character.
fn first_visible(head: &[u8]) -> Option<u8> {
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, 0 | 0xef | 0xbb | 0xbf | 0xff | 0xfe);
    head.iter().copied().find(|byte| !is_blank(byte))
}

/// Returns whether text is an SVG image that declares no entities: whoever draws it would unfold them.
fn is_svg(file: &mut (impl Read + Seek)) -> Result<bool, Refused> {
    let mut start = Vec::new();
    file.rewind()?;
    file.take(SVG_HEAD_BYTES).read_to_end(&mut start)?;
    let has = |what: &[u8]| start.windows(what.len()).any(|window| window == what);
    if has(b"<!ENTITY") {
        return Err(Refused::of_type("an SVG image that declares entities is not taken"));
    }
    Ok(has(b"<svg") || has(b":svg"))
}

fn mismatch(head: &[u8], label: &str) -> Refused {
    Refused::of_type(format!("by its name the file is {label}; its content is {}", looks_like(head)))
}

/// What files of other types begin with.
const MARKS: &[(&[u8], &str)] = &[
    (b"\x7fELF", "a program (ELF)"),
    (b"\xfe\xed\xfa\xce", "a program (Mach-O)"),
    (b"\xfe\xed\xfa\xcf", "a program (Mach-O)"),
    (b"\xce\xfa\xed\xfe", "a program (Mach-O)"),
    (b"\xcf\xfa\xed\xfe", "a program (Mach-O)"),
    (b"\xca\xfe\xba\xbe", "a program (Mach-O or Java)"),
    (b"\0asm", "a program (WebAssembly)"),
    (b"#!", "a script (it begins with `#!`)"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ", "compressed with xz"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xd0\xcf\x11\xe0", "an office document of the old kind"),
    (b"%PDF-", "a PDF"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
];

/// Returns what a mark in front says.
fn marked(head: &[u8]) -> Option<&'static str> {
    MARKS.iter().find(|(mark, _)| head.starts_with(mark)).map(|(_, what)| *what)
}

/// Says in words what bytes look like.
fn looks_like(head: &[u8]) -> &'static str {
    if let Some(what) = marked(head) {
        return what;
    }
    let mut rest = head;
    match (head, text::is_wide(head), text::is_utf8(&mut rest).unwrap_or(false)) {
        ([], _, _) => "empty",
        (_, true, _) => "text in UTF-16",
        (_, _, true) if first_visible(head) == Some(b'<') => "markup, such as HTML",
        (_, _, true) => "text",
        ([b'M', b'Z', ..], _, _) => "a program (Windows)",
        _ if tar::begins(head) => "a tar archive",
        _ if is_riff(head, *b"WEBP") => "a WebP image",
        _ => "something else, or text that is not in UTF-8",
    }
}
