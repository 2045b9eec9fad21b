//! What an operator may do with a whole task: pause it, resume it, have it tried again.

use super::{
    advance,
    decide::{Draft, Refusal},
    models, recover,
    state::{HoldFor, StepState},
    turn,
};
use crate::{
    api::{StepId, StepStatus, TaskStatus, UserId},
    journal::record::Record,
};

/// Begins nothing new from now on.
pub(super) fn pause(draft: &mut Draft<'_>, by: UserId) -> Result<(), Refusal> {
    if draft.state.is_stopping() {
        return Err(Refusal::Stopping);
    }
    if draft.state.is_paused() {
        return Err(Refusal::Paused);
    }
    draft.push(Record::TaskPaused { by });
    Ok(())
}

/// Goes on from where it was paused, or waits for a provider: that is tried now.
pub(super) fn resume(draft: &mut Draft<'_>, by: UserId) -> Result<(), Refusal> {
    let waits = |step: &StepState| step.hold.is_some_and(|hold| matches!(hold.what, HoldFor::Provider { .. }));
    if !draft.state.is_paused() && !draft.state.steps.iter().any(|step| waits(step)) {
        return Err(Refusal::NotPaused);
    }
    draft.push(Record::TaskResumed { by });
    models::resume_all(draft);
    turn::continue_all(draft);
    advance::continue_checks(draft);
    Ok(())
}

/// Takes up a task that ended without success: what failed or was stopped is done again from its beginning, what succeeded
/// stays as it is.
pub(super) fn retry(draft: &mut Draft<'_>, by: UserId) -> Result<(), Refusal> {
    match draft.state.end.as_ref().map(|end| end.status) {
        Some(TaskStatus::Failed | TaskStatus::Cancelled) => {}
        Some(_) | None => return Err(Refusal::NothingToRetry),
    }
    draft.push(Record::TaskRetried { by, steps: to_do_again(draft) });
    // A task that was set aside has calls that nobody saw the end of.
    recover::recover(draft);
    Ok(())
}

/// Returns the steps to reset: those that the task failed with or that were stopped with it. Parts of a step go with it.
fn to_do_again(draft: &Draft<'_>) -> Vec<StepId> {
    let steps = draft.state.steps.iter().filter(|step| step.planned.parent.is_none());
    let again = steps.filter(|step| step.failed_task || step.status == StepStatus::Cancelled);
    again.map(|step| step.planned.id.clone()).collect()
}
