//! What is known of a task: the fold of its records.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{models, shared};
use crate::{
    api::{
        ApiError, Approval, ApprovalId, Budget, BudgetLimit, BudgetOf, CancelReceipt, EffectClass, StepId, StepStatus,
        TaskId, TaskStatus, Timestamp, Usage,
    },
    journal::record::{Action, Intent, Manifest, ManifestDelta, Outcome, Pins, PlannedStep, TaskSubmitted},
};

/// A task. Cheap to clone: steps and calls are shared until they change.
///
/// Its stored form is the snapshot of a long log. A change of any field here must go with a new
/// [`SNAPSHOT_VERSION`]: an old snapshot is then left alone and the log is folded from its start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskState {
    /// Its id.
    pub id: TaskId,
    /// What was submitted.
    #[serde(with = "shared")]
    pub submitted: Arc<TaskSubmitted>,
    /// What the installation said then; not part of a snapshot.
    #[serde(skip)]
    pub pins: Arc<Pins>,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// The number of its newest record.
    pub last_seq: u64,
    /// When that was written.
    pub last_at: Timestamp,
    /// Its steps, predecessors first; empty until the plan stands.
    #[serde(with = "shared")]
    pub steps: Vec<Arc<StepState>>,
    /// Where each step stands in `steps`; made anew from them.
    #[serde(skip)]
    pub step_index: Arc<HashMap<StepId, usize>>,
    /// Open questions.
    pub approvals: BTreeMap<ApprovalId, OpenApproval>,
    /// When cancelling was asked for.
    pub cancel_requested_at: Option<Timestamp>,
    /// When it was paused, if it is.
    pub paused_at: Option<Timestamp>,
    /// The first failure of a step: the task is failing and starts nothing new.
    pub failure: Option<ApiError>,
    /// What its calls used.
    pub usage: Usage,
    /// Tokens set aside for calls that run.
    pub reserved_tokens: u64,
    /// Money set aside for them, in millionths of a US dollar.
    pub reserved_micro_usd: u64,
    /// Its limits as they are now.
    pub budget: Budget,
    /// The limits of which it was told that most of them is used.
    pub warned: BTreeSet<BudgetLimit>,
    /// Steps that have begun, over all attempts.
    pub steps_begun: u64,
    /// Failures of its actors.
    pub actor_failures: u32,
    /// How it ended.
    pub end: Option<TaskEnd>,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenApproval {
    /// As people see it.
    pub approval: Approval,
    /// The call that waits, if it is one.
    pub call: Option<u32>,
}

/// A step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepState {
    /// What was planned.
    #[serde(with = "shared")]
    pub planned: Arc<PlannedStep>,
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
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// When the attempt begins at the earliest, while it waits for that.
    pub not_before: Option<Timestamp>,
    /// Why it waits without anybody being asked, if it does.
    pub hold: Option<Hold>,
    /// How often in a row it has waited so.
    pub waits: u32,
    /// What the model is to be told of its answer before, once there is budget for asking it.
    pub held_feedback: Option<String>,
    /// Its calls in order, over all attempts; a call's number is its index.
    #[serde(with = "shared")]
    pub calls: Vec<Arc<CallState>>,
    /// The first call of this attempt.
    pub first_call: usize,
    /// The workspace that it was given when it was added as a part of another step.
    #[serde(with = "shared")]
    pub base: Option<Arc<Manifest>>,
    /// Steps that were added as parts of it, over all attempts.
    pub children: usize,
    /// The first of them that this attempt added.
    pub first_child: usize,
    /// Whether the task failed with it.
    pub failed_task: bool,
    /// What it changed in the workspace, over all its calls.
    #[serde(with = "shared")]
    pub delta: Arc<ManifestDelta>,
    /// What its calls used.
    pub usage: Usage,
}

/// A step that waits without anybody being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Since when.
    pub since: Timestamp,
    /// For what.
    pub what: HoldFor,
}

/// What a step waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldFor {
    /// Its models, all of which failed.
    Provider {
        /// When they are asked again.
        until: Timestamp,
    },
    /// More budget.
    Budget {
        /// Of what.
        limit: BudgetLimit,
        /// Of whose.
        of: BudgetOf,
        /// When the time is over that the limit is for.
        until: Option<Timestamp>,
    },
}

/// Whether a call may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gate {
    /// It may.
    Open,
    /// Not before this question is answered.
    Waits(ApprovalId),
    /// It never runs itself: a step that was added as a part of this one ends it.
    Delegated,
}

/// A call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CallState {
    /// What it does.
    pub intent: Intent,
    /// When it was intended.
    pub intended_at: Timestamp,
    /// Whether it may run.
    pub gate: Gate,
    /// What came of it; `None` while it is owed.
    pub outcome: Option<Outcome>,
    /// Whether it was made by the task that this one was forked from, and is charged there.
    pub is_shared: bool,
    /// What its result adds to a conversation.
    pub size: TextSize,
}

/// How large a text is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextSize {
    /// In bytes.
    pub bytes: u64,
    /// In tokens, estimated.
    pub tokens: u64,
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

    /// Returns the calls of this attempt.
    pub fn attempt_calls(&self) -> &[Arc<CallState>] {
        self.calls.get(self.first_call..).unwrap_or_default()
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

    /// Returns whether it begins nothing new until somebody resumes it.
    pub fn is_paused(&self) -> bool {
        self.paused_at.is_some() && !self.is_stopping()
    }

    /// Returns whether the next record was written by the task that this one was forked from.
    pub fn is_in_shared_part(&self) -> bool {
        self.submitted.forked_from.is_some_and(|fork| self.last_seq < fork.seq)
    }

    /// Returns when something of it is due that waits for a time alone.
    pub fn wake_at(&self) -> Option<Timestamp> {
        match self.end.is_some() || self.is_paused() || self.is_stopping() {
            true => None,
            false => {
                let attempts =
                    self.steps.iter().filter(|step| step.status == StepStatus::Pending && step.hold.is_none());
                let attempts = attempts.filter_map(|step| step.not_before);
                let periods = self.steps.iter().filter_map(|step| match step.hold?.what {
                    HoldFor::Budget { until, .. } => until,
                    HoldFor::Provider { .. } => None,
                });
                attempts.chain(models::probes(self).map(|(_, until)| until)).chain(periods).min()
            }
        }
    }

    /// Returns whether a step waits for a limit that its task shares with others.
    pub fn waits_for_shared_budget(&self) -> bool {
        let shared = |hold: &Hold| matches!(hold.what, HoldFor::Budget { of, .. } if !of.is_task());
        self.end.is_none() && self.steps.iter().any(|step| step.hold.as_ref().is_some_and(shared))
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
        if let Some(end) = &self.end {
            return end.status;
        }
        let is_untouched =
            |step: &StepState| step.status == StepStatus::Pending && step.attempt == 1 && step.hold.is_none();
        if self.steps.iter().all(|step| is_untouched(step)) && !self.is_paused() {
            return TaskStatus::Queued;
        }
        if self.has_calls_in_flight() {
            return if self.is_planning() { TaskStatus::Planning } else { TaskStatus::Running };
        }
        let holds = self.steps.iter().any(|step| step.hold.is_some());
        let waits = self.is_paused() || !self.approvals.is_empty() || holds || self.wake_at().is_some();
        if waits { TaskStatus::Waiting } else { TaskStatus::Running }
    }

    /// Returns whether nothing but the making of the plan is at work.
    fn is_planning(&self) -> bool {
        let mut at_work = self.steps.iter().filter(|step| step.in_flight().next().is_some());
        at_work.all(|step| matches!(step.planned.action, Action::Plan { .. }))
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
    /// what it changed itself. Steps that run side by side do not see each other. A part of a step begins with what that
    /// step saw; the contract sees everything.
    pub fn manifest_of(&self, id: &StepId) -> Manifest {
        let Some((index, step)) = self.step_index.get(id).and_then(|&index| Some((index, self.steps.get(index)?)))
        else {
            return Manifest::default();
        };
        let mut manifest = match (&step.base, &step.planned.action) {
            (Some(base), _) => Manifest::clone(base),
            (None, Action::Contract) => self.whole_manifest(),
            (None, _) => self.manifest_before(index),
        };
        manifest.apply(&step.delta);
        manifest
    }

    /// Returns what all steps left behind, in plan order.
    pub fn whole_manifest(&self) -> Manifest {
        let mut manifest = Manifest::default();
        for step in self.steps.iter().filter(|step| step.planned.parent.is_none()) {
            manifest.apply(&step.delta);
        }
        manifest
    }

    fn manifest_before(&self, index: usize) -> Manifest {
        let mut seen = vec![false; self.steps.len()];
        let before = |index: usize| self.steps.get(index).map(|step| step.planned.after.as_slice()).unwrap_or_default();
        let places = |index| before(index).iter().filter_map(|id| self.step_index.get(id).copied());
        let mut open: Vec<usize> = places(index).collect();
        while let Some(index) = open.pop() {
            let Some(mark) = seen.get_mut(index) else { continue };
            if !std::mem::replace(mark, true) {
                open.extend(places(index));
            }
        }
        let mut manifest = Manifest::default();
        for (step, _) in self.steps.iter().zip(seen).filter(|(_, seen)| *seen) {
            manifest.apply(&step.delta);
        }
        manifest
    }

    /// Returns the parts of a step's present attempt, in the order in which they were added.
    pub fn parts_of<'a>(&'a self, step: &'a StepState) -> impl Iterator<Item = &'a StepState> {
        let numbers = step.first_child..step.children;
        numbers.filter_map(|number| self.step(&step.planned.id.child(number)))
    }
}

/// The version of [`TaskState`]'s stored form.
const SNAPSHOT_VERSION: u32 = 4;

impl TaskState {
    /// Returns the stored form, to be read by [`TaskState::from_snapshot`].
    pub fn to_snapshot(&self) -> Vec<u8> {
        let mut bytes = SNAPSHOT_VERSION.to_be_bytes().to_vec();
        serde_json::to_writer(&mut bytes, self).expect("a state has string keys only");
        bytes
    }

    /// Reads the stored form; `None` where another version wrote it.
    pub fn from_snapshot(bytes: &[u8]) -> Option<Self> {
        let json = bytes.strip_prefix(&SNAPSHOT_VERSION.to_be_bytes())?;
        let mut state: Self = serde_json::from_slice(json).ok()?;
        state.step_index =
            Arc::new(state.steps.iter().enumerate().map(|(index, step)| (step.planned.id.clone(), index)).collect());
        Some(state)
    }
}
