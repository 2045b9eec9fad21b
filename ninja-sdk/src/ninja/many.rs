//! The verbs for whoever has many tasks: what they ask, what they come to, and getting rid of them.

use ninja_core::api::{ApprovalSummary, Page, SummaryQuery, TaskId, TasksSummary};

use super::{Ninja, Transport};
use crate::{ListApprovals, SdkError};

/// Every verb fails as those of [`Ninja`] do.
impl Ninja {
    /// Returns a page of the open questions of the caller's tasks, newest first. For administrators of everybody's, if wanted.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `forbidden` where everybody's are asked for by others.
    pub async fn list_approvals(&self, query: &ListApprovals) -> Result<Page<ApprovalSummary>, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.list_approvals(query).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.list_approvals(query).await,
        }
    }

    /// Returns the caller's tasks in numbers: how they stand, how long they took, what they used. For administrators
    /// everybody's, if wanted.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `forbidden` where everybody's are asked for by others.
    pub async fn tasks_summary(&self, query: &SummaryQuery) -> Result<TasksSummary, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.tasks_summary(query).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.tasks_summary(query).await,
        }
    }

    /// Deletes a task that has ended, with all that the journal has of it. What it used stays counted.
    ///
    /// # Errors
    ///
    /// As every verb, see above; a conflict when it has not ended.
    pub async fn delete_task(&self, id: TaskId) -> Result<(), SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.delete_task(id).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.delete_task(id).await,
        }
    }
}
