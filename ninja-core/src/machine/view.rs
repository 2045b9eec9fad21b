//! The state as people and lists see it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{
    room::Amounts,
    state::{Hold, HoldFor, StepState, TaskState},
};
use crate::{
    api::{ApprovalKind, Artifact, BudgetOf, Step, Task, TaskStatus, TaskSummary, UserId, WaitFor, Waiting},
    journal::record::Manifest,
};

/// Characters of the goal that a list shows.
const GOAL_CHARS_MAX: usize = 200;

/// A task's head: small, separate from its log, all that recovery and lists read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskHead {
    /// Whose task it is.
    pub owner: UserId,
    /// The task in a list.
    pub summary: TaskSummary,
    /// The number of its newest record.
    pub last_seq: u64,
    /// What is set aside for calls that run.
    #[serde(default, skip_serializing_if = "Amounts::is_nothing")]
    pub reserved: Amounts,
    /// Whether a step waits for a limit that tasks share.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits_for_shared_budget: bool,
}

impl TaskState {
    /// Returns the head.
    pub fn head(&self) -> TaskHead {
        let summary = TaskSummary {
            id: self.id,
            goal: self.submitted.goal.chars().take(GOAL_CHARS_MAX).collect(),
            template: self.submitted.template.clone(),
            status: self.status(),
            progress: self.progress(),
            waiting: self.waiting(),
            usage: self.usage,
            error: self.end.as_ref().and_then(|end| end.error.clone()),
            created_at: self.created_at,
            ended_at: self.end.as_ref().map(|end| end.at),
        };
        TaskHead {
            owner: self.submitted.owner,
            summary,
            last_seq: self.last_seq,
            reserved: self.reserved(),
            waits_for_shared_budget: self.waits_for_shared_budget(),
        }
    }

    /// Returns the task as `GET /tasks/{id}` shows it.
    pub fn view(&self) -> Task {
        Task {
            id: self.id,
            goal: self.submitted.goal.clone(),
            template: self.submitted.template.clone(),
            model: self.submitted.model.as_ref().map(|pinned| pinned.model.clone()),
            forked_from: self.submitted.forked_from,
            status: self.status(),
            progress: self.progress(),
            waiting: self.waiting(),
            steps: self.steps.iter().map(|step| step.view()).collect(),
            approvals: self.approvals.values().map(|open| open.approval.clone()).collect(),
            artifacts: artifacts(self),
            usage: self.usage,
            budget: self.budget,
            error: self.end.as_ref().and_then(|end| end.error.clone()),
            cancel_receipt: self.end.as_ref().and_then(|end| end.cancel_receipt.clone()),
            created_at: self.created_at,
            ended_at: self.end.as_ref().map(|end| end.at),
            last_seq: self.last_seq,
        }
    }

    /// Returns why it waits, if nothing of it runs: somebody paused it, the oldest question, more budget, a provider,
    /// or the next time.
    fn waiting(&self) -> Option<Waiting> {
        if self.status() != TaskStatus::Waiting {
            return None;
        }
        if let Some(since) = self.paused_at {
            return Some(Waiting {
                wait_for: WaitFor::Operator,
                since,
                until: None,
                limit: None,
                of: BudgetOf::Task,
                id: None,
            });
        }
        if self.approvals.is_empty() {
            let (until, held) = (self.wake_at(), self.steps.iter().filter_map(|step| step.hold));
            let wait_for = |hold: &Hold| match hold.what {
                HoldFor::Budget { .. } => WaitFor::Budget,
                HoldFor::Provider { .. } => WaitFor::Provider,
            };
            // What a person can do something about comes first.
            let first = held.min_by_key(|hold| (wait_for(hold) != WaitFor::Budget, hold.since));
            let (wait_for, since) = first.map_or((WaitFor::Timer, self.last_at), |hold| (wait_for(&hold), hold.since));
            let (limit, of) = match first.map(|hold| hold.what) {
                Some(HoldFor::Budget { limit, of, .. }) => (Some(limit), of),
                Some(HoldFor::Provider { .. }) | None => (None, BudgetOf::Task),
            };
            return Some(Waiting { wait_for, since, until, limit, of, id: None });
        }
        let oldest = self.approvals.values().min_by_key(|open| open.approval.since)?;
        let wait_for = match oldest.approval.kind {
            ApprovalKind::Approval | ApprovalKind::Plan => WaitFor::Approval,
            ApprovalKind::Ambiguous | ApprovalKind::Question => WaitFor::Person,
        };
        let (since, id) = (oldest.approval.since, Some(oldest.approval.id.to_string()));
        Some(Waiting { wait_for, since, until: self.wake_at(), limit: None, of: BudgetOf::Task, id })
    }
}

impl StepState {
    fn view(&self) -> Step {
        Step {
            id: self.planned.id.clone(),
            kind: self.planned.action.kind(),
            title: self.planned.title.clone(),
            actor: self.planned.action.actor().map(str::to_owned),
            parent: self.planned.parent.as_ref().map(|parent| parent.step.clone()),
            attempt: self.attempt,
            after: self.planned.after.clone(),
            status: self.status,
            started_at: self.started_at,
            ended_at: self.ended_at,
            output: self.output.clone(),
            error: self.error.clone(),
            usage: self.usage,
        }
    }
}

/// Returns the files that the task has made so far, over all steps in plan order. Hidden ones are the tools' own.
pub fn artifacts(state: &TaskState) -> Vec<Artifact> {
    let mut manifest = Manifest::default();
    let mut writers = HashMap::new();
    for step in state.steps.iter().filter(|step| step.planned.parent.is_none()) {
        manifest.apply(&step.delta);
        writers.extend(step.delta.changed.keys().map(|path| (path, &step.planned.id)));
    }
    manifest
        .iter()
        .filter(|(path, _)| !path.names().any(|name| name.starts_with('.')))
        .filter_map(|(path, file)| {
            let step = (*writers.get(path)?).clone();
            Some(Artifact { path: path.to_string(), step, bytes: file.bytes, sha256: file.blob })
        })
        .collect()
}
