//! What model calls used, each with its day, its model and its agent: what is summed up beside the task's own sum.

use jiff::{civil::Date, tz::TimeZone};

use super::{apply::usage_of, models, state::TaskState};
use crate::{
    api::{ModelRef, Usage},
    journal::record::{Action, Entry, Intent, Record},
};

/// Whom the planner's calls are counted for.
const PLANNER: &str = "planner";

/// What one model call used.
#[derive(Debug, Clone, PartialEq)]
pub struct Spent {
    /// The day in UTC on which it began.
    pub on: Date,
    /// The model.
    pub model: ModelRef,
    /// The agent.
    pub agent: String,
    /// What it used.
    pub usage: Usage,
}

/// Returns what the calls used that end with these records, `after` being the state that they lead to.
pub fn spent(after: &TaskState, entries: &[Entry]) -> Vec<Spent> {
    entries.iter().filter_map(|entry| spent_by(after, &entry.record)).collect()
}

fn spent_by(after: &TaskState, record: &Record) -> Option<Spent> {
    let Record::CallEnded { step, call, outcome } = record else { return None };
    let (step, call) = (after.step(step)?, after.call(step, *call)?);
    if call.is_shared || !matches!(call.intent, Intent::Model { .. }) {
        return None;
    }
    let agent = match &step.planned.action {
        Action::Agent { agent, .. } => agent.clone(),
        _ => PLANNER.to_owned(),
    };
    let usage = usage_of(&call.intent, outcome);
    let model = models::model_of(after, step, &call.intent)?.model.clone();
    (usage != Usage::default()).then(|| Spent {
        on: call.intended_at.to_zoned(TimeZone::UTC).date(),
        model,
        agent,
        usage,
    })
}
