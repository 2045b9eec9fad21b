//! The engine: start, stop, one method per verb.
//!
//! Every verb takes the [`Principal`] that asks; the policy lives here and nowhere else. A verb that changes a task
//! returns only after its record is synced.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    actors::{ActorTree, Services, TaskMsg, note_uses},
    api::{
        Agent, ApiError, ApprovalId, AuditAction, Decision, ErrorCode, Principal, Task, TaskId, TaskStatus, Timestamp,
        UserId,
    },
    audit::Audit,
    clock::{Clock, SystemClock},
    config::Config,
    journal::{
        feed::Follow,
        store::{Store, StoreError},
    },
    machine::{Refusal, TaskHead, TaskState},
    planner::Template,
    providers::Providers,
    sandbox::Sandbox,
    telemetry::Telemetry,
    testing::Failpoints,
    tools::Tool,
    vault::Vault,
};

mod accounts;
mod at;
mod audit_logs;
mod catalog;
mod delete;
mod diff;
mod files;
mod fork;
mod health;
mod idempotency;
mod keys;
mod list;
pub mod maintenance;
mod observed;
mod open_tasks;
mod owner;
mod pins;
mod questions;
mod quotas;
mod references;
mod replay;
mod start;
mod stats;
mod steer;
mod stored_form;
mod stored_providers;
mod submit;
mod summary;
mod supervision;
mod usage;

pub use crate::actors::ResumePolicy;
pub use accounts::OpenConnection;
pub use at::TaskAt;
pub use owner::key_file;
pub use start::StartError;

/// How long a cancelling caller waits for the end: a little more than the two seconds within which it must come.
const CANCEL_WAIT: Duration = Duration::from_millis(2_500);
/// How long a person's answer may take to be journaled.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How often a message is sent that an actor's failure may swallow.
const SENDS_MAX: u32 = 4;
/// The wait before it is sent again, times the sends so far: an actor is started again within tens of milliseconds, and a
/// message sent at once would meet the same dead one.
const RESEND_WAIT: Duration = Duration::from_millis(50);

/// What an engine is started with.
pub struct EngineOptions {
    /// Where everything is kept. One engine at a time.
    pub data_dir: PathBuf,
    /// Where local models are.
    pub models_dir: PathBuf,
    /// Settings.
    pub config: Config,
    /// The variables that vendors' own settings are read from, such as `OPENAI_API_KEY`.
    pub env: BTreeMap<String, String>,
    /// Which unfinished tasks are taken up.
    pub resume: ResumePolicy,
    /// Tools beside the built-in ones.
    pub tools: Vec<Arc<dyn Tool>>,
    /// Providers instead of the configured ones.
    pub providers: Option<Providers>,
    /// Isolation instead of what is found.
    pub sandbox: Option<Arc<dyn Sandbox>>,
    /// Time and ids.
    pub clock: Arc<dyn Clock>,
    /// Where numbers and spans go; nowhere by itself.
    pub telemetry: Telemetry,
    /// Where tests make actors fail.
    pub failpoints: Failpoints,
}

impl EngineOptions {
    /// Makes options with the defaults for everything but the place.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            models_dir: data_dir.join("models"),
            data_dir,
            config: Config::default(),
            env: BTreeMap::new(),
            resume: ResumePolicy::All,
            tools: Vec::new(),
            providers: None,
            sandbox: None,
            clock: Arc::new(SystemClock),
            telemetry: Telemetry::default(),
            failpoints: Failpoints::default(),
        }
    }
}

/// A running engine. Cheap to clone; every clone is the same engine.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    services: Arc<Services>,
    tree: ActorTree,
    owner: UserId,
    config: Config,
    agents: BTreeMap<String, Agent>,
    templates: BTreeMap<String, Template>,
    submissions: Semaphore,
    pins: pins::PinSets,
    vault: Vault,
    keys: idempotency::Keys,
    audit: audit_logs::AuditLog,
    /// Held by whoever changes what is stored of providers, from what is read to what is taken up.
    stored_settings: tokio::sync::Mutex<()>,
    rooms: files::Rooms,
    findings: health::Findings,
    measures: stats::Measures,
    open_tasks: open_tasks::OpenTaskCount,
    started_at: Timestamp,
    started: Instant,
    /// Cancelled when the engine is told to stop.
    stopping: CancellationToken,
}

impl Engine {
    /// Stops: what is in flight ends and is taken up at the next start; the directory is released.
    pub async fn stop(&self) {
        self.0.stopping.cancel();
        self.0.keys.stop();
        self.0.tree.stop().await;
        if let Err(error) = note_uses(Arc::clone(&self.0.services)).await {
            tracing::warn!(%error, "failed to note when API keys were last used");
        }
        self.note_left_out().await;
        self.0.services.lives.settle();
        if let Err(error) = self.0.services.store.close().await {
            tracing::error!(%error, "failed to close the store");
        }
    }

    /// Returns the local owner: whoever may read the data directory.
    pub fn local_owner(&self) -> Principal {
        Principal::local_owner(self.0.owner)
    }

    /// Returns a task, whole.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where there is none of the caller's.
    pub async fn task(&self, by: &Principal, id: TaskId) -> Result<Task, ApiError> {
        Ok(self.load(by, id)?.view())
    }

    /// Returns the number of a task's newest record: the version of what [`Engine::task`] returns.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where there is none of the caller's.
    pub fn last_seq(&self, by: &Principal, id: TaskId) -> Result<u64, ApiError> {
        Ok(self.check_owner(by, id)?.last_seq)
    }

    /// Cancels a task. Answers once it has ended, which takes at most two seconds.
    ///
    /// # Errors
    ///
    /// Fails with `conflict` where it has ended already.
    pub async fn cancel_task(&self, by: &Principal, target: impl Into<TaskAt>) -> Result<Task, ApiError> {
        let (target, user) = (target.into(), by.user);
        let id = target.task;
        let audit = self.audit_of(by, AuditAction::CancelTask, id)?.encode();
        for sent in 0..SENDS_MAX {
            tokio::time::sleep(RESEND_WAIT * sent).await;
            // Each time, for it can have been deleted since.
            self.check_owner(by, id)?;
            let audit = audit.clone();
            let message = |reply| target.guard(TaskMsg::Cancel { by: user, audit, reply });
            match self.0.tree.ask_task(id, CANCEL_WAIT, message).await {
                Some(Ok(task)) => return Ok(*task),
                // Where an earlier send was taken and only its answer lost, the task ended as was asked.
                Some(Err(Refusal::Ended)) if sent > 0 => break,
                Some(Err(refusal)) => return Err(refused(&refusal)),
                None => self.check_writable()?,
            }
        }
        let task = self.task(by, id).await?;
        match task.status {
            TaskStatus::Succeeded | TaskStatus::Failed => Err(refused(&Refusal::Ended)),
            TaskStatus::Cancelled
            | TaskStatus::Queued
            | TaskStatus::Planning
            | TaskStatus::Running
            | TaskStatus::Waiting => Ok(task),
        }
    }

    /// Answers a question that a task waits for.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where it is not open, `invalid_request` where the answer does not fit it.
    pub async fn decide_approval(
        &self,
        by: &Principal,
        target: impl Into<TaskAt>,
        approval: ApprovalId,
        decision: Decision,
    ) -> Result<Task, ApiError> {
        let (target, asker) = (target.into(), by);
        let id = target.task;
        let audit = self.audit_of(by, AuditAction::DecideApproval, id)?;
        let audit = audit.saying(format!("{} of {approval}", decision.as_str())).encode();
        for sent in 0..SENDS_MAX {
            tokio::time::sleep(RESEND_WAIT * sent).await;
            self.check_owner(asker, id)?;
            let (decision, by, audit) = (decision.clone(), by.user, audit.clone());
            let message = |reply| target.guard(TaskMsg::DecideApproval { approval, decision, by, audit, reply });
            match self.0.tree.ask_task(id, ANSWER_WAIT, message).await {
                Some(Ok(task)) => return Ok(*task),
                // An earlier send was taken and only its reply was lost: the question is answered.
                Some(Err(Refusal::NotOpen(_) | Refusal::Ended)) if sent > 0 => return self.task(asker, id).await,
                Some(Err(refusal)) => return Err(refused(&refusal)),
                None => self.check_writable()?,
            }
        }
        Err(ApiError::new(ErrorCode::Internal, "the task's actor did not answer; look at the task before trying again"))
    }

    /// Follows a task's events after the number `after`, or from the first.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where there is no such task of the caller's.
    pub async fn task_events(&self, by: &Principal, id: TaskId, after: Option<u64>) -> Result<Follow, ApiError> {
        let head = self.check_owner(by, id)?;
        let after = after.unwrap_or(0);
        if after > head.last_seq {
            return Err(ApiError::new(ErrorCode::InvalidRequest, format!("{id} has no event {after} yet")));
        }
        Ok(Follow::task(&self.0.services.hub, Arc::clone(self.store()), id, after))
    }

    /// Follows the caller's feed after the number `after`, or from its start.
    ///
    /// # Errors
    ///
    /// Fails with `invalid_request` where the feed has no such entry; one that nobody wrote to is empty.
    pub async fn feed(&self, by: &Principal, after: Option<u64>) -> Result<Follow, ApiError> {
        let after = after.unwrap_or(0);
        if let Some(before) = after.checked_sub(1) {
            let entry = self.store().read_feed(by.user, before, 1).map_err(store_error)?;
            if entry.first().is_none_or(|(seq, _)| *seq != after) {
                return Err(ApiError::new(ErrorCode::InvalidRequest, format!("your feed has no entry {after} yet")));
            }
        }
        Ok(Follow::user(&self.0.services.hub, Arc::clone(self.store()), by.user, after))
    }

    /// Begins the entry of something that is done to a task. Where none can be written nothing is done: a task's actor must not
    /// find that out, for it would fail of it.
    fn audit_of(&self, by: &Principal, action: AuditAction, id: TaskId) -> Result<Audit, ApiError> {
        self.check_audit_key()?;
        Ok(Audit::of(by, action, self.0.services.clock.now()).to(id))
    }

    fn store(&self) -> &Arc<dyn Store> {
        &self.0.services.store
    }

    fn load(&self, by: &Principal, id: TaskId) -> Result<TaskState, ApiError> {
        self.check_owner(by, id)?;
        self.0.services.tasks.load(id).map_err(store_error)?.ok_or_else(|| no_task(id))
    }

    /// Somebody else's task is as good as none.
    fn check_owner(&self, by: &Principal, id: TaskId) -> Result<TaskHead, ApiError> {
        let bytes = self.store().read_head(id).map_err(store_error)?.ok_or_else(|| no_task(id))?;
        let head: TaskHead = serde_json::from_slice(&bytes).map_err(|error| damaged_head(id, &error))?;
        match by.may_handle(head.owner) {
            true => Ok(head),
            false => Err(no_task(id)),
        }
    }

    fn check_writable(&self) -> Result<(), ApiError> {
        self.store().failure().map_or(Ok(()), |error| Err(store_error(error)))
    }
}

/// Lets a change go on to its end where whoever asked for it has gone.
async fn uninterrupted<T: Send + 'static>(
    change: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    let broke_off =
        |error: tokio::task::JoinError| ApiError::new(ErrorCode::Internal, format!("it broke off: {error}"));
    tokio::spawn(change).await.map_err(broke_off)?
}

fn no_task(id: TaskId) -> ApiError {
    ApiError::new(ErrorCode::NotFound, format!("there is no task {id}"))
}

fn damaged_head(task: TaskId, error: &serde_json::Error) -> ApiError {
    ApiError::new(ErrorCode::Corrupt, format!("the head of {task} cannot be read: {error}"))
}

fn refused(refusal: &Refusal) -> ApiError {
    let code = match refusal {
        Refusal::Ended
        | Refusal::NothingToRetry
        | Refusal::Paused
        | Refusal::NotPaused
        | Refusal::SameBudget
        | Refusal::NotEnded
        | Refusal::Stopping => ErrorCode::Conflict,
        Refusal::Moved(_) => ErrorCode::PreconditionFailed,
        Refusal::NotOpen(_) => ErrorCode::NotFound,
        Refusal::WrongAnswer { .. } => ErrorCode::InvalidRequest,
        Refusal::Unpriced(_) => ErrorCode::BudgetDenied,
    };
    ApiError::new(code, refusal.to_string())
}

/// Returns a store's failure as the wire shows it.
#[expect(clippy::needless_pass_by_value, reason = "it is the argument of `map_err`")]
fn store_error(error: StoreError) -> ApiError {
    ApiError::new(error.code(), error.to_string())
}
