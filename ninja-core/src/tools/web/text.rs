//! Bytes of the web as text that can be shown: in the right characters, and without those that hide something.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How far into a page its own word on its encoding is looked for, as browsers do.
const META_BYTES_MAX: usize = 1_024;

/// Turns a body into text: by its byte order mark, else by the header, else by the page's own word, else as UTF-8, and where
/// it is not that, as what old pages are.
pub(in crate::tools) fn decode(body: &[u8], content_type: Option<&str>) -> String {
    let declared = content_type.and_then(charset_of).or_else(|| charset_in(body, content_type));
    let encoding = declared.unwrap_or_else(|| if is_utf8(body) { UTF_8 } else { WINDOWS_1252 });
    // A byte order mark outdoes what was declared.
    encoding.decode(body).0.into_owned()
}

/// Finds what a page or an XML document says of itself.
fn charset_in(body: &[u8], content_type: Option<&str>) -> Option<&'static Encoding> {
    if content_type.is_some_and(|named| !named.contains("html") && !named.contains("xml")) {
        return None;
    }
    let head = body.get(..META_BYTES_MAX).unwrap_or(body);
    let said = charset_of(&String::from_utf8_lossy(head))?;
    // Who could read this word so far was not reading UTF-16.
    Some(if said == UTF_16LE || said == UTF_16BE { UTF_8 } else { said })
}

/// Finds `charset=…`, or the `encoding="…"` of XML, and the encoding of that name.
fn charset_of(text: &str) -> Option<&'static Encoding> {
    let lower = text.to_ascii_lowercase();
    let after = lower.split_once("charset").or_else(|| {
        let declaration = lower.strip_prefix("<?xml")?;
        declaration.split_once("?>")?.0.split_once("encoding")
    });
    let value = after?.1.trim_start().strip_prefix('=')?.trim_start().trim_start_matches(['"', '\'']);
    let label = value.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | ':')).next()?;
    Encoding::for_label(label.as_bytes())
}

/// Returns whether bytes are UTF-8, apart from a character that was cut at their end.
fn is_utf8(body: &[u8]) -> bool {
    std::str::from_utf8(body).map_or_else(|error| error.error_len().is_none(), |_| true)
}

/// Takes out what a terminal would obey and what a person would not see.
pub(in crate::tools) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\n' | '\t' => cleaned.push(c),
            '\r' if rest.peek() == Some(&'\n') => {}
            '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => cleaned.push('\n'),
            '\u{1b}' => match rest.next() {
                Some('[') => skip_control_sequence(&mut rest),
                Some(']' | 'P' | '_' | '^' | 'X') => skip_control_string(&mut rest),
                Some('\n') => cleaned.push('\n'),
                Some(_) | None => {}
            },
            '\u{9b}' => skip_control_sequence(&mut rest),
            c if c.is_control() || is_invisible(c) => {}
            c => cleaned.push(c),
        }
    }
    cleaned
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Parameters, then one letter or sign that ends it.
fn skip_control_sequence(rest: &mut Rest<'_>) {
    while rest.next_if(|c| matches!(c, ' '..='?')).is_some() {}
    rest.next_if(|c| matches!(c, '@'..='~'));
}

/// Anything up to a bell or `ESC \`. One that does not end within the line was none.
fn skip_control_string(rest: &mut Rest<'_>) {
    while let Some(c) = rest.next_if(|c| *c != '\n') {
        if c == '\u{7}' || c == '\u{9c}' || c == '\u{1b}' && rest.next_if_eq(&'\\').is_some() {
            return;
        }
    }
}

/// Characters without a shape, and those that change the direction of their neighbours. Some have honest uses, such as
/// joining emoji, but they can also carry a text to a model that no person sees.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        // The last of the variation selectors asks for the emoji form, and carries nothing else.
        | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_found() {
        let german = "Grüße €";
        let (latin, _, _) = WINDOWS_1252.encode(german);
        let utf16 =
            [0xff, 0xfe].into_iter().chain(german.encode_utf16().flat_map(u16::to_le_bytes)).collect::<Vec<_>>();
        for (content_type, body) in [
            (Some("text/html; charset=utf-8"), german.as_bytes()),
            (Some("text/html; charset=\"UTF-8\""), german.as_bytes()),
            (None, german.as_bytes()),
            (Some("text/plain; charset=windows-1252"), &latin),
            (Some("text/plain; Charset = iso-8859-1"), &latin),
            (Some("text/plain"), &latin),
            (Some("text/plain; charset=no-such"), &latin),
            (Some("text/plain; charset=latin1"), &utf16),
        ] {
            assert_eq!(decode(body, content_type), german, "{content_type:?}");
        }
        let meta = |tag: &str| [tag.as_bytes(), &latin].concat();
        for tag in ["<meta charset=latin1>", "<meta content='text/html;charset=cp1252'>", "<?xml encoding='latin1'?>"] {
            assert!(decode(&meta(tag), Some("text/html")).ends_with(german), "{tag}");
        }
        let german_utf16 = ["<meta charset=utf-16>", german].concat();
        assert!(decode(german_utf16.as_bytes(), Some("text/html")).ends_with(german));
        // In other texts it is only a word.
        assert_eq!(decode("charset=latin1 ü".as_bytes(), Some("text/plain")), "charset=latin1 ü");
        // What lies is read as it says, and breaks nothing.
        assert_eq!(decode(&latin, Some("text/html; charset=utf-8")), "Gr\u{fffd}\u{fffd}e \u{fffd}");
        assert_eq!(decode(b"x", Some("text/html; charset=iso-2022-kr")), "\u{fffd}");
        // Cut within its last character.
        assert_eq!(decode(&german.as_bytes()[..german.len() - 1], None), "Grüße \u{fffd}");
    }

    #[test]
    fn nothing_is_obeyed_or_hidden() {
        for (text, cleaned) in [
            ("a\tb\nc\r\nd\re\u{2028}f", "a\tb\nc\nd\ne\nf"),
            ("\u{1b}[31mred\u{1b}[0m \u{1b}[2J\u{1b}[1;1H\u{9b}31mx", "red x"),
            ("\u{1b}]52;c;aGk=\u{7}a\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "alink"),
            ("\u{1b}Pq…\u{1b}\\b\u{1b}cc\u{1b}", "bc"),
            ("\u{1b}]0;never ended\nnext", "\nnext"),
            ("a\0b\u{8}c\u{7f}d\u{80}", "abcd"),
            ("user\u{202e}txt.exe\u{2066}\u{200b}\u{200d}\u{feff}\u{ad}", "usertxt.exe"),
            ("\u{e0069}\u{e0067}\u{e006e}ore\u{fe01}\u{e0100}", "ore"),
            ("❤\u{fe0f} ß 漢字 नमस्ते العربية", "❤\u{fe0f} ß 漢字 नमस्ते العربية"),
        ] {
            assert_eq!(clean(text), cleaned, "{text:?}");
        }
    }
}
