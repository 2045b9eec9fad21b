//! What is known of a task: the fold of its records.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde_json::Value;

use crate::{
    api::{
        ApiError, Approval, ApprovalId, CancelReceipt, EffectClass, StepId, StepStatus, TaskId, TaskStatus, Timestamp,
        Usage,
    },
    journal::record::{Intent, Manifest, ManifestDelta, Outcome, Pins, PlannedStep, TaskSubmitted},
};

/// A task. Cheap to clone: steps and calls are shared until they change.
#[derive(Debug, Clone)]
pub struct TaskState {
    /// Its id.
    pub id: TaskId,
    /// What was submitted.
    pub submitted: Arc<TaskSubmitted>,
    /// What the installation said then.
    pub pins: Arc<Pins>,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// The number of its newest record.
    pub last_seq: u64,
    /// Its steps, predecessors first; empty until the plan stands.
    pub steps: Vec<Arc<StepState>>,
    /// Where each step stands in `steps`.
    pub step_index: Arc<HashMap<StepId, usize>>,
    /// Open questions.
    pub approvals: BTreeMap<ApprovalId, Arc<OpenApproval>>,
    /// When cancelling was asked for.
    pub cancel_requested_at: Option<Timestamp>,
    /// The first failure of a step: the task is failing and starts nothing new.
    pub failure: Option<ApiError>,
    /// What its calls used.
    pub usage: Usage,
    /// Tokens set aside for calls that run.
    pub reserved_tokens: u64,
    /// Failures of its actors.
    pub actor_failures: u32,
    /// How it ended.
    pub end: Option<TaskEnd>,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskEnd {
    /// The terminal status.
    pub status: TaskStatus,
    /// Why it failed.
    pub error: Option<ApiError>,
    /// What a cancellation stopped.
    pub cancel_receipt: Option<CancelReceipt>,
    /// When.
    pub at: Timestamp,
}

/// A question that waits for a person.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenApproval {
    /// As people see it.
    pub approval: Approval,
    /// The call that waits, if it is one.
    pub call: Option<u32>,
}

/// A step.
#[derive(Debug, Clone)]
pub struct StepState {
    /// What was planned.
    pub planned: PlannedStep,
    /// How it stands.
    pub status: StepStatus,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its result.
    pub output: Value,
    /// Why it failed.
    pub error: Option<ApiError>,
    /// Its calls in order; a call's number is its index.
    pub calls: Vec<Arc<CallState>>,
    /// What it changed in the workspace, over all its calls.
    pub delta: Arc<ManifestDelta>,
    /// What its calls used.
    pub usage: Usage,
}

/// Whether a call may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It may.
    Open,
    /// Not before this question is answered.
    Waits(ApprovalId),
}

/// A call.
#[derive(Debug, Clone)]
pub struct CallState {
    /// What it does.
    pub intent: Intent,
    /// When it was intended.
    pub intended_at: Timestamp,
    /// Whether it may run.
    pub gate: Gate,
    /// What came of it; `None` while it is owed.
    pub outcome: Option<Outcome>,
}

impl CallState {
    /// Returns whether the call may be running in the world.
    pub fn is_in_flight(&self) -> bool {
        self.outcome.is_none() && self.gate == Gate::Open
    }

    /// Returns what a crash means for it.
    pub fn class(&self) -> EffectClass {
        match &self.intent {
            Intent::Model { .. } => EffectClass::Charged,
            Intent::Tool { class, .. } => *class,
        }
    }

    /// Returns what runs: a tool's name, or `model`.
    pub fn what(&self) -> &str {
        match &self.intent {
            Intent::Model { .. } => "model",
            Intent::Tool { tool, .. } => tool,
        }
    }
}

impl StepState {
    /// Returns the calls that may be running in the world, with their numbers.
    pub fn in_flight(&self) -> impl Iterator<Item = (u32, &CallState)> {
        (0..).zip(&self.calls).filter(|(_, call)| call.is_in_flight()).map(|(number, call)| (number, call.as_ref()))
    }

    /// Returns the number that the next call gets.
    pub fn next_call(&self) -> u32 {
        u32::try_from(self.calls.len()).expect("a task has at most 50,000 records")
    }
}

impl TaskState {
    /// Returns a step by name.
    pub fn step(&self, id: &StepId) -> Option<&StepState> {
        self.step_index.get(id).and_then(|&index| self.steps.get(index)).map(Arc::as_ref)
    }

    /// Returns a call by step and number.
    pub fn call(&self, step: &StepId, call: u32) -> Option<&CallState> {
        self.step(step)?.calls.get(call as usize).map(Arc::as_ref)
    }

    /// Returns whether any step has begun, or the task itself has ended or failed before.
    pub fn started(&self) -> bool {
        self.steps.iter().any(|step| step.status != StepStatus::Pending) || self.actor_failures > 0
    }

    /// Returns whether it starts nothing new: it is being cancelled or a step has failed.
    pub fn is_stopping(&self) -> bool {
        self.cancel_requested_at.is_some() || self.failure.is_some()
    }

    /// Returns whether any call may be running in the world.
    pub fn has_calls_in_flight(&self) -> bool {
        self.steps.iter().any(|step| step.in_flight().next().is_some())
    }

    /// Returns whether any tool was ever to be called.
    pub fn has_called_tools(&self) -> bool {
        let is_tool = |call: &Arc<CallState>| matches!(call.intent, Intent::Tool { .. });
        self.steps.iter().any(|step| step.calls.iter().any(is_tool))
    }

    /// Returns the status as people see it.
    pub fn status(&self) -> TaskStatus {
        match &self.end {
            Some(end) => end.status,
            None if self.steps.iter().all(|step| step.status == StepStatus::Pending) => TaskStatus::Queued,
            None if self.has_calls_in_flight() || self.approvals.is_empty() => TaskStatus::Running,
            None => TaskStatus::Waiting,
        }
    }

    /// Returns how far it is: 0 to 100, and 100 only when it succeeded.
    pub fn progress(&self) -> u8 {
        let ended = self.steps.iter().filter(|step| step.status.is_terminal()).count();
        match &self.end {
            Some(end) if end.status == TaskStatus::Succeeded => 100,
            _ => u8::try_from((ended * 100 / self.steps.len().max(1)).min(99)).expect("at most 99"),
        }
    }

    /// Returns the workspace that a step sees: what its predecessors, near and far, left behind, in plan order, and
    /// what it changed itself. Steps that run side by side do not see each other.
    pub fn manifest_of(&self, step: &StepId) -> Manifest {
        let mut seen = vec![false; self.steps.len()];
        let mut open: Vec<usize> = self.step_index.get(step).copied().into_iter().collect();
        while let Some(index) = open.pop() {
            let (Some(mark), Some(state)) = (seen.get_mut(index), self.steps.get(index)) else { continue };
            if !std::mem::replace(mark, true) {
                open.extend(state.planned.after.iter().filter_map(|id| self.step_index.get(id)));
            }
        }
        let mut manifest = Manifest::default();
        for (step, _) in self.steps.iter().zip(seen).filter(|(_, seen)| *seen) {
            manifest.apply(&step.delta);
        }
        manifest
    }
}
