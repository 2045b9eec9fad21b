//! `supervision`: the live tree of actors, and what is no actor but carries the engine as well.

use super::Engine;
use crate::api::{Access, ApiError, ErrorCode, Principal, Scope, SupervisedActor, SupervisionTree, WriterThread};

/// Task actors that are shown: a screen full many times over.
const TASKS_MAX: usize = 200;

impl Engine {
    /// Returns who is at work, under whom, and how it goes. Nobody is asked, so it is seen even where an actor does not answer.
    ///
    /// # Errors
    ///
    /// Fails with `forbidden` where the caller is no administrator, `internal` where the engine has stopped.
    pub fn supervision(&self, by: &Principal) -> Result<SupervisionTree, ApiError> {
        by.check(Access::Admin(Scope::AdminRead))?;
        let (services, roster) = (&self.0.services, &self.0.services.roster);
        let ended = || ApiError::new(ErrorCode::Internal, "the engine has stopped: there are no actors");
        let (mut root, tasks_left_out) = roster.tree(TASKS_MAX).ok_or_else(ended)?;
        self.clean(&mut root);
        let failure = services.store.failure().map(|error| error.to_string());
        Ok(SupervisionTree {
            at: services.clock.now(),
            root,
            writer: WriterThread { queued_bytes: services.store.numbers().queued_bytes, failure },
            sandbox: roster.sandboxes(),
            tasks_queued: roster.queued(),
            tasks_left_out,
        })
    }

    /// Takes secrets out of what failures say.
    fn clean(&self, actor: &mut SupervisedActor) {
        if let Some(failure) = &mut actor.last_failure {
            self.0.services.redaction.replace(&mut failure.reason);
        }
        for child in &mut actor.children {
            self.clean(child);
        }
    }
}
