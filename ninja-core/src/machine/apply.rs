//! The state after a record: facts only.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;

use super::{
    budget, context,
    state::{CallState, Gate, Hold, HoldFor, OpenApproval, StepState, TaskEnd, TaskState, TextSize},
};
use crate::{
    api::{Approval, ApprovalId, StepId, StepStatus, TaskId, Usage},
    journal::record::{Action, Entry, Intent, Outcome, Pins, PlannedStep, Record, StepEnd, TaskSubmitted},
};

/// A log that no machine of ours has written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The first record is not a submission.
    #[error("the log does not begin with a submission")]
    NotSubmitted,
    /// A record speaks of something that is not there.
    #[error("record {seq} does not fit the records before it: {what}")]
    OutOfPlace {
        /// Its number.
        seq: u64,
        /// What is wrong.
        what: String,
    },
}

impl TaskState {
    /// Makes the state after the first record.
    ///
    /// # Errors
    ///
    /// Fails where `entry` is not a submission.
    pub fn begin(id: TaskId, entry: &Entry, pins: Arc<Pins>) -> Result<Self, FoldError> {
        let Record::TaskSubmitted(submitted) = &entry.record else { return Err(FoldError::NotSubmitted) };
        Ok(Self {
            id,
            submitted: Arc::new(TaskSubmitted::clone(submitted)),
            pins,
            created_at: entry.at,
            last_seq: 1,
            last_at: entry.at,
            steps: Vec::new(),
            step_index: Arc::default(),
            approvals: BTreeMap::new(),
            cancel_requested_at: None,
            paused_at: None,
            failure: None,
            usage: Usage::default(),
            reserved_tokens: 0,
            reserved_micro_usd: 0,
            budget: submitted.budget,
            warned: BTreeSet::new(),
            steps_begun: 0,
            actor_failures: 0,
            end: None,
        })
    }

    /// Applies the next record.
    ///
    /// # Errors
    ///
    /// Fails where the record speaks of a step, call or question that is not there; the state is then of no use.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), FoldError> {
        let seq = self.last_seq + 1;
        if self.end.is_some() && !matches!(entry.record, Record::TaskRetried { .. }) {
            return Err(FoldError::OutOfPlace { seq, what: "the task has ended".to_owned() });
        }
        self.apply_record(entry).map_err(|what| FoldError::OutOfPlace { seq, what })?;
        (self.last_seq, self.last_at) = (seq, entry.at);
        Ok(())
    }

    fn apply_record(&mut self, entry: &Entry) -> Result<(), String> {
        match &entry.record {
            Record::TaskSubmitted(_) => return Err("a second submission".to_owned()),
            Record::PlanMade { steps } => self.apply_plan(steps),
            Record::StepsAdded { steps, replaced } => self.apply_added(entry, steps, replaced)?,
            Record::StepRetried { step, attempt, error: _, not_before } => {
                let step = self.step_mut(step)?;
                step.begin_again(*attempt);
                step.not_before = Some(*not_before);
            }
            Record::StepStarted { step, actor: _ } => {
                // What it shares with its origin was begun there.
                self.steps_begun += u64::from(!self.is_in_shared_part());
                let step = self.step_mut(step)?;
                step.status = StepStatus::Running;
                step.started_at = Some(entry.at);
                step.not_before = None;
            }
            Record::CallIntended { step, call, intent } => self.apply_intent(entry, step, *call, intent)?,
            Record::CallEnded { step, call, outcome } => self.apply_outcome(step, *call, outcome)?,
            Record::ProviderPaused { step, error: _, until } => {
                let step = self.step_mut(step)?;
                step.status = StepStatus::Waiting;
                step.hold = Some(Hold { since: entry.at, what: HoldFor::Provider { until: *until } });
                step.waits += 1;
            }
            Record::BudgetPaused { step, limit, of, detail: _, until, feedback } => {
                let step = self.step_mut(step)?;
                step.held_feedback.clone_from(feedback);
                // One that has not begun stays so.
                if step.status != StepStatus::Pending {
                    step.status = StepStatus::Waiting;
                }
                step.hold =
                    Some(Hold { since: entry.at, what: HoldFor::Budget { limit: *limit, of: *of, until: *until } });
            }
            Record::BudgetWarned { limit, .. } => drop(self.warned.insert(*limit)),
            Record::BudgetChanged { budget, .. } => {
                self.budget = *budget;
                self.warned.clear();
            }
            Record::StepResumed { step } => {
                let step = self.step_mut(step)?;
                if step.status != StepStatus::Pending {
                    step.status = StepStatus::Running;
                }
                step.hold = None;
            }
            Record::StepEnded { step, end, progress: _ } => self.apply_step_end(entry, step, end)?,
            Record::ApprovalRequested { .. } => self.apply_question(entry)?,
            Record::ApprovalDecided { approval, .. } => self.apply_answer(*approval)?,
            Record::TaskRecovered { .. } => {}
            Record::ActorFailed { failures, .. } => self.actor_failures = *failures,
            Record::CancelRequested { .. } => self.cancel_requested_at = Some(entry.at),
            Record::TaskPaused { .. } => self.paused_at = Some(entry.at),
            Record::TaskResumed { .. } => self.paused_at = None,
            Record::TaskRetried { steps, .. } => self.apply_retry(steps)?,
            Record::TaskEnded { status, error, cancel_receipt, usage: _ } => {
                self.approvals.clear();
                self.end = Some(TaskEnd {
                    status: *status,
                    error: error.clone(),
                    cancel_receipt: cancel_receipt.clone(),
                    at: entry.at,
                });
            }
        }
        Ok(())
    }

    fn apply_plan(&mut self, steps: &[PlannedStep]) {
        self.step_index = Arc::new(steps.iter().enumerate().map(|(index, step)| (step.id.clone(), index)).collect());
        self.steps = steps.iter().map(|step| Arc::new(StepState::new(step.clone()))).collect();
    }

    fn apply_added(&mut self, entry: &Entry, steps: &[PlannedStep], replaced: &[StepId]) -> Result<(), String> {
        for id in replaced {
            let step = self.step_mut(id)?;
            step.status = StepStatus::Skipped;
            step.ended_at = Some(entry.at);
            (step.hold, step.not_before) = (None, None);
        }
        // All steps of one record are parts of the same step, or of none.
        let parent = steps.first().and_then(|step| step.parent.as_ref());
        let base = parent.map(|parent| Arc::new(self.manifest_of(&parent.step)));
        if let Some(parent) = parent {
            self.step_mut(&parent.step)?.children += steps.len();
            if let Some(call) = parent.call {
                self.call_mut(&parent.step, call)?.gate = Gate::Delegated;
            }
        }
        for planned in steps {
            let index = self.steps.len();
            if Arc::make_mut(&mut self.step_index).insert(planned.id.clone(), index).is_some() {
                return Err(format!("a second step {}", planned.id));
            }
            self.steps.push(Arc::new(StepState { base: base.clone(), ..StepState::new(planned.clone()) }));
        }
        Ok(())
    }

    fn apply_retry(&mut self, steps: &[StepId]) -> Result<(), String> {
        (self.end, self.failure, self.cancel_requested_at, self.paused_at) = (None, None, None, None);
        self.actor_failures = 0;
        for id in steps {
            let step = self.step_mut(id)?;
            step.begin_again(step.attempt + 1);
        }
        Ok(())
    }

    fn apply_intent(&mut self, entry: &Entry, step: &StepId, call: u32, intent: &Intent) -> Result<(), String> {
        if let Intent::Model { reserved_tokens, reserved_micro_usd, .. } = intent {
            self.reserved_tokens += reserved_tokens;
            self.reserved_micro_usd += reserved_micro_usd.unwrap_or(0);
        }
        let is_shared = self.is_in_shared_part();
        let step = self.step_mut(step)?;
        if call != step.next_call() {
            return Err(format!("call {call} of step {} is out of order", step.planned.id));
        }
        step.held_feedback = None;
        step.calls.push(Arc::new(CallState {
            intent: intent.clone(),
            intended_at: entry.at,
            gate: Gate::Open,
            outcome: None,
            is_shared,
            size: TextSize::default(),
        }));
        Ok(())
    }

    fn apply_outcome(&mut self, step: &StepId, number: u32, outcome: &Outcome) -> Result<(), String> {
        let call = self.call_mut(step, number)?;
        let used = usage_of(&call.intent, outcome);
        if call.outcome.is_some() {
            return Err(format!("call {number} of step {step} ends twice"));
        }
        call.outcome = Some(outcome.clone());
        call.size = context::size_of(outcome);
        let used = if call.is_shared { Usage::default() } else { used };
        let (tokens, micro_usd) = match &call.intent {
            Intent::Model { reserved_tokens, reserved_micro_usd, .. } => {
                (*reserved_tokens, reserved_micro_usd.unwrap_or(0))
            }
            Intent::Tool { .. } => (0, 0),
        };
        self.reserved_tokens -= tokens;
        self.reserved_micro_usd -= micro_usd;
        self.usage.add(&used);
        let step = self.step_mut(step)?;
        step.usage.add(&used);
        if let Outcome::Answered(_) = outcome {
            step.waits = 0;
        }
        // What a check changes is not kept: what is then left is what was checked.
        let keeps_changes = !matches!(step.planned.action, Action::Contract);
        if let Outcome::Returned { delta, .. } = outcome
            && keeps_changes
            && !delta.is_empty()
        {
            Arc::make_mut(&mut step.delta).then(delta);
        }
        Ok(())
    }

    fn apply_step_end(&mut self, entry: &Entry, id: &StepId, end: &StepEnd) -> Result<(), String> {
        if let StepEnd::Failed { error, fails_task: true } = end {
            self.failure.get_or_insert_with(|| error.clone());
        }
        let step = self.step_mut(id)?;
        step.ended_at = Some(entry.at);
        step.hold = None;
        match end {
            StepEnd::Succeeded { output } => {
                step.status = StepStatus::Succeeded;
                step.output = output.clone();
            }
            StepEnd::Failed { error, fails_task } => {
                step.status = StepStatus::Failed;
                step.error = Some(error.clone());
                step.failed_task = *fails_task;
            }
            StepEnd::Skipped => step.status = StepStatus::Skipped,
            StepEnd::Cancelled => step.status = StepStatus::Cancelled,
        }
        let part = step.planned.parent.as_ref().map(|parent| (parent.step.clone(), Arc::clone(&step.delta)));
        self.approvals.retain(|_, open| open.approval.step != *id);
        if let Some((parent, delta)) = part.filter(|(_, delta)| !delta.is_empty()) {
            Arc::make_mut(&mut self.step_mut(&parent)?.delta).then(&delta);
        }
        Ok(())
    }

    fn apply_question(&mut self, entry: &Entry) -> Result<(), String> {
        let Record::ApprovalRequested { approval, step, call, kind, prompt, proposed, plan } = &entry.record else {
            return Err("not a question".to_owned());
        };
        let open = OpenApproval {
            approval: Approval {
                id: *approval,
                task: self.id,
                step: step.clone(),
                kind: *kind,
                prompt: prompt.clone(),
                call: proposed.clone(),
                plan: plan.clone(),
                since: entry.at,
            },
            call: *call,
        };
        if let Some(number) = call {
            self.call_mut(step, *number)?.gate = Gate::Waits(*approval);
        }
        self.approvals.insert(*approval, open);
        self.refresh_waiting(step)
    }

    fn apply_answer(&mut self, id: ApprovalId) -> Result<(), String> {
        let open = self.approvals.remove(&id).ok_or_else(|| format!("{id} is not open"))?;
        if let Some(number) = open.call {
            self.call_mut(&open.approval.step, number)?.gate = Gate::Open;
        }
        self.refresh_waiting(&open.approval.step)
    }

    fn refresh_waiting(&mut self, step: &StepId) -> Result<(), String> {
        let waits = self.approvals.values().any(|open| open.approval.step == *step);
        self.step_mut(step)?.status = if waits { StepStatus::Waiting } else { StepStatus::Running };
        Ok(())
    }

    fn step_mut(&mut self, id: &StepId) -> Result<&mut StepState, String> {
        let index = self.step_index.get(id).copied();
        let step = index.and_then(|index| self.steps.get_mut(index)).ok_or_else(|| format!("there is no step {id}"))?;
        Ok(Arc::make_mut(step))
    }

    fn call_mut(&mut self, step: &StepId, number: u32) -> Result<&mut CallState, String> {
        let missing = || format!("step {step} has no call {number}");
        let call = self.step_mut(step)?.calls.get_mut(number as usize).ok_or_else(missing)?;
        Ok(Arc::make_mut(call))
    }
}

impl StepState {
    /// Makes a step that has not begun.
    pub(super) fn new(planned: PlannedStep) -> Self {
        Self {
            planned: Arc::new(planned),
            status: StepStatus::Pending,
            started_at: None,
            ended_at: None,
            output: Value::Null,
            error: None,
            attempt: 1,
            not_before: None,
            hold: None,
            waits: 0,
            held_feedback: None,
            calls: Vec::new(),
            first_call: 0,
            base: None,
            children: 0,
            first_child: 0,
            failed_task: false,
            delta: Arc::default(),
            usage: Usage::default(),
        }
    }

    /// Goes back to its beginning, as if nothing had been done; what was used stays used.
    fn begin_again(&mut self, attempt: u32) {
        self.status = StepStatus::Pending;
        self.attempt = attempt;
        (self.started_at, self.ended_at, self.not_before) = (None, None, None);
        (self.hold, self.waits, self.held_feedback) = (None, 0, None);
        (self.output, self.error) = (Value::Null, None);
        self.first_call = self.calls.len();
        self.first_child = self.children;
        self.failed_task = false;
        self.delta = Arc::default();
    }
}

/// Returns what a call is charged. A model call that was stopped may have used anything up to its reserve.
pub(super) fn usage_of(intent: &Intent, outcome: &Outcome) -> Usage {
    match (outcome, intent) {
        (Outcome::Answered(answer), _) => answer.usage,
        (Outcome::Failed { usage, .. } | Outcome::Lost { usage }, _) => *usage,
        (Outcome::Returned { .. }, _) => Usage { tool_calls: 1, ..Usage::default() },
        (Outcome::Stopped { .. }, _) => budget::charge_of_lost(intent),
    }
}
