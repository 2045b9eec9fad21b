//! Reports of calls on their way home. Those that come while a commit is under way share the next one: a commit costs a sync
//! of the disk, and steps that run side by side end in the same moment.
//!
//! Calls report through a [`TaskHome`]; the task's actor takes what waits there, in order, as one change.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use ractor::ActorProcessingErr;

use super::{TaskActor, TaskActorState, TaskMsg, commit::Change};
use crate::{
    actors::{
        calls::{CallEnd, CallReport},
        orchestrator::OrchestratorMsg,
        roster::Mailbox,
    },
    journal::record::Outcome,
    machine::Input,
};

/// The most reports that are taken at a time: a person's word must not wait for a whole plan.
const REPORTS_MAX: usize = 64;
/// What is larger is committed by itself: far below what the journal takes in one commit.
const CHANGE_BYTES_MAX: usize = 1024 * 1024;

/// Where the calls of a task's actor report. Cheap to clone.
#[derive(Clone)]
pub(in crate::actors) struct TaskHome {
    task: Mailbox<TaskMsg>,
    waiting: Arc<Mutex<VecDeque<CallReport>>>,
}

impl TaskHome {
    /// Makes the one of an actor.
    pub(super) fn of(task: Mailbox<TaskMsg>) -> Self {
        Self { task, waiting: Arc::default() }
    }

    /// Reports a call. Nobody takes it where the actor has ended: the next one finds the call in the log.
    pub(in crate::actors) fn report(&self, report: CallReport) {
        let mut waiting = self.waiting();
        waiting.push_back(report);
        // The first one sends word for all that come before they are taken.
        if waiting.len() == 1 {
            self.task.send_message(TaskMsg::CallsReported).ok();
        }
    }

    /// Takes what waits, and sends word again where that is not all.
    fn take(&self) -> Vec<CallReport> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(REPORTS_MAX);
        let taken = waiting.drain(..count).collect();
        if !waiting.is_empty() {
            self.task.send_message(TaskMsg::CallsReported).ok();
        }
        taken
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<CallReport>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TaskActor {
    /// Takes the reports that wait: decides on each as if it had come alone, commits once, then acts.
    pub(super) async fn take_reports(
        &self,
        myself: &Mailbox<TaskMsg>,
        state: &mut TaskActorState,
    ) -> Result<(), ActorProcessingErr> {
        match self.decide_reports(state).await? {
            Some(change) => {
                self.commit(state, change).await?;
                if !std::mem::replace(&mut state.has_worked, true) {
                    self.orchestrator.send_message(OrchestratorMsg::TaskWorked { task: self.id })?;
                }
                self.act(myself, state).await
            }
            None => Ok(()),
        }
    }

    /// Decides on the reports that wait. Nothing of it is done yet, and only what is more than one commit takes is committed.
    pub(super) async fn decide_reports(
        &self,
        state: &mut TaskActorState,
    ) -> Result<Option<Change>, ActorProcessingErr> {
        let mut change = None;
        for report in state.home.take() {
            let (input, blobs) = state.take_report(report);
            self.decide_next(state, &mut change, input, blobs).await?;
        }
        Ok(change)
    }

    /// Decides on what `change` comes to, and adds to it.
    pub(super) async fn decide_next(
        &self,
        state: &mut TaskActorState,
        change: &mut Option<Change>,
        input: Input,
        blobs: Vec<Bytes>,
    ) -> Result<(), ActorProcessingErr> {
        let before = change.as_ref().map(Change::after).or(state.task.as_deref());
        let decided = self.decide(before.ok_or("nothing is decided before the log is read")?, input, blobs);
        let next = decided.map_err(|refusal| refusal.to_string())?;
        match change {
            Some(change) if change.bytes() + next.bytes() <= CHANGE_BYTES_MAX => change.extend(next),
            Some(_) | None => {
                if let Some(full) = change.replace(next) {
                    self.commit(state, full).await?;
                }
            }
        }
        Ok(())
    }
}

impl TaskActorState {
    /// Takes note that a call has ended, and returns what that means.
    fn take_report(&mut self, report: CallReport) -> (Input, Vec<Bytes>) {
        let CallReport { step, call, end } = report;
        let running = self.in_flight.remove(&(step.clone(), call));
        match end {
            CallEnd::Outcome(mut outcome, blobs) => {
                if let Outcome::Stopped { after_ms, .. } = &mut outcome {
                    let took = running.and_then(|ended| ended.stopped_at).map_or(0, |at| at.elapsed().as_millis());
                    *after_ms = u64::try_from(took).unwrap_or(u64::MAX);
                }
                (Input::EndCall { step, call, outcome }, blobs)
            }
            CallEnd::Interrupted { reason, blamed } => {
                (Input::InterruptCall { step, call, reason, blamed }, Vec::new())
            }
        }
    }
}
