//! What others may watch, seen by those who would: Prometheus's own parser reads the numbers, a collector that decodes with
//! OpenTelemetry's own messages takes spans; administrators see the tree of actors and the installation in numbers.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::{path::Path, sync::Arc, time::Duration};

use ninja_core::{
    Engine, EngineOptions,
    api::{
        FileCounts, Stats, SubmitTask, SupervisedActor, SupervisedKind, SupervisedState, Task, TaskDay, TaskStatus,
        UsageBy, UsageQuery, UserCounts, WaitFor,
    },
    key_file,
    providers::{Message, ScriptStep, Scripted, ToolCall},
    sandbox::NoSandbox,
    testing::Failpoints,
};
use ninja_daemon::{Exporters, ServeOptions, Server};
use ninja_sdk::{Client, Content, Ninja};
use ninja_tests::{agent_step, approval_step, counterpart, plan, scripted_providers, tool_step, until};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long anything may take. Not a timing: only a hang reaches it.
const HANG: Duration = Duration::from_secs(60);

/// A daemon in this process that keeps numbers.
struct Host {
    url: String,
    key: String,
    ninja: Ninja,
    engine: Engine,
    exporters: Exporters,
    failpoints: Failpoints,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
    http: reqwest::Client,
}

impl Host {
    async fn start(directory: &Path, model: Scripted, change: impl FnOnce(&mut EngineOptions)) -> Self {
        let failpoints = Failpoints::armed();
        let mut options = EngineOptions::new(directory);
        options.providers = Some(scripted_providers(Arc::new(model)));
        options.sandbox = Some(Arc::new(NoSandbox { reason: "tests run no code".to_owned() }));
        options.failpoints = failpoints.clone();
        change(&mut options);
        let exporters = Exporters::start(&options.config, &options.env).unwrap();
        options.telemetry = exporters.telemetry();
        let engine = Engine::start(options).await.unwrap();
        let listen = Some("127.0.0.1:0".parse().unwrap());
        let serve = ServeOptions { listen, exporters: Some(exporters.clone()), ..ServeOptions::default() };
        let server = Server::bind(engine.clone(), serve).await.unwrap();
        let url = format!("http://{}", server.address().unwrap());
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(server.run(shutdown.clone()));
        let key = std::fs::read_to_string(key_file(directory)).unwrap().trim().to_owned();
        let ninja = Client::builder().url(&url).key(&key).build().unwrap().into();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { url, key, ninja, engine, exporters, failpoints, shutdown, serving, http }
    }

    /// Returns the task once it has ended or waits.
    async fn settled(&self, request: &SubmitTask) -> Task {
        let task = self.ninja.submit_task(request).await.unwrap();
        self.rested(&task).await
    }

    async fn rested(&self, task: &Task) -> Task {
        let rests = async {
            loop {
                let task = self.ninja.task(task.id).await.unwrap();
                if !matches!(task.status, TaskStatus::Queued | TaskStatus::Planning | TaskStatus::Running) {
                    return task;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(HANG, rests).await.unwrap()
    }

    async fn metrics(&self) -> String {
        let asked = self.http.get(format!("{}/metrics", self.url)).bearer_auth(&self.key).send().await.unwrap();
        assert_eq!(asked.status(), 200);
        asked.text().await.unwrap()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        drop(self.ninja);
        self.serving.await.unwrap();
        self.engine.stop().await;
        self.exporters.flush().await;
    }
}

/// A model that writes a file, then says what it did; asked to fail, it is asked for too much.
fn writer() -> Scripted {
    Scripted::new(|request| {
        let said = |text: &str| request.messages.iter().any(|message| message.text().contains(text));
        let has_written = request.messages.iter().any(|message| matches!(message, Message::Tool { .. }));
        if said("refuse") {
            return ScriptStep::Fail(ninja_core::providers::ProviderError::Rejected("canary-reason".to_owned()));
        }
        match has_written {
            true => ScriptStep::answer("canary-answer"),
            false => {
                let args = json!({ "path": "a.txt", "content": "canary-content" });
                ScriptStep::tools(vec![ToolCall { id: "x".to_owned(), name: "write_file".to_owned(), args }])
            }
        }
    })
}

fn writes() -> SubmitTask {
    plan(vec![agent_step("work", &[], "canary-prompt: write it")])
}

fn fails() -> SubmitTask {
    plan(vec![agent_step("work", &[], "refuse")])
}

/// Samples as Prometheus's parser reads them.
struct Samples(Vec<Value>);

impl Samples {
    async fn of(host: &Host, counterpart: &str) -> Self {
        let parsed = host.http.post(format!("{counterpart}/parse")).body(host.metrics().await).send().await.unwrap();
        Self(parsed.json().await.unwrap())
    }

    /// Returns the sum of a name's samples with these labels.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&Value| {
            sample["name"] == name && labels.iter().all(|(label, value)| sample["labels"][label] == *value)
        };
        let found: Vec<f64> = self.0.iter().filter(fits).map(|sample| sample["value"].as_f64().unwrap()).collect();
        assert!(!found.is_empty(), "there is no {name} with {labels:?}");
        found.into_iter().sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_numbers_are_what_was_done() {
    let Some(parser) = counterpart("NINJA_TEST_TELEMETRY_URL", "a collector of telemetry") else { return };
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(directory.path(), writer(), |_| {}).await;
    for _ in 0..3 {
        assert_eq!(host.settled(&writes()).await.status, TaskStatus::Succeeded);
    }
    assert_eq!(host.settled(&fails()).await.status, TaskStatus::Failed);
    assert_eq!(host.settled(&plan(vec![approval_step("ask", &[], "may I?")])).await.status, TaskStatus::Waiting);
    let mut unknown = writes();
    unknown.model = Some("scripted/made-up-by-somebody".to_owned());
    unknown.plan.as_mut().unwrap().steps[0] = agent_step("work", &[], "refuse");
    assert_eq!(host.settled(&unknown).await.status, TaskStatus::Failed);
    let used = host.ninja.usage(&UsageQuery { by: UsageBy::Model, ..UsageQuery::default() }).await.unwrap().total;

    let samples = Samples::of(&host, &parser).await;
    let sums = [
        ("ninja_tasks_submitted_total", vec![], 6),
        ("ninja_tasks_ended_total", vec![("status", "succeeded")], 3),
        ("ninja_tasks_ended_total", vec![("status", "failed")], 2),
        ("ninja_tasks", vec![("status", "waiting")], 1),
        ("ninja_tasks", vec![], 1),
        ("ninja_tasks_waiting", vec![("for", "approval")], 1),
        ("ninja_steps_ended_total", vec![("status", "succeeded")], 3),
        ("ninja_step_duration_seconds_count", vec![("status", "succeeded")], 3),
        ("ninja_model_calls_total", vec![("outcome", "ok"), ("gen_ai_request_model", "script")], 6),
        ("ninja_model_calls_total", vec![("outcome", "failed"), ("gen_ai_request_model", "script")], 1),
        ("ninja_model_calls_total", vec![("outcome", "failed"), ("gen_ai_request_model", "other")], 1),
        ("gen_ai_client_operation_duration_seconds_count", vec![("gen_ai_provider_name", "scripted")], 8),
        ("gen_ai_client_operation_duration_seconds_count", vec![("error_type", "provider_rejected")], 2),
        ("ninja_model_tokens_total", vec![("gen_ai_token_type", "input")], used.input_tokens),
        ("ninja_model_tokens_total", vec![("gen_ai_token_type", "output")], used.output_tokens),
        ("gen_ai_client_token_usage_sum", vec![("gen_ai_token_type", "output")], used.output_tokens),
        ("ninja_tool_calls_total", vec![("gen_ai_tool_name", "write_file"), ("outcome", "ok")], 3),
        ("ninja_tool_call_duration_seconds_count", vec![], 3),
        ("http_server_request_duration_seconds_count", vec![("http_route", "/api/v1/tasks")], 6),
        ("http_server_active_requests", vec![], 1),
        ("ninja_actor_failures_total", vec![], 0),
        ("ninja_actors", vec![("actor", "orchestrator")], 1),
        ("ninja_component_up", vec![("component", "sandbox")], 0),
    ];
    host.ninja.health().await.unwrap();
    let samples_with_health = Samples::of(&host, &parser).await;
    for (name, labels, expected) in sums {
        let samples = if name == "ninja_component_up" { &samples_with_health } else { &samples };
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let expected = expected as f64;
        assert_eq!(samples.sum(name, &labels), expected, "{name} {labels:?}");
    }
    let some =
        ["ninja_journal_commits_total", "ninja_journal_sync_duration_seconds_count", "process_memory_usage_bytes"];
    for name in some.into_iter().chain(["ninja_store_size_bytes", "process_unix_file_descriptor_count"]) {
        assert!(samples.sum(name, &[]) > 0.0, "{name}");
    }
    let text = host.metrics().await;
    for never in ["task_0", "canary", "made-up", "?", "step=\"work"] {
        assert!(!text.contains(never), "{never} is in {text}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_for_administrators_unless_the_operator_opens_them() {
    let directory = tempfile::tempdir().unwrap();
    for (is_public, expected) in [(false, 401), (true, 200)] {
        let change = |options: &mut EngineOptions| options.config.metrics.public = is_public;
        let host = Host::start(directory.path(), writer(), change).await;
        let answer = host.http.get(format!("{}/metrics", host.url)).send().await.unwrap();
        assert_eq!(answer.status(), expected);
        assert!(host.metrics().await.contains("# TYPE ninja_tasks gauge"));
        host.stop().await;
    }
}

/// The spans of one trace by their names.
struct Spans(Vec<Value>);

impl Spans {
    fn named(&self, name: &str) -> &Value {
        let found: Vec<&Value> = self.0.iter().filter(|span| span["name"] == name).collect();
        assert_eq!(found.len(), 1, "{name} in {:?}", self.0);
        found[0]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_one_trace_from_its_request_to_its_calls() {
    let Some(collector) = counterpart("NINJA_TEST_TELEMETRY_URL", "a collector of telemetry") else { return };
    let directory = tempfile::tempdir().unwrap();
    // The collector keeps what came before.
    let place = format!("{collector}/{}", uuid::Uuid::now_v7().simple());
    let change = |options: &mut EngineOptions| options.config.otel.endpoint = Some(format!("{place}/"));
    let host = Host::start(directory.path(), writer(), change).await;
    let (trace, caller) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let asked = host.http.post(format!("{}/api/v1/tasks", host.url)).bearer_auth(&host.key);
    let asked = asked.header("traceparent", format!("00-{trace}-{caller}-01")).json(&writes());
    let task: Task = asked.send().await.unwrap().json().await.unwrap();
    assert_eq!(host.rested(&task).await.status, TaskStatus::Succeeded);
    let http = host.http.clone();
    host.stop().await;

    let received: Value = http.get(&place).send().await.unwrap().json().await.unwrap();
    let of_trace = |span: &&Value| span["trace"] == trace;
    let spans = Spans(received["spans"].as_array().unwrap().iter().filter(of_trace).cloned().collect());
    let (request, task_span) = (spans.named("POST /api/v1/tasks"), spans.named("task"));
    let (agent, tool) = (spans.named("invoke_agent coder"), spans.named("execute_tool write_file"));
    let chats: Vec<&Value> = spans.0.iter().filter(|span| span["name"] == "chat script").collect();
    assert_eq!((spans.0.len(), chats.len()), (6, 2));
    assert_eq!(request["parent"], caller);
    for (child, parent) in
        [(task_span, request), (agent, task_span), (tool, agent), (chats[0], agent), (chats[1], agent)]
    {
        assert_eq!(child["parent"], parent["id"], "{child}");
        assert_eq!((&child["service"], &child["error"]), (&json!("ninja"), &json!(false)));
        assert!(child["nanoseconds"].as_i64().unwrap() > 0, "{child}");
    }
    let kinds = [request, task_span, chats[0]].map(|span| span["kind"].as_i64().unwrap());
    assert_eq!(kinds, [2, 1, 3], "a server's, internal, a client's");
    let about = |span: &Value, name: &str| span["attributes"][name].clone();
    assert_eq!(about(request, "http.response.status_code"), 201);
    assert_eq!(about(task_span, "ninja.task.id"), json!(task.id));
    assert_eq!(about(task_span, "ninja.task.status"), "succeeded");
    assert_eq!(about(agent, "gen_ai.agent.name"), "coder");
    assert_eq!(about(tool, "gen_ai.operation.name"), "execute_tool");
    let used: i64 = chats.iter().map(|chat| about(chat, "gen_ai.usage.output_tokens").as_i64().unwrap()).sum();
    assert!(used > 0);
    assert_eq!(about(chats[0], "gen_ai.provider.name"), "scripted");
    let finished: Vec<Value> = chats.iter().map(|chat| about(chat, "gen_ai.response.finish_reasons")).collect();
    assert!(finished.contains(&json!(["tool_calls"])) && finished.contains(&json!(["stop"])), "{finished:?}");
    let metrics = received["metrics"].to_string();
    for name in ["gen_ai.client.operation.duration", "ninja.tasks.ended", "http.server.request.duration"] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
    assert!(!received["text"].as_str().unwrap().contains("canary"), "no content is sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let change = |options: &mut EngineOptions| options.config.otel.endpoint = Some("http://127.0.0.1:9".to_owned());
    let host = Host::start(directory.path(), writer(), change).await;
    assert_eq!(host.settled(&writes()).await.status, TaskStatus::Succeeded);
    let counted = async {
        while !host.metrics().await.contains(r#"ninja_telemetry_spans_total{outcome="failed"}"#) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(HANG, counted).await.unwrap();
    tokio::time::timeout(HANG, host.stop()).await.unwrap();
}

/// Returns the actors of a kind in a tree.
fn all<'a>(actor: &'a SupervisedActor, kind: SupervisedKind, found: &mut Vec<&'a SupervisedActor>) {
    if actor.kind == kind {
        found.push(actor);
    }
    for child in &actor.children {
        all(child, kind, found);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tree_of_a_busy_engine_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let hanging = Scripted::new(|_| ScriptStep::Hang);
    let host = Host::start(directory.path(), hanging, |options| options.config.limits.tasks_at_work = 1).await;
    let running = host.ninja.submit_task(&plan(vec![agent_step("work", &[], "hang")])).await.unwrap();
    let by = host.engine.local_owner();
    until("the agent works", || {
        let (tree, mut agents) = (host.engine.supervision(&by).unwrap(), Vec::new());
        all(&tree.root, SupervisedKind::Agent, &mut agents);
        agents.iter().any(|agent| agent.step.is_some())
    })
    .await;
    host.ninja.submit_task(&writes()).await.unwrap();
    until("the other one waits", || host.engine.supervision(&by).unwrap().tasks_queued == 1).await;
    let tree = host.ninja.supervision().await.unwrap();
    insta::assert_json_snapshot!(tree, {
        ".at" => "[time]", ".**.since" => "[time]", ".**.task" => "[task]", ".**.waiting" => "[waiting]",
        ".writer.queued_bytes" => "[bytes]",
    });
    let mut tasks = Vec::new();
    all(&tree.root, SupervisedKind::Task, &mut tasks);
    assert_eq!(tasks[0].task, Some(running.id));
    let refused = host.http.get(format!("{}/api/v1/system/supervision", host.url)).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn actors_that_fail_are_seen_to_have_failed() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(directory.path(), writer(), |_| {}).await;
    let by = host.engine.local_owner();
    host.failpoints.arm("orchestrator.handle", 2);
    host.failpoints.arm("task.begin", 1);
    assert_eq!(host.settled(&writes()).await.status, TaskStatus::Succeeded);
    host.failpoints.arm("session_manager.handle", 1);
    let child = |kind| {
        let children = host.engine.supervision(&by).unwrap().root.children;
        children.into_iter().find(|child| child.kind == kind).unwrap()
    };
    for (kind, point, failures) in [
        (SupervisedKind::Orchestrator, "orchestrator.handle", 2),
        (SupervisedKind::SessionManager, "session_manager.handle", 1),
    ] {
        until("it runs again", || {
            let found = child(kind);
            found.failures == failures && found.state == SupervisedState::Running
        })
        .await;
        assert_eq!(host.failpoints.left(point), 0);
        let reason = child(kind).last_failure.unwrap().reason;
        assert!(reason.contains(point), "{reason}");
    }
    let text = host.metrics().await;
    for line in [
        r#"ninja_actor_failures_total{actor="orchestrator"} 2"#,
        r#"ninja_actor_failures_total{actor="session_manager"} 1"#,
        r#"ninja_actor_failures_total{actor="task"} 1"#,
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    host.stop().await;
}

/// Takes out of numbers what differs from one moment to the next.
fn facts(stats: Stats) -> Stats {
    let at = ninja_core::api::Timestamp::UNIX_EPOCH;
    Stats { at, started_at: at, uptime_seconds: 0, store: Default::default(), ..stats }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_installation_in_numbers_is_what_is_there_also_after_a_restart() {
    let directory: TempDir = tempfile::tempdir().unwrap();
    let host = Host::start(directory.path(), writer(), |_| {}).await;
    for _ in 0..2 {
        host.settled(&writes()).await;
    }
    let failed = host.settled(&fails()).await;
    let cancelled = host.settled(&plan(vec![approval_step("ask", &[], "may I?")])).await;
    host.ninja.cancel_task(cancelled.id).await.unwrap();
    let waiting = host.settled(&plan(vec![approval_step("ask", &[], "may I?")])).await;
    assert_eq!(waiting.waiting.unwrap().wait_for, WaitFor::Approval);
    // Tried again and failed again: it is one failed task, that failed twice today.
    host.ninja.retry_task(failed.id).await.unwrap();
    host.rested(&failed).await;
    for name in ["a.txt", "b.txt"] {
        let content = Content::bytes("hello");
        host.ninja.upload_file(name, content).await.unwrap();
    }
    let stats = host.ninja.stats().await.unwrap();
    let used = host.ninja.usage(&UsageQuery { by: UsageBy::Model, ..UsageQuery::default() }).await.unwrap();
    assert_eq!(stats.users, UserCounts { total: 1, admin: 1, ..UserCounts::default() });
    let tasks = &stats.tasks;
    assert_eq!((tasks.queued, tasks.running, tasks.waiting), (0, 0, 1));
    assert_eq!((tasks.succeeded, tasks.failed, tasks.cancelled), (2, 1, 1));
    let sum = |count: fn(&TaskDay) -> u64| tasks.days.iter().map(count).sum::<u64>();
    assert_eq!((sum(|day| day.submitted), sum(|day| day.succeeded)), (5, 2));
    assert_eq!((sum(|day| day.failed), sum(|day| day.cancelled)), (2, 1));
    assert_eq!((&stats.usage.total, &stats.usage.by_model), (&used.total, &used.items));
    assert_eq!(stats.files, FileCounts { count: 2, bytes: 10 });
    assert!(stats.store.log + stats.store.tree > 0 && stats.store.blobs >= 5, "{:?}", stats.store);
    // One that is deleted is none any more; what happened to it today has happened.
    let days = tasks.days.clone();
    host.ninja.delete_task(failed.id).await.unwrap();
    let stats = host.ninja.stats().await.unwrap();
    assert_eq!((stats.tasks.succeeded, stats.tasks.failed, stats.tasks.cancelled), (2, 0, 1));
    assert_eq!(stats.tasks.days, days);
    let before = facts(stats);
    host.stop().await;

    let host = Host::start(directory.path(), writer(), |_| {}).await;
    assert_eq!(facts(host.ninja.stats().await.unwrap()), before);
    let refused = host.http.get(format!("{}/api/v1/admin/stats", host.url)).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_step_counts_without_an_agent() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(directory.path(), writer(), |_| {}).await;
    let args = json!({ "path": "a.txt", "content": "x" });
    assert_eq!(host.settled(&plan(vec![tool_step("t", &[], "write_file", &args)])).await.status, TaskStatus::Succeeded);
    let text = host.metrics().await;
    let line = r#"ninja_tool_calls_total{gen_ai_tool_name="write_file",outcome="ok"} 1"#;
    assert!(text.contains(line), "{line} in {text}");
    host.stop().await;
}
