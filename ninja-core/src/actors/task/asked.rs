//! What people ask of a task that is at work, and their answers.

use std::sync::Arc;

use bytes::Bytes;
use ractor::{ActorProcessingErr, RpcReplyPort};

use super::{TaskActor, TaskActorState, TaskMsg};
use crate::{
    actors::roster::Mailbox,
    api::Task,
    machine::{Input, Refusal},
};

/// What a person asked for.
pub(super) struct Asked {
    pub(super) input: Input,
    /// What the audit log says of it, in the commit of what comes of it.
    pub(super) audit: Bytes,
    pub(super) reply: RpcReplyPort<Result<Box<Task>, Refusal>>,
}

impl TaskActor {
    /// Cancels the task, and answers when nothing of it runs any more.
    pub(super) async fn cancel(
        &self,
        myself: &Mailbox<TaskMsg>,
        state: &mut TaskActorState,
        Asked { input, audit, reply }: Asked,
    ) -> Result<(), ActorProcessingErr> {
        let is_first = state.task.is_none();
        if is_first {
            let Some(task) = self.services.tasks.load(self.id)? else { return self.leave(myself) };
            state.task = Some(Arc::new(task));
        }
        // Who asks once more, or is sent once more after an actor's failure, changes nothing.
        let is_new = state.task.as_ref().is_some_and(|task| task.cancel_requested_at.is_none());
        match self.decide_now(state, input) {
            Err(refusal) => {
                reply.send(Err(refusal)).ok();
                // An actor that was started for this message alone must still find out that it has nothing to do.
                self.act(myself, state).await
            }
            Ok(change) => {
                state.cancel_waiters.push(reply);
                let change = if is_new { change.audited(audit) } else { change };
                self.commit(state, change).await?;
                if is_first {
                    // What was in flight when the task was last worked on is lost, not to be stopped.
                    return self.report(myself, state, Input::Recover).await;
                }
                self.act(myself, state).await
            }
        }
    }

    /// Pauses a task that nobody has taken up: what was in flight when it was last worked on is lost, and nothing begins.
    pub(super) async fn pause_first(
        &self,
        myself: &Mailbox<TaskMsg>,
        state: &mut TaskActorState,
        Asked { input, audit, reply }: Asked,
    ) -> Result<(), ActorProcessingErr> {
        let Some(task) = self.services.tasks.load(self.id)? else { return self.leave(myself) };
        state.task = Some(Arc::new(task));
        let refused = match self.decide_now(state, input) {
            Ok(change) => {
                self.commit(state, change.audited(audit)).await?;
                None
            }
            Err(refusal) => Some(refusal),
        };
        self.report(myself, state, Input::Recover).await?;
        reply.send(refused.map_or_else(|| state.view(), Err)).ok();
        Ok(())
    }

    /// Takes what a person asked for, and answers with the task after it.
    pub(super) async fn answer(
        &self,
        myself: &Mailbox<TaskMsg>,
        state: &mut TaskActorState,
        Asked { input, audit, reply }: Asked,
    ) -> Result<(), ActorProcessingErr> {
        let result = self.take(myself, state, input, Some(audit)).await?;
        reply.send(result.and_then(|()| state.view())).ok();
        Ok(())
    }
}
