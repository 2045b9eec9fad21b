//! Rust source as text: enough of its grammar to count lines of functions, and no more.

/// Removes comments and the insides of literals, keeping every line break.
pub(crate) fn strip_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (skipped, after) = rest.split_at(literal_length(rest));
        match skipped {
            "" => code.push(first),
            _ => code.extend(skipped.chars().filter(|c| *c == '\n')),
        }
        rest = if skipped.is_empty() { rest.get(first.len_utf8()..).unwrap_or_default() } else { after };
    }
    code
}

/// Returns the bytes of the comment or literal that a text begins with.
fn literal_length(text: &str) -> usize {
    let until = |from: usize, end: &str| {
        text.get(from..).and_then(|rest| rest.find(end)).map_or(text.len(), |at| from + at + end.len())
    };
    let hashes = text.get(1..).map_or(0, |rest| rest.len() - rest.trim_start_matches('#').len());
    if text.starts_with("//") {
        text.find('\n').unwrap_or(text.len())
    } else if text.starts_with("/*") {
        until(2, "*/")
    } else if text.starts_with('r') && text.get(1 + hashes..).is_some_and(|rest| rest.starts_with('"')) {
        until(2 + hashes, &format!("\"{}", "#".repeat(hashes)))
    } else if text.starts_with('"') {
        quoted_length(text, '"')
    } else if text.starts_with("'\\") || (text.starts_with('\'') && text.chars().nth(2) == Some('\'')) {
        quoted_length(text, '\'')
    } else {
        0
    }
}

fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Returns the lines of the block that opens in or after the first line; `None` where a declaration ends without one.
pub(crate) fn block_length(code: &[String]) -> Option<usize> {
    let mut depth = 0_usize;
    for (length, line) in (1..).zip(code) {
        for c in line.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 1 => return Some(length),
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if depth == 0 && line.trim_end().ends_with(';') {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_vanish_and_lines_stay() {
        let text = "a(\"{ \\\" }\", '{', '\\'', r#\"\"}\"#); // {\n/* }\n */ let x: &'a str;";
        assert_eq!(strip_literals(text), "a(, , , ); \n\n let x: &'a str;");
    }

    #[test]
    fn a_block_is_as_long_as_its_braces() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(block_length(&lines("fn a()\nwhere\n    T: B,\n{\n    if c {}\n}\n}")), Some(6));
        assert_eq!(block_length(&lines("fn a();\nfn b() {\n}")), None);
    }
}
