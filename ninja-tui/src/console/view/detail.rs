//! The detail pane: the activity, the details, the files or a question, of the whole task or of the selected step.

use ninja_sdk::api::{Step, Task};
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span, Text},
    widgets::Block,
};

use super::Theme;
use crate::{
    cli::reaction,
    console::{
        answer,
        app::{App, Focus, Tab},
        followed::{Followed, Live},
        log::Entry,
        text::wrap,
    },
    format::{self, bytes, number, since},
};

/// Draws the pane; returns how far it can be scrolled.
pub(super) fn draw(
    frame: &mut Frame<'_>,
    app: &App,
    followed: &Followed,
    task: &Task,
    theme: Theme,
    area: Rect,
) -> usize {
    let has_focus = app.focus == Focus::Detail;
    let block = Block::bordered().border_style(theme.border(has_focus)).title(tabs(app, task, theme));
    let inner = block.inner(area);
    let (columns, rows) = (usize::from(inner.width), usize::from(inner.height));
    if app.tab == Tab::Activity {
        let (lines, scroll_max) = activity(app, followed, theme, columns, rows);
        let block = if app.scroll > 0 { block.title_bottom(format!(" {} lines below ", app.scroll)) } else { block };
        frame.render_widget(block, area);
        frame.render_widget(Text::from(lines), inner);
        return scroll_max;
    }
    let lines = match app.tab {
        Tab::Activity | Tab::Details => details(app, followed, task, theme),
        Tab::Files => files(followed, task, theme),
        Tab::Questions => question(app, task, theme),
    };
    let lines = wrap_all(lines, columns);
    let scroll_max = lines.len().saturating_sub(rows);
    let scroll = app.scroll.min(scroll_max);
    let below = scroll_max - scroll;
    let block = if below > 0 { block.title_bottom(format!(" {below} more lines below ")) } else { block };
    frame.render_widget(block, area);
    frame.render_widget(Text::from(lines.into_iter().skip(scroll).take(rows).collect::<Vec<_>>()), inner);
    scroll_max
}

fn tabs(app: &App, task: &Task, theme: Theme) -> Line<'static> {
    let questions = match task.approvals.len() {
        0 => "4 questions".to_owned(),
        open => format!("4 questions ({open})"),
    };
    let files = format!("3 files ({})", task.artifacts.len());
    let tabs = [
        (Tab::Activity, "1 activity".to_owned()),
        (Tab::Details, "2 details".to_owned()),
        (Tab::Files, files),
        (Tab::Questions, questions),
    ];
    let spans = tabs.into_iter().map(|(tab, name)| {
        let style = if tab == app.tab { theme.selected(true) } else { theme.plain() };
        Span::styled(format!(" {name} "), style)
    });
    Line::from_iter(spans)
}

/// A text and its style, before it is wrapped.
type Paragraph = (String, ratatui::style::Style);

fn wrap_all(paragraphs: Vec<Paragraph>, columns: usize) -> Vec<Line<'static>> {
    let wrapped = paragraphs.into_iter().map(|(text, style)| (wrap(&text, columns), style));
    wrapped.flat_map(|(lines, style)| lines.into_iter().map(move |line| Line::styled(line, style))).collect()
}

/// Returns the lines that are shown, wrapped from the end: of thousands of events only those on the screen are.
fn activity(app: &App, followed: &Followed, theme: Theme, columns: usize, rows: usize) -> (Vec<Line<'static>>, usize) {
    let wanted = rows.saturating_add(app.scroll);
    // From the newest line to the oldest.
    let mut lines: Vec<Line<'static>> = Vec::new();
    let mut writing: Vec<_> =
        followed.live.iter().filter(|(step, _)| app.step.as_ref().is_none_or(|selected| selected == *step)).collect();
    writing.sort_by_key(|(step, _)| step.as_str());
    for (step, live) in writing.into_iter().rev() {
        lines.extend(wrap_all(writing_of(step.as_str(), live, theme), columns).into_iter().rev());
    }
    for entry in followed.log.newest_first(app.step.as_ref()) {
        if lines.len() >= wanted {
            break;
        }
        lines.extend(wrap_all(entry_lines(entry, theme), columns).into_iter().rev());
    }
    if lines.len() < wanted && followed.log.older > 0 {
        let older = format!("{} older events are not shown; ninja watch has them", number(followed.log.older));
        lines.extend(wrap_all(vec![(older, theme.dim())], columns).into_iter().rev());
    }
    let scroll_max = lines.len().saturating_sub(rows);
    let scroll = app.scroll.min(scroll_max);
    let mut shown: Vec<_> = lines.into_iter().skip(scroll).take(rows).collect();
    shown.reverse();
    (shown, scroll_max)
}

fn writing_of(step: &str, live: &Live, theme: Theme) -> Vec<Paragraph> {
    let torn = if live.torn { "… " } else { "" };
    vec![(format!("▶ {step} is writing:"), theme.active()), (format!("{torn}{}▌", live.text), theme.plain())]
}

fn entry_lines(entry: &Entry, theme: Theme) -> Vec<Paragraph> {
    let time = entry.at.strftime("%H:%M:%S");
    let mut lines = vec![(format!("{time} #{} {}", entry.seq, entry.words), theme.tone(entry.tone))];
    if !entry.result.is_empty() {
        let indented = entry.result.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n");
        lines.push((indented, theme.dim()));
    }
    lines
}

fn details(app: &App, followed: &Followed, task: &Task, theme: Theme) -> Vec<Paragraph> {
    match app.step.as_ref().and_then(|id| task.steps.iter().find(|step| step.id == *id)) {
        Some(step) => step_details(app, followed, step, theme),
        None => task_details(app, followed, task, theme),
    }
}

fn task_details(app: &App, followed: &Followed, task: &Task, theme: Theme) -> Vec<Paragraph> {
    let mut lines = vec![(task.id.to_string(), theme.dim()), (task.goal.clone(), theme.bold())];
    if let Some(template) = &task.template {
        lines.push((format!("template {template}"), theme.plain()));
    }
    lines.push((format!("submitted {}", task.created_at.strftime("%Y-%m-%d %H:%M:%S UTC")), theme.plain()));
    lines.push((format::usage(task, app.now), theme.plain()));
    if let Some(error) = &task.error {
        lines.push((error.to_string(), theme.bad()));
        if let Some(advice) = reaction(error.code).1 {
            lines.push((format!("try: {advice}"), theme.notice()));
        }
    }
    if let Some(receipt) = &task.cancel_receipt {
        let text = format!("cancelled: {} calls stopped within {} ms", receipt.stopped.len(), receipt.took_ms);
        lines.push((text, theme.plain()));
        for call in &receipt.stopped {
            let what = format::one_line(&call.what);
            let text = format!("  {} {what}: {} processes, {} ms", call.step, call.processes, call.stopped_after_ms);
            lines.push((text, theme.plain()));
        }
    }
    // The last step's output is what the task came to.
    if let Some(output) = task.steps.last().and_then(|step| followed.outputs.get(&step.id)) {
        lines.push((String::new(), theme.plain()));
        lines.push((output.clone(), theme.plain()));
    }
    lines
}

fn step_details(app: &App, followed: &Followed, step: &Step, theme: Theme) -> Vec<Paragraph> {
    let mut head = format!("{} {}", step.id, step.status.as_str());
    if let Some(actor) = &step.actor {
        head += &format!(" · {actor}");
    }
    if let Some(started) = step.started_at {
        head += &format!(" · {}", format::duration(since(started, step.ended_at.unwrap_or(app.now))));
    }
    let mut lines = vec![(head, theme.step(step.status).1)];
    lines.extend(step.title.clone().map(|title| (title, theme.bold())));
    if !step.after.is_empty() {
        let after: Vec<_> = step.after.iter().map(|step| step.as_str()).collect();
        lines.push((format!("after {}", after.join(", ")), theme.dim()));
    }
    let usage = &step.usage;
    if usage.model_calls + usage.tool_calls > 0 {
        let tokens = format!("{} tokens in, {} out", number(usage.input_tokens), number(usage.output_tokens));
        let calls = format!("{} model calls, {} tool calls", usage.model_calls, usage.tool_calls);
        lines.push((format!("{tokens}, {calls}"), theme.dim()));
    }
    if let Some(error) = &step.error {
        lines.push((error.to_string(), theme.bad()));
    }
    if let Some(output) = followed.outputs.get(&step.id) {
        lines.push((String::new(), theme.plain()));
        lines.push((output.clone(), theme.plain()));
    }
    lines
}

fn files(followed: &Followed, task: &Task, theme: Theme) -> Vec<Paragraph> {
    if task.artifacts.is_empty() {
        return vec![("The task has made no files so far.".into(), theme.dim())];
    }
    let file = |file: &ninja_sdk::api::Artifact| {
        (format!("{:>9}  {}  ({})", bytes(file.bytes), file.path, file.step), theme.plain())
    };
    let mut lines: Vec<Paragraph> = task.artifacts.iter().map(file).collect();
    if followed.omitted.1 > 0 {
        lines.push((format!("{} more are not shown", number(followed.omitted.1 as u64)), theme.notice()));
    }
    lines.push((String::new(), theme.plain()));
    lines.push((format!("fetch them: ninja artifacts get {} --all", format::short(task.id)), theme.dim()));
    lines
}

fn question(app: &App, task: &Task, theme: Theme) -> Vec<Paragraph> {
    let shown = task.approvals.iter().enumerate().find(|(_, open)| Some(open.id) == app.asked);
    let Some((place, approval)) = shown else {
        let text = if task.approvals.is_empty() { "The task asks nothing." } else { "o shows the question." };
        return vec![(text.into(), theme.dim())];
    };
    let mut head = format!("{} asks, since {} ", approval.step, super::list::age(approval.since, app.now));
    if task.approvals.len() > 1 {
        head += &format!("(question {} of {}; o shows the next)", place + 1, task.approvals.len());
    }
    let ways = if app.sent.contains(&approval.id) { "the answer is on its way" } else { answer::ways(approval.kind) };
    vec![
        (head, theme.dim()),
        (String::new(), theme.plain()),
        (answer::question(approval), theme.plain()),
        (String::new(), theme.plain()),
        (ways.into(), theme.notice()),
    ]
}
