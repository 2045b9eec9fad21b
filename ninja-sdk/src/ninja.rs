//! [`Ninja`]: the one type an application holds, whichever transport is behind it.

use ninja_core::api::{ApprovalId, Decision, File, Health, Page, SubmitTask, Task, TaskId, TaskSummary};

#[cfg(feature = "embedded")]
use ninja_core::{Engine, EngineOptions};

#[cfg(feature = "client")]
use crate::Client;
#[cfg(feature = "embedded")]
use crate::embedded::Embedded;
use crate::{Backup, Content, Download, EventStream, ListTasks, SdkError};

/// Ninja, over HTTP or in this process: the same verbs, the same types. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ninja {
    transport: Transport,
}

#[derive(Debug, Clone)]
enum Transport {
    #[cfg(feature = "client")]
    Remote(Client),
    #[cfg(feature = "embedded")]
    Embedded(Embedded),
}

#[cfg(feature = "embedded")]
impl Ninja {
    /// Starts an engine in this process and speaks to it as its local owner.
    ///
    /// # Errors
    ///
    /// [`SdkError::Api`] where the data directory is held by another engine or cannot be used.
    pub async fn embedded(options: EngineOptions) -> Result<Self, SdkError> {
        let engine = Engine::start(options).await.map_err(|error| error.to_api())?;
        Ok(engine.into())
    }
}

#[cfg(feature = "embedded")]
impl From<Engine> for Ninja {
    /// Speaks to an engine that runs already, as its local owner.
    fn from(engine: Engine) -> Self {
        Self { transport: Transport::Embedded(Embedded::new(engine)) }
    }
}

#[cfg(feature = "client")]
impl From<Client> for Ninja {
    fn from(client: Client) -> Self {
        Self { transport: Transport::Remote(client) }
    }
}

/// Every verb fails with [`SdkError::Api`] when the engine refuses, otherwise with what went wrong on the way.
impl Ninja {
    /// Hands a task in. It is stored when this returns.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn submit_task(&self, request: &SubmitTask) -> Result<Task, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.submit_task(request).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.submit_task(request).await,
        }
    }

    /// Returns a page of the caller's tasks, newest first.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn list_tasks(&self, query: &ListTasks) -> Result<Page<TaskSummary>, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.list_tasks(query).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.list_tasks(query).await,
        }
    }

    /// Returns a task as it stands.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn task(&self, id: TaskId) -> Result<Task, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.task(id).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.task(id).await,
        }
    }

    /// Cancels a task and returns it with the receipt of what was stopped.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn cancel_task(&self, id: TaskId) -> Result<Task, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.cancel_task(id).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.cancel_task(id).await,
        }
    }

    /// Answers an open question of a task.
    ///
    /// # Errors
    ///
    /// As every verb, see above; a conflict when it was answered before.
    pub async fn decide_approval(&self, task: TaskId, id: ApprovalId, decision: &Decision) -> Result<Task, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.decide_approval(task, id, decision).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.decide_approval(task, id, decision).await,
        }
    }

    /// Uploads a file, streaming it, so that a task may name it.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn upload_file(&self, name: &str, content: Content) -> Result<File, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.upload_file(name, content).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.upload_file(name, content).await,
        }
    }

    /// Opens a file that a task made.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn artifact(&self, task: TaskId, path: &str) -> Result<Download, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.artifact(task, path).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.artifact(task, path).await,
        }
    }

    /// Asks for a backup of everything, as of one moment. For administrators.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn backup(&self) -> Result<Backup, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.backup().await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.backup().await,
        }
    }

    /// Follows a task from the event after `after`, or from its first, until it has ended.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn events(&self, task: TaskId, after: Option<u64>) -> Result<EventStream, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.events(task, after).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.events(task, after).await,
        }
    }

    /// Follows what happens to all of the caller's tasks, after the entry `after` or from its start.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn feed(&self, after: Option<u64>) -> Result<EventStream, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.feed(after).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.feed(after).await,
        }
    }

    /// Asks how the engine is.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn health(&self) -> Result<Health, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.health().await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.health().await,
        }
    }

    /// Ends the connection. An engine in this process parks its tasks and releases its data directory; a daemon goes on.
    pub async fn close(self) {
        match self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(_) => {}
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.stop().await,
        }
    }
}
