//! The remote transport: a daemon over HTTP for verbs and WebSocket for events, on TCP or on its Unix socket.
//!
//! `http.rs` sends requests and reads answers and problems, `events.rs` follows a subscription across lost
//! connections, `builder.rs` sets both up. Nothing here knows the engine.

mod accounts;
mod audit;
mod builder;
mod events;
mod http;

use std::sync::Arc;

use ninja_core::api::{
    Agent, AgentCapabilities, ApprovalId, ApprovalSummary, BlobHash, Budget, BudgetReport, Decision, File, FileId,
    FileUpload, Forecast, ForkTask, Health, KeysRotated, ListFiles, MasterKeys, Page, ProviderInfo, ProviderSettings,
    ProviderTest, ReplayReport, RotateKeys, Stats, SubmitTask, SummaryQuery, SupervisionTree, Task, TaskDiff, TaskId,
    TaskSummary, TasksSummary, TemplateInfo, UsageQuery, UsageReport,
};
use reqwest::{
    Method,
    header::{CONTENT_LENGTH, ETAG},
    multipart,
};

pub use builder::ClientBuilder;

use crate::{Backup, Content, Download, EventStream, ListApprovals, ListTasks, SdkError};
use events::{Follow, Topic};
use http::Http;

/// Where providers are set.
const AI_PROVIDERS: [&str; 3] = ["admin", "settings", "ai-providers"];

/// A daemon, seen from a program. Cheap to clone; one connection pool behind it.
#[derive(Debug, Clone)]
pub struct Client {
    http: Arc<Http>,
}

impl Client {
    /// Begins to set a client up.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Returns the URL or socket that this client speaks to, for messages to people.
    pub fn daemon(&self) -> &str {
        &self.http.daemon
    }

    /// Hands a task in. It is stored when this returns. Where the answer is lost on its way, it is asked for again, and there
    /// is one task.
    ///
    /// # Errors
    ///
    /// As every verb: [`SdkError::Api`] when the engine refuses, otherwise what went wrong on the way.
    pub async fn submit_task(&self, request: &SubmitTask) -> Result<Task, SdkError> {
        self.http.once(self.http.api(Method::POST, ["tasks"])?.json(request)).await
    }

    /// Returns a page of the caller's tasks, newest first.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn list_tasks(&self, query: &ListTasks) -> Result<Page<TaskSummary>, SdkError> {
        self.http.answer(self.http.api(Method::GET, ["tasks"])?.query(query)).await
    }

    /// Returns a page of the open questions of the caller's tasks, newest first.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn list_approvals(&self, query: &ListApprovals) -> Result<Page<ApprovalSummary>, SdkError> {
        self.http.answer(self.http.api(Method::GET, ["approvals"])?.query(query)).await
    }

    /// Returns the caller's tasks in numbers.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn tasks_summary(&self, query: &SummaryQuery) -> Result<TasksSummary, SdkError> {
        self.http.answer(self.http.api(Method::GET, ["tasks", "stats", "summary"])?.query(query)).await
    }

    /// Deletes a task that has ended.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; a conflict when it has not ended.
    pub async fn delete_task(&self, id: TaskId) -> Result<(), SdkError> {
        self.http.done(self.http.api(Method::DELETE, ["tasks", &id.to_string()])?).await
    }

    /// Returns a task as it stands.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn task(&self, id: TaskId) -> Result<Task, SdkError> {
        self.http.answer(self.http.api(Method::GET, ["tasks", &id.to_string()])?).await
    }

    /// Cancels a task and returns it with the receipt of what was stopped.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn cancel_task(&self, id: TaskId) -> Result<Task, SdkError> {
        self.http.answer(self.http.api(Method::POST, ["tasks", &id.to_string(), "cancel"])?).await
    }

    /// Pauses a task: what runs ends, nothing new begins until it is resumed.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn pause_task(&self, id: TaskId) -> Result<Task, SdkError> {
        self.http.answer(self.http.api(Method::POST, ["tasks", &id.to_string(), "pause"])?).await
    }

    /// Returns what the caller's tasks used.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `invalid_request` where the time ends before it begins.
    pub async fn usage(&self, query: &UsageQuery) -> Result<UsageReport, SdkError> {
        self.http.answer(self.http.api(Method::GET, ["usage"])?.query(query)).await
    }

    /// Says what a task may come to. Nothing is begun, and no model is asked.
    ///
    /// # Errors
    ///
    /// Those of [`Client::submit_task`].
    pub async fn forecast(&self, request: &SubmitTask) -> Result<Forecast, SdkError> {
        self.http.answer(self.http.api(Method::POST, ["tasks", "forecast"])?.json(request)).await
    }

    /// Returns how the limits stand that the caller's tasks share.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn budgets(&self) -> Result<BudgetReport, SdkError> {
        self.http.answer(self.http.api(Method::GET, ["budgets"])?).await
    }

    /// Changes the limits of a task that are given; one that waits for more goes on where it is enough now.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `conflict` where the task has ended, or has these limits already.
    pub async fn change_budget(&self, id: TaskId, budget: &Budget) -> Result<Task, SdkError> {
        self.http.answer(self.http.api(Method::POST, ["tasks", &id.to_string(), "budget"])?.json(budget)).await
    }

    /// Lets a paused task go on.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn resume_task(&self, id: TaskId) -> Result<Task, SdkError> {
        self.http.answer(self.http.api(Method::POST, ["tasks", &id.to_string(), "resume"])?).await
    }

    /// Takes up a task that failed or was cancelled: what succeeded stays, the rest is done again.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn retry_task(&self, id: TaskId) -> Result<Task, SdkError> {
        self.http.answer(self.http.api(Method::POST, ["tasks", &id.to_string(), "retry"])?).await
    }

    /// Makes a new task that begins with what another one did. Where the answer is lost on its way, it is asked for again, and
    /// there is one new task.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn fork_task(&self, id: TaskId, request: &ForkTask) -> Result<Task, SdkError> {
        self.http.once(self.http.api(Method::POST, ["tasks", &id.to_string(), "fork"])?.json(request)).await
    }

    /// Has a task decided once more from its log and compared. Calls no model.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn replay_task(&self, id: TaskId) -> Result<ReplayReport, SdkError> {
        self.http.answer(self.http.api(Method::GET, ["tasks", &id.to_string(), "replay"])?).await
    }

    /// Returns the first thing that two tasks did differently.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn diff_tasks(&self, a: TaskId, b: TaskId) -> Result<TaskDiff, SdkError> {
        let (a, b) = (a.to_string(), b.to_string());
        self.http.answer(self.http.api(Method::GET, ["tasks", &a, "diff", &b])?).await
    }

    /// Lists the templates, by name.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn templates(&self) -> Result<Vec<TemplateInfo>, SdkError> {
        let page: Page<TemplateInfo> = self.http.answer(self.http.api(Method::GET, ["tasks", "templates"])?).await?;
        Ok(page.items)
    }

    /// Lists the agents, by name.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn agents(&self) -> Result<Vec<Agent>, SdkError> {
        let page: Page<Agent> = self.http.answer(self.http.api(Method::GET, ["agents"])?).await?;
        Ok(page.items)
    }

    /// Returns an agent.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn agent(&self, name: &str) -> Result<Agent, SdkError> {
        self.http.answer(self.http.api(Method::GET, ["agents", name])?).await
    }

    /// Returns what an agent may do.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn agent_capabilities(&self, name: &str) -> Result<AgentCapabilities, SdkError> {
        self.http.answer(self.http.api(Method::GET, ["agents", name, "capabilities"])?).await
    }

    /// Answers an open question of a task.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; [`Conflict`](ninja_core::api::ErrorCode::Conflict) when it was answered before.
    pub async fn decide_approval(&self, task: TaskId, id: ApprovalId, decision: &Decision) -> Result<Task, SdkError> {
        let (task, id) = (task.to_string(), id.to_string());
        self.http.answer(self.http.api(Method::POST, ["tasks", &task, "approvals", &id])?.json(decision)).await
    }

    /// Uploads a file, streaming it, so that a task may name it.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; [`TooLarge`](ninja_core::api::ErrorCode::TooLarge) beyond the daemon's limit.
    pub async fn upload_file(&self, name: &str, content: Content) -> Result<File, SdkError> {
        let form = multipart::Form::new().part("file", part(name, content));
        let response = self.http.send(self.http.api(Method::POST, ["files", "upload"])?.multipart(form)).await?;
        self.http.read(response).await
    }

    /// Uploads several files, at most [`FILES_AT_ONCE_MAX`](ninja_core::api::FILES_AT_ONCE_MAX), and returns what became of each.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]. A file that is refused is no error.
    pub async fn upload_files(&self, files: Vec<(String, Content)>) -> Result<Vec<FileUpload>, SdkError> {
        let form = files
            .into_iter()
            .fold(multipart::Form::new(), |form, (name, content)| form.part("files", part(&name, content)));
        let request = self.http.api(Method::POST, ["files", "upload-multiple"])?.multipart(form);
        let page: Page<FileUpload> = self.http.read(self.http.send(request).await?).await?;
        Ok(page.items)
    }

    /// Lists the caller's files, newest first.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn list_files(&self, query: &ListFiles) -> Result<Page<File>, SdkError> {
        self.http.answer(self.http.api(Method::GET, ["files"])?.query(query)).await
    }

    /// Returns what is known of a file.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn file(&self, id: FileId) -> Result<File, SdkError> {
        self.http.answer(self.http.api(Method::GET, ["files", "info", &id.to_string()])?).await
    }

    /// Opens an uploaded file.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn download_file(&self, file: &File) -> Result<Download, SdkError> {
        self.download(["files", "download", &file.owner.to_string(), &file.filename]).await
    }

    /// Deletes a file. Tasks that were given it keep what is in it.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn delete_file(&self, id: FileId) -> Result<(), SdkError> {
        self.http.done(self.http.api(Method::DELETE, ["files", &id.to_string()])?).await
    }

    /// Opens a file that a task made.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn artifact(&self, task: TaskId, path: &str) -> Result<Download, SdkError> {
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(SdkError::Setup { detail: format!("{path:?} is not a path inside a workspace") });
        }
        let task = task.to_string();
        let segments = ["tasks", &task, "artifacts"].into_iter().chain(path.split('/'));
        self.download(segments).await
    }

    async fn download<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Result<Download, SdkError> {
        let response = self.http.send(self.http.api(Method::GET, segments)?).await?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let bytes = header(CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let sha256 = header(ETAG).and_then(|tag| tag.trim_matches('"').parse::<BlobHash>().ok());
        let (Some(bytes), Some(sha256)) = (bytes, sha256) else {
            return Err(self.http.protocol("a file comes with its size and the hash of its content"));
        };
        Ok(Download { bytes, sha256, stream: http::body(response) })
    }

    /// Asks for a backup of everything, as of one moment.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; [`Forbidden`](ninja_core::api::ErrorCode::Forbidden) where the key is no administrator's.
    pub async fn backup(&self) -> Result<Backup, SdkError> {
        let response = self.http.send(self.http.api(Method::GET, ["backup"])?).await?;
        Ok(Backup { stream: http::body(response) })
    }

    /// Lists the providers in the order of choice; never a key.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn providers(&self) -> Result<Vec<ProviderInfo>, SdkError> {
        let page: Page<ProviderInfo> = self.http.answer(self.http.api(Method::GET, AI_PROVIDERS)?).await?;
        Ok(page.items)
    }

    /// Keeps settings of a provider, in place of those of that name. A key that is left out stays as it is.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `invalid_request` where they make no provider.
    pub async fn put_provider(&self, settings: &ProviderSettings) -> Result<ProviderInfo, SdkError> {
        // Settings never write their key by themselves.
        let mut body = serde_json::to_value(settings).map_err(|error| self.http.protocol(error.to_string()))?;
        if let (Some(fields), Some(key)) = (body.as_object_mut(), &settings.api_key) {
            fields.insert("api_key".to_owned(), key.expose().into());
        }
        self.http.answer(self.http.api(Method::POST, AI_PROVIDERS)?.json(&body)).await
    }

    /// Forgets the settings of a provider.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn remove_provider(&self, name: &str) -> Result<(), SdkError> {
        let request = self.http.api(Method::DELETE, AI_PROVIDERS.into_iter().chain([name]))?;
        self.http.done(request).await
    }

    /// Asks a provider whether it could answer now.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn test_provider(&self, name: &str) -> Result<ProviderTest, SdkError> {
        let request = self.http.api(Method::POST, AI_PROVIDERS.into_iter().chain([name, "test"]))?;
        self.http.answer(request).await
    }

    /// Says where the keys come from under which secrets are sealed.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn master_keys(&self) -> Result<MasterKeys, SdkError> {
        self.http.answer(self.http.api(Method::GET, ["admin", "keys"])?).await
    }

    /// Seals every stored secret anew, under a new master key.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; a conflict where the key is not the daemon's to change.
    pub async fn rotate_keys(&self, request: &RotateKeys) -> Result<KeysRotated, SdkError> {
        self.http.answer(self.http.api(Method::POST, ["admin", "keys", "rotate"])?.json(request)).await
    }

    /// Returns who is at work in the engine, under whom, and how it goes.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `forbidden` for whoever is no administrator.
    pub async fn supervision(&self) -> Result<SupervisionTree, SdkError> {
        self.http.answer(self.http.api(Method::GET, ["system", "supervision"])?).await
    }

    /// Returns the installation in numbers.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `forbidden` for whoever is no administrator.
    pub async fn stats(&self) -> Result<Stats, SdkError> {
        self.http.answer(self.http.api(Method::GET, ["admin", "stats"])?).await
    }

    /// Follows a task from the event after `after`, or from its first, until it has ended.
    /// The first connection is made here; later ones are made by the stream itself.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn events(&self, task: TaskId, after: Option<u64>) -> Result<EventStream, SdkError> {
        Follow::start(self.http.clone(), Topic::Task(task), after.unwrap_or(0)).await
    }

    /// Follows what happens to all of the caller's tasks, after the entry `after` or from its start.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn feed(&self, after: Option<u64>) -> Result<EventStream, SdkError> {
        Follow::start(self.http.clone(), Topic::Feed, after.unwrap_or(0)).await
    }

    /// Asks how the daemon is.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn health(&self) -> Result<Health, SdkError> {
        self.http.health().await
    }
}

/// Makes the part of a form that holds a file.
fn part(name: &str, content: Content) -> multipart::Part {
    let body = reqwest::Body::wrap_stream(content.stream);
    let part = match content.length {
        Some(length) => multipart::Part::stream_with_length(body, length),
        None => multipart::Part::stream(body),
    };
    part.file_name(name.to_owned())
}
