//! File name patterns: `*`, `?` and `**`.

use regex::Regex;

/// Compiles a pattern. Without a `/` it is matched against the name alone, else against the whole path.
pub(super) fn compile(glob: &str) -> Result<Regex, regex::Error> {
    let mut pattern = String::from(if glob.contains('/') { "^" } else { "^(?:.*/)?" });
    let mut rest = glob.strip_prefix('/').unwrap_or(glob);
    while let Some(first) = rest.chars().next() {
        let (length, piece) = match first {
            _ if rest.starts_with("**/") => (3, "(?:.*/)?".to_owned()),
            _ if rest.starts_with("**") => (2, ".*".to_owned()),
            '*' => (1, "[^/]*".to_owned()),
            '?' => (1, "[^/]".to_owned()),
            plain => (plain.len_utf8(), regex::escape(plain.encode_utf8(&mut [0; 4]))),
        };
        pattern.push_str(&piece);
        rest = rest.get(length..).unwrap_or_default();
    }
    pattern.push('$');
    Regex::new(&pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (glob, yes, no) in [
            ("*.rs", &["a.rs", "b/a.rs"][..], &["a.rsx", "rs"][..]),
            ("src/*.rs", &["src/a.rs"], &["src/b/a.rs", "x/src/a.rs"]),
            ("src/**/*.rs", &["src/a.rs", "src/b/c/a.rs"], &["a.rs"]),
            ("**/x?", &["x1", "a/b/xy"], &["x", "a/x"]),
            ("a.[b]", &["a.[b]"], &["a.b", "aXb"]),
            ("ä*", &["ärger", "d/ä"], &["arger"]),
            ("docs/**", &["docs/a", "docs/b/c"], &["docs"]),
        ] {
            let compiled = compile(glob).unwrap();
            yes.iter().for_each(|path| assert!(compiled.is_match(path), "{glob} {path}"));
            no.iter().for_each(|path| assert!(!compiled.is_match(path), "{glob} {path}"));
        }
    }
}
