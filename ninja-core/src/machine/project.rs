//! Events: a total function of a record, with the record's own number.

use super::state::TaskState;
use crate::{
    api::{ApiError, Approval, ErrorCode, Event, EventBody, FeedBody, StepStatus, TaskId},
    journal::record::{Entry, Intent, Outcome, Record, StepEnd},
};

/// Returns the event of a record.
pub fn project(task: TaskId, seq: u64, entry: &Entry) -> Event {
    Event { task, seq, at: entry.at, event: body(task, entry) }
}

fn body(task: TaskId, entry: &Entry) -> EventBody {
    match &entry.record {
        Record::TaskSubmitted(submitted) => EventBody::TaskSubmitted {
            goal: submitted.goal.clone(),
            template: submitted.template.clone(),
            model: submitted.model.as_ref().map(|pinned| pinned.model.clone()),
        },
        Record::PlanMade { steps } => EventBody::PlanMade { steps: steps.iter().map(|step| step.id.clone()).collect() },
        Record::StepsAdded { steps, replaced } => EventBody::StepsAdded {
            steps: steps.iter().map(|step| step.id.clone()).collect(),
            replaced: replaced.clone(),
        },
        Record::StepRetried { step, attempt, error, not_before } => EventBody::StepRetried {
            step: step.clone(),
            attempt: *attempt,
            error: error.clone(),
            not_before: *not_before,
        },
        Record::StepStarted { step, actor } => EventBody::StepStarted { step: step.clone(), actor: actor.clone() },
        Record::CallIntended { step, call, intent } => match intent {
            Intent::Model { model, reserved_tokens, reserved_micro_usd, feedback, .. } => EventBody::ModelCallStarted {
                step: step.clone(),
                call: *call,
                model: model.clone(),
                reserved_tokens: *reserved_tokens,
                reserved_micro_usd: *reserved_micro_usd,
                feedback: feedback.clone(),
            },
            Intent::Tool { tool, args, .. } => {
                EventBody::ToolCallStarted { step: step.clone(), call: *call, tool: tool.clone(), args: args.clone() }
            }
        },
        Record::CallEnded { .. } => call_ended(&entry.record),
        Record::ProviderPaused { step, error, until } => {
            EventBody::ProviderPaused { step: step.clone(), error: error.clone(), until: *until }
        }
        Record::BudgetPaused { step, limit, of, detail, until, feedback: _ } => EventBody::BudgetPaused {
            step: step.clone(),
            limit: *limit,
            of: *of,
            detail: detail.clone(),
            until: *until,
        },
        Record::BudgetWarned { limit, used, most } => {
            EventBody::BudgetWarned { limit: *limit, used: *used, most: *most }
        }
        Record::BudgetChanged { budget, by: _ } => EventBody::BudgetChanged { budget: *budget },
        Record::StepResumed { step } => EventBody::StepResumed { step: step.clone() },
        Record::StepEnded { .. } => step_ended(&entry.record),
        Record::ApprovalRequested { .. } => approval_requested(task, entry),
        Record::ApprovalDecided { approval, decision, .. } => {
            EventBody::ApprovalDecided { id: *approval, decision: decision.clone() }
        }
        Record::TaskRecovered { lost_calls } => EventBody::TaskRecovered { lost_calls: *lost_calls },
        Record::ActorFailed { actor, reason, failures, .. } => {
            EventBody::ActorFailed { actor: actor.as_str().to_owned(), reason: reason.clone(), failures: *failures }
        }
        Record::CancelRequested { .. } => EventBody::CancelRequested,
        Record::TaskPaused { .. } => EventBody::TaskPaused,
        Record::TaskResumed { .. } => EventBody::TaskResumed,
        Record::TaskRetried { steps, .. } => EventBody::TaskRetried { steps: steps.clone() },
        Record::TaskEnded { status, error, cancel_receipt, usage } => EventBody::TaskEnded {
            status: *status,
            error: error.clone(),
            cancel_receipt: cancel_receipt.clone(),
            usage: *usage,
        },
    }
}

fn call_ended(record: &Record) -> EventBody {
    let Record::CallEnded { step, call, outcome } = record else { unreachable!("called for `CallEnded` only") };
    let (step, call) = (step.clone(), *call);
    match outcome {
        Outcome::Answered(answer) => EventBody::ModelCallEnded {
            step,
            call,
            text: answer.text.clone(),
            tools: answer.tool_calls.iter().map(|call| call.name.clone()).collect(),
            usage: answer.usage,
        },
        Outcome::Returned { ok, output, delta, .. } => EventBody::ToolCallEnded {
            step,
            call,
            ok: *ok,
            output: output.clone(),
            changed: delta.changed.keys().chain(&delta.removed).map(ToString::to_string).collect(),
        },
        Outcome::Failed { error, usage } => EventBody::CallEnded { step, call, error: error.clone(), usage: *usage },
        Outcome::Lost { usage } => {
            let error = ApiError::new(ErrorCode::Internal, "a crash took the outcome of this call");
            EventBody::CallEnded { step, call, error, usage: *usage }
        }
        Outcome::Stopped { processes, after_ms } => {
            let detail = format!("stopped after {after_ms} ms, {processes} processes killed");
            let error = ApiError::new(ErrorCode::Cancelled, detail);
            EventBody::CallEnded { step, call, error, usage: Default::default() }
        }
    }
}

fn step_ended(record: &Record) -> EventBody {
    let Record::StepEnded { step, end, progress } = record else { unreachable!("called for `StepEnded` only") };
    let (status, output, error) = match end {
        StepEnd::Succeeded { output } => (StepStatus::Succeeded, output.clone(), None),
        StepEnd::Failed { error, fails_task: _ } => (StepStatus::Failed, Default::default(), Some(error.clone())),
        StepEnd::Skipped => (StepStatus::Skipped, Default::default(), None),
        StepEnd::Cancelled => (StepStatus::Cancelled, Default::default(), None),
    };
    EventBody::StepEnded { step: step.clone(), status, output, error, progress: *progress }
}

fn approval_requested(task: TaskId, entry: &Entry) -> EventBody {
    let Record::ApprovalRequested { approval, step, kind, prompt, proposed, plan, call: _ } = &entry.record else {
        unreachable!("called for `ApprovalRequested` only")
    };
    EventBody::ApprovalRequested {
        approval: Approval {
            id: *approval,
            task,
            step: step.clone(),
            kind: *kind,
            prompt: prompt.clone(),
            call: proposed.clone(),
            plan: plan.clone(),
            since: entry.at,
        },
    }
}

/// Returns what the owner's feed is told of the change from `before` (`None` for a new task) to `after`.
pub fn feed_of(before: Option<&TaskState>, after: &TaskState) -> Vec<FeedBody> {
    let mut told = Vec::new();
    if before.map(TaskState::status) != Some(after.status()) {
        told.push(FeedBody::TaskStatus { task: after.id, status: after.status(), progress: after.progress() });
    }
    let is_new = |id| before.is_none_or(|before| !before.approvals.contains_key(id));
    let asked = after.approvals.iter().filter(|(id, _)| is_new(*id));
    told.extend(asked.map(|(_, open)| FeedBody::ApprovalRequested { approval: open.approval.clone() }));
    told
}
