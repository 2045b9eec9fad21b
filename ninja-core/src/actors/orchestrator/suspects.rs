//! Finding the task that ends the process: after short lives in a row, tasks are taken up one at a time.
//!
//! The next one begins when the one before it has done something that is committed, has nothing to do, or has ended. What
//! it has done is not done again, so a task that ends the process does so with the first thing it does, alone.

use std::time::Duration;

use ractor::ActorProcessingErr;

use super::{Orchestrator, OrchestratorMsg, OrchestratorState};
use crate::{actors::roster::Mailbox, api::TaskId, lives::SHORT_LIFE};

/// How long a process under suspicion serves before it takes anything up: its health can be asked and a task cancelled.
const CALM: Duration = Duration::from_secs(2);

/// How tasks are taken up.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suspicion {
    /// As many as there are places.
    #[default]
    None,
    /// Not yet.
    Calm,
    /// One at a time; this one has done nothing yet.
    OneAtATime(Option<TaskId>),
}

impl Orchestrator {
    /// Sets aside what the lives before have shown, and becomes careful if they give reason to.
    pub(super) async fn look_for_suspects(&self, myself: &Mailbox<OrchestratorMsg>, state: &mut OrchestratorState) {
        let lives = &self.services.lives;
        myself.send_after(SHORT_LIFE, || OrchestratorMsg::Settle);
        for (task, ends) in lives.take_convicted() {
            let detail = format!("the process ended {ends} times while it worked on this task alone");
            tracing::error!(%task, ends, "a task ends the process and is set aside");
            self.set_aside(myself, task, detail).await;
        }
        let Some(short_lives) = lives.suspicious() else { return };
        tracing::warn!(short_lives, "the last starts ended within seconds: tasks are taken up one at a time");
        state.suspicion = Suspicion::Calm;
        // Where an orchestrator is started again, the one before it may have left a task's name.
        lives.note_alone(None);
        myself.send_after(CALM, || OrchestratorMsg::TrySuspects);
    }

    pub(super) fn try_suspects(
        &self,
        myself: &Mailbox<OrchestratorMsg>,
        state: &mut OrchestratorState,
    ) -> Result<(), ActorProcessingErr> {
        if state.suspicion == Suspicion::Calm {
            state.suspicion = Suspicion::OneAtATime(None);
        }
        self.start_queued(myself, state)
    }

    /// Returns whether another task can be taken up.
    pub(super) fn has_place(&self, state: &OrchestratorState) -> bool {
        match state.suspicion {
            Suspicion::None => state.active.len() < self.services.tasks_at_work_max,
            Suspicion::Calm | Suspicion::OneAtATime(Some(_)) => false,
            Suspicion::OneAtATime(None) => true,
        }
    }

    /// Takes note of a task that is about to be taken up, where it is the only one.
    pub(super) fn note_alone(&self, state: &mut OrchestratorState, task: TaskId) {
        if let Suspicion::OneAtATime(alone) = &mut state.suspicion {
            *alone = Some(task);
            self.services.lives.note_alone(Some(task));
        }
    }

    /// Goes on to the next task if this one was alone.
    pub(super) fn acquit(
        &self,
        myself: &Mailbox<OrchestratorMsg>,
        state: &mut OrchestratorState,
        task: TaskId,
    ) -> Result<(), ActorProcessingErr> {
        if state.suspicion != Suspicion::OneAtATime(Some(task)) {
            return Ok(());
        }
        state.suspicion = Suspicion::OneAtATime(None);
        self.services.lives.note_alone(None);
        self.start_queued(myself, state)
    }

    /// Ends the suspicion.
    pub(super) fn settle(
        &self,
        myself: &Mailbox<OrchestratorMsg>,
        state: &mut OrchestratorState,
    ) -> Result<(), ActorProcessingErr> {
        self.services.lives.settle();
        state.suspicion = Suspicion::None;
        self.start_queued(myself, state)
    }
}
