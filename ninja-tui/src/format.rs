//! How texts, numbers, times and ids are written for a person.

use std::time::Duration;

use ninja_sdk::api::{ModelRef, StepStatus, Task, TaskId, TaskStatus, Timestamp, dollars};

/// Returns `text` on one line without anything that moves a cursor, changes a colour or hides what is said:
/// models and tools write it, and a terminal obeys what it is sent.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            _ if character.is_whitespace() && line.ends_with(' ') => {}
            _ if character.is_whitespace() => line.push(' '),
            _ if is_shown(character) => line.push(character),
            _ => {}
        }
    }
    line.trim().to_owned()
}

/// Returns `text` with its line breaks and tabs, otherwise as [`one_line`] does.
pub(crate) fn lines(text: &str) -> String {
    text.chars().filter(|character| matches!(character, '\n' | '\t') || is_shown(*character)).collect()
}

/// Refuses control characters, direction overrides and characters of no width.
fn is_shown(character: char) -> bool {
    !character.is_control()
        && !matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}'
            | '\u{61c}' | '\u{180e}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Cuts `text` to at most `characters`, saying that it was cut.
pub(crate) fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        None => text.to_owned(),
        Some(_) => text.chars().take(characters.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Writes 1234567 as `1,234,567`.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes a size in the largest unit that keeps it above one.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// Writes a duration in at most two units.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Returns how long ago `then` was; nothing where the clocks differ.
pub(crate) fn since(then: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(then).try_into().unwrap_or_default()
}

/// Writes the part of an id that a person types: its end, because its beginning is the time.
pub(crate) fn short(id: TaskId) -> String {
    let text = id.uuid().simple().to_string();
    text.get(text.len().saturating_sub(8)..).unwrap_or(&text).to_owned()
}

/// Names the model, and says so when it is the small one in this process.
pub(crate) fn model(model: &ModelRef) -> String {
    match model.provider.as_str() {
        "local" => format!("{} (small local model)", one_line(&model.to_string())),
        _ => one_line(&model.to_string()),
    }
}

/// Writes what the task used and how long it took, up to `now` where it has not ended.
pub(crate) fn usage(task: &Task, now: Timestamp) -> String {
    let took = since(task.created_at, task.ended_at.unwrap_or(now));
    let usage = &task.usage;
    let mut text = duration(took);
    text += &format!(", {} tokens in, {} out", number(usage.input_tokens), number(usage.output_tokens));
    if usage.estimated_tokens > 0 {
        text += &format!(" ({} of them estimated)", number(usage.estimated_tokens));
    }
    if usage.cost_micro_usd > 0 {
        text += &format!(", {}", dollars(usage.cost_micro_usd));
    }
    text += &format!(", {} model calls, {} tool calls", usage.model_calls, usage.tool_calls);
    if let (Some(answering), 1..) = (&task.model, usage.model_calls) {
        text += &format!(", {}", model(answering));
    }
    text
}

/// Writes rows below each other: the first `left` columns from the left on, the others up to the right.
pub(crate) fn columns<const N: usize>(left: usize, rows: &[[String; N]]) -> Vec<String> {
    let widths = rows.iter().fold([0; N], |mut widths: [usize; N], row| {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
        widths
    });
    let cell = |(column, (cell, width)): (usize, (&String, usize))| match column < left {
        true => format!("{cell:<width$}"),
        false => format!("{cell:>width$}"),
    };
    let line = |row: &[String; N]| row.iter().zip(widths).enumerate().map(cell).collect::<Vec<_>>().join("  ");
    rows.iter().map(|row| line(row).trim_end().to_owned()).collect()
}

/// Colours, where there are any.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    /// Whether the output understands colours and its reader wants them.
    pub(crate) on: bool,
}

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        match self.on {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub(crate) fn notice(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// Writes a task's status in its colour.
    pub(crate) fn task_status(self, status: TaskStatus) -> String {
        let text = format!("{:<9}", status.as_str());
        match status {
            TaskStatus::Succeeded => self.good(&text),
            TaskStatus::Failed => self.bad(&text),
            TaskStatus::Waiting => self.notice(&text),
            TaskStatus::Cancelled | TaskStatus::Queued => self.dim(&text),
            TaskStatus::Planning | TaskStatus::Running => self.bold(&text),
        }
    }

    /// Writes a step's status in its colour.
    pub(crate) fn step_status(self, status: StepStatus) -> String {
        let text = format!("{:<9}", status.as_str());
        match status {
            StepStatus::Succeeded => self.good(&text),
            StepStatus::Failed => self.bad(&text),
            StepStatus::Waiting => self.notice(&text),
            StepStatus::Pending | StepStatus::Skipped | StepStatus::Cancelled => self.dim(&text),
            StepStatus::Running => self.bold(&text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_writes_cannot_steer_the_terminal() {
        let hostile = "a\u{1b}[2Jb\r\nc\td\u{202e}e\u{200b}f\u{9b}31mg";
        assert_eq!(one_line(hostile), "a[2Jb c defg31m".replace("g31m", "31mg"));
        assert_eq!(lines(hostile), "a[2Jb\nc\tdef31mg");
    }

    #[test]
    fn numbers_and_times_are_short() {
        assert_eq!([number(0), number(999), number(1_000), number(12_345_678)], ["0", "999", "1,000", "12,345,678"]);
        assert_eq!([bytes(999), bytes(1_500), bytes(50_000_000)], ["999 B", "1.5 kB", "50.0 MB"]);
        let durations = [300, 61_000, 7_260_000].map(|ms| duration(Duration::from_millis(ms)));
        assert_eq!(durations, ["0.3 s", "1 min 1 s", "2 h 1 min"]);
        assert_eq!([cut("abc", 3), cut("abcd", 3), cut("", 3)], ["abc", "ab…", ""]);
    }
}
