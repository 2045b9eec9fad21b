//! `diff_tasks`: the first thing that two tasks did differently.
//!
//! What each step did is compared by itself, so that the order of steps that ran side by side is no difference; nor are
//! ids, times, costs and the model, which belong to one run.

use std::collections::{HashMap, VecDeque};

use serde_json::{Map, Value};

use super::{Engine, store_error};
use crate::{
    api::{
        ApiError, ApprovalId, ComparedTask, ErrorCode, Event, EventBody, EventDifference, FieldDifference, Principal,
        StepId, TaskDiff, TaskId,
    },
    machine::project,
};

/// The most of a differing value that is shown, in characters.
const VALUE_CHARS_MAX: usize = 200;

impl Engine {
    /// Compares what two tasks did.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where one of them is none of the caller's.
    pub async fn diff_tasks(&self, by: &Principal, a: TaskId, b: TaskId) -> Result<TaskDiff, ApiError> {
        let (a, a_events) = self.compared(by, a)?;
        let (b, b_events) = self.compared(by, b)?;
        let (equal_events, first_difference) = compare(a_events, b_events);
        Ok(TaskDiff { a, b, same: first_difference.is_none(), equal_events, first_difference })
    }

    fn compared(&self, by: &Principal, id: TaskId) -> Result<(ComparedTask, Vec<Event>), ApiError> {
        let state = self.load(by, id)?;
        let log = self.0.services.tasks.read(id).map_err(store_error)?;
        let events: Vec<Event> = (1..).zip(&log).map(|(seq, entry)| project(id, seq, entry)).collect();
        let model = state.submitted.model.as_ref().map(|pinned| pinned.model.clone());
        Ok((ComparedTask { task: id, model, status: state.status(), events: events.len() as u64 }, events))
    }
}

/// What an event is about: events about the same are compared in their order.
type Lane = Option<StepId>;

/// Returns how many events are alike, and the first two that are not.
fn compare(a: Vec<Event>, b: Vec<Event>) -> (u64, Option<EventDifference>) {
    let mut others: HashMap<Lane, VecDeque<Event>> = HashMap::new();
    for (lane, event) in in_lanes(b) {
        others.entry(lane).or_default().push_back(event);
    }
    let (mut equal, mut first) = (0, None);
    for (lane, event) in in_lanes(a) {
        let other = others.get_mut(&lane).and_then(VecDeque::pop_front);
        match other {
            Some(other) if comparable(&event.event) == comparable(&other.event) => equal += 1,
            other => {
                first.get_or_insert((event, other));
            }
        }
    }
    let difference = match first {
        Some((a, None)) => Some(EventDifference { a: Some(a), b: None, field: None }),
        Some((a, Some(b))) => {
            let field = first_field(&comparable(&a.event), &comparable(&b.event));
            Some(EventDifference { a: Some(a), b: Some(b), field })
        }
        None => {
            let left = others.into_values().flatten().min_by_key(|event| event.seq);
            left.map(|b| EventDifference { a: None, b: Some(b), field: None })
        }
    };
    (equal, difference)
}

fn in_lanes(events: Vec<Event>) -> Vec<(Lane, Event)> {
    let mut asked: HashMap<ApprovalId, StepId> = HashMap::new();
    let with_lane = events.into_iter().map(|event| {
        if let EventBody::ApprovalRequested { approval } = &event.event {
            asked.insert(approval.id, approval.step.clone());
        }
        (lane(&event.event, &asked), event)
    });
    with_lane.collect()
}

fn lane(event: &EventBody, asked: &HashMap<ApprovalId, StepId>) -> Lane {
    match event {
        EventBody::StepRetried { step, .. }
        | EventBody::StepStarted { step, .. }
        | EventBody::ModelCallStarted { step, .. }
        | EventBody::ModelCallEnded { step, .. }
        | EventBody::ToolCallStarted { step, .. }
        | EventBody::ToolCallEnded { step, .. }
        | EventBody::CallEnded { step, .. }
        | EventBody::ProviderPaused { step, .. }
        | EventBody::BudgetPaused { step, .. }
        | EventBody::StepResumed { step }
        | EventBody::StepEnded { step, .. } => Some(step.clone()),
        EventBody::ApprovalRequested { approval } => Some(approval.step.clone()),
        EventBody::ApprovalDecided { id, .. } => asked.get(id).cloned(),
        // Parts are added by the step that they are parts of.
        EventBody::StepsAdded { steps, .. } => {
            let whole = steps.first().and_then(|part| part.as_str().rsplit_once(':'));
            whole.and_then(|(whole, _)| whole.parse().ok())
        }
        EventBody::TaskSubmitted { .. }
        | EventBody::PlanMade { .. }
        | EventBody::TaskRecovered { .. }
        | EventBody::ActorFailed { .. }
        | EventBody::CancelRequested
        | EventBody::BudgetWarned { .. }
        | EventBody::BudgetChanged { .. }
        | EventBody::TaskPaused
        | EventBody::TaskResumed
        | EventBody::TaskRetried { .. }
        | EventBody::TaskEnded { .. } => None,
    }
}

/// Returns what of an event may differ: not what belongs to one run, such as ids, times and costs.
fn comparable(event: &EventBody) -> Value {
    let mut value = serde_json::to_value(event).expect("an event has string keys only");
    let Value::Object(fields) = &mut value else { return value };
    let ignored: &[&str] = match event {
        // The model is what a fork is there to change.
        EventBody::TaskSubmitted { .. } => &["model"],
        EventBody::StepRetried { .. } => &["not_before"],
        EventBody::ProviderPaused { .. } => &["until"],
        EventBody::BudgetPaused { .. } => &["detail"],
        EventBody::BudgetWarned { .. } => &["used"],
        EventBody::ModelCallStarted { .. } => &["model", "reserved_tokens", "reserved_micro_usd"],
        EventBody::ModelCallEnded { .. } => &["usage"],
        // A stopped call says after how many milliseconds.
        EventBody::CallEnded { error, .. } if error.code == ErrorCode::Cancelled => &["usage", "error"],
        EventBody::CallEnded { .. } => &["usage"],
        // How far the task was depends on what ran beside it.
        EventBody::StepEnded { .. } => &["progress"],
        EventBody::ApprovalDecided { .. } => &["id"],
        EventBody::TaskEnded { .. } => &["usage", "cancel_receipt"],
        EventBody::ApprovalRequested { .. } => {
            if let Some(Value::Object(approval)) = fields.get_mut("approval") {
                ["id", "task", "since"].iter().for_each(|field| drop(approval.remove(*field)));
            }
            &[]
        }
        EventBody::PlanMade { .. }
        | EventBody::StepsAdded { .. }
        | EventBody::StepStarted { .. }
        | EventBody::StepResumed { .. }
        | EventBody::ToolCallStarted { .. }
        | EventBody::ToolCallEnded { .. }
        | EventBody::TaskRecovered { .. }
        | EventBody::ActorFailed { .. }
        | EventBody::CancelRequested
        | EventBody::BudgetChanged { .. }
        | EventBody::TaskPaused
        | EventBody::TaskResumed
        | EventBody::TaskRetried { .. } => &[],
    };
    ignored.iter().for_each(|field| drop(fields.remove(*field)));
    value
}

/// Returns the first field in which two values differ, if they do.
pub(super) fn first_field(a: &Value, b: &Value) -> Option<FieldDifference> {
    let mut path = Vec::new();
    let (a, b) = descend(&mut path, Some(a), Some(b))?;
    let shown = |value: Option<&Value>| value.map(|value| cut(&value.to_string()));
    Some(FieldDifference { path: path.join("."), a: shown(a), b: shown(b) })
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

type Pair<'a> = (Option<&'a Value>, Option<&'a Value>);

fn descend<'a>(path: &mut Vec<String>, a: Option<&'a Value>, b: Option<&'a Value>) -> Option<Pair<'a>> {
    match (a, b) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            names(a, b).into_iter().find_map(|name| within(path, name.clone(), a.get(name), b.get(name)))
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            (0..a.len().max(b.len())).find_map(|index| within(path, index.to_string(), a.get(index), b.get(index)))
        }
        (a, b) if a == b => None,
        (a, b) => Some((a, b)),
    }
}

fn within<'a>(path: &mut Vec<String>, name: String, a: Option<&'a Value>, b: Option<&'a Value>) -> Option<Pair<'a>> {
    path.push(name);
    let found = descend(path, a, b);
    if found.is_none() {
        path.pop();
    }
    found
}

/// Returns the names of both, `type` first: two events of different kinds differ in that before all.
fn names<'a>(a: &'a Map<String, Value>, b: &'a Map<String, Value>) -> Vec<&'a String> {
    let mut names: Vec<&String> = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))).collect();
    names.sort_by_key(|name| name.as_str() != "type");
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{StepStatus, Timestamp, Usage};

    fn task(last: u128) -> TaskId {
        TaskId::from_uuid(uuid::Uuid::from_u128(last))
    }

    fn events(task: TaskId, bodies: Vec<EventBody>) -> Vec<Event> {
        let at = Timestamp::from_second(i64::from(task.uuid().as_bytes()[15])).unwrap();
        (1..).zip(bodies).map(|(seq, event)| Event { task, seq, at, event }).collect()
    }

    fn started(step: &str) -> EventBody {
        EventBody::StepStarted { step: step.parse().unwrap(), actor: None }
    }

    fn said(step: &str, text: &str, tokens: u64) -> EventBody {
        let usage = Usage { output_tokens: tokens, ..Usage::default() };
        EventBody::ModelCallEnded {
            step: step.parse().unwrap(),
            call: 0,
            text: text.to_owned(),
            tools: Vec::new(),
            usage,
        }
    }

    fn ended(step: &str, progress: u8) -> EventBody {
        let (status, output) = (StepStatus::Succeeded, json!("x"));
        EventBody::StepEnded { step: step.parse().unwrap(), status, output, error: None, progress }
    }

    #[test]
    fn costs_times_and_the_order_of_what_ran_side_by_side_are_no_difference() {
        let a = vec![started("a"), started("b"), said("a", "x", 1), said("b", "y", 2), ended("a", 50), ended("b", 100)];
        let b = vec![started("a"), started("b"), said("b", "y", 9), ended("b", 50), said("a", "x", 9), ended("a", 100)];
        assert_eq!(compare(events(task(1), a), events(task(2), b)), (6, None));
    }

    #[test]
    fn the_first_difference_says_where_it_lies() {
        let a = events(task(1), vec![started("a"), said("a", "one", 1), ended("a", 100)]);
        let b = events(task(2), vec![started("a"), said("a", "two", 1), ended("a", 100)]);
        let (equal, difference) = compare(a, b);
        let difference = difference.unwrap();
        assert_eq!((equal, difference.a.unwrap().seq, difference.b.unwrap().seq), (2, 2, 2));
        let field = difference.field.unwrap();
        assert_eq!(
            (field.path.as_str(), field.a.as_deref(), field.b.as_deref()),
            ("text", Some("\"one\""), Some("\"two\""))
        );
    }

    #[test]
    fn what_only_one_of_them_did_is_the_difference_when_all_else_is_alike() {
        let short = || events(task(1), vec![started("a")]);
        let long = || events(task(2), vec![started("a"), started("b"), ended("b", 50)]);
        let (equal, difference) = compare(short(), long());
        let EventDifference { a, b, field } = difference.unwrap();
        assert_eq!((equal, a, b.unwrap().seq, field), (1, None, 2, None));
        let (_, difference) = compare(long(), short());
        let EventDifference { a, b, .. } = difference.unwrap();
        assert_eq!((a.unwrap().seq, b), (2, None));
    }

    #[test]
    fn a_field_is_found_deep_down_and_long_values_are_cut() {
        let field = |a: Value, b: Value| first_field(&a, &b).map(|field| (field.path, field.a, field.b));
        assert_eq!(field(json!({ "a": [1, { "b": 2 }] }), json!({ "a": [1, { "b": 2 }] })), None);
        assert_eq!(
            field(json!({ "a": [1, { "b": 2 }] }), json!({ "a": [1, { "b": 3 }, 4] })),
            Some(("a.1.b".to_owned(), Some("2".to_owned()), Some("3".to_owned())))
        );
        assert_eq!(
            field(json!({ "a": 1, "type": "x" }), json!({ "type": "y" })).unwrap().0,
            "type",
            "the kind comes before all else"
        );
        let (_, long, none) = field(json!({ "a": "x".repeat(1_000) }), json!({})).unwrap();
        assert_eq!((long.unwrap().chars().count(), none), (VALUE_CHARS_MAX + 1, None));
    }
}
