//! Text for cells: capped, cut and wrapped by the width that a terminal gives it. Expects text that was cleaned.

use ratatui::text::Span;

use crate::format;

/// A tab's width; as a character it would move the cursor.
const TAB: &str = "    ";

/// Returns a text with its line breaks, without anything that steers a terminal or hides what is said, at most
/// `characters` long; says how many more there were.
pub(super) fn clean(text: &str, characters: usize) -> String {
    // Cut first: a text of megabytes is not cleaned to be thrown away. What is cleaned away only makes it shorter.
    let (head, rest) = match text.char_indices().nth(characters) {
        Some((at, _)) => text.split_at(at),
        None => (text, ""),
    };
    let mut clean = format::lines(head).replace('\t', TAB);
    if !rest.is_empty() {
        clean.push_str(&format!("\n… {} more characters", format::number(rest.chars().count() as u64)));
    }
    clean
}

/// Returns how many characters [`clean`] removes because they are not seen or would steer the terminal.
pub(super) fn hidden(text: &str) -> usize {
    text.chars().count().saturating_sub(format::lines(text).chars().count())
}

/// Returns how many columns a text takes.
pub(super) fn width(text: &str) -> usize {
    match text.is_ascii() {
        true => text.len(),
        false => Span::raw(text).width(),
    }
}

fn char_width(character: char) -> usize {
    match character.is_ascii() {
        true => 1,
        false => Span::raw(character.encode_utf8(&mut [0; 4]) as &str).width(),
    }
}

/// Cuts a line to at most `columns`, saying that it was cut.
pub(super) fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let (mut cut, mut used) = (String::new(), 0);
    for character in text.chars() {
        used += char_width(character);
        if used >= columns {
            break;
        }
        cut.push(character);
    }
    if columns > 0 {
        cut.push('…');
    }
    cut
}

/// Cuts or fills a line to exactly `columns`.
pub(super) fn pad(text: &str, columns: usize) -> String {
    let mut text = fit(text, columns);
    let used = width(&text);
    text.extend(std::iter::repeat_n(' ', columns.saturating_sub(used)));
    text
}

/// Breaks a text into lines of at most `columns`, at spaces where there are any.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        wrap_line(line, columns.max(1), &mut lines);
    }
    lines
}

fn wrap_line(line: &str, columns: usize, lines: &mut Vec<String>) {
    let (mut current, mut used) = (String::new(), 0);
    for word in line.split_inclusive(' ') {
        let wide = width(word.trim_end_matches(' '));
        if used > 0 && used + wide > columns {
            lines.push(std::mem::take(&mut current));
            used = 0;
        }
        for character in word.chars() {
            let wide = char_width(character);
            if used + wide > columns && used > 0 {
                if character == ' ' {
                    continue;
                }
                lines.push(std::mem::take(&mut current));
                used = 0;
            }
            current.push(character);
            used += wide;
        }
    }
    lines.push(current);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_and_filled_by_columns_not_characters() {
        assert_eq!([fit("abcd", 4), fit("abcde", 4), fit("abc", 0)], ["abcd", "abc…", ""]);
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!([pad("日本", 6), pad("日本語", 4)], ["日本  ", "日… "]);
    }

    #[test]
    fn a_text_is_wrapped_at_spaces_and_otherwise_anywhere() {
        assert_eq!(wrap("one two three", 8), ["one two ", "three"]);
        assert_eq!(wrap("abcdefgh\n\nij", 3), ["abc", "def", "gh", "", "ij"]);
        assert_eq!(wrap("日本語", 1), ["日", "本", "語"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn what_hides_or_steers_is_removed_and_counted() {
        let hostile = "rm\u{202e} -rf\u{200b}\u{1b}[2J\t/\u{7}";
        assert_eq!(clean(hostile, 100), "rm -rf[2J    /");
        assert_eq!(hidden(hostile), 4);
        assert_eq!(clean("abcdef", 3), "abc\n… 3 more characters");
    }
}
