//! Steps within steps: a `map` over a list, and what an agent delegates.

use serde_json::{Value, json};

use super::{
    decide::Draft,
    state::{StepState, TaskState},
    turn,
    values::{self, Scope},
};
use crate::{
    api::{Agent, ApiError, ErrorCode, StepId, StepStatus},
    journal::record::{Action, MapStep, Parent, PlannedStep, Record, StepEnd},
};

/// Items of one `map`: as many as a plan may have steps.
const ITEMS_MAX: usize = 1_000;
/// Steps of one task, added ones included.
const STEPS_MAX: usize = 10_000;
/// Steps that one agent step may delegate.
const DELEGATED_MAX: usize = 64;
/// How deeply agents may delegate.
const DEPTH_MAX: usize = 3;

/// The tool by which an agent gives a part of its work to another.
pub const DELEGATE: &str = "delegate";

/// Adds one step for each item of the list, or ends the `map` where there is nothing to do.
pub(super) fn start_map(draft: &mut Draft<'_>, id: &StepId, over: &str, each: &MapStep) {
    let Some(step) = draft.state.step(id) else { return };
    let items = match values::look_up(Scope::of(&draft.state, &step.planned), over) {
        Some(Value::Array(items)) if items.is_empty() => return draft.succeed_step(id, json!([])),
        Some(Value::Array(items)) => {
            check_items(over, items).and_then(|items| match has_room(&draft.state, items.len()) {
                true => Ok(items),
                false => Err(ApiError::new(ErrorCode::LimitReached, format!("a task has at most {STEPS_MAX} steps"))),
            })
        }
        Some(_) | None => Err(ApiError::new(ErrorCode::InvalidRequest, format!("there is no list at `{over}`"))),
    };
    let items = match items {
        Ok(items) => items,
        Err(error) => return draft.fail_step(id, error),
    };
    let steps = parts(step, each, items);
    draft.push(Record::StepsAdded { steps, replaced: Vec::new() });
}

/// Refuses a list that is too long.
///
/// # Errors
///
/// Fails with `limit_reached`.
pub(super) fn check_items(over: &str, items: Vec<Value>) -> Result<Vec<Value>, ApiError> {
    if items.len() <= ITEMS_MAX {
        return Ok(items);
    }
    let detail = format!("`{over}` has {} items; a `map` takes at most {ITEMS_MAX}", items.len());
    Err(ApiError::new(ErrorCode::LimitReached, detail))
}

/// Makes the steps of a `map`, one for each item.
pub(super) fn parts(step: &StepState, each: &MapStep, items: Vec<Value>) -> Vec<PlannedStep> {
    let id = &step.planned.id;
    let part = |(item, number)| PlannedStep {
        id: id.child(number),
        title: each.title.clone(),
        after: Vec::new(),
        when: None,
        optional: each.optional,
        retry: each.retry,
        parent: Some(Parent { step: id.clone(), call: None }),
        item,
        action: each.action.clone(),
    };
    items.into_iter().zip(step.children..).map(part).collect()
}

/// Returns what to tell the model if it may not delegate this.
pub(super) fn check_delegation(state: &TaskState, id: &StepId, args: &Value) -> Result<(), String> {
    let Some(step) = state.step(id) else { return Err("there is no such step".to_owned()) };
    let Action::Agent { agent, .. } = &step.planned.action else { return Err("only an agent delegates".to_owned()) };
    let wanted = args.get("agent").and_then(Value::as_str).unwrap_or_default();
    let (Some(by), Some(to)) = (state.pins.agents.get(agent), state.pins.agents.get(wanted)) else {
        return Err(format!("there is no agent `{wanted}`; you may delegate to: {}", allowed(state, agent)));
    };
    if !may_delegate(by, to) {
        return Err(format!("you may not delegate to `{wanted}`; you may delegate to: {}", allowed(state, agent)));
    }
    let depth = id.as_str().matches(':').count();
    if depth >= DEPTH_MAX {
        return Err(format!("delegation is {DEPTH_MAX} levels deep already; do it yourself"));
    }
    if step.children - step.first_child >= DELEGATED_MAX || !has_room(state, 1) {
        return Err(format!("at most {DELEGATED_MAX} pieces of work can be delegated; do the rest yourself"));
    }
    Ok(())
}

/// Returns whether an agent may hand work to another: it hands on no right that it does not have itself, unless its file
/// names whom it may hand work to.
pub fn may_delegate(by: &Agent, to: &Agent) -> bool {
    let named = by.delegates.contains(&to.name);
    named || (by.name != to.name && to.tools.iter().all(|tool| by.tools.contains(tool)))
}

fn allowed(state: &TaskState, agent: &str) -> String {
    let Some(by) = state.pins.agents.get(agent) else { return String::new() };
    let names = state.pins.agents.values().filter(|to| may_delegate(by, to)).map(|to| to.name.as_str());
    names.collect::<Vec<_>>().join(", ")
}

fn has_room(state: &TaskState, steps: usize) -> bool {
    state.steps.len() + steps <= STEPS_MAX
}

/// Adds the step that a call delegates. The call then waits for it.
pub(super) fn delegate(draft: &mut Draft<'_>, id: &StepId, call: u32, args: &Value) {
    let text = |field: &str| args.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = draft.state.step(id).map_or(0, |step| step.children);
    let task = text("task");
    let step = PlannedStep {
        id: id.child(number),
        title: Some(task.chars().take(80).collect()),
        after: Vec::new(),
        when: None,
        optional: false,
        retry: None,
        parent: Some(Parent { step: id.clone(), call: Some(call) }),
        // As the item, so that braces in what a model wrote are text.
        item: Value::String(task),
        action: Action::Agent {
            agent: text("agent"),
            prompt: "{{item}}".to_owned(),
            schema: None,
            max_output_tokens: None,
        },
    };
    draft.push(Record::StepsAdded { steps: vec![step], replaced: Vec::new() });
}

/// Tells the step that `id` is a part of, if it is one, that it ended.
pub(super) fn continue_parent(draft: &mut Draft<'_>, id: &StepId) {
    if draft.state.is_stopping() || draft.state.end.is_some() {
        return;
    }
    let Some(step) = draft.state.step(id) else { return };
    let Some(Parent { step: parent, call }) = step.planned.parent.clone() else { return };
    match call {
        Some(call) => {
            let outcome = turn::returned(step.status == StepStatus::Succeeded, result_of(step));
            draft.push(Record::CallEnded { step: parent.clone(), call, outcome });
            turn::continue_turn(draft, &parent);
        }
        None => continue_map(draft, &parent),
    }
}

fn result_of(step: &StepState) -> Value {
    match &step.error {
        Some(error) => json!({ "error": error.detail }),
        None => step.output.clone(),
    }
}

/// Ends a `map` when its last part has ended. After the failure of one that the others need, those that have not begun
/// are not begun.
fn continue_map(draft: &mut Draft<'_>, id: &StepId) {
    let Some(map) = draft.state.step(id).filter(|map| map.status == StepStatus::Running) else { return };
    let needed = |part: &&StepState| part.status == StepStatus::Failed && !part.planned.optional;
    let failure = draft.state.parts_of(map).find(needed).map(|part| {
        let why = part.error.clone().unwrap_or_else(|| ApiError::new(ErrorCode::Internal, "it failed"));
        ApiError::new(why.code, format!("{}: {}", part.planned.id, why.detail))
    });
    let open: Vec<&StepState> = draft.state.parts_of(map).filter(|part| !part.status.is_terminal()).collect();
    let is_at_work = open.iter().any(|part| part.status != StepStatus::Pending);
    let unbegun: Vec<StepId> = open.iter().map(|part| part.planned.id.clone()).collect();
    match failure {
        Some(error) if !is_at_work => {
            for part in &unbegun {
                draft.push_end(part, StepEnd::Skipped);
            }
            draft.fail_step(id, error);
        }
        None if unbegun.is_empty() => {
            let outputs = draft.state.parts_of(map).map(|part| part.output.clone()).collect();
            draft.succeed_step(id, Value::Array(outputs));
        }
        Some(_) | None => {}
    }
}

/// Returns whether a part may still begin: not when another has failed that its `map` cannot do without.
pub(super) fn may_begin(state: &TaskState, planned: &PlannedStep) -> bool {
    let Some(Parent { step, call: None }) = &planned.parent else { return true };
    let failed = |part: &StepState| part.status == StepStatus::Failed && !part.planned.optional;
    state.step(step).is_none_or(|map| !state.parts_of(map).any(failed))
}
