//! Calls whose outcome was lost: to a crash of the process, or of one actor.

use super::{advance, budget, decide::Draft, turn, wait};
use crate::{
    api::{ApiError, EffectClass, ErrorCode, StepId, Usage},
    journal::record::{ActorKind, Intent, Outcome, Record},
};

/// A task that takes its actors down this often is set aside.
pub const ACTOR_FAILURES_MAX: u32 = 3;

/// Takes the task up again after the process ended: every call in flight is lost.
pub(super) fn recover(draft: &mut Draft<'_>) {
    let lost = in_flight(draft, |_, _| true);
    if !lost.is_empty() {
        draft.push(Record::TaskRecovered { lost_calls: u32::try_from(lost.len()).unwrap_or(u32::MAX) });
    }
    lose_calls(draft, &lost);
}

/// Takes note of an actor that failed; what it had in flight is lost. The third failure poisons the task.
pub(super) fn lose_actor(draft: &mut Draft<'_>, actor: ActorKind, step: Option<StepId>, reason: String) {
    let lost = in_flight(draft, |id, _| step.as_ref().is_none_or(|step| step == id));
    if note_failure(draft, actor, step, reason, &lost) {
        lose_calls(draft, &lost);
    }
}

/// Takes note of a call whose outcome is not known. Only one that is to blame counts as a failure of the task's.
pub(super) fn interrupt_call(draft: &mut Draft<'_>, step: &StepId, call: u32, reason: String, blamed: bool) {
    let lost = in_flight(draft, |id, number| id == step && number == call);
    if lost.is_empty() {
        return;
    }
    if !blamed || note_failure(draft, ActorKind::Sandbox, Some(step.clone()), reason, &lost) {
        lose_calls(draft, &lost);
    }
}

/// Records a failure and returns whether the task goes on.
fn note_failure(
    draft: &mut Draft<'_>,
    actor: ActorKind,
    step: Option<StepId>,
    reason: String,
    lost: &[(StepId, u32)],
) -> bool {
    let failures = draft.state.actor_failures + 1;
    let detail = format!("the task took its {} actor down {failures} times; it last said: {reason}", actor.as_str());
    draft.push(Record::ActorFailed { actor, step: step.clone(), reason, failures });
    // One that is stopping need not fail again: it ends when the calls of its other steps have.
    if failures < ACTOR_FAILURES_MAX || draft.state.is_stopping() {
        return true;
    }
    for (id, number) in lost {
        settle_lost(draft, id, *number);
    }
    advance::fail_task(draft, step.as_ref(), ApiError::new(ErrorCode::Poisoned, detail));
    false
}

fn in_flight(draft: &Draft<'_>, concerned: impl Fn(&StepId, u32) -> bool) -> Vec<(StepId, u32)> {
    let steps = draft.state.steps.iter().map(|step| &step.planned.id).zip(&draft.state.steps);
    let calls = steps.flat_map(|(id, step)| step.in_flight().map(move |(number, _)| (id.clone(), number)));
    calls.filter(|(id, number)| concerned(id, *number)).collect()
}

fn lose_calls(draft: &mut Draft<'_>, lost: &[(StepId, u32)]) {
    for (id, number) in lost {
        lose_call(draft, id, *number);
    }
    // A step whose turn was cut between two calls has nothing in flight and goes on from here.
    turn::continue_all(draft);
    advance::continue_checks(draft);
}

/// Follows the effect classes: what may run again stays owed, what may not is settled or asked about.
fn lose_call(draft: &mut Draft<'_>, id: &StepId, number: u32) {
    let Some(call) = draft.state.call(id, number) else { return };
    let (class, intent) = (call.class(), call.intent.clone());
    if draft.state.is_stopping() {
        return settle_lost(draft, id, number);
    }
    match class {
        EffectClass::Pure | EffectClass::Workspace | EffectClass::Idempotent => {}
        EffectClass::Charged => {
            settle_lost(draft, id, number);
            if let Intent::Model { feedback, .. } = intent
                && !draft.state.is_paused()
            {
                turn::ask_model(draft, id, feedback);
            }
        }
        EffectClass::Probe | EffectClass::Unsafe => wait::ask_whether_it_happened(draft, id, number),
    }
}

fn settle_lost(draft: &mut Draft<'_>, id: &StepId, number: u32) {
    let usage = match draft.state.call(id, number).map(|call| &call.intent) {
        Some(_) if draft.state.call(id, number).is_some_and(|call| call.is_shared) => Usage::default(),
        Some(intent) => budget::charge_of_lost(intent),
        None => Usage::default(),
    };
    draft.push(Record::CallEnded { step: id.clone(), call: number, outcome: Outcome::Lost { usage } });
}
