//! Starting what is ready and ending what is done.

use super::{
    budget, contract,
    decide::Draft,
    models, nest,
    state::{StepState, TaskState},
    turn,
    values::{self, Scope},
    wait,
};
use crate::{
    api::{ApiError, CancelReceipt, ErrorCode, StepId, StepStatus, StoppedCall, TaskStatus},
    journal::record::{Action, Intent, Outcome, PlannedStep, Record, StepEnd},
};

/// A task's log may not grow beyond this: it is then stopped, clearly, with room left for the records of its end.
const RECORDS_MAX: u64 = 50_000 - 2_000;

/// Why a task fails that would hang. Its commits are whole or not there, so either its log was put together by other hands,
/// or a decision forgot what comes next.
const HANGS: &str =
    "the log ends in the middle of something: nothing of the task runs, waits or can begin; it can be tried again";

/// Starts every step that is ready, then ends the task if nothing is left to do and what it promised holds.
pub(super) fn advance(draft: &mut Draft<'_>) {
    if draft.state.is_paused() {
        return;
    }
    if !draft.state.is_stopping() {
        models::resume_due(draft);
        budget::resume_where_enough(draft);
    }
    if draft.state.last_seq >= RECORDS_MAX && !draft.state.is_stopping() {
        let detail = format!("the task has written {RECORDS_MAX} records");
        fail_task(draft, None, ApiError::new(ErrorCode::LimitReached, detail));
    }
    loop {
        let before = draft.records.len();
        start_ready_steps(draft);
        end_if_done(draft);
        // What ended at once may make others ready, and what was added may be ready itself.
        if draft.records.len() != before {
            continue;
        }
        if draft.state.end.is_none() && !draft.state.is_stopping() {
            budget::warn(draft);
        }
        match hangs(&draft.state) {
            true => fail_task(draft, None, ApiError::new(ErrorCode::Corrupt, HANGS)),
            false => return,
        }
    }
}

/// Returns whether a task that is not done waits for nothing and nobody: it would for ever.
fn hangs(state: &TaskState) -> bool {
    let waits = state.steps.iter().any(|step| step.hold.is_some()) || state.wake_at().is_some();
    state.end.is_none() && state.approvals.is_empty() && !waits && !state.has_calls_in_flight()
}

/// Goes on with a contract that was being checked.
pub(super) fn continue_checks(draft: &mut Draft<'_>) {
    let checking = draft
        .state
        .steps
        .iter()
        .find(|step| matches!(step.planned.action, Action::Contract) && step.status == StepStatus::Running);
    if let Some(id) = checking.map(|step| step.planned.id.clone()) {
        contract::continue_checks(draft, &id);
    }
}

/// Fails the task through the given step, or any that runs, or at once where none does.
pub(super) fn fail_task(draft: &mut Draft<'_>, step: Option<&StepId>, error: ApiError) {
    let open = |step: &&StepState| matches!(step.status, StepStatus::Running | StepStatus::Waiting);
    let named = step.and_then(|id| draft.state.step(id)).filter(open);
    let any = || draft.state.steps.iter().map(AsRef::as_ref).find(open);
    match named.or_else(any).map(|step| step.planned.id.clone()) {
        Some(id) => draft.end_step(&id, StepEnd::Failed { error, fails_task: true }),
        None => end_task(draft, TaskStatus::Failed, Some(error), None),
    }
}

fn start_ready_steps(draft: &mut Draft<'_>) {
    // Predecessors come first in the plan, so one pass sees each step after all that it waits for.
    for index in 0..draft.state.steps.len() {
        if draft.state.is_stopping() || draft.state.end.is_some() {
            return;
        }
        let Some(step) = draft.state.steps.get(index).filter(|step| is_ready(draft, step)) else { continue };
        let planned = step.planned.clone();
        let holds = |path: &String| values::holds(Scope::of(&draft.state, &planned), path);
        if !planned.when.as_ref().is_none_or(holds) {
            draft.end_step(&planned.id, StepEnd::Skipped);
            continue;
        }
        match budget::may_begin(&draft.state, draft.now, 0) {
            Ok(()) => start_step(draft, &planned),
            Err(short) => budget::pause(draft, &planned.id, short, None),
        }
    }
}

fn is_ready(draft: &Draft<'_>, step: &StepState) -> bool {
    let state: &TaskState = &draft.state;
    let done = |id| state.step(id).is_some_and(|before| before.status.is_terminal());
    step.status == StepStatus::Pending
        && step.hold.is_none()
        && step.not_before.is_none_or(|time| time <= draft.now)
        && step.planned.after.iter().all(done)
        && nest::may_begin(state, &step.planned)
}

fn start_step(draft: &mut Draft<'_>, planned: &PlannedStep) {
    let id = &planned.id;
    draft.push(Record::StepStarted { step: id.clone(), actor: planned.action.actor().map(str::to_owned) });
    match &planned.action {
        Action::Agent { .. } | Action::Plan { .. } => turn::continue_turn(draft, id),
        Action::Map { over, each } => nest::start_map(draft, id, over, each),
        Action::Contract => contract::continue_checks(draft, id),
        Action::Tool { tool, args } => {
            let args = values::fill_value(Scope::of(&draft.state, planned), args);
            match turn::check_args(&draft.state.pins, tool, &args) {
                Ok(class) => {
                    let number = draft.next_call(id);
                    draft.intend(id, Intent::Tool { tool: tool.clone(), args, class, answers: None });
                    wait::gate_call(draft, id, number, class, false);
                }
                Err(detail) => draft.fail_step(id, ApiError::new(ErrorCode::InvalidRequest, detail)),
            }
        }
        Action::Approval { prompt } => {
            let prompt = values::fill_text(Scope::of(&draft.state, planned), prompt);
            wait::ask_for_approval(draft, id, prompt);
        }
    }
}

fn end_if_done(draft: &mut Draft<'_>) {
    if draft.state.end.is_some() || draft.state.steps.is_empty() || draft.state.has_calls_in_flight() {
        return;
    }
    if !draft.state.is_stopping() {
        if draft.state.steps.iter().all(|step| step.status.is_terminal()) && !contract::demand(draft) {
            end_task(draft, TaskStatus::Succeeded, None, None);
        }
        return;
    }
    // Parts that have not begun end too: whoever tries the task again makes others.
    let is_open = |step: &&StepState| match step.status {
        StepStatus::Running | StepStatus::Waiting => true,
        StepStatus::Pending => step.planned.parent.is_some(),
        StepStatus::Succeeded | StepStatus::Failed | StepStatus::Skipped | StepStatus::Cancelled => false,
    };
    let open: Vec<StepId> =
        draft.state.steps.iter().map(AsRef::as_ref).filter(is_open).map(|step| step.planned.id.clone()).collect();
    for id in open {
        draft.push_end(&id, StepEnd::Cancelled);
    }
    match draft.state.cancel_requested_at {
        Some(_) => {
            let receipt = cancel_receipt(draft);
            let error = ApiError::new(ErrorCode::Cancelled, "a person cancelled the task");
            end_task(draft, TaskStatus::Cancelled, Some(error), receipt);
        }
        None => {
            let error = draft.state.failure.clone();
            end_task(draft, TaskStatus::Failed, error, None);
        }
    }
}

fn cancel_receipt(draft: &Draft<'_>) -> Option<CancelReceipt> {
    let requested_at = draft.state.cancel_requested_at?;
    let stopped = draft.state.steps.iter().flat_map(|step| {
        step.calls.iter().filter_map(|call| match call.outcome {
            Some(Outcome::Stopped { processes, after_ms }) => Some(StoppedCall {
                step: step.planned.id.clone(),
                what: call.what().to_owned(),
                processes,
                stopped_after_ms: after_ms,
            }),
            _ => None,
        })
    });
    let took = draft.now.as_millisecond().saturating_sub(requested_at.as_millisecond());
    Some(CancelReceipt { requested_at, stopped: stopped.collect(), took_ms: u64::try_from(took).unwrap_or(0) })
}

fn end_task(draft: &mut Draft<'_>, status: TaskStatus, error: Option<ApiError>, receipt: Option<CancelReceipt>) {
    let usage = draft.state.usage;
    draft.push(Record::TaskEnded { status, error, cancel_receipt: receipt, usage });
}
