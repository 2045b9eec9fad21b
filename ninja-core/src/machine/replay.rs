//! Replay: the machine run again over a recorded log, with the recorded outcomes as its only inputs.
//!
//! The log says what was decided and, between the lines, what happened: a call's end, a person's word, a crash. Here each
//! of these is found again, handed to [`decide`], and what it decides now is compared with what it decided then. Nothing
//! is called, written or waited for. A part that a fork shares with its origin was decided there and is only folded.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    apply::FoldError,
    decide::{Input, Surroundings, decide},
    room::RoomThen,
    state::TaskState,
};
use crate::{
    api::{ErrorCode, StepId, TaskId, Timestamp},
    journal::record::{ActorKind, Entry, Outcome, Pins, Record},
};

/// What a replay found.
#[derive(Debug)]
pub struct Replay {
    /// The state that the recorded log leads to, up to the first difference.
    pub state: TaskState,
    /// Records that the machine decided again, just as they stand in the log.
    pub decided: u64,
    /// Records that were not the machine's to decide: the submission with its plan, and a fork's shared part.
    pub given: u64,
    /// Records that no machine wrote: the end of a task that was set aside.
    pub external: u64,
    /// Where the machine decides otherwise now, if it does.
    pub difference: Option<Difference>,
}

/// The first record that is not what the machine decides now.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Its number.
    pub seq: u64,
    /// When it was written; the newest record's time where the log ends here.
    pub at: Timestamp,
    /// What stands in the log; `None` where it ends here.
    pub recorded: Option<Record>,
    /// What is decided now; `None` where nothing is.
    pub decided: Option<Record>,
}

/// Replays the log of a task.
///
/// # Errors
///
/// Fails where the log is not one that a machine of ours has written.
pub fn replay(id: TaskId, log: &[Entry], pins: Arc<Pins>) -> Result<Replay, FoldError> {
    let first = log.first().ok_or(FoldError::NotSubmitted)?;
    let state = TaskState::begin(id, first, pins)?;
    let mut replay = Replay { state, decided: 0, given: 1, external: 0, difference: None };
    let mut rest = log.get(1..).unwrap_or_default();
    while let Some(entry) = rest.first() {
        let count = if replay.is_given(entry) {
            replay.given += 1;
            1
        } else {
            replay.decide_again(rest)
        };
        let (done, remaining) = rest.split_at(count.min(rest.len()));
        for entry in done {
            replay.state.apply(entry)?;
        }
        if replay.difference.is_some() {
            return Ok(replay);
        }
        rest = remaining;
    }
    Ok(replay)
}

impl Replay {
    fn is_given(&self, entry: &Entry) -> bool {
        self.state.is_in_shared_part() || matches!(entry.record, Record::PlanMade { .. })
    }

    /// Decides anew what the first record of `rest` followed from, and returns how many records were found to stand as
    /// decided. One decision is one commit, so it is never cut by the end of the log.
    fn decide_again(&mut self, rest: &[Entry]) -> usize {
        let Some(entry) = rest.first() else { return 0 };
        let tried = causes(&self.state, entry, self.decided == 0).into_iter().map(|input| {
            let decided = decide_like(&self.state, input, rest);
            let equal = decided.iter().zip(rest).take_while(|(now, then)| **now == then.record).count();
            (equal, decided)
        });
        // Of several things that may have happened, the one that explains the most is what did.
        let best =
            tried.max_by_key(|(equal, decided)| (*equal > 0 && *equal == decided.len(), *equal)).unwrap_or_default();
        let (equal, decided) = best;
        self.decided += equal as u64;
        if equal > 0 && equal == decided.len() {
            return equal;
        }
        if equal == 0 && is_set_aside(&entry.record) {
            self.external += 1;
            return 1;
        }
        let at = rest.get(equal).or(rest.last()).map_or(entry.at, |entry| entry.at);
        self.difference = Some(Difference {
            seq: self.state.last_seq + 1 + equal as u64,
            at,
            recorded: rest.get(equal).map(|entry| entry.record.clone()),
            decided: decided.into_iter().nth(equal),
        });
        equal
    }
}

/// Returns what may have happened right before a record was written, the likeliest last.
fn causes(state: &TaskState, entry: &Entry, is_first: bool) -> Vec<Input> {
    match &entry.record {
        Record::TaskSubmitted(_) | Record::PlanMade { .. } => Vec::new(),
        Record::CallEnded { step, call, outcome: Outcome::Lost { .. } } => vec![interrupted(step, *call, false)],
        Record::CallEnded { step, call, outcome } => {
            vec![Input::EndCall { step: step.clone(), call: *call, outcome: outcome.clone() }]
        }
        Record::TaskRecovered { .. } => vec![Input::Recover],
        Record::ActorFailed { actor: ActorKind::Sandbox, step: Some(step), reason, .. } => {
            let running = state.step(step).into_iter().flat_map(|step| step.in_flight());
            running
                .map(|(call, _)| Input::InterruptCall {
                    step: step.clone(),
                    call,
                    reason: reason.clone(),
                    blamed: true,
                })
                .collect()
        }
        Record::ActorFailed { actor, step, reason, .. } => {
            vec![Input::LoseActor { actor: *actor, step: step.clone(), reason: reason.clone() }]
        }
        Record::ApprovalDecided { approval, decision, by } => {
            vec![Input::DecideApproval { approval: *approval, decision: decision.clone(), by: *by }]
        }
        Record::CancelRequested { by } => vec![Input::Cancel { by: *by }],
        Record::TaskPaused { by } => vec![Input::Pause { by: *by }],
        Record::TaskResumed { by } => vec![Input::Resume { by: *by }],
        Record::BudgetChanged { by, budget } => vec![Input::ChangeBudget { by: *by, budget: *budget }],
        Record::TaskRetried { by, .. } => vec![Input::Retry { by: *by }],
        Record::ApprovalRequested { step, call: Some(call), .. } => {
            let mut causes = taken_up(state, entry, is_first);
            causes.push(interrupted(step, *call, false));
            causes
        }
        Record::ApprovalRequested { call: None, .. }
        | Record::ProviderPaused { .. }
        | Record::BudgetPaused { .. }
        | Record::BudgetWarned { .. }
        | Record::StepResumed { .. }
        | Record::StepsAdded { .. }
        | Record::StepRetried { .. }
        | Record::StepStarted { .. }
        | Record::CallIntended { .. }
        | Record::StepEnded { .. }
        | Record::TaskEnded { .. } => taken_up(state, entry, is_first),
    }
}

fn interrupted(step: &StepId, call: u32, blamed: bool) -> Input {
    Input::InterruptCall { step: step.clone(), call, reason: String::new(), blamed }
}

/// Returns the inputs that leave no record of their own: the task was taken up, for the first time or again, or a time
/// came. Taking it up again takes time, so what was written together with the record before has another cause.
fn taken_up(state: &TaskState, entry: &Entry, is_first: bool) -> Vec<Input> {
    let mut inputs = Vec::new();
    if !state.started() {
        inputs.push(Input::Begin);
    } else if is_first || entry.at != state.last_at {
        inputs.push(Input::Recover);
    }
    // A timer that was set for something else may come when nothing is due.
    let due = state.wake_at().filter(|due| *due <= entry.at).unwrap_or(entry.at);
    inputs.push(Input::Wake { due });
    inputs
}

/// Decides with the time and the ids of the record that stands next in the log. What is refused now decides nothing.
fn decide_like(state: &TaskState, input: Input, rest: &[Entry]) -> Vec<Record> {
    let Some(now) = rest.first().map(|entry| entry.at) else { return Vec::new() };
    let mut ids = rest.iter().filter_map(|entry| match &entry.record {
        Record::ApprovalRequested { approval, .. } => Some(approval.uuid()),
        _ => None,
    });
    let mut new_uuid = || ids.next().unwrap_or(Uuid::nil());
    decide(state, input, Surroundings { now, new_uuid: &mut new_uuid, room: &RoomThen { before: state, rest } })
        .unwrap_or_default()
}

/// Returns whether a record is the end that the orchestrator writes for a task whose actor fails again and again.
fn is_set_aside(record: &Record) -> bool {
    matches!(record, Record::TaskEnded { error: Some(error), .. } if error.code == ErrorCode::Poisoned)
}
