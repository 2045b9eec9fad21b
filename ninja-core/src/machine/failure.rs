//! What a step's failure leads to: another attempt, word to the step that it is a part of, another plan, or the end of
//! the task.

use jiff::SignedDuration;

use super::{decide::Draft, plan, state::StepState};
use crate::{
    api::{ApiError, ErrorCode, Retry, StepId},
    journal::record::{Record, StepEnd},
};

/// The longest wait before another attempt.
const RETRY_WAIT_MAX: SignedDuration = SignedDuration::from_mins(10);

/// Takes a step's failure.
pub(super) fn fail_step(draft: &mut Draft<'_>, id: &StepId, error: ApiError) {
    let Some(step) = draft.state.step(id) else { return };
    let (optional, is_part) = (step.planned.optional, step.planned.parent.is_some());
    if let Some((attempt, wait)) = next_attempt(draft, step, &error) {
        let not_before = draft.now.checked_add(wait).unwrap_or(draft.now);
        return draft.push(Record::StepRetried { step: id.clone(), attempt, error, not_before });
    }
    let goes_on = optional || is_part;
    let replan = !goes_on && plan::may_replan(draft, &error);
    let fails_task = !goes_on && !replan;
    draft.end_step(id, StepEnd::Failed { error, fails_task });
    if replan {
        plan::replan(draft, id);
    }
}

/// Returns the number of the next attempt and the wait before it, if there is to be one.
fn next_attempt(draft: &Draft<'_>, step: &StepState, error: &ApiError) -> Option<(u32, SignedDuration)> {
    let Retry { attempts, wait_ms } = step.planned.retry?;
    let busy = step.in_flight().next().is_some();
    if draft.state.is_stopping() || busy || step.attempt >= attempts || !may_pass_by_itself(error.code) {
        return None;
    }
    let wait = wait_ms.saturating_mul(1_u64.checked_shl(step.attempt - 1).unwrap_or(u64::MAX));
    let wait = SignedDuration::from_millis(i64::try_from(wait).unwrap_or(i64::MAX));
    Some((step.attempt + 1, wait.min(RETRY_WAIT_MAX)))
}

/// Returns whether doing the same again may end otherwise.
fn may_pass_by_itself(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::ToolFailed
            | ErrorCode::ProviderFailed
            | ErrorCode::SchemaMismatch
            | ErrorCode::Stuck
            | ErrorCode::LimitReached
            | ErrorCode::ContractFailed
            | ErrorCode::Internal
    )
}

/// Returns whether another way to the goal may avoid the failure.
pub(super) fn may_be_avoided(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::ToolFailed
            | ErrorCode::SchemaMismatch
            | ErrorCode::Stuck
            | ErrorCode::LimitReached
            | ErrorCode::PromptTooLarge
            | ErrorCode::InvalidRequest
    )
}
