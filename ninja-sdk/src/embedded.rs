//! The transport without a wire: an engine in this process, asked as its local owner.

mod accounts;
mod audit;

use futures::StreamExt;
use ninja_core::{
    Engine,
    api::{
        Agent, AgentCapabilities, ApiError, ApprovalId, ApprovalSummary, Budget, BudgetReport, Decision, ErrorCode,
        File, FileId, FileUpload, FileUploadResult, Forecast, ForkTask, Health, KeysRotated, ListFiles, MasterKeys,
        Page, Principal, ProviderInfo, ProviderSettings, ProviderTest, ReplayReport, RotateKeys, Stats, StreamFrame,
        SubmitTask, SummaryQuery, SupervisionTree, Task, TaskDiff, TaskId, TaskSummary, TasksSummary, TemplateInfo,
        UsageQuery, UsageReport,
    },
    journal::feed::{Follow, Frame},
};
use tokio_util::io::ReaderStream;

use crate::{Backup, Content, Download, EventStream, ListApprovals, ListTasks, SdkError, Signal};

/// An engine and who asks it. The verbs are those of [`Ninja`](crate::Ninja).
#[derive(Clone)]
pub(crate) struct Embedded {
    engine: Engine,
    owner: Principal,
}

impl Embedded {
    pub(crate) fn new(engine: Engine) -> Self {
        let owner = engine.local_owner();
        Self { engine, owner }
    }

    pub(crate) async fn submit_task(&self, request: &SubmitTask) -> Result<Task, SdkError> {
        Ok(self.engine.submit_task(&self.owner, request.clone()).await?)
    }

    pub(crate) async fn list_tasks(&self, query: &ListTasks) -> Result<Page<TaskSummary>, SdkError> {
        Ok(self.engine.list_tasks(&self.owner, query.clone()).await?)
    }

    pub(crate) async fn list_approvals(&self, query: &ListApprovals) -> Result<Page<ApprovalSummary>, SdkError> {
        Ok(self.engine.list_approvals(&self.owner, query.clone()).await?)
    }

    pub(crate) async fn tasks_summary(&self, query: &SummaryQuery) -> Result<TasksSummary, SdkError> {
        Ok(self.engine.tasks_summary(&self.owner, *query).await?)
    }

    pub(crate) async fn delete_task(&self, id: TaskId) -> Result<(), SdkError> {
        Ok(self.engine.delete_task(&self.owner, id).await?)
    }

    pub(crate) async fn task(&self, id: TaskId) -> Result<Task, SdkError> {
        Ok(self.engine.task(&self.owner, id).await?)
    }

    pub(crate) async fn cancel_task(&self, id: TaskId) -> Result<Task, SdkError> {
        Ok(self.engine.cancel_task(&self.owner, id).await?)
    }

    pub(crate) async fn pause_task(&self, id: TaskId) -> Result<Task, SdkError> {
        Ok(self.engine.pause_task(&self.owner, id).await?)
    }

    pub(crate) async fn resume_task(&self, id: TaskId) -> Result<Task, SdkError> {
        Ok(self.engine.resume_task(&self.owner, id).await?)
    }

    pub(crate) async fn retry_task(&self, id: TaskId) -> Result<Task, SdkError> {
        Ok(self.engine.retry_task(&self.owner, id).await?)
    }

    pub(crate) async fn usage(&self, query: &UsageQuery) -> Result<UsageReport, SdkError> {
        Ok(self.engine.usage(&self.owner, *query).await?)
    }

    pub(crate) async fn forecast(&self, request: &SubmitTask) -> Result<Forecast, SdkError> {
        Ok(self.engine.forecast(&self.owner, request.clone()).await?)
    }

    pub(crate) fn budgets(&self) -> BudgetReport {
        self.engine.budgets(&self.owner)
    }

    pub(crate) async fn change_budget(&self, id: TaskId, budget: &Budget) -> Result<Task, SdkError> {
        Ok(self.engine.change_budget(&self.owner, id, *budget).await?)
    }

    pub(crate) async fn fork_task(&self, id: TaskId, request: &ForkTask) -> Result<Task, SdkError> {
        Ok(self.engine.fork_task(&self.owner, id, request.clone()).await?)
    }

    pub(crate) async fn replay_task(&self, id: TaskId) -> Result<ReplayReport, SdkError> {
        Ok(self.engine.replay_task(&self.owner, id).await?)
    }

    pub(crate) async fn diff_tasks(&self, a: TaskId, b: TaskId) -> Result<TaskDiff, SdkError> {
        Ok(self.engine.diff_tasks(&self.owner, a, b).await?)
    }

    pub(crate) fn templates(&self) -> Vec<TemplateInfo> {
        self.engine.templates(&self.owner)
    }

    pub(crate) fn agents(&self) -> Vec<Agent> {
        self.engine.agents(&self.owner)
    }

    pub(crate) fn agent(&self, name: &str) -> Result<Agent, SdkError> {
        Ok(self.engine.agent(&self.owner, name)?)
    }

    pub(crate) fn agent_capabilities(&self, name: &str) -> Result<AgentCapabilities, SdkError> {
        Ok(self.engine.agent_capabilities(&self.owner, name)?)
    }

    pub(crate) async fn decide_approval(
        &self,
        task: TaskId,
        id: ApprovalId,
        decision: &Decision,
    ) -> Result<Task, SdkError> {
        Ok(self.engine.decide_approval(&self.owner, task, id, decision.clone()).await?)
    }

    pub(crate) async fn upload_file(&self, name: &str, content: Content) -> Result<File, SdkError> {
        Ok(self.engine.upload_file(&self.owner, name, content.stream).await?)
    }

    pub(crate) async fn upload_files(&self, files: Vec<(String, Content)>) -> Result<Vec<FileUpload>, SdkError> {
        let mut uploads = Vec::new();
        for (name, content) in files {
            let result = match self.engine.upload_file(&self.owner, &name, content.stream).await {
                Ok(file) => FileUploadResult::Stored(file),
                Err(error) => FileUploadResult::Refused(error),
            };
            uploads.push(FileUpload { name, result });
        }
        Ok(uploads)
    }

    pub(crate) async fn list_files(&self, query: &ListFiles) -> Result<Page<File>, SdkError> {
        Ok(self.engine.list_files(&self.owner, query.clone()).await?)
    }

    pub(crate) async fn file(&self, id: FileId) -> Result<File, SdkError> {
        Ok(self.engine.file(&self.owner, &id.to_string()).await?)
    }

    pub(crate) async fn download_file(&self, file: &File) -> Result<Download, SdkError> {
        let (file, content) = self.engine.open_file(&self.owner, file.owner, &file.filename).await?;
        let stream = ReaderStream::new(tokio::fs::File::from_std(content)).boxed();
        Ok(Download { bytes: file.bytes, sha256: file.sha256, stream })
    }

    pub(crate) async fn delete_file(&self, id: FileId) -> Result<(), SdkError> {
        Ok(self.engine.delete_file(&self.owner, &id.to_string()).await?)
    }

    pub(crate) async fn artifact(&self, task: TaskId, path: &str) -> Result<Download, SdkError> {
        let (artifact, file) = self.engine.artifact(&self.owner, task, path).await?;
        let stream = ReaderStream::new(tokio::fs::File::from_std(file)).boxed();
        Ok(Download { bytes: artifact.bytes, sha256: artifact.sha256, stream })
    }

    pub(crate) async fn backup(&self) -> Result<Backup, SdkError> {
        Ok(Backup { stream: self.engine.backup(&self.owner).await? })
    }

    pub(crate) async fn providers(&self) -> Result<Vec<ProviderInfo>, SdkError> {
        Ok(self.engine.providers(&self.owner).await?)
    }

    pub(crate) async fn put_provider(&self, settings: &ProviderSettings) -> Result<ProviderInfo, SdkError> {
        Ok(self.engine.put_provider(&self.owner, settings.clone()).await?)
    }

    pub(crate) async fn remove_provider(&self, name: &str) -> Result<(), SdkError> {
        Ok(self.engine.remove_provider(&self.owner, name).await?)
    }

    pub(crate) async fn test_provider(&self, name: &str) -> Result<ProviderTest, SdkError> {
        Ok(self.engine.test_provider(&self.owner, name).await?)
    }

    pub(crate) async fn master_keys(&self) -> Result<MasterKeys, SdkError> {
        Ok(self.engine.master_keys(&self.owner).await?)
    }

    pub(crate) async fn rotate_keys(&self, request: &RotateKeys) -> Result<KeysRotated, SdkError> {
        Ok(self.engine.rotate_keys(&self.owner, *request).await?)
    }

    pub(crate) fn supervision(&self) -> Result<SupervisionTree, SdkError> {
        Ok(self.engine.supervision(&self.owner)?)
    }

    pub(crate) async fn stats(&self) -> Result<Stats, SdkError> {
        Ok(self.engine.stats(&self.owner).await?)
    }

    pub(crate) async fn events(&self, task: TaskId, after: Option<u64>) -> Result<EventStream, SdkError> {
        Ok(stream(self.engine.task_events(&self.owner, task, after).await?))
    }

    pub(crate) async fn feed(&self, after: Option<u64>) -> Result<EventStream, SdkError> {
        Ok(stream(self.engine.feed(&self.owner, after).await?))
    }

    pub(crate) async fn health(&self) -> Result<Health, SdkError> {
        Ok(self.engine.health(Some(&self.owner)).await)
    }

    pub(crate) async fn stop(&self) {
        self.engine.stop().await;
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// The engine serialises a frame once for all its readers; here it is read back.
fn stream(follow: Follow) -> EventStream {
    EventStream::new(futures::stream::unfold(Some(follow), |follow| async move {
        let mut follow = follow?;
        match follow.next().await {
            Ok(None) => None,
            Ok(Some(frame)) => Some((read(&frame), Some(follow))),
            Err(error) => Some((Err(ApiError::new(error.code(), error.to_string()).into()), None)),
        }
    }))
}

fn read(frame: &Frame) -> Result<Signal, SdkError> {
    match serde_json::from_str(&frame.json) {
        Ok(StreamFrame::Error { error }) => Err(error.into()),
        Ok(read) => Ok(Signal::Frame(read)),
        Err(error) => Err(ApiError::new(ErrorCode::Internal, error.to_string()).into()),
    }
}
