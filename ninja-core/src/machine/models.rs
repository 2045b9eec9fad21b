//! Which model answers a step: the first of those lined up for its agent's class, the next one where that fails, and a
//! wait where all do.

use jiff::SignedDuration;

use super::{
    budget,
    decide::Draft,
    state::{Hold, HoldFor, StepState, TaskState},
    turn::{self, Obstacle},
};
use crate::{
    api::{ApiError, ErrorCode, ModelClass, ModelRef, StepId},
    journal::record::{Action, Intent, PinnedModel, Record},
};

/// The wait after all models failed once; it doubles each time that they do so again.
const WAIT_FIRST: SignedDuration = SignedDuration::from_secs(5);
/// The longest wait: somebody who mended a provider does not want to wait longer for the task to see it.
const WAIT_MAX: SignedDuration = SignedDuration::from_mins(5);
/// After so many waits in a row, a day's worth, nobody will mend it.
const WAITS_MAX: u32 = 300;

/// Returns the models that may answer a step, in the order in which they are tried.
pub(super) fn line_up<'a>(state: &'a TaskState, step: &StepState) -> &'a [PinnedModel] {
    let class = match &step.planned.action {
        Action::Agent { agent, .. } => state.pins.agents.get(agent).map(|agent| agent.model_class).unwrap_or_default(),
        Action::Plan { .. } | Action::Tool { .. } | Action::Approval { .. } | Action::Map { .. } | Action::Contract => {
            ModelClass::default()
        }
    };
    match state.submitted.lineup.get(&class) {
        Some(lineup) => lineup,
        None => state.submitted.model.as_slice(),
    }
}

/// Returns the model that a call asks.
pub fn model_of<'a>(state: &'a TaskState, step: &StepState, intent: &Intent) -> Option<&'a PinnedModel> {
    let Intent::Model { model, .. } = intent else { return None };
    let named = |model: &ModelRef| line_up(state, step).iter().find(|pinned| pinned.model == *model);
    model.as_ref().and_then(named).or(state.submitted.model.as_ref())
}

/// Returns the model that the newest call of a step's attempt asked.
pub(super) fn newest_model<'a>(state: &'a TaskState, step: &StepState) -> Option<&'a PinnedModel> {
    step.attempt_calls().iter().rev().find_map(|call| model_of(state, step, &call.intent))
}

/// Takes the failure of a model call: where its provider failed, the next model answers in its place, or the step waits.
pub(super) fn after_failure(draft: &mut Draft<'_>, id: &StepId, number: u32, error: ApiError) {
    // One that is wrong with the request or the key is so with every try, and is to be seen.
    if error.code != ErrorCode::ProviderFailed {
        return draft.fail_step(id, error);
    }
    // It goes on with the first model when it is resumed.
    if draft.state.is_paused() {
        return;
    }
    let Some((feedback, next)) = next_in_line(&draft.state, id, number) else { return };
    match turn::try_models(draft, id, feedback, next) {
        Ok(()) => {}
        // Where another could answer, it is the money that is wanting.
        Err(Obstacle::Short(short)) => budget::pause(draft, id, short),
        Err(Obstacle::Fails(_)) => hold(draft, id, error),
    }
}

/// Returns what the model was told, and the place in the line of the one after it.
fn next_in_line(state: &TaskState, id: &StepId, number: u32) -> Option<(Option<String>, usize)> {
    let (step, call) = (state.step(id)?, state.call(id, number)?);
    let Intent::Model { feedback, .. } = &call.intent else { return None };
    let failed = model_of(state, step, &call.intent)?;
    let place = line_up(state, step).iter().position(|pinned| pinned.model == failed.model)?;
    Some((feedback.clone(), place + 1))
}

fn hold(draft: &mut Draft<'_>, id: &StepId, error: ApiError) {
    let Some(step) = draft.state.step(id) else { return };
    if step.waits >= WAITS_MAX {
        return draft.fail_step(id, error);
    }
    let doubled = 1_i32.checked_shl(step.waits).and_then(|times| WAIT_FIRST.checked_mul(times));
    let wait = doubled.filter(|wait| wait.is_positive()).unwrap_or(WAIT_MAX).min(WAIT_MAX);
    let until = draft.now.checked_add(wait).unwrap_or(draft.now);
    draft.push(Record::ProviderPaused { step: id.clone(), error, until });
}

/// Goes on with the steps whose wait is over.
pub(super) fn resume_due(draft: &mut Draft<'_>) {
    let now = draft.now;
    resume_where(draft, |hold| matches!(hold.what, HoldFor::Provider { until } if until <= now));
}

/// Goes on with every step that waits for its models.
pub(super) fn resume_all(draft: &mut Draft<'_>) {
    resume_where(draft, |hold| matches!(hold.what, HoldFor::Provider { .. }));
}

fn resume_where(draft: &mut Draft<'_>, may_go_on: impl Fn(&Hold) -> bool) {
    let held = draft.state.steps.iter().filter(|step| step.hold.as_ref().is_some_and(&may_go_on));
    let held: Vec<StepId> = held.map(|step| step.planned.id.clone()).collect();
    for step in held {
        draft.push(Record::StepResumed { step: step.clone() });
        turn::continue_turn(draft, &step);
    }
}
