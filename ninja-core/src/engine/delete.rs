//! `delete_task`: what has ended is forgotten, with its records and events.

use super::{ANSWER_WAIT, Engine, RESEND_WAIT, SENDS_MAX, at::TaskAt, refused};
use crate::{
    actors::TaskMsg,
    api::{ApiError, AuditAction, ErrorCode, Principal},
    machine::Refusal,
};

impl Engine {
    /// Deletes a task that has ended. It is gone for everybody when this returns; what it used stays counted, and files that
    /// it shares with others stay theirs.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where there is none of the caller's, `conflict` where it has not ended, `precondition_failed`
    /// where it is not where the caller saw it.
    pub async fn delete_task(&self, by: &Principal, target: impl Into<TaskAt>) -> Result<(), ApiError> {
        let target = target.into();
        let head = self.check_owner(by, target.task)?;
        if !head.summary.status.is_terminal() {
            return Err(refused(&Refusal::NotEnded));
        }
        let audit = self.audit_of(by, AuditAction::DeleteTask, target.task)?.encode();
        for sent in 0..SENDS_MAX {
            tokio::time::sleep(RESEND_WAIT * sent).await;
            let message = |reply| target.guard(TaskMsg::Delete { audit: audit.clone(), reply });
            match self.0.tree.ask_task(target.task, ANSWER_WAIT, message).await {
                Some(Ok(())) => return Ok(()),
                Some(Err(refusal)) => return Err(refused(&refusal)),
                None => self.check_writable()?,
            }
            match self.check_owner(by, target.task) {
                Ok(_) => {}
                // It was deleted as was asked, by this word or by another one at the same time.
                Err(error) if error.code == ErrorCode::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Err(ApiError::new(ErrorCode::Internal, "the task's actor did not answer; look at the task before trying again"))
    }
}
