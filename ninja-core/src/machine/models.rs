//! Which model answers a step: the first of those lined up for its agent's class, the next one where that fails, less of the
//! conversation where it was too large, and a wait where all do.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::{
    budget, context,
    decide::Draft,
    images,
    state::{Hold, HoldFor, StepState, TaskState},
    turn::{self, Obstacle},
};
use crate::{
    api::{ApiError, ErrorCode, ModelClass, ModelRef, StepId, Timestamp},
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
    match state.submitted.lineup.get(&class_of(state, step)) {
        Some(lineup) => lineup,
        None => state.submitted.model.as_slice(),
    }
}

fn class_of(state: &TaskState, step: &StepState) -> ModelClass {
    match &step.planned.action {
        Action::Agent { agent, .. } => state.pins.agents.get(agent).map(|agent| agent.model_class).unwrap_or_default(),
        Action::Plan { .. } | Action::Tool { .. } | Action::Approval { .. } | Action::Map { .. } | Action::Contract => {
            ModelClass::default()
        }
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
    let may_others = match error.code {
        ErrorCode::ProviderFailed => |_: &PinnedModel, _: &PinnedModel| true,
        ErrorCode::PromptTooLarge => {
            |failed: &PinnedModel, other: &PinnedModel| other.info.window_tokens > failed.info.window_tokens
        }
        // It may be a picture that nobody can read.
        ErrorCode::ProviderRejected if has_shown_images(&draft.state, id, number) => {
            return ask_without_images(draft, id, number, error);
        }
        // What is wrong with the request or the key is so with every try, and is to be seen.
        _ => return draft.fail_step(id, error),
    };
    // It goes on with the first model when it is resumed.
    if draft.state.is_paused() {
        return;
    }
    let next = next_in_line(&draft.state, id, number, may_others);
    let is_asked = next.is_some_and(|(feedback, place)| turn::try_models(draft, id, feedback, place).is_ok());
    match error.code {
        _ if is_asked => {}
        // Also where another could answer and there is no budget for it: this one is asked again.
        ErrorCode::ProviderFailed => hold(draft, id, error),
        _ => ask_for_less(draft, id, number, error),
    }
}

fn has_shown_images(state: &TaskState, id: &StepId, number: u32) -> bool {
    let shown = || {
        let (step, call) = (state.step(id)?, state.call(id, number)?);
        let Intent::Model { context, .. } = &call.intent else { return None };
        let messages = context::assemble(state, step, model_of(state, step, &call.intent)?, context, None);
        Some(images::shown(&messages))
    };
    shown().is_some_and(|shown| shown > 0)
}

/// Asks the model again that refused a call with images, without those: how the conversation is cut follows from the refusal.
fn ask_without_images(draft: &mut Draft<'_>, id: &StepId, number: u32, error: ApiError) {
    // It goes on so when it is resumed.
    if draft.state.is_paused() {
        return;
    }
    match place_in_line(&draft.state, id, number) {
        Some((feedback, place)) => ask_again(draft, id, feedback, place, error),
        None => draft.fail_step(id, error),
    }
}

/// Asks again with a prompt that is cut shorter than the one that was too large.
fn ask_for_less(draft: &mut Draft<'_>, id: &StepId, number: u32, error: ApiError) {
    let feedback = place_in_line(&draft.state, id, number).and_then(|(feedback, _)| feedback);
    ask_again(draft, id, feedback, 0, error);
}

fn ask_again(draft: &mut Draft<'_>, id: &StepId, feedback: Option<String>, from: usize, error: ApiError) {
    match turn::try_models(draft, id, feedback.clone(), from) {
        Ok(()) => {}
        Err(Obstacle::Short(short)) => budget::pause(draft, id, short, feedback),
        // There was nothing left to cut: what the provider said tells more.
        Err(Obstacle::Fails(_)) => draft.fail_step(id, error),
    }
}

/// Returns what the model was told, and the place in the line of the next that may answer in its place.
fn next_in_line(
    state: &TaskState,
    id: &StepId,
    number: u32,
    may_other: impl Fn(&PinnedModel, &PinnedModel) -> bool,
) -> Option<(Option<String>, usize)> {
    let (feedback, place) = place_in_line(state, id, number)?;
    let line_up = line_up(state, state.step(id)?);
    let failed = line_up.get(place)?;
    let mut others = line_up.iter().enumerate().skip(place + 1);
    others.find(|(_, other)| may_other(failed, other)).map(|(place, _)| (feedback, place))
}

/// Returns what the model of a call was told, and its place in the line.
fn place_in_line(state: &TaskState, id: &StepId, number: u32) -> Option<(Option<String>, usize)> {
    let (step, call) = (state.step(id)?, state.call(id, number)?);
    let Intent::Model { feedback, .. } = &call.intent else { return None };
    let asked = model_of(state, step, &call.intent)?;
    let place = line_up(state, step).iter().position(|pinned| pinned.model == asked.model)?;
    Some((feedback.clone(), place))
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

/// Returns the steps that ask their models again, with the time for it: of those that wait for the same models the first one
/// does, unless one is asking already, and the others go on when it is answered.
pub(super) fn probes(state: &TaskState) -> impl Iterator<Item = (&StepState, Timestamp)> {
    let asking = state.steps.iter().filter(|step| step.waits > 0 && step.in_flight().next().is_some());
    let mut probed: BTreeSet<ModelClass> = asking.map(|step| class_of(state, step)).collect();
    let waiting = state.steps.iter().filter_map(|step| match step.hold?.what {
        HoldFor::Provider { until } => Some((step.as_ref(), until)),
        HoldFor::Budget { .. } => None,
    });
    waiting.filter(move |(step, _)| probed.insert(class_of(state, step)))
}

/// Goes on with the steps whose turn it is to ask again.
pub(super) fn resume_due(draft: &mut Draft<'_>) {
    let due = probes(&draft.state).filter(|(_, until)| *until <= draft.now);
    let due = due.map(|(step, _)| step.planned.id.clone()).collect();
    resume(draft, due);
}

/// Goes on with the steps that wait for the models that answered this one.
pub(super) fn resume_like(draft: &mut Draft<'_>, answered: &StepId) {
    let Some(class) = draft.state.step(answered).map(|step| class_of(&draft.state, step)) else { return };
    resume_where(draft, |state, step| class_of(state, step) == class);
}

/// Goes on with every step that waits for its models.
pub(super) fn resume_all(draft: &mut Draft<'_>) {
    resume_where(draft, |_, _| true);
}

fn resume_where(draft: &mut Draft<'_>, may_go_on: impl Fn(&TaskState, &StepState) -> bool) {
    let waits = |step: &&StepState| matches!(step.hold, Some(Hold { what: HoldFor::Provider { .. }, .. }));
    let held = draft.state.steps.iter().map(AsRef::as_ref).filter(waits);
    let held = held.filter(|step| may_go_on(&draft.state, step)).map(|step| step.planned.id.clone()).collect();
    resume(draft, held);
}

fn resume(draft: &mut Draft<'_>, held: Vec<StepId>) {
    for step in held {
        draft.push(Record::StepResumed { step: step.clone() });
        turn::continue_turn(draft, &step);
    }
}
