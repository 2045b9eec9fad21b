//! What to record, given the state and something that happened: the only place where choices are made.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    advance,
    budget::{self, Reserve},
    contract, failure, models, nest, recover, retry,
    room::{Amounts, Room, Short, Wanted},
    state::TaskState,
    turn, values, wait,
};
use crate::{
    api::{ApiError, ApprovalId, Budget, Decision, ErrorCode, ModelRef, StepId, Timestamp, UserId},
    journal::record::{Action, ActorKind, Entry, Intent, Outcome, Record, StepEnd},
};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The task is taken up for the first time.
    Begin,
    /// The task is taken up again: whatever was in flight is lost.
    Recover,
    /// A call ended.
    EndCall {
        /// Its step.
        step: StepId,
        /// Its number.
        call: u32,
        /// What came of it.
        outcome: Outcome,
    },
    /// An actor failed: what it had in flight is lost.
    LoseActor {
        /// Its kind.
        actor: ActorKind,
        /// The step it worked for, if for one.
        step: Option<StepId>,
        /// What it said.
        reason: String,
    },
    /// A call's outcome is not known: what ran it ended under it.
    InterruptCall {
        /// Its step.
        step: StepId,
        /// Its number.
        call: u32,
        /// Why.
        reason: String,
        /// Whether this call is what ended it; one that ran beside counts for nothing.
        blamed: bool,
    },
    /// A person answered.
    DecideApproval {
        /// The question.
        approval: ApprovalId,
        /// The answer.
        decision: Decision,
        /// Who.
        by: UserId,
    },
    /// A person cancels.
    Cancel {
        /// Who.
        by: UserId,
    },
    /// A person pauses: what runs ends, nothing new begins.
    Pause {
        /// Who.
        by: UserId,
    },
    /// A person resumes.
    Resume {
        /// Who.
        by: UserId,
    },
    /// A person changes the limits that are given.
    ChangeBudget {
        /// Who.
        by: UserId,
        /// The new ones.
        budget: Budget,
    },
    /// A person wants what failed or was cancelled tried again.
    Retry {
        /// Who.
        by: UserId,
    },
    /// A time has come that something waits for.
    Wake {
        /// Which, whatever the clock on the wall says meanwhile.
        due: Timestamp,
    },
}

impl Input {
    /// Returns when it happened, given what the clock says: a time that has come is not before itself, even where the clock
    /// was set back.
    pub fn time(&self, now: Timestamp) -> Timestamp {
        match self {
            Self::Wake { due } => now.max(*due),
            Self::Begin
            | Self::Recover
            | Self::EndCall { .. }
            | Self::LoseActor { .. }
            | Self::InterruptCall { .. }
            | Self::DecideApproval { .. }
            | Self::Cancel { .. }
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::ChangeBudget { .. }
            | Self::Retry { .. } => now,
        }
    }
}

/// Why an input changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The task has ended.
    #[error("the task has ended")]
    Ended,
    /// The task has not ended, or ended well.
    #[error("only a task that failed or was cancelled is tried again")]
    NothingToRetry,
    /// It is paused.
    #[error("the task is paused; resume it first")]
    Paused,
    /// It is not paused.
    #[error("the task is not paused")]
    NotPaused,
    /// Money is no limit for a model without a price.
    #[error("the price of {0} is not known, so the budget cannot be in money")]
    Unpriced(ModelRef),
    /// Its limits are these already.
    #[error("the task's budget is that already")]
    SameBudget,
    /// It is being cancelled or failing.
    #[error("the task is about to end")]
    Stopping,
    /// It has not ended.
    #[error("the task has not ended; cancel it first")]
    NotEnded,
    /// Whoever asked saw it at another record.
    #[error("the task has moved on to record {0}; look at it again")]
    Moved(u64),
    /// There is no such open question.
    #[error("{0} is not open")]
    NotOpen(ApprovalId),
    /// The answer does not fit the question.
    #[error("this question takes {expected}")]
    WrongAnswer {
        /// The answers it takes.
        expected: &'static str,
    },
}

/// What a decision may know of the world.
pub struct Surroundings<'a> {
    /// The time.
    pub now: Timestamp,
    /// Makes new ids.
    pub new_uuid: &'a mut dyn FnMut() -> Uuid,
    /// What others leave of the limits that tasks share.
    pub room: &'a dyn Room,
}

/// Records in the making, each applied to a copy of the state as it is added.
pub(super) struct Draft<'a> {
    pub state: TaskState,
    pub records: Vec<Record>,
    pub now: Timestamp,
    new_uuid: &'a mut dyn FnMut() -> Uuid,
    room: &'a dyn Room,
    /// What the task had taken before.
    taken_before: Amounts,
}

/// What is to be recorded, and the state once it is.
#[derive(Debug, Clone)]
pub struct Decided {
    /// The records. None means that nothing follows.
    pub records: Vec<Record>,
    /// The state after them, as applying them gives it.
    pub after: TaskState,
}

/// Decides what to record. An empty answer means that nothing follows.
///
/// # Errors
///
/// Those of [`decide_through`].
pub fn decide(state: &TaskState, input: Input, surroundings: Surroundings<'_>) -> Result<Vec<Record>, Refusal> {
    decide_through(state, input, surroundings).map(|decided| decided.records)
}

/// Decides what to record, and hands on the state that it came to on the way, so that nobody applies the records again.
///
/// # Errors
///
/// Fails where a person asked for something that the task cannot do now. Reports from actors never fail: a late or
/// repeated one changes nothing.
pub fn decide_through(state: &TaskState, input: Input, surroundings: Surroundings<'_>) -> Result<Decided, Refusal> {
    let Surroundings { now, new_uuid, room } = surroundings;
    let (now, taken_before) = (input.time(now), state.taken());
    let mut draft = Draft { state: state.clone(), records: Vec::new(), now, new_uuid, room, taken_before };
    let ended = state.end.is_some();
    match input {
        Input::Retry { by } => retry::retry(&mut draft, by)?,
        Input::Cancel { .. }
        | Input::DecideApproval { .. }
        | Input::Pause { .. }
        | Input::Resume { .. }
        | Input::ChangeBudget { .. }
            if ended =>
        {
            return Err(Refusal::Ended);
        }
        _ if ended => return Ok(Decided { records: Vec::new(), after: draft.state }),
        Input::DecideApproval { .. } if state.is_paused() => return Err(Refusal::Paused),
        Input::Pause { by } => retry::pause(&mut draft, by)?,
        Input::Resume { by } => retry::resume(&mut draft, by)?,
        Input::ChangeBudget { by, budget } => budget::change(&mut draft, by, budget)?,
        Input::Begin | Input::Wake { .. } => {}
        Input::Recover => recover::recover(&mut draft),
        Input::EndCall { step, call, outcome } => end_call(&mut draft, &step, call, outcome),
        Input::LoseActor { actor, step, reason } => recover::lose_actor(&mut draft, actor, step, reason),
        Input::InterruptCall { step, call, reason, blamed } => {
            recover::interrupt_call(&mut draft, &step, call, reason, blamed);
        }
        Input::DecideApproval { approval, decision, by } => wait::decide_approval(&mut draft, approval, decision, by)?,
        Input::Cancel { by } if state.cancel_requested_at.is_none() => draft.push(Record::CancelRequested { by }),
        Input::Cancel { .. } => {}
    }
    advance::advance(&mut draft);
    Ok(Decided { records: draft.records, after: draft.state })
}

pub(super) fn end_call(draft: &mut Draft<'_>, id: &StepId, number: u32, outcome: Outcome) {
    let Some(call) = draft.state.call(id, number).filter(|call| call.is_in_flight()) else { return };
    let is_model = matches!(call.intent, Intent::Model { .. });
    let mut outcome = recordable(outcome);
    let pinned = draft.state.step(id).and_then(|step| models::model_of(&draft.state, step, &call.intent));
    budget::price(pinned, &mut outcome);
    draft.push(Record::CallEnded { step: id.clone(), call: number, outcome: outcome.clone() });
    if draft.state.is_stopping() {
        return;
    }
    let action = |step: &super::StepState| match step.planned.action {
        Action::Tool { .. } => Some(false),
        Action::Contract => Some(true),
        Action::Agent { .. } | Action::Approval { .. } | Action::Map { .. } | Action::Plan { .. } => None,
    };
    let of_contract = draft.state.step(id).and_then(action);
    let direct = of_contract == Some(false);
    match outcome {
        _ if of_contract == Some(true) => contract::continue_checks(draft, id),
        Outcome::Failed { error, .. } if is_model => models::after_failure(draft, id, number, error),
        Outcome::Failed { error, .. } if direct => draft.fail_step(id, error),
        Outcome::Returned { ok: true, output, .. } if direct => draft.succeed_step(id, result_of(output)),
        Outcome::Returned { ok: false, output, .. } if direct => draft.fail_step(id, tool_failure(&output)),
        Outcome::Stopped { .. } | Outcome::Lost { .. } if is_model || direct => {
            draft.fail_step(id, ApiError::new(ErrorCode::Internal, "a call was stopped although nobody asked for it"));
        }
        Outcome::Answered(_) => {
            turn::continue_turn(draft, id);
            if !draft.state.is_paused() && !draft.state.is_stopping() {
                models::resume_like(draft, id);
            }
        }
        Outcome::Returned { .. } | Outcome::Failed { .. } | Outcome::Stopped { .. } | Outcome::Lost { .. } => {
            turn::continue_turn(draft, id);
        }
    }
}

/// Takes out what is nested too deeply for a log: a tool's output then says so, a model's arguments then do not fit.
fn recordable(mut outcome: Outcome) -> Outcome {
    match &mut outcome {
        Outcome::Returned { ok, output, .. } if values::is_too_deep(output) => {
            *ok = false;
            *output = json!({ "error": "the tool's output is nested too deeply" });
        }
        Outcome::Answered(answer) => {
            for call in answer.tool_calls.iter_mut().filter(|call| values::is_too_deep(&call.args)) {
                call.args = Value::Null;
            }
        }
        Outcome::Returned { .. } | Outcome::Failed { .. } | Outcome::Lost { .. } | Outcome::Stopped { .. } => {}
    }
    outcome
}

/// Returns a tool step's output: what a script printed as JSON where it did, else what the tool returned.
fn result_of(mut output: Value) -> Value {
    output.get_mut("json").map(Value::take).unwrap_or(output)
}

/// Returns why a tool step failed: its own error or what a check says, else the last line of standard error, which says most.
fn tool_failure(output: &Value) -> ApiError {
    let said = |field: &str| output.get(field).and_then(Value::as_str);
    let last_line = |text: &str| text.lines().rev().find(|line| !line.trim().is_empty()).map(str::to_owned);
    let line = said("error")
        .or_else(|| said("why"))
        .map(str::to_owned)
        .or_else(|| said("stderr").or_else(|| output.as_str()).and_then(last_line));
    let exit = || output.get("exit").and_then(Value::as_i64).map(|exit| format!("it exited with {exit}"));
    ApiError::new(ErrorCode::ToolFailed, line.or_else(exit).unwrap_or_else(|| output.to_string()))
}

impl Draft<'_> {
    /// Adds a record and applies it.
    pub(super) fn push(&mut self, record: Record) {
        let entry = Entry { at: self.now, record };
        self.state.apply(&entry).expect("a decision only adds records that fit");
        self.records.push(entry.record);
    }

    /// Returns what a call sets aside, if what others leave of shared limits is enough for it.
    pub(super) fn share(&self, step: &StepId, reserve: Reserve) -> Result<Reserve, Short> {
        let Reserve { tokens, micro_usd } = reserve;
        let wanted = Wanted {
            call: Amounts { tokens, micro_usd: micro_usd.unwrap_or(0) },
            is_priced: micro_usd.is_some(),
            before: self.taken_before,
            now: self.state.taken(),
        };
        self.room.check(step, wanted).map(|()| reserve)
    }

    pub(super) fn next_call(&self, step: &StepId) -> u32 {
        self.state.step(step).map_or(0, super::StepState::next_call)
    }

    pub(super) fn intend(&mut self, step: &StepId, intent: Intent) {
        self.push(Record::CallIntended { step: step.clone(), call: self.next_call(step), intent });
    }

    pub(super) fn succeed_step(&mut self, step: &StepId, output: Value) {
        self.end_step(step, StepEnd::Succeeded { output });
    }

    /// Takes a step's failure, which may mean another attempt, another plan, or the task's own failure.
    pub(super) fn fail_step(&mut self, step: &StepId, error: ApiError) {
        failure::fail_step(self, step, error);
    }

    /// Ends a step, and the step that it is the last part of.
    pub(super) fn end_step(&mut self, step: &StepId, end: StepEnd) {
        self.push_end(step, end);
        nest::continue_parent(self, step);
    }

    /// Ends a step and nothing else.
    pub(super) fn push_end(&mut self, step: &StepId, end: StepEnd) {
        let ended = self.state.steps.iter().filter(|step| step.status.is_terminal()).count() + 1;
        let progress = u8::try_from((ended * 100 / self.state.steps.len().max(1)).min(100)).expect("at most 100");
        self.push(Record::StepEnded { step: step.clone(), end, progress });
    }

    pub(super) fn new_approval_id(&mut self) -> ApprovalId {
        ApprovalId::from_uuid((self.new_uuid)())
    }
}
