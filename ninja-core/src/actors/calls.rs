//! One call, from its intent to its outcome: the only place where the world is changed for a task.

use std::{panic::AssertUnwindSafe, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::FutureExt;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{images, sandbox::SandboxHandle, services::Services};
use crate::{
    api::{ApiError, BlobHash, EffectClass, ErrorCode, ModelRef, StepId, TaskId, Usage},
    journal::{
        record::{Manifest, ManifestDelta, Outcome},
        store::StoreError,
    },
    providers::{ChatRequest, DeltaSink, ProviderError, ToolCall},
    sandbox::Mount,
    tools::{ToolError, ToolOutput, ToolRun},
    workspace::WorkspaceDir,
};

/// How long a cancelled call may take to end by itself before it is dropped, which kills what it runs. Leaves room
/// within the two seconds that a cancellation may take in all.
const GRACE: Duration = Duration::from_millis(1_200);

/// A model call to make.
pub(super) struct ModelJob {
    pub task: TaskId,
    pub step: StepId,
    pub call: u32,
    pub model: ModelRef,
    pub request: ChatRequest,
    pub cancel: CancellationToken,
}

/// A tool call to make.
pub(super) struct ToolJob {
    pub task: TaskId,
    pub step: StepId,
    pub call: u32,
    pub tool: String,
    pub args: Value,
    pub class: EffectClass,
    /// The workspace as the step sees it.
    pub manifest: Manifest,
    /// Inputs and the template's files, read-only.
    pub placed: Vec<Placed>,
    /// What scripts read about the task.
    pub request: Value,
    pub cancel: CancellationToken,
}

/// A blob that a call can read.
#[derive(Clone)]
pub(super) struct Placed {
    pub blob: BlobHash,
    /// Its path in the sandbox.
    pub inside: PathBuf,
}

/// What a call came to.
pub(super) struct CallReport {
    pub step: StepId,
    pub call: u32,
    pub end: CallEnd,
}

/// How a call ended.
#[expect(clippy::large_enum_variant, reason = "nearly all are outcomes")]
pub(super) enum CallEnd {
    /// With an outcome, and small files that travel with its record.
    Outcome(Outcome, Vec<Bytes>),
    /// What ran it ended under it, or its outcome is not known for another reason.
    Interrupted {
        /// Why.
        reason: String,
        /// Whether this call is what ended it.
        blamed: bool,
    },
}

fn failed(code: ErrorCode, detail: impl Into<String>) -> Outcome {
    Outcome::Failed { error: ApiError::new(code, detail), usage: Usage::default() }
}

/// Turns a panic into an outcome, and a cancellation that is not heeded into a drop.
async fn guarded<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = T>,
    overdue: impl FnOnce() -> T,
    panicked: impl FnOnce() -> T,
) -> T {
    let too_late = async {
        cancel.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        result = AssertUnwindSafe(work).catch_unwind() => result.unwrap_or_else(|_| panicked()),
        () = too_late => overdue(),
    }
}

/// A call that was stopped; the task actor, which asked for it, fills in how long it took.
fn stopped(processes: u32) -> Outcome {
    Outcome::Stopped { processes, after_ms: 0 }
}

/// Asks the model.
pub(super) async fn run_model(services: &Arc<Services>, job: ModelJob) -> CallReport {
    let ModelJob { task, step, call, model, request, cancel } = job;
    let deltas: DeltaSink = {
        let (services, step) = (Arc::clone(services), step.clone());
        Arc::new(move |text: &str| {
            let cleaned = services.redaction.text(text);
            services.hub.publish_delta(task, &step, cleaned.as_deref().unwrap_or(text));
        })
    };
    let request = ChatRequest { images: images::source(&services.store), ..request };
    let providers = services.providers.now();
    let work = async {
        match providers.chat(&model, request, deltas, cancel.clone()).await {
            Ok(mut answer) => {
                rename_calls(call, &mut answer.tool_calls);
                Outcome::Answered(answer)
            }
            Err(ProviderError::Cancelled) => stopped(0),
            Err(error) => failed(code_of(&error), format!("{model}: {error}")),
        }
    };
    let panicked = || failed(ErrorCode::Internal, "the provider panicked");
    let mut outcome = guarded(&cancel, work, || stopped(0), panicked).await;
    services.redaction.outcome(&mut outcome);
    CallReport { step, call, end: CallEnd::Outcome(outcome, Vec::new()) }
}

fn code_of(error: &ProviderError) -> ErrorCode {
    match error {
        ProviderError::Unauthorized(_) => ErrorCode::ProviderUnauthorized,
        ProviderError::PromptTooLarge { .. } => ErrorCode::PromptTooLarge,
        ProviderError::Rejected(_) => ErrorCode::ProviderRejected,
        ProviderError::Unavailable(_)
        | ProviderError::Overloaded { .. }
        | ProviderError::RateLimited { .. }
        | ProviderError::Truncated
        | ProviderError::Cancelled => ErrorCode::ProviderFailed,
        ProviderError::UnreadableImage(_) => ErrorCode::Corrupt,
    }
}

/// Gives tool calls ids that are unique within the conversation, whatever the model made up.
fn rename_calls(call: u32, tool_calls: &mut [ToolCall]) {
    for (index, tool_call) in tool_calls.iter_mut().enumerate() {
        tool_call.id = format!("call_{call}_{index}");
    }
}

impl ToolJob {
    /// Returns whether what it did in the world stays done, whatever becomes of what it left here.
    fn is_done_for_good(&self) -> bool {
        match self.class {
            EffectClass::Unsafe | EffectClass::Probe | EffectClass::Idempotent => true,
            EffectClass::Pure | EffectClass::Charged | EffectClass::Workspace => false,
        }
    }

    /// Ends a call in the middle of its effect. One that must not be repeated blindly is left open, so that a person is asked.
    fn broke_off(&self, code: ErrorCode, why: String) -> CallEnd {
        match self.class {
            EffectClass::Unsafe | EffectClass::Probe => CallEnd::Interrupted { reason: why, blamed: false },
            EffectClass::Pure | EffectClass::Charged | EffectClass::Workspace | EffectClass::Idempotent => {
                CallEnd::Outcome(failed(code, why), Vec::new())
            }
        }
    }
}

/// Calls a tool in the step's workspace.
pub(super) async fn run_tool(services: &Services, sandbox: &SandboxHandle, job: ToolJob) -> CallReport {
    let work = try_tool(services, sandbox, &job);
    let overdue = || CallEnd::Outcome(stopped(0), Vec::new());
    let panicked = || job.broke_off(ErrorCode::Internal, "the tool panicked".to_owned());
    let mut end = guarded(&job.cancel, work, overdue, panicked).await;
    match &mut end {
        CallEnd::Outcome(outcome, _) => services.redaction.outcome(outcome),
        CallEnd::Interrupted { reason, .. } => services.redaction.replace(reason),
    }
    CallReport { step: job.step, call: job.call, end }
}

async fn try_tool(services: &Services, sandbox: &SandboxHandle, job: &ToolJob) -> CallEnd {
    let end = |outcome| CallEnd::Outcome(outcome, Vec::new());
    let Some(tool) = services.tools.get(&job.tool) else {
        return end(failed(ErrorCode::ToolFailed, format!("the tool `{}` is no longer there", job.tool)));
    };
    let workspace = match services.workspaces.prepare(job.task, &job.step, &job.manifest).await {
        Ok(workspace) => workspace,
        Err(error) => return end(failed(error.code(), format!("the workspace: {error}"))),
    };
    let mut mounts = match mounts(services, job).await {
        Ok(mounts) => mounts,
        Err(error) => return end(failed(error.code(), format!("the task's files: {error}"))),
    };
    match write_request(services, job).await {
        Ok(host) => mounts.push(Mount { host, inside: PathBuf::from(REQUEST_INSIDE) }),
        Err(error) => return end(failed(ErrorCode::Internal, format!("the request for scripts: {error}"))),
    }
    let env = [("NINJA_REQUEST".to_owned(), REQUEST_INSIDE.to_owned())];
    let run = ToolRun {
        args: &job.args,
        key: format!("{}/{}/{}", job.task, job.step, job.call),
        task: job.task,
        step: &job.step,
        workspace: &workspace,
        mounts: &mounts,
        env: &env,
        limits: services.sandbox_limits,
        sandbox,
        cancel: job.cancel.clone(),
    };
    let output = match tool.run(run).await {
        Ok(output) => output,
        Err(ToolError::Cancelled { killed }) => return end(stopped(killed)),
        Err(ToolError::Interrupted { blamed }) => {
            return CallEnd::Interrupted { reason: "the sandbox actor ended".to_owned(), blamed };
        }
        Err(ToolError::NoSandbox(why)) => return end(failed(ErrorCode::NoSandbox, why)),
        Err(ToolError::InvalidArgs(why)) => {
            return end(Outcome::Returned {
                ok: false,
                output: Value::String(why),
                delta: ManifestDelta::default(),
                images: Vec::new(),
            });
        }
        Err(ToolError::Internal(why)) => return job.broke_off(ErrorCode::ToolFailed, why),
    };
    take_home(services, job, &workspace, output).await
}

/// Brings to safety what a tool returned, and what it changed in the workspace.
async fn take_home(services: &Services, job: &ToolJob, workspace: &WorkspaceDir, output: ToolOutput) -> CallEnd {
    let end = |outcome| CallEnd::Outcome(outcome, Vec::new());
    let ToolOutput { ok, output, images, .. } = output;
    let (images, mut blobs) = match images::keep(&services.store, images).await {
        Ok(kept) => kept,
        Err(error) if job.is_done_for_good() => {
            tracing::warn!(task = %job.task, step = %job.step, %error, "failed to keep images after an effect");
            (Vec::new(), Vec::new())
        }
        Err(error) => return end(failed(error.code(), format!("the images: {error}"))),
    };
    let returned = |delta| Outcome::Returned { ok, output, delta, images };
    if job.class == EffectClass::Pure {
        return CallEnd::Outcome(returned(ManifestDelta::default()), blobs);
    }
    match services.workspaces.scan(workspace, &job.manifest).await {
        Ok(scan) => {
            blobs.extend(scan.blobs);
            CallEnd::Outcome(returned(scan.delta), blobs)
        }
        // What it did in the world it has done, whatever became of its folder.
        Err(error) if job.is_done_for_good() => {
            tracing::warn!(task = %job.task, step = %job.step, %error, "failed to keep a workspace after an effect");
            CallEnd::Outcome(returned(ManifestDelta::default()), blobs)
        }
        Err(error) => end(failed(ErrorCode::LimitReached, format!("the workspace: {error}"))),
    }
}

/// Finds what is placed beside the workspace. A blob is read through the first time, which takes its time.
async fn mounts(services: &Services, job: &ToolJob) -> Result<Vec<Mount>, StoreError> {
    let (store, placed) = (Arc::clone(&services.store), job.placed.clone());
    let found = move || {
        placed.into_iter().map(|Placed { blob, inside }| Ok(Mount { host: store.blob_path(blob)?, inside })).collect()
    };
    tokio::task::spawn_blocking(found).await.expect("finding blobs does not panic")
}

/// Where scripts find what the task is about.
const REQUEST_INSIDE: &str = "/ninja/request.json";

async fn write_request(services: &Services, job: &ToolJob) -> std::io::Result<PathBuf> {
    let folder = services.layout_dir.join(job.task.to_string());
    tokio::fs::create_dir_all(&folder).await?;
    let path = folder.join(format!("{}.{}.json", job.step, job.call));
    tokio::fs::write(&path, job.request.to_string()).await?;
    Ok(path)
}
