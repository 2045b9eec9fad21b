//! Steering a task that is there: pause, resume, budget, retry.

use super::{ANSWER_WAIT, Engine, RESEND_WAIT, SENDS_MAX, at::TaskAt, refused};
use crate::{
    actors::TaskMsg,
    api::{ApiError, AuditAction, Budget, ErrorCode, Principal, Task},
    machine::{Input, Refusal},
};

impl Engine {
    /// Pauses a task: what runs ends, nothing new begins until it is resumed.
    ///
    /// # Errors
    ///
    /// Fails with `conflict` where it has ended, is about to end, or is paused already.
    pub async fn pause_task(&self, by: &Principal, target: impl Into<TaskAt>) -> Result<Task, ApiError> {
        self.steer(by, target.into(), AuditAction::PauseTask, Input::Pause { by: by.user }, &Refusal::Paused).await
    }

    /// Resumes a paused task, or one that waits for a provider.
    ///
    /// # Errors
    ///
    /// Fails with `conflict` where it is neither.
    pub async fn resume_task(&self, by: &Principal, target: impl Into<TaskAt>) -> Result<Task, ApiError> {
        self.steer(by, target.into(), AuditAction::ResumeTask, Input::Resume { by: by.user }, &Refusal::NotPaused).await
    }

    /// Changes the limits of a task that are given; one that waits for more goes on where it is enough now.
    ///
    /// # Errors
    ///
    /// Fails with `conflict` where the task has ended, or has these limits already.
    pub async fn change_budget(
        &self,
        by: &Principal,
        target: impl Into<TaskAt>,
        budget: Budget,
    ) -> Result<Task, ApiError> {
        let input = Input::ChangeBudget { by: by.user, budget };
        self.steer(by, target.into(), AuditAction::ChangeBudget, input, &Refusal::SameBudget).await
    }

    /// Tries a task again that failed or was cancelled: what succeeded stays, the rest is done again.
    ///
    /// # Errors
    ///
    /// Fails with `conflict` where it has not ended, or ended well.
    pub async fn retry_task(&self, by: &Principal, target: impl Into<TaskAt>) -> Result<Task, ApiError> {
        self.steer(by, target.into(), AuditAction::RetryTask, Input::Retry { by: by.user }, &Refusal::NothingToRetry)
            .await
    }

    /// Hands a task an input and answers when it is recorded. `done` is what the task says when an earlier send was taken and
    /// only its reply was lost.
    async fn steer(
        &self,
        by: &Principal,
        target: TaskAt,
        action: AuditAction,
        input: Input,
        done: &Refusal,
    ) -> Result<Task, ApiError> {
        let id = target.task;
        let audit = self.audit_of(by, action, id)?.encode();
        for sent in 0..SENDS_MAX {
            tokio::time::sleep(RESEND_WAIT * sent).await;
            // Each time, for it can have been deleted since.
            self.check_owner(by, id)?;
            let audit = audit.clone();
            let message = |reply| target.guard(TaskMsg::Steer { input: Box::new(input.clone()), audit, reply });
            match self.0.tree.ask_task(id, ANSWER_WAIT, message).await {
                Some(Ok(task)) => return Ok(*task),
                Some(Err(refusal)) if sent > 0 && refusal == *done => return self.task(by, id).await,
                Some(Err(refusal)) => return Err(refused(&refusal)),
                None => self.check_writable()?,
            }
        }
        Err(ApiError::new(ErrorCode::Internal, "the task's actor did not answer; look at the task before trying again"))
    }
}
