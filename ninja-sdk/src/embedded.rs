//! The transport without a wire: an engine in this process, asked as its local owner.

use futures::StreamExt;
use ninja_core::{
    Engine,
    api::{
        Agent, AgentCapabilities, ApiError, ApprovalId, AuditCheckpoint, AuditEntry, AuditFilter, AuditFormat,
        AuditVerified, Budget, BudgetReport, Decision, ErrorCode, File, Forecast, ForkTask, Health, KeysRotated,
        MasterKeys, Page, Principal, ProviderInfo, ProviderSettings, ReplayReport, RotateKeys, SubmitTask, Task,
        TaskDiff, TaskId, TaskSummary, TemplateInfo, UsageQuery, UsageReport,
    },
    journal::feed::{Follow, Frame},
};
use tokio_util::io::ReaderStream;

use crate::{AuditExport, Backup, Content, Download, EventStream, ListAudit, ListTasks, SdkError, Signal};

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
        let ListTasks { status, cursor, limit } = query.clone();
        let query = ninja_core::ListTasks { status, cursor, limit: limit.unwrap_or_default() };
        Ok(self.engine.list_tasks(&self.owner, query).await?)
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

    pub(crate) async fn master_keys(&self) -> Result<MasterKeys, SdkError> {
        Ok(self.engine.master_keys(&self.owner).await?)
    }

    pub(crate) async fn rotate_keys(&self, request: &RotateKeys) -> Result<KeysRotated, SdkError> {
        Ok(self.engine.rotate_keys(&self.owner, *request).await?)
    }

    pub(crate) async fn list_audit(&self, query: &ListAudit) -> Result<Page<AuditEntry>, SdkError> {
        let ListAudit { filter, cursor, limit } = query.clone();
        let query = ninja_core::ListAudit { filter, cursor, limit: limit.unwrap_or_default() };
        Ok(self.engine.list_audit(&self.owner, query).await?)
    }

    pub(crate) async fn export_audit(
        &self,
        filter: &AuditFilter,
        format: AuditFormat,
    ) -> Result<AuditExport, SdkError> {
        Ok(AuditExport { stream: self.engine.export_audit(&self.owner, filter.clone(), format).await? })
    }

    pub(crate) async fn verify_audit(&self, checkpoint: Option<&AuditCheckpoint>) -> Result<AuditVerified, SdkError> {
        Ok(self.engine.verify_audit(&self.owner, checkpoint.cloned()).await?)
    }

    pub(crate) async fn checkpoint_audit(&self) -> Result<AuditCheckpoint, SdkError> {
        Ok(self.engine.checkpoint_audit(&self.owner).await?)
    }

    pub(crate) async fn events(&self, task: TaskId, after: Option<u64>) -> Result<EventStream, SdkError> {
        Ok(stream(self.engine.task_events(&self.owner, task, after).await?))
    }

    pub(crate) async fn feed(&self, after: Option<u64>) -> Result<EventStream, SdkError> {
        Ok(stream(self.engine.feed(&self.owner, after).await?))
    }

    pub(crate) async fn health(&self) -> Result<Health, SdkError> {
        Ok(self.engine.health().await)
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
    let read = serde_json::from_str(&frame.json).map(Signal::Frame);
    read.map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()).into())
}
