//! The pane with the followed task: how it stands, its steps, and beside them the detail pane.

use ninja_sdk::api::{Task, Timestamp};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::{Line, Span, Text},
    widgets::{Block, Paragraph},
};

use super::{Theme, detail, list::first};
use crate::{
    console::{
        app::{App, Focus, Tab},
        followed::Followed,
        text::{fit, pad, wrap},
    },
    format::{self, number, one_line, short},
};

/// Below this many columns the steps and the detail are shown one at a time.
const BESIDE: u16 = 60;
const GOAL_LINES: usize = 2;
const ERROR_LINES: usize = 3;
const BAR_COLUMNS: usize = 10;

/// Draws the task; returns how far its detail can be scrolled.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App, theme: Theme, area: Rect) -> usize {
    let Some(followed) = &app.followed else {
        let block = Block::bordered().border_style(theme.border(false)).title(" Task ");
        frame.render_widget(Paragraph::new("Enter follows the selected task.").block(block), area);
        return 0;
    };
    let head = head(app, followed, theme, usize::from(area.width));
    // However little room there is, something is left for the panes below.
    let rows = u16::try_from(head.len()).unwrap_or(u16::MAX).min(area.height.saturating_sub(4));
    let [top, body] = Layout::vertical([Constraint::Length(rows), Constraint::Min(0)]).areas(area);
    frame.render_widget(Text::from(head), top);
    let Some(task) = &followed.task else {
        let block = Block::bordered().border_style(theme.border(true));
        let text = followed.gone.clone().unwrap_or_else(|| "reading the task…".into());
        frame.render_widget(Paragraph::new(wrap(&text, usize::from(body.width)).join("\n")).block(block), body);
        return 0;
    };
    if body.width < BESIDE {
        return match app.focus {
            Focus::Detail => detail::draw(frame, app, followed, task, theme, body),
            Focus::List | Focus::Steps => {
                draw_steps(frame, app, followed, task, theme, body);
                0
            }
        };
    }
    let steps = (body.width / 3).clamp(24, 44);
    let [left, right] = Layout::horizontal([Constraint::Length(steps), Constraint::Fill(1)]).areas(body);
    draw_steps(frame, app, followed, task, theme, left);
    detail::draw(frame, app, followed, task, theme, right)
}

fn head(app: &App, followed: &Followed, theme: Theme, columns: usize) -> Vec<Line<'static>> {
    let Some(task) = &followed.task else {
        return vec![Line::styled(format!(" task {}", short(followed.id)), theme.bold())];
    };
    let mut lines = vec![standing(task, app.now, theme, columns)];
    let goal = if task.goal.is_empty() { "(an explicit plan)" } else { &task.goal };
    let mut goal = wrap(&one_line(goal), columns.saturating_sub(2));
    if goal.len() > GOAL_LINES {
        goal.truncate(GOAL_LINES);
        if let Some(last) = goal.last_mut() {
            *last = fit(&format!("{last}…"), columns.saturating_sub(2));
        }
    }
    lines.extend(goal.into_iter().map(|line| Line::styled(format!(" {line}"), theme.bold())));
    if let Some(error) = &task.error {
        let error = wrap(&error.to_string(), columns.saturating_sub(2));
        lines.extend(error.into_iter().take(ERROR_LINES).map(|line| Line::styled(format!(" {line}"), theme.bad())));
    }
    if let Some(omission) = followed.gone.clone().or_else(|| followed.omission()) {
        lines.push(Line::styled(format!(" {omission}"), theme.notice()));
    }
    if !task.approvals.is_empty() && app.tab != Tab::Questions {
        let text = match task.approvals.len() {
            1 => " A question waits for you: o shows it.".to_owned(),
            several => format!(" {several} questions wait for you: o shows them."),
        };
        lines.push(Line::styled(pad(&text, columns), theme.banner()));
    }
    lines
}

/// Returns the line that says how the task stands. What matters least comes last: a narrow screen cuts it.
fn standing(task: &Task, now: Timestamp, theme: Theme, columns: usize) -> Line<'static> {
    let (mark, style) = theme.task(task.status);
    let filled = usize::from(task.progress.min(100)) * BAR_COLUMNS / 100;
    let bar = "█".repeat(filled) + &"░".repeat(BAR_COLUMNS - filled);
    let took = format::since(task.created_at, task.ended_at.unwrap_or(now));
    let tokens = number(task.usage.tokens());
    let mut text = format!("  {}  {}  {tokens} tokens", short(task.id), format::duration(took));
    if task.usage.estimated_tokens > 0 {
        text += &format!(" ({} estimated)", number(task.usage.estimated_tokens));
    }
    if let Some(model) = &task.model {
        text += &format!("  {}", format::model(model));
    }
    let spans = [
        Span::styled(format!(" {mark} {} ", task.status.as_str()), style),
        Span::styled(bar, style),
        Span::raw(format!(" {} %", task.progress)),
    ];
    let used: usize = spans.iter().map(Span::width).sum();
    let text = Span::styled(fit(&text, columns.saturating_sub(used)), theme.dim());
    Line::from_iter(spans.into_iter().chain([text]))
}

fn draw_steps(frame: &mut Frame<'_>, app: &App, followed: &Followed, task: &Task, theme: Theme, area: Rect) {
    let has_focus = app.focus == Focus::Steps;
    let title = format!(" Steps {} ", number(task.steps.len() as u64));
    let block = Block::bordered().border_style(theme.border(has_focus)).title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let (columns, rows) = (usize::from(inner.width), usize::from(inner.height));
    let steps = followed.lines.iter().filter_map(|line| Some((line.depth, task.steps.get(line.index)?)));
    let selected = app.step.as_ref();
    let position = selected.and_then(|id| steps.clone().position(|(_, step)| step.id == *id)).map_or(0, |at| at + 1);
    let all = std::iter::once(Line::raw(pad("  the whole task", columns)));
    let lines = all.chain(steps.map(|(depth, step)| {
        let (mark, style) = theme.step(step.status);
        let indent = "  ".repeat(depth.min(8));
        let name = step.title.as_deref().unwrap_or_default();
        let text = format!("{} {name}", step.id);
        let used = 2 + indent.len();
        Line::from(vec![
            Span::styled(format!("{indent}{mark} "), style),
            Span::raw(pad(text.trim_end(), columns.saturating_sub(used))),
        ])
    }));
    let skip = first(position, rows, followed.lines.len() + 1);
    let shown: Vec<Line<'_>> = lines
        .enumerate()
        .skip(skip)
        .take(rows)
        .map(|(place, line)| if place == position { line.patch_style(theme.selected(has_focus)) } else { line })
        .collect();
    frame.render_widget(Text::from(shown), inner);
}
