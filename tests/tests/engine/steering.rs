//! Steering: pause, resume, retry and fork, with what replay and diff say of it.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use futures::future::BoxFuture;
use ninja_core::{
    Engine, EngineOptions,
    api::{
        Decision, EffectClass, ErrorCode, EventBody, ForkTask, Principal, StepStatus, StreamFrame, TaskId, TaskStatus,
        WaitFor,
    },
    providers::{Providers, Scripted, ToolDefinition},
    tools::{Tool, ToolError, ToolOutput, ToolRun},
};
use ninja_tests::{ScriptedEngine, agent_step, approval_step, plan, tool_step};
use serde_json::json;
use tokio::sync::Semaphore;

use super::{one_at_work_and_one_queued, plans::Flaky, shell, started};

/// A tool that runs until it is let go.
struct Gate(Arc<Semaphore>);

impl Tool for Gate {
    fn definition(&self) -> ToolDefinition {
        let schema = json!({ "type": "object" });
        ToolDefinition { name: "gate".to_owned(), description: "Waits.".to_owned(), schema }
    }

    fn effect_class(&self) -> EffectClass {
        EffectClass::Pure
    }

    fn run<'a>(&'a self, _: ToolRun<'a>) -> BoxFuture<'a, Result<ToolOutput, ToolError>> {
        Box::pin(async move {
            self.0.acquire().await.map_err(|error| ToolError::Internal(error.to_string()))?.forget();
            Ok(ToolOutput { ok: true, output: json!("through"), killed: 0, images: Vec::new() })
        })
    }
}

fn call_ended(step: &'static str) -> impl Fn(&StreamFrame) -> bool {
    move |frame| match frame {
        StreamFrame::Event { event } => {
            matches!(&event.event, EventBody::ToolCallEnded { step: of, .. } if of.as_str() == step)
        }
        _ => false,
    }
}

async fn status_of(engine: &Engine, owner: &Principal, task: TaskId, step: &str) -> StepStatus {
    let task = engine.task(owner, task).await.unwrap();
    task.steps.iter().find(|of| of.id.as_str() == step).unwrap().status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_task_ends_what_runs_begins_nothing_and_stays_so_over_a_restart() {
    let gate = Arc::new(Semaphore::new(0));
    let host = ScriptedEngine::start_with(Scripted::answering("done"), |options| {
        options.tools = vec![Arc::new(Gate(Arc::clone(&gate)))];
    })
    .await;
    let owner = host.engine.local_owner();
    let steps = vec![
        tool_step("a", &[], "gate", &json!({})),
        agent_step("b", &["a"], "go"),
        approval_step("ok", &[], "may I?"),
    ];
    let task = host.engine.submit_task(&owner, plan(steps)).await.unwrap();
    host.wait_for(task.id, started("a")).await;
    let resumed = host.engine.resume_task(&owner, task.id).await.unwrap_err();
    assert_eq!(resumed.code, ErrorCode::Conflict, "it is not paused");
    let paused = host.engine.pause_task(&owner, task.id).await.unwrap();
    assert_eq!(paused.status, TaskStatus::Running, "what runs is not stopped");
    assert_eq!(host.engine.pause_task(&owner, task.id).await.unwrap_err().code, ErrorCode::Conflict);
    let answer = host.engine.decide_approval(&owner, task.id, paused.approvals[0].id, Decision::Approve).await;
    assert_eq!(answer.unwrap_err().code, ErrorCode::Conflict, "a paused task takes no answers");
    gate.add_permits(1);
    host.wait_for(task.id, call_ended("a")).await;
    let waiting = host.engine.task(&owner, task.id).await.unwrap();
    assert_eq!(waiting.waiting.as_ref().unwrap().wait_for, WaitFor::Operator);
    assert_eq!(status_of(&host.engine, &owner, task.id, "b").await, StepStatus::Pending);
    host.engine.stop().await;

    let mut options = EngineOptions::new(host.directory.path());
    options.providers = Some(ninja_tests::scripted_providers(Arc::clone(&host.model)));
    let host = ScriptedEngine { engine: Engine::start(options).await.unwrap(), ..host };
    let waiting = host.engine.task(&owner, task.id).await.unwrap();
    assert_eq!((waiting.status, host.model.calls()), (TaskStatus::Waiting, 0));
    host.engine.resume_task(&owner, task.id).await.unwrap();
    host.engine.decide_approval(&owner, task.id, waiting.approvals[0].id, Decision::Approve).await.unwrap();
    let task = host.finish(task.id).await;
    assert_eq!((task.status, host.model.calls()), (TaskStatus::Succeeded, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn pausing_a_task_that_has_not_begun_makes_none_of_its_calls() {
    let (host, running, queued) = one_at_work_and_one_queued().await;
    let owner = host.engine.local_owner();
    let paused = host.engine.pause_task(&owner, queued.id).await.unwrap();
    assert_eq!(paused.waiting.unwrap().wait_for, WaitFor::Operator);
    host.engine.cancel_task(&owner, running.id).await.unwrap();
    assert_eq!(status_of(&host.engine, &owner, queued.id, "a").await, StepStatus::Pending);
    assert_eq!(host.model.calls(), 1);
    host.engine.resume_task(&owner, queued.id).await.unwrap();
    host.wait_for(queued.id, started("a")).await;
    host.engine.cancel_task(&owner, queued.id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_does_again_what_failed_and_nothing_else() {
    let runs = Arc::new(AtomicU32::new(0));
    let steps = vec![
        tool_step("before", &[], "shell", &shell("date +%s%N > kept")),
        tool_step("s", &["before"], "flaky", &json!({})),
        agent_step("after", &["s"], "go"),
    ];
    let host = ScriptedEngine::start_with(Scripted::answering("done"), |options| {
        options.tools = vec![Arc::new(Flaky { failures: 1, runs: Arc::clone(&runs) })];
    })
    .await;
    let owner = host.engine.local_owner();
    let task = host.engine.submit_task(&owner, plan(steps)).await.unwrap();
    assert_eq!(
        host.engine.retry_task(&owner, task.id).await.unwrap_err().code,
        ErrorCode::Conflict,
        "it has not ended"
    );
    let failed = host.finish(task.id).await;
    assert_eq!((failed.status, failed.artifacts.len()), (TaskStatus::Failed, 1));
    host.engine.retry_task(&owner, task.id).await.unwrap();
    let task = host.finish(task.id).await;
    assert_eq!((task.status, task.error.clone()), (TaskStatus::Succeeded, None));
    assert_eq!(task.artifacts, failed.artifacts, "what succeeded is not done again");
    assert_eq!((runs.load(Ordering::SeqCst), task.steps[1].attempt), (2, 2));
    assert_eq!(host.engine.retry_task(&owner, task.id).await.unwrap_err().code, ErrorCode::Conflict, "it ended well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_with_another_model_shares_the_past_and_a_diff_shows_where_it_leaves() {
    let other = Arc::new(Scripted::answering("the other's answer"));
    let host = ScriptedEngine::start_with(Scripted::answering("the first's answer"), |options| {
        let mut providers = Providers::new(|| 0.5);
        providers.add_limited("scripted", Arc::new(Scripted::answering("the first's answer")), "script", 64);
        providers.add_limited("other", Arc::clone(&other) as Arc<_>, "big", 64);
        options.providers = Some(providers);
    })
    .await;
    let owner = host.engine.local_owner();
    let steps = vec![
        tool_step("prepare", &[], "shell", &shell("echo 1 > one; echo two")),
        agent_step("a", &["prepare"], "go"),
        tool_step("end", &["a"], "shell", &shell("cat one")),
    ];
    let origin = host.engine.submit_task(&owner, plan(steps)).await.unwrap();
    let origin = host.finish(origin.id).await;
    let nowhere = host.engine.fork_task(&owner, origin.id, ForkTask::default()).await.unwrap_err();
    assert_eq!(nowhere.code, ErrorCode::InvalidRequest, "no step failed: {nowhere}");
    let unknown = ForkTask { at: Some("none".parse().unwrap()), model: None };
    assert_eq!(host.engine.fork_task(&owner, origin.id, unknown).await.unwrap_err().code, ErrorCode::Conflict);

    let request = ForkTask { at: Some("a".parse().unwrap()), model: Some("other".to_owned()) };
    let fork = host.engine.fork_task(&owner, origin.id, request).await.unwrap();
    assert_eq!(fork.forked_from.unwrap().task, origin.id);
    let fork = host.finish(fork.id).await;
    assert_eq!((fork.status, other.calls()), (TaskStatus::Succeeded, 1));
    assert_eq!(fork.steps[1].output, json!("the other's answer"));
    assert_eq!((fork.usage.model_calls, fork.usage.tool_calls), (1, 1), "the shared part is charged once");

    let diff = host.engine.diff_tasks(&owner, origin.id, fork.id).await.unwrap();
    let first = diff.first_difference.unwrap();
    let field = first.field.unwrap();
    assert_eq!((field.path.as_str(), field.b.as_deref()), ("text", Some("\"the other's answer\"")));
    assert!(matches!(first.a.unwrap().event, EventBody::ModelCallEnded { .. }));
    let shared = fork.forked_from.unwrap().seq;
    assert!(!diff.same && diff.equal_events > shared, "{} of which {shared} are shared", diff.equal_events);
    let itself = host.engine.diff_tasks(&owner, origin.id, origin.id).await.unwrap();
    assert_eq!((itself.same, itself.equal_events), (true, origin.last_seq));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_comes_to_the_same_without_a_call_and_sees_a_damaged_file() {
    let host = ScriptedEngine::start(super::one_command("echo hello > greeting.txt")).await;
    let owner = host.engine.local_owner();
    let task = host.engine.submit_task(&owner, plan(vec![agent_step("a", &[], "greet")])).await.unwrap();
    let task = host.finish(task.id).await;
    let calls = host.model.calls();
    let report = host.engine.replay_task(&owner, task.id).await.unwrap();
    assert!(report.same, "{report:?}");
    assert_eq!((report.records, report.given, report.decided), (task.last_seq, 2, task.last_seq - 2));
    assert_eq!((report.outcomes_reused, report.provider_calls, report.artifacts_checked), (3, 0, 1));
    assert_eq!((report.status, host.model.calls()), (TaskStatus::Succeeded, calls), "no provider was called");

    let hash = task.artifacts[0].sha256.to_string();
    let blob = find(host.directory.path(), &hash).expect("the file lies somewhere under its hash");
    let mut permissions = std::fs::metadata(&blob).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    std::fs::set_permissions(&blob, permissions).unwrap();
    std::fs::write(&blob, "hullo\n").unwrap();
    let report = host.engine.replay_task(&owner, task.id).await.unwrap();
    assert_eq!((report.same, report.artifacts_damaged), (false, vec!["greeting.txt".to_owned()]));
}

/// Finds the file whose path below `folder` spells `hash`, in however many folders.
fn find(folder: &std::path::Path, hash: &str) -> Option<std::path::PathBuf> {
    std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).find_map(|path| match path.is_dir() {
        true => find(&path, hash),
        false => path.to_string_lossy().replace('/', "").ends_with(hash).then_some(path),
    })
}
