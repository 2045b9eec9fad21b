//! What happened to the followed task, as lines for a person: a bounded number of them, each bounded.

use std::collections::VecDeque;

use ninja_sdk::api::{Event, EventBody, StepId, Timestamp};
use serde_json::Value;

use super::text;
use crate::{format::number, progress};

/// Events that are held; older ones can be read again with `ninja watch`.
pub(super) const ENTRIES_MAX: usize = 2_000;
/// Of one answer or result: enough to see what it is about.
const RESULT_CHARACTERS: usize = 1_500;
/// So that one long result does not push everything else off the screen.
const RESULT_LINES: usize = 12;

/// How an entry is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Bad,
    Notice,
}

/// One event.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) at: Timestamp,
    pub(super) step: Option<StepId>,
    pub(super) tone: Tone,
    /// One line.
    pub(super) words: String,
    /// What was said or returned; may be empty.
    pub(super) result: String,
}

/// The newest events.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: VecDeque<Entry>,
    /// Events that are not held any more, or happened before the first that was asked for.
    pub(super) older: u64,
}

impl Log {
    /// Takes an event.
    pub(super) fn push(&mut self, event: &Event) {
        if self.entries.is_empty() {
            self.older = event.seq.saturating_sub(1);
        }
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.pop_front();
            self.older += 1;
        }
        let (step, tone, result) = describe(&event.event);
        let words = progress::words(&event.event);
        self.entries.push_back(Entry { seq: event.seq, at: event.at, step, tone, words, result });
    }

    /// Returns the entries of a step, or all, newest first.
    pub(super) fn newest_first<'a>(&'a self, step: Option<&'a StepId>) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().rev().filter(move |entry| step.is_none() || entry.step.as_ref() == step)
    }
}

fn describe(event: &EventBody) -> (Option<StepId>, Tone, String) {
    match event {
        EventBody::StepStarted { step, .. } => (Some(step.clone()), Tone::Plain, String::new()),
        EventBody::ModelCallStarted { step, .. } => (Some(step.clone()), Tone::Plain, String::new()),
        EventBody::ModelCallEnded { step, text, .. } => (Some(step.clone()), Tone::Plain, result(text)),
        EventBody::ToolCallStarted { step, args, .. } => (Some(step.clone()), Tone::Plain, arguments(args)),
        EventBody::ToolCallEnded { step, ok, output, .. } => {
            let tone = if *ok { Tone::Good } else { Tone::Bad };
            (Some(step.clone()), tone, result(&value(output)))
        }
        EventBody::CallEnded { step, .. } => (Some(step.clone()), Tone::Bad, String::new()),
        EventBody::StepEnded { step, error, .. } => {
            let tone = if error.is_some() { Tone::Bad } else { Tone::Good };
            (Some(step.clone()), tone, String::new())
        }
        EventBody::ApprovalRequested { approval } => (Some(approval.step.clone()), Tone::Notice, String::new()),
        EventBody::StepRetried { step, .. } => (Some(step.clone()), Tone::Notice, String::new()),
        EventBody::TaskRecovered { .. } | EventBody::ActorFailed { .. } | EventBody::CancelRequested => {
            (None, Tone::Notice, String::new())
        }
        EventBody::TaskEnded { error, .. } => {
            (None, if error.is_some() { Tone::Bad } else { Tone::Good }, String::new())
        }
        // Of what else there is, now or later, its words say enough.
        _ => (None, Tone::Plain, String::new()),
    }
}

/// Returns arguments that do not fit into the words of the event.
fn arguments(args: &Value) -> String {
    match args {
        Value::Object(fields) if fields.len() > 1 => result(&value(args)),
        Value::String(text) if text.contains('\n') => result(text),
        _ => String::new(),
    }
}

fn result(said: &str) -> String {
    let clean = text::clean(said.trim_end(), RESULT_CHARACTERS);
    let omitted = said.trim_end().lines().count().saturating_sub(RESULT_LINES);
    if omitted == 0 {
        return clean;
    }
    let head: Vec<&str> = clean.lines().take(RESULT_LINES).collect();
    format!("{}\n… {} more lines", head.join("\n"), number(omitted as u64))
}

/// Writes a value as a person reads it: a text as it is, an object one field after the other, with texts as they are.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let line = |(name, value): (&String, &Value)| match value {
                Value::String(text) if text.contains('\n') => format!("{name}:\n{}", text.trim_end()),
                Value::String(text) => format!("{name}: {text}"),
                other => format!("{name}: {other}"),
            };
            fields.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => value.to_string(),
    }
}
