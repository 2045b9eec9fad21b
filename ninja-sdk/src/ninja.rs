//! [`Ninja`]: the one type an application holds, whichever transport is behind it.

mod accounts;
mod audit;
mod many;
mod operating;

use ninja_core::api::{
    Agent, AgentCapabilities, ApprovalId, Budget, BudgetReport, Decision, File, FileId, FileUpload, Forecast, ForkTask,
    Health, ListFiles, Page, ReplayReport, SubmitTask, Task, TaskDiff, TaskId, TaskSummary, TemplateInfo, UsageQuery,
    UsageReport,
};

#[cfg(feature = "embedded")]
use ninja_core::{Engine, EngineOptions};

#[cfg(feature = "client")]
use crate::Client;
#[cfg(feature = "embedded")]
use crate::embedded::Embedded;
use crate::{Content, Download, EventStream, ListTasks, SdkError};

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

    /// Pauses a task: what runs ends, nothing new begins until it is resumed.
    ///
    /// # Errors
    ///
    /// As every verb, see above; a conflict when it has ended or is paused already.
    pub async fn pause_task(&self, id: TaskId) -> Result<Task, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.pause_task(id).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.pause_task(id).await,
        }
    }

    /// Returns what the caller's tasks used.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `invalid_request` where the time ends before it begins.
    pub async fn usage(&self, query: &UsageQuery) -> Result<UsageReport, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.usage(query).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.usage(query).await,
        }
    }

    /// Says what a task may come to. Nothing is begun, and no model is asked.
    ///
    /// # Errors
    ///
    /// Those of [`Ninja::submit_task`].
    pub async fn forecast(&self, request: &SubmitTask) -> Result<Forecast, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.forecast(request).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.forecast(request).await,
        }
    }

    /// Returns how the limits stand that the caller's tasks share.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn budgets(&self) -> Result<BudgetReport, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.budgets().await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => Ok(embedded.budgets()),
        }
    }

    /// Changes the limits of a task that are given; one that waits for more goes on where it is enough now.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `conflict` where the task has ended, or has these limits already.
    pub async fn change_budget(&self, id: TaskId, budget: &Budget) -> Result<Task, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.change_budget(id, budget).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.change_budget(id, budget).await,
        }
    }

    /// Lets a paused task go on.
    ///
    /// # Errors
    ///
    /// As every verb, see above; a conflict when it is not paused.
    pub async fn resume_task(&self, id: TaskId) -> Result<Task, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.resume_task(id).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.resume_task(id).await,
        }
    }

    /// Takes up a task that failed or was cancelled: what succeeded stays, the rest is done again.
    ///
    /// # Errors
    ///
    /// As every verb, see above; a conflict when it did neither.
    pub async fn retry_task(&self, id: TaskId) -> Result<Task, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.retry_task(id).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.retry_task(id).await,
        }
    }

    /// Makes a new task that begins with what another one did and goes on from there by itself.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn fork_task(&self, id: TaskId, request: &ForkTask) -> Result<Task, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.fork_task(id, request).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.fork_task(id, request).await,
        }
    }

    /// Has a task decided once more from its log and compared with what was done. Calls no model.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn replay_task(&self, id: TaskId) -> Result<ReplayReport, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.replay_task(id).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.replay_task(id).await,
        }
    }

    /// Returns the first thing that two tasks did differently.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn diff_tasks(&self, a: TaskId, b: TaskId) -> Result<TaskDiff, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.diff_tasks(a, b).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.diff_tasks(a, b).await,
        }
    }

    /// Lists the templates, by name.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn templates(&self) -> Result<Vec<TemplateInfo>, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.templates().await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => Ok(embedded.templates()),
        }
    }

    /// Lists the agents, by name.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn agents(&self) -> Result<Vec<Agent>, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.agents().await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => Ok(embedded.agents()),
        }
    }

    /// Returns an agent.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn agent(&self, name: &str) -> Result<Agent, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.agent(name).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.agent(name),
        }
    }

    /// Returns what an agent may do: its tools with their effects, and whom it may hand work to.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn agent_capabilities(&self, name: &str) -> Result<AgentCapabilities, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.agent_capabilities(name).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.agent_capabilities(name),
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

    /// Uploads several files, each stored whole or not at all, and returns what became of each. A file that is refused is no error.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn upload_files(&self, files: Vec<(String, Content)>) -> Result<Vec<FileUpload>, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.upload_files(files).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.upload_files(files).await,
        }
    }

    /// Lists the caller's files, newest first.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn list_files(&self, query: &ListFiles) -> Result<Page<File>, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.list_files(query).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.list_files(query).await,
        }
    }

    /// Returns what is known of a file.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn file(&self, id: FileId) -> Result<File, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.file(id).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.file(id).await,
        }
    }

    /// Opens an uploaded file.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn download_file(&self, file: &File) -> Result<Download, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.download_file(file).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.download_file(file).await,
        }
    }

    /// Deletes a file. Tasks that were given it keep what is in it.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn delete_file(&self, id: FileId) -> Result<(), SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.delete_file(id).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.delete_file(id).await,
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
