//! The pane with the list of tasks.

use ninja_sdk::api::{TaskSummary, Timestamp, WaitFor};
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span, Text},
    widgets::{Block, Paragraph},
};

use super::Theme;
use crate::{
    console::{
        app::{App, Focus},
        list::TASKS_MAX,
        text::{pad, width, wrap},
    },
    format::{number, since},
};

/// What a new user types first.
const HOW_TO_BEGIN: &str = "No tasks yet.\n\nMake one in another terminal; it appears here:\n\n  ninja run \"Write a haiku \
                            about rust\"\n  ninja run --template data-analysis --file table.csv \"What stands out?\"\n\n? shows \
                            the keys.";
/// Mark, status, progress, age, tokens and the spaces between.
const FIXED_COLUMNS: usize = 32;

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, theme: Theme, area: Rect) {
    let has_focus = app.focus == Focus::List;
    let shown = app.list.shown();
    let block = Block::bordered().border_style(theme.border(has_focus)).title(title(app, shown.len()));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let columns = usize::from(inner.width);
    if shown.is_empty() {
        let text = match (app.list.loaded, app.list.filter.is_empty()) {
            (false, _) => "reading the tasks…",
            (true, true) => HOW_TO_BEGIN,
            (true, false) => "No task fits the filter. Esc takes it away.",
        };
        frame.render_widget(Paragraph::new(wrap(text, columns).join("\n")), inner);
        return;
    }
    let head = format!("  {:<10}{:>4} {:>6} {:>6}  goal", "status", "%", "age", "tokens");
    let mut lines = vec![Line::styled(pad(&head, columns), theme.dim())];
    let rows = usize::from(inner.height.saturating_sub(1));
    let position = app.list.position(&shown);
    for (place, task) in shown.iter().enumerate().skip(first(position, rows, shown.len())).take(rows) {
        let line = row(task, app.now, theme, columns);
        lines.push(if place == position { line.patch_style(theme.selected(has_focus)) } else { line });
    }
    frame.render_widget(Text::from(lines), inner);
}

/// Returns the first row that is shown, so that the selection is in the middle where that can be.
pub(super) fn first(position: usize, rows: usize, all: usize) -> usize {
    position.saturating_sub(rows / 2).min(all.saturating_sub(rows))
}

fn title(app: &App, shown: usize) -> String {
    let all = app.list.all().len();
    let mut title = " Tasks ".to_owned();
    if !app.list.filter.is_empty() {
        title = format!(" Tasks /{}: {shown} of {} ", crate::format::one_line(&app.list.filter), number(all as u64));
    }
    if app.list.more && all >= TASKS_MAX {
        title += &format!("(the newest {}) ", number(TASKS_MAX as u64));
    } else if app.list.more && !app.list.filter.is_empty() {
        title += "read so far ";
    }
    title
}

fn row(task: &TaskSummary, now: Timestamp, theme: Theme, columns: usize) -> Line<'static> {
    let (mark, style) = theme.task(task.status);
    let goal_columns = columns.saturating_sub(FIXED_COLUMNS);
    let wait = task.waiting.as_ref().map(|waiting| format!("[{}] ", wait_words(waiting.wait_for)));
    let error = task.error.as_ref().map(|error| format!("[{}] ", error.code));
    let (hint, hint_style) = match (wait, error) {
        (Some(wait), _) => (wait, theme.notice()),
        (None, Some(error)) => (error, theme.bad()),
        (None, None) => (String::new(), theme.plain()),
    };
    let goal = if task.goal.is_empty() { "(an explicit plan)" } else { &task.goal };
    let goal = pad(goal, goal_columns.saturating_sub(width(&hint)));
    Line::from(vec![
        Span::styled(format!("{mark} {:<10}", task.status.as_str()), style),
        Span::raw(format!("{:>4} ", task.progress)),
        Span::styled(format!("{:>6} {:>6}  ", age(task.created_at, now), tokens(task.usage.tokens())), theme.dim()),
        Span::styled(hint, hint_style),
        Span::raw(goal),
    ])
}

/// Returns what a task waits for, in a word.
fn wait_words(wait: WaitFor) -> &'static str {
    match wait {
        WaitFor::Approval => "approval",
        WaitFor::Person => "person",
        WaitFor::Budget => "budget",
        WaitFor::Provider => "provider",
        WaitFor::Timer => "timer",
        WaitFor::Operator => "paused",
    }
}

/// Writes how long ago something was, in one unit.
pub(super) fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = since(then, now).as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Writes a number of tokens in at most six characters.
fn tokens(tokens: u64) -> String {
    match tokens {
        0..10_000 => tokens.to_string(),
        10_000..1_000_000 => format!("{}k", tokens / 1_000),
        1_000_000..1_000_000_000 => format!("{:.1}M", tokens as f64 / 1e6),
        _ => format!("{}G", tokens / 1_000_000_000),
    }
}
