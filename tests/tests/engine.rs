//! The engine in this process: order, cancellation, actors that fail, two engines, a directory in use; in `plans` what is
//! planned, mapped, delegated, tried again and promised, in `images` what models see, in `protocols` one task over what every
//! vendor speaks, in `steering` what a person does with a task, in `stored` providers that an administrator stores and the keys
//! that seal theirs, in `windows` that no prompt is cut by whoever gets it, in `deleting` what is gone with a task, in `listing`
//! lists and sums of many, in `repeating` requests that come twice and words that come too late, in `audited` what is written of
//! whoever does something, in `signing` that access tokens outlive restarts and rotations.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "engine/audited.rs"]
mod audited;
#[path = "engine/deleting.rs"]
mod deleting;
#[path = "engine/images.rs"]
mod images;
#[path = "engine/listing.rs"]
mod listing;
#[path = "engine/plans.rs"]
mod plans;
#[path = "engine/protocols.rs"]
mod protocols;
#[path = "engine/repeating.rs"]
mod repeating;
#[path = "engine/signing.rs"]
mod signing;
#[path = "engine/steering.rs"]
mod steering;
#[path = "engine/stored.rs"]
mod stored;
#[path = "engine/windows.rs"]
mod windows;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ninja_core::{
    Engine, EngineOptions,
    api::{
        Decision, EffectClass, ErrorCode, EventBody, Planning, StepStatus, StreamFrame, SubmitTask, Task, TaskStatus,
        WaitFor,
    },
    providers::{Providers, ScriptStep, Scripted, ToolCall},
    sandbox::NoSandbox,
    testing::Failpoints,
};
use ninja_tests::{Ledger, LedgerTool, ScriptedEngine, agent_step, approval_step, plan, tool_step, until};
use serde_json::json;

fn started(step: &'static str) -> impl Fn(&StreamFrame) -> bool {
    move |frame| match frame {
        StreamFrame::Event { event } => match &event.event {
            EventBody::ToolCallStarted { step: of, .. } | EventBody::ModelCallStarted { step: of, .. } => {
                of.as_str() == step
            }
            _ => false,
        },
        _ => false,
    }
}

fn shell(command: &str) -> serde_json::Value {
    json!({ "command": command })
}

/// Starts an engine that works on one task at a time: one that hangs in a call to its model, and one behind it.
async fn one_at_work_and_one_queued() -> (ScriptedEngine, Task, Task) {
    let hanging = Scripted::new(|_| ScriptStep::Hang);
    let host = ScriptedEngine::start_with(hanging, |options| options.config.limits.tasks_at_work = 1).await;
    let owner = host.engine.local_owner();
    let agent = || plan(vec![agent_step("a", &[], "hang")]);
    let running = host.engine.submit_task(&owner, agent()).await.unwrap();
    host.wait_for(running.id, started("a")).await;
    let queued = host.engine.submit_task(&owner, agent()).await.unwrap();
    (host, running, queued)
}

/// A model that runs one command, then says it is done.
fn one_command(command: &'static str) -> Scripted {
    Scripted::new(move |request| {
        let answered =
            request.messages.iter().any(|message| matches!(message, ninja_core::providers::Message::Tool { .. }));
        match answered {
            true => ScriptStep::answer("done"),
            false => {
                ScriptStep::tools(vec![ToolCall { id: "x".to_owned(), name: "shell".to_owned(), args: shell(command) }])
            }
        }
    })
}

/// Counts the processes on this machine that sleep for exactly this long.
fn sleepers(seconds: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let command = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
    processes.map(command).filter(|line| *line == format!("sleep\0{seconds}\0")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_runs_in_order_and_its_files_come_out() {
    let host = ScriptedEngine::start(Scripted::answering("fine")).await;
    let owner = host.engine.local_owner();
    let mut steps = vec![tool_step("s0", &[], "shell", &shell("echo 0 > log"))];
    for n in 1..5 {
        steps.push(tool_step(
            &format!("s{n}"),
            &[&format!("s{}", n - 1)],
            "shell",
            &shell(&format!("echo {n} >> log")),
        ));
    }
    for n in 0..5 {
        steps.push(tool_step(&format!("p{n}"), &["s4"], "shell", &shell(&format!("tail -1 log > p{n}"))));
    }
    steps.push(agent_step("end", &["p0", "p1", "p2", "p3", "p4"], "sum it up"));
    let task = host.engine.submit_task(&owner, plan(steps)).await.unwrap();
    let task = host.finish(task.id).await;
    assert_eq!((task.status, task.error), (TaskStatus::Succeeded, None));
    let mut log = String::new();
    let (_, mut file) = host.engine.artifact(&owner, task.id, "log").await.unwrap();
    std::io::Read::read_to_string(&mut file, &mut log).unwrap();
    assert_eq!(log, "0\n1\n2\n3\n4\n");
    let paths: Vec<_> = task.artifacts.iter().map(|artifact| artifact.path.as_str()).collect();
    assert_eq!(paths, ["log", "p0", "p1", "p2", "p3", "p4"]);
    host.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_works_with_tools_and_its_workspace() {
    let host = ScriptedEngine::start(one_command("echo hello > greeting.txt")).await;
    let owner = host.engine.local_owner();
    let request = plan(vec![agent_step("a", &[], "greet")]);
    let task = host.engine.submit_task(&owner, request).await.unwrap();
    let task = host.finish(task.id).await;
    assert_eq!((task.status, task.steps[0].output.clone()), (TaskStatus::Succeeded, json!("done")));
    assert_eq!(task.artifacts[0].path, "greeting.txt");
    assert_eq!(host.model.calls(), 2);
}

/// One thread, so that all that can run has run before the task's actor takes the first report.
#[tokio::test]
async fn what_ends_side_by_side_shares_a_commit() {
    const WIDTH: usize = 64;
    let host = ScriptedEngine::start(Scripted::answering("fine")).await;
    let owner = host.engine.local_owner();
    let names: Vec<String> = (0..WIDTH).map(|n| format!("side{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut steps: Vec<_> = names.iter().map(|name| agent_step(name, &[], "work")).collect();
    steps.push(agent_step("end", &names, "sum it up"));
    let task = host.engine.submit_task(&owner, plan(steps)).await.unwrap();
    let task = host.finish(task.id).await;
    assert_eq!((task.status, task.error), (TaskStatus::Succeeded, None));
    assert!(task.steps.iter().all(|step| step.status == StepStatus::Succeeded));
    // Taken up, ended side by side, ended at the end: a commit each, and one or another more where the disk was quick.
    let commits = host.failpoints.visits("task.commit");
    assert!(commits <= 3 + WIDTH as u64 / 8, "{WIDTH} steps side by side took {commits} commits");
    host.engine.stop().await;
}

#[tokio::test]
async fn steps_one_after_the_other_take_one_commit_each() {
    let host = ScriptedEngine::start(Scripted::answering("fine")).await;
    let owner = host.engine.local_owner();
    let steps = vec![agent_step("a", &[], "work"), agent_step("b", &["a"], "work"), agent_step("c", &["b"], "work")];
    let task = host.engine.submit_task(&owner, plan(steps)).await.unwrap();
    assert_eq!(host.finish(task.id).await.status, TaskStatus::Succeeded);
    assert_eq!(host.failpoints.visits("task.commit"), 1 + 3, "one to take the task up, one a step");
    assert_eq!(host.failpoints.visits("task.start_agent"), 1, "an agent whose step is over works on the next");
    host.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_fails_at_its_second_step_is_replaced_and_loses_that_step_alone() {
    let points: Arc<OnceLock<Failpoints>> = Arc::default();
    let armed = Arc::clone(&points);
    let is_first = AtomicBool::new(true);
    let host = ScriptedEngine::start(Scripted::new(move |_| {
        if is_first.swap(false, Ordering::SeqCst) {
            armed.get().unwrap().arm("agent.call_model", 1);
        }
        ScriptStep::answer("fine")
    }))
    .await;
    points.set(host.failpoints.clone()).unwrap();
    let owner = host.engine.local_owner();
    let steps = vec![agent_step("a", &[], "work"), agent_step("b", &["a"], "work")];
    let task = host.engine.submit_task(&owner, plan(steps)).await.unwrap();
    let failed = |frame: &StreamFrame| matches!(frame, StreamFrame::Event { event } if matches!(&event.event, EventBody::ActorFailed { .. }));
    host.wait_for(task.id, failed).await;
    let task = host.finish(task.id).await;
    assert_eq!((task.status, task.error), (TaskStatus::Succeeded, None));
    assert_eq!((host.model.calls(), host.failpoints.left("agent.call_model")), (2, 0));
    assert_eq!(host.failpoints.visits("task.start_agent"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_a_command_leaves_nothing_alive() {
    let host = ScriptedEngine::start(Scripted::answering("")).await;
    let owner = host.engine.local_owner();
    let seconds = format!("1000.{}", std::process::id());
    let command = format!("setsid sleep {seconds} & trap '' TERM; sleep {seconds}; sleep {seconds}");
    let task =
        host.engine.submit_task(&owner, plan(vec![tool_step("s", &[], "shell", &shell(&command))])).await.unwrap();
    until("two sleeps run", || sleepers(&seconds) >= 2).await;
    let task = host.engine.cancel_task(&owner, task.id).await.unwrap();
    assert_eq!(task.status, TaskStatus::Cancelled);
    assert_eq!(sleepers(&seconds), 0, "nothing is alive when the cancellation is answered");
    let receipt = task.cancel_receipt.unwrap();
    assert_eq!((receipt.stopped.len(), receipt.stopped[0].what.as_str()), (1, "shell"));
    assert!(receipt.stopped[0].processes > 0, "{receipt:?}");
    let again = host.engine.cancel_task(&owner, task.id).await.unwrap_err();
    assert_eq!(again.code, ErrorCode::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_a_model_call_a_queued_and_a_waiting_task() {
    let (host, running, queued) = one_at_work_and_one_queued().await;
    let owner = host.engine.local_owner();
    assert_eq!(host.engine.task(&owner, queued.id).await.unwrap().status, TaskStatus::Queued);

    let queued = host.engine.cancel_task(&owner, queued.id).await.unwrap();
    assert_eq!(queued.status, TaskStatus::Cancelled);
    let running = host.engine.cancel_task(&owner, running.id).await.unwrap();
    assert_eq!(running.cancel_receipt.unwrap().stopped[0].what, "model");

    let waiting = host.engine.submit_task(&owner, plan(vec![approval_step("ok", &[], "may I?")])).await.unwrap();
    let asked = |frame: &StreamFrame| matches!(frame, StreamFrame::Event { event } if matches!(event.event, EventBody::ApprovalRequested { .. }));
    host.wait_for(waiting.id, asked).await;
    let waiting = host.engine.cancel_task(&owner, waiting.id).await.unwrap();
    assert_eq!(waiting.status, TaskStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_survives_a_restart_and_parks_the_task() {
    let host = ScriptedEngine::start(Scripted::answering("done")).await;
    let owner = host.engine.local_owner();
    let request = plan(vec![approval_step("ok", &[], "may I?"), agent_step("a", &["ok"], "go")]);
    let task = host.engine.submit_task(&owner, request).await.unwrap();
    let asked = |frame: &StreamFrame| matches!(frame, StreamFrame::Event { event } if matches!(event.event, EventBody::ApprovalRequested { .. }));
    host.wait_for(task.id, asked).await;
    host.engine.stop().await;

    let mut options = EngineOptions::new(host.directory.path());
    options.providers = Some(ninja_tests::scripted_providers(host.model.clone()));
    let engine = Engine::start(options).await.unwrap();
    let task = engine.task(&owner, task.id).await.unwrap();
    assert_eq!(task.waiting.as_ref().unwrap().wait_for, WaitFor::Approval);
    let wrong = engine.decide_approval(&owner, task.id, task.approvals[0].id, Decision::Happened).await.unwrap_err();
    assert_eq!(wrong.code, ErrorCode::InvalidRequest);
    engine.decide_approval(&owner, task.id, task.approvals[0].id, Decision::Approve).await.unwrap();
    let host = ScriptedEngine { engine, ..host };
    assert_eq!(host.finish(task.id).await.status, TaskStatus::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_actor_may_fail_and_the_task_goes_on() {
    for place in [
        "task.handle",
        "task.begin",
        "task.commit",
        "agent.call_model",
        "agent.call_tool",
        "sandbox.run",
        "orchestrator.handle",
    ] {
        let host = ScriptedEngine::start(one_command("echo hello > greeting.txt")).await;
        let owner = host.engine.local_owner();
        host.failpoints.arm(place, 1);
        let request =
            plan(vec![agent_step("a", &[], "greet"), tool_step("b", &["a"], "shell", &shell("cat greeting.txt"))]);
        let task = host.engine.submit_task(&owner, request).await.unwrap();
        let task = host.finish(task.id).await;
        assert_eq!((task.status, task.error), (TaskStatus::Succeeded, None), "{place}");
        assert_eq!(host.failpoints.left(place), 0, "{place} was visited");
        assert_eq!(task.artifacts[0].path, "greeting.txt", "{place}");
        host.engine.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_takes_its_actor_down_three_times_is_set_aside_alone() {
    for place in ["agent.call_model", "sandbox.run", "task.begin"] {
        let host =
            ScriptedEngine::start_with(one_command("true"), |options| options.config.limits.tasks_at_work = 8).await;
        let owner = host.engine.local_owner();
        let other = plan(vec![approval_step("ok", &[], "wait"), agent_step("a", &["ok"], "go")]);
        let other = host.engine.submit_task(&owner, other).await.unwrap();
        let asked = |frame: &StreamFrame| matches!(frame, StreamFrame::Event { event } if matches!(event.event, EventBody::ApprovalRequested { .. }));
        host.wait_for(other.id, asked).await;
        host.failpoints.arm(place, 3);
        let poisoned = host.engine.submit_task(&owner, plan(vec![agent_step("a", &[], "go")])).await.unwrap();
        let poisoned = host.finish(poisoned.id).await;
        let code = poisoned.error.as_ref().map(|error| error.code);
        assert_eq!((poisoned.status, code), (TaskStatus::Failed, Some(ErrorCode::Poisoned)), "{place}");

        let approval = host.engine.task(&owner, other.id).await.unwrap().approvals[0].id;
        host.engine.decide_approval(&owner, other.id, approval, Decision::Approve).await.unwrap();
        assert_eq!(host.finish(other.id).await.status, TaskStatus::Succeeded, "{place}");
        host.engine.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_engines_share_a_process_but_not_a_directory() {
    let (one, two) = (
        ScriptedEngine::start(Scripted::answering("one")).await,
        ScriptedEngine::start(Scripted::answering("two")).await,
    );
    for (host, says) in [(&one, "one"), (&two, "two")] {
        let owner = host.engine.local_owner();
        let goal = "say it".to_owned();
        let request = SubmitTask { goal, planning: Planning::None, ..SubmitTask::default() };
        let task = host.engine.submit_task(&owner, request).await.unwrap();
        assert_eq!(host.finish(task.id).await.steps[0].output, json!(says));
    }
    let error = Engine::start(EngineOptions::new(one.directory.path())).await.err().unwrap();
    assert_eq!(error.to_api().code, ErrorCode::AlreadyRunning);
    assert!(error.to_string().contains(&std::process::id().to_string()), "it names the holder: {error}");
    one.engine.stop().await;
    let again = Engine::start(EngineOptions::new(one.directory.path())).await;
    assert!(again.is_ok(), "a stopped engine has released its directory");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_sandbox_code_is_refused_with_the_reason() {
    let reason = "bubblewrap is not installed".to_owned();
    let host = ScriptedEngine::start_with(Scripted::answering(""), |options| {
        options.sandbox = Some(std::sync::Arc::new(NoSandbox { reason }));
    })
    .await;
    let owner = host.engine.local_owner();
    let task = host.engine.submit_task(&owner, plan(vec![tool_step("s", &[], "shell", &shell("id"))])).await.unwrap();
    let error = host.finish(task.id).await.error.unwrap();
    assert_eq!(error.code, ErrorCode::NoSandbox);
    assert!(error.detail.contains("bubblewrap is not installed"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_submissions_are_refused_before_anything_is_accepted() {
    let host = ScriptedEngine::start(Scripted::answering("")).await;
    let owner = host.engine.local_owner();
    let refused = |request: SubmitTask| {
        let (engine, owner) = (host.engine.clone(), owner.clone());
        async move { engine.submit_task(&owner, request).await.unwrap_err() }
    };
    let goal = |goal: &str| SubmitTask { goal: goal.to_owned(), ..SubmitTask::default() };
    assert_eq!(refused(goal(" ")).await.code, ErrorCode::InvalidRequest);
    assert_eq!(refused(goal(&"x".repeat(70_000))).await.code, ErrorCode::TooLarge);
    assert_eq!(
        refused(SubmitTask { template: Some("none".to_owned()), ..goal("x") }).await.code,
        ErrorCode::InvalidRequest
    );
    let template = || SubmitTask { template: Some("data-analysis".to_owned()), ..goal("x") };
    let error = refused(template()).await;
    assert!(error.detail.contains("takes 1 file(s), 0 given"), "{error}");
    let cycle =
        plan(vec![tool_step("a", &["b"], "shell", &shell("id")), tool_step("b", &["a"], "shell", &shell("id"))]);
    assert_eq!(refused(cycle).await.code, ErrorCode::InvalidPlan);
    let unknown = refused(plan(vec![tool_step("a", &[], "fly", &json!({}))])).await;
    assert!(unknown.detail.contains("there is no tool `fly`"), "{unknown}");
    let page = host.engine.list_tasks(&owner, ninja_core::api::ListTasks::default()).await.unwrap();
    assert!(page.items.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_agents_are_refused_at_once_and_plain_tools_run() {
    let host = ScriptedEngine::start_with(Scripted::answering(""), |options| {
        options.providers = Some(Providers::new(|| 0.5));
    })
    .await;
    let owner = host.engine.local_owner();
    let error = host.engine.submit_task(&owner, plan(vec![agent_step("a", &[], "go")])).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NoProvider);
    assert!(error.detail.contains("OPENAI_API_KEY"), "it says what to do: {error}");
    let task = host.engine.submit_task(&owner, plan(vec![tool_step("s", &[], "shell", &shell("true"))])).await.unwrap();
    assert_eq!(host.finish(task.id).await.status, TaskStatus::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_task_is_about_is_readable_by_nobody_else() {
    use std::os::unix::fs::PermissionsExt;
    let host = ScriptedEngine::start_with(Scripted::answering("done"), |options| {
        std::fs::set_permissions(&options.data_dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    })
    .await;
    let owner = host.engine.local_owner();
    let task = host.engine.submit_task(&owner, plan(vec![tool_step("s", &[], "shell", &shell("true"))])).await.unwrap();
    host.finish(task.id).await;
    for entry in std::fs::read_dir(host.directory.path()).unwrap().flatten() {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o077;
        let harmless = ["lock", "format"].iter().any(|name| entry.file_name() == *name);
        assert!(mode == 0 || harmless, "{:?} has mode {mode:o} for others", entry.file_name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uploaded_file_is_an_input_that_code_can_read_but_not_write() {
    let host = ScriptedEngine::start(Scripted::answering("")).await;
    let owner = host.engine.local_owner();
    let content = futures::stream::iter([Ok("a,b\n1,2\n".into())]);
    let file = host.engine.upload_file(&owner, "../x/data.csv", content).await.unwrap();
    assert_eq!((file.name.as_str(), file.bytes), ("data.csv", 8));
    let command = "cat inputs/data.csv; echo no > inputs/data.csv; echo yes > made";
    let request = SubmitTask { files: vec![file.id], ..plan(vec![tool_step("s", &[], "shell", &shell(command))]) };
    let task = host.engine.submit_task(&owner, request).await.unwrap();
    let task = host.finish(task.id).await;
    assert_eq!(task.status, TaskStatus::Succeeded);
    assert!(task.steps[0].output["stdout"].as_str().unwrap().contains("1,2"));
    assert_eq!(task.artifacts.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["made"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_engine_takes_its_tasks_up_again_and_asks_about_unsafe_effects() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::at(directory.path().join("ledger"));
    let host = ScriptedEngine::start_with(Scripted::new(|_| ScriptStep::Hang), |options| {
        options.tools = vec![std::sync::Arc::new(LedgerTool::new("pay", EffectClass::Unsafe, ledger.clone()))];
    })
    .await;
    let owner = host.engine.local_owner();
    let steps = vec![agent_step("think", &[], "think"), tool_step("pay", &[], "pay", &json!({}))];
    let task = host.engine.submit_task(&owner, plan(steps)).await.unwrap();
    host.wait_for(task.id, |frame| {
        matches!(frame, StreamFrame::Event { event }
            if matches!(&event.event, EventBody::StepEnded { step, .. } if step.as_str() == "pay"))
    })
    .await;
    host.engine.stop().await;

    let mut options = EngineOptions::new(host.directory.path());
    options.providers = Some(ninja_tests::scripted_providers(std::sync::Arc::new(Scripted::answering("thought"))));
    options.tools = vec![std::sync::Arc::new(LedgerTool::new("pay", EffectClass::Unsafe, ledger.clone()))];
    let host = ScriptedEngine { engine: Engine::start(options).await.unwrap(), ..host };
    let task = tokio::time::timeout(Duration::from_secs(30), host.finish(task.id)).await.unwrap();
    assert_eq!((task.status, task.steps[0].status), (TaskStatus::Succeeded, StepStatus::Succeeded));
    assert_eq!(ledger.lines().len(), 1, "the payment was made once");
    assert!(task.usage.estimated_tokens > 0, "the lost model call was charged");
}
