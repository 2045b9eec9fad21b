//! What a file is called: one plain name, and the extension that says its type.

use super::Refused;

/// The longest name that common file systems take.
const NAME_BYTES_MAX: usize = 255;
/// Names that Windows takes for devices, whatever extension follows.
const DEVICES: &[&str] = &["con", "prn", "aux", "nul"];
/// Those of which there are nine.
const NUMBERED_DEVICES: &[&str] = &["com", "lpt"];

/// Keeps the last name of a path, without anything that a terminal or file system would trip over.
///
/// # Errors
///
/// Refuses a name of which nothing is left, or that is too long.
pub(crate) fn clean_name(name: &str) -> Result<String, Refused> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let bad = |c: char| {
        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let clean: String = last.chars().filter(|c| !bad(*c)).collect();
    let clean = clean.trim().trim_matches('.').trim();
    let clean = if is_device(clean) { format!("_{clean}") } else { clean.to_owned() };
    if clean.is_empty() || clean.len() > NAME_BYTES_MAX {
        return Err(Refused::Name(format!("a file name has 1 to {NAME_BYTES_MAX} bytes and is not only dots")));
    }
    Ok(clean)
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let is_one_of = |device: &&str| matches!(stem.strip_prefix(*device).map(str::as_bytes), Some([b'1'..=b'9']));
    DEVICES.contains(&stem.as_str()) || NUMBERED_DEVICES.iter().any(is_one_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_plain_name() {
        for (given, kept) in [
            ("a.csv", "a.csv"),
            ("../../etc/passwd", "passwd"),
            ("C:\\data\\b.csv", "b.csv"),
            ("..\\x.txt", "x.txt"),
            ("%252e%252e%252fx.txt", "%252e%252e%252fx.txt"),
            ("a\u{202e}gpj.exe", "agpj.exe"),
            ("x\0\r\ny", "xy"),
            ("  ümlaut table.csv ", "ümlaut table.csv"),
            ("CON", "_CON"),
            ("nul.txt", "_nul.txt"),
            ("com1.tar.gz", "_com1.tar.gz"),
            ("com.txt", "com.txt"),
            ("com10.txt", "com10.txt"),
            ("con1.txt", "con1.txt"),
            ("console.log", "console.log"),
        ] {
            assert_eq!(clean_name(given).unwrap(), kept);
        }
        for bad in ["", "..", "/", "\u{200b}", &"x".repeat(256), &format!("{}.txt", "x".repeat(300))] {
            assert!(clean_name(bad).is_err(), "{bad:?}");
        }
    }
}
