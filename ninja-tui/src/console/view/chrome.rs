//! What is around the panes: the header with the live mark, banners, the footer.

use ninja_sdk::api::TaskStatus;
use ratatui::{
    Frame,
    layout::{Position, Rect},
    text::{Line, Span},
};
use tui_input::Input;

use super::Theme;
use crate::{
    console::{
        answer,
        app::{App, Confirm, Link, LinkState, Mode},
        keys::{Binding, Scope, TABLE},
        text::{fit, width},
    },
    format::{cut, number, one_line, short, since},
};

/// The daemon pings every 20 s; after two that did not come the mark says how long it is silent.
const QUIET_SECONDS: u64 = 45;

/// Returns the first line: how many tasks there are and whether what is shown is live.
pub(super) fn header(app: &App, theme: Theme, columns: u16) -> Line<'static> {
    let count = |status| app.list.all().iter().filter(|task| task.status == status).count();
    let tasks = app.list.all().len();
    let mut left = vec![Span::styled(" ninja ", theme.bold())];
    if app.list.loaded {
        let more = if app.list.more { "+" } else { "" };
        left.push(Span::raw(format!(" {}{more} tasks", number(tasks as u64))));
        for (status, style) in [(TaskStatus::Running, theme.active()), (TaskStatus::Waiting, theme.notice())] {
            if count(status) > 0 {
                left.push(Span::styled(format!("  {} {}", count(status), status.as_str()), style));
            }
        }
    }
    let (mark, style) = live_mark(app, theme);
    let used = left.iter().map(Span::width).sum::<usize>() + width(&mark) + 1;
    left.push(Span::raw(" ".repeat(usize::from(columns).saturating_sub(used).max(1))));
    left.push(Span::styled(mark, style));
    Line::from(left)
}

/// Returns the mark that says whether what is shown is live, and up to which number.
fn live_mark(app: &App, theme: Theme) -> (String, ratatui::style::Style) {
    let quiet = since(app.feed.heard, app.now).as_secs();
    match &app.feed.state {
        LinkState::Connecting => ("○ connecting…".into(), theme.notice()),
        LinkState::Away(_) => ("○ away".into(), theme.bad()),
        LinkState::Live if quiet > QUIET_SECONDS => (format!("◌ nothing heard for {quiet} s"), theme.notice()),
        LinkState::Live => (format!("● live u:{}{}", app.feed.last, task_seq(app)), theme.good()),
    }
}

fn task_seq(app: &App) -> String {
    match app.followed.as_ref().and_then(|followed| followed.seen) {
        Some(seq) => format!(" t:{seq}"),
        None => String::new(),
    }
}

/// Returns the lines that must be seen: no connection, no daemon.
pub(super) fn banners(app: &App, theme: Theme) -> Vec<Line<'static>> {
    let mut banners = Vec::new();
    let away = |link: &Link| match &link.state {
        LinkState::Away(why) => Some(why.clone()),
        LinkState::Connecting | LinkState::Live => None,
    };
    let followed = app.followed.as_ref().filter(|followed| !followed.ended && followed.gone.is_none());
    let why = away(&app.feed).or_else(|| followed.and_then(|_| away(&app.events)));
    if let Some(why) = why {
        let text = format!(" reconnecting…, last seq u:{}{} — {}", app.feed.last, task_seq(app), cut(&why, 300));
        banners.push(Line::styled(text, theme.banner()));
    }
    if app.is_in_process {
        let text = " no daemon: tasks are worked on in this console and rest when it closes; `ninja serve` is one";
        banners.push(Line::styled(text, theme.dim()));
    }
    banners
}

/// Draws the last line: a question to the person, what is typed, a notice, or the keys.
pub(super) fn draw_footer(frame: &mut Frame<'_>, app: &App, theme: Theme, area: Rect) {
    let columns = usize::from(area.width);
    let line = match &app.mode {
        Mode::Filter(input) => return draw_input(frame, theme, area, "/", input),
        Mode::Answer(input, _) => return draw_input(frame, theme, area, "answer: ", input),
        Mode::Confirm(confirm) => {
            Line::styled(fit(&format!(" {} y yes · n no", question(confirm)), columns), theme.banner())
        }
        Mode::Normal | Mode::Help(_) => match &app.notice {
            Some(notice) => Line::styled(fit(&format!(" {notice}"), columns), theme.notice()),
            None => keys(app, theme, columns),
        },
    };
    frame.render_widget(line, area);
}

fn question(confirm: &Confirm) -> String {
    match confirm {
        Confirm::Cancel(task) => format!("Cancel task {} and kill all it runs?", short(*task)),
        Confirm::Decide(_, decision) => answer::consequence(decision).to_owned(),
    }
}

fn draw_input(frame: &mut Frame<'_>, theme: Theme, area: Rect, label: &'static str, input: &Input) {
    let label_columns = u16::try_from(width(label)).unwrap_or(u16::MAX).min(area.width);
    let room = usize::from(area.width - label_columns);
    let scroll = input.visual_scroll(room.saturating_sub(1));
    // What was typed is shown as it was, save what steers: columns of what is left out on the left.
    let mut skipped = 0;
    let typed = one_line_keeping_spaces(input.value());
    let shown: String = typed
        .chars()
        .skip_while(|character| {
            let skip = skipped < scroll;
            skipped += width(character.encode_utf8(&mut [0; 4]));
            skip
        })
        .collect();
    frame.render_widget(Line::from(vec![Span::styled(label, theme.key()), Span::raw(fit(&shown, room))]), area);
    let column = input.visual_cursor().saturating_sub(scroll).min(room.saturating_sub(1));
    if area.width > 0 && area.height > 0 {
        let x = area.x + label_columns + u16::try_from(column).unwrap_or_default();
        frame.set_cursor_position(Position::new(x.min(area.right().saturating_sub(1)), area.y));
    }
}

fn one_line_keeping_spaces(typed: &str) -> String {
    typed.split(' ').map(one_line).collect::<Vec<_>>().join(" ")
}

/// Returns the keys that count now, as many as there is room for; the way out always.
fn keys(app: &App, theme: Theme, columns: usize) -> Line<'static> {
    let scopes = match app.mode {
        Mode::Help(_) => vec![Scope::Help],
        Mode::Normal | Mode::Filter(_) | Mode::Answer(..) | Mode::Confirm(_) => app.scopes(),
    };
    let labels = |is_last: bool| {
        let scopes = scopes.iter().filter(move |scope| (**scope == Scope::Everywhere) == is_last);
        let bindings = scopes.flat_map(|scope| TABLE.iter().filter(move |binding| binding.scope == *scope));
        bindings
            .filter(|binding| counts(app, binding))
            .filter_map(|binding| Some((format!(" {}", binding.first_key()), format!(" {} ", binding.label?))))
    };
    let wide = |(key, label): &(String, String)| width(key) + width(label);
    let mut room = columns.saturating_sub(labels(true).map(|label| wide(&label)).sum());
    let mut spans = Vec::new();
    let near = labels(false).take_while(|label| {
        let fits = wide(label) <= room;
        room = room.saturating_sub(wide(label));
        fits
    });
    for (key, label) in near.collect::<Vec<_>>().into_iter().chain(labels(true)) {
        spans.extend([Span::styled(key, theme.key()), Span::styled(label, theme.dim())]);
    }
    Line::from(spans)
}

/// Returns whether a key does something now: keys that answer only where they answer the question that is shown.
fn counts(app: &App, binding: &Binding) -> bool {
    match (binding.scope, app.question()) {
        (Scope::Question | Scope::Ambiguous, Some(question)) => {
            !matches!(answer::reply(question.kind, binding.action), answer::Reply::No(_))
        }
        (Scope::Question | Scope::Ambiguous, None) => false,
        _ => true,
    }
}
