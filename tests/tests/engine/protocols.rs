//! One task over every protocol, against a server that speaks them all.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use ninja_core::{
    EngineOptions,
    api::{
        ErrorCode, EventBody, Planning, StreamFrame, SubmitTask, Task, TaskId, TaskStatus, UsageBy, UsageQuery, WaitFor,
    },
    providers::{ProviderConfig, ProviderError, ProviderKind, Providers, ScriptStep, Scripted, Secret, Timeouts},
};
use ninja_tests::{ScriptedEngine, agent_step, counterpart, plan, tool_step};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::shell;

/// What the server has an answer for: it looks at the files, reads two of them side by side, then says this.
const QUESTION: &str = "Which CSV file under data has more rows?";
const ANSWER: &str = "data/b.csv has more rows: 3 against 1.";

/// The protocols: what is configured, the path that is the provider's, and a model.
const PROTOCOLS: [(ProviderKind, &str, &str); 6] = [
    (ProviderKind::Openai, "/v1", "gpt-4.1"),
    (ProviderKind::OpenaiResponses, "/v1", "gpt-5.4-mini"),
    (ProviderKind::Anthropic, "", "claude-sonnet-4-5"),
    (ProviderKind::Gemini, "", "gemini-2.5-flash"),
    (ProviderKind::Deepseek, "", "deepseek-flash"),
    (ProviderKind::Ollama, "", "qwen3:8b"),
];

/// Makes options that know one provider and no script.
fn only(options: &mut EngineOptions, config: ProviderConfig) {
    options.providers = None;
    options.env.retain(|name, _| name == "PATH");
    options.config.providers = [("mock".to_owned(), config)].into();
}

/// Three steps: files are made, an agent reads them with tools, and what it says becomes a file.
fn three_steps(question: &str) -> SubmitTask {
    let files =
        "mkdir data && printf 'x\\n1\\nend-of-a' > data/a.csv && printf 'x\\n1\\n2\\n3\\nend-of-b' > data/b.csv";
    plan(vec![
        tool_step("make", &[], "shell", &shell(files)),
        agent_step("find", &["make"], question),
        tool_step(
            "keep",
            &["find"],
            "write_file",
            &json!({ "path": "answer.txt", "content": "{{steps.find.output}}" }),
        ),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_task_ends_the_same_over_every_protocol() {
    let Some(url) = counterpart("NINJA_TEST_AIMOCK_URL", "a server of all protocols") else { return };
    for (kind, path, model) in PROTOCOLS {
        for stream in [true, false] {
            let config = ProviderConfig {
                base_url: Some(format!("{url}{path}")),
                api_key: Some(Secret::new("sk-test")),
                model: Some(model.to_owned()),
                context_window: Some(128_000),
                stream,
                ..ProviderConfig::new(kind)
            };
            let host = ScriptedEngine::start_with(Scripted::answering("nobody asks"), |options| only(options, config));
            let host = host.await;
            let owner = host.engine.local_owner();
            let task = host.engine.submit_task(&owner, three_steps(QUESTION)).await.unwrap();
            let task = host.finish(task.id).await;
            let row = format!("{kind:?}, stream: {stream}");
            assert_eq!((task.status, task.error), (TaskStatus::Succeeded, None), "{row}");
            assert_eq!(task.steps[1].output, json!(ANSWER), "{row}");
            assert_eq!(task.artifacts[0].path, "answer.txt", "{row}");
            let used = (task.usage.model_calls, task.usage.tool_calls);
            assert_eq!(used, (3, 5), "{row}: one list, two reads, and the two steps without a model");
            // Ollama's are made up by the server.
            if kind != ProviderKind::Ollama {
                assert_eq!((task.usage.input_tokens, task.usage.output_tokens), (360, 67), "{row}");
            }
            host.engine.stop().await;
        }
    }
}

/// A server that goes wrong in the ways that a test asks for, and judges how it was treated.
struct Faulty {
    url: String,
    http: reqwest::Client,
}

impl Faulty {
    /// Forgets all that was, and does these things next.
    async fn will(&self, behaviors: &Value) {
        let post = |path: &str, body: &Value| self.http.post(format!("{}{path}", self.url)).json(body).send();
        post("/_llmock/reset", &json!({})).await.unwrap().error_for_status().unwrap();
        let queued = post("/_llmock/scenario", &json!({ "behaviors": behaviors })).await.unwrap();
        queued.error_for_status().unwrap();
    }

    async fn verdict(&self) -> Value {
        let verdict = self.http.get(format!("{}/_llmock/verdict", self.url)).send().await.unwrap();
        verdict.json().await.unwrap()
    }
}

/// Where the server has each protocol, and how long its silence is borne.
fn faulty_providers(options: &mut EngineOptions, url: &str) {
    let vendors = [
        ("chat", ProviderKind::Openai, "/v1"),
        ("responses", ProviderKind::OpenaiResponses, "/v1"),
        ("anthropic", ProviderKind::Anthropic, "/anthropic"),
        ("gemini", ProviderKind::Gemini, "/gemini"),
    ];
    options.providers = None;
    options.config.providers = vendors
        .map(|(name, kind, path)| {
            let config = ProviderConfig {
                base_url: Some(format!("{url}{path}")),
                api_key: Some(Secret::new("sk-test")),
                model: Some("m".to_owned()),
                context_window: Some(128_000),
                timeouts: Timeouts { idle_ms: 700, ..Timeouts::default() },
                ..ProviderConfig::new(kind)
            };
            (name.to_owned(), config)
        })
        .into();
}

/// An agent that answers in words, or one that looks around first.
fn one_agent(provider: &str, tools: &str) -> SubmitTask {
    let agent = format!("+++\nname = \"looker\"\ndescription = \"Looks.\"\ntools = [{tools}]\n+++\nYou look.");
    let (goal, model) = ("Say what you see.".to_owned(), Some(provider.to_owned()));
    SubmitTask { goal, planning: Planning::None, agent: Some(agent), model, ..SubmitTask::default() }
}

/// A model that answers nobody until it is mended, and counts how often it was asked.
fn out_of_order(mended: &Arc<AtomicBool>) -> Arc<Scripted> {
    let mended = Arc::clone(mended);
    Arc::new(Scripted::new(move |_| match mended.load(Ordering::SeqCst) {
        true => ScriptStep::answer("mended"),
        false => ScriptStep::Fail(ProviderError::RateLimited { retry_after_ms: Some(0) }),
    }))
}

/// An engine whose first choice never answers, and whose second one does once it is mended.
async fn first_is_down(second_is_mended: bool) -> (ScriptedEngine, Arc<AtomicBool>) {
    let mended = Arc::new(AtomicBool::new(second_is_mended));
    let (first, second) = (out_of_order(&Arc::default()), out_of_order(&mended));
    let nobody = Scripted::answering("nobody asks");
    let host = ScriptedEngine::start_with(nobody, |options| {
        let mut providers = Providers::new(|| 0.0);
        providers.add("first", first, "m");
        providers.add("second", second, "m");
        providers.set_fallback(vec!["second".to_owned()]);
        options.providers = Some(providers);
    });
    (host.await, mended)
}

pub(super) async fn events_of(host: &ScriptedEngine, task: TaskId) -> Vec<EventBody> {
    let mut events = host.engine.task_events(&host.engine.local_owner(), task, None).await.unwrap();
    let mut bodies = Vec::new();
    while let Some(frame) = events.next().await.unwrap() {
        if let StreamFrame::Event { event } = serde_json::from_str(&frame.json).unwrap() {
            bodies.push(event.event);
        }
    }
    bodies
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_first_provider_refuses_for_ever_the_second_answers_and_events_say_why() {
    let (host, _) = first_is_down(true).await;
    let owner = host.engine.local_owner();
    let task = host.engine.submit_task(&owner, plan(vec![agent_step("a", &[], "work")])).await.unwrap();
    let task = host.finish(task.id).await;
    assert_eq!((task.status, &task.steps[0].output), (TaskStatus::Succeeded, &json!("mended")));
    let told = events_of(&host, task.id).await.into_iter().filter_map(|event| match event {
        EventBody::CallEnded { error, .. } => Some(error.to_string()),
        EventBody::ModelCallStarted { model, .. } => {
            Some(model.map_or("the usual".to_owned(), |model| model.to_string()))
        }
        _ => None,
    });
    let wanted = ["the usual", "first/m: the provider limits the rate (provider_failed)", "second/m"];
    assert_eq!(told.collect::<Vec<_>>(), wanted);
    host.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_providers_are_down_the_task_waits_and_goes_on_when_one_returns() {
    let (host, mended) = first_is_down(false).await;
    let owner = host.engine.local_owner();
    let task = host.engine.submit_task(&owner, plan(vec![agent_step("a", &[], "work")])).await.unwrap();
    let is_pause = |frame: &StreamFrame| matches!(frame, StreamFrame::Event { event } if matches!(event.event, EventBody::ProviderPaused { .. }));
    host.wait_for(task.id, is_pause).await;
    let waiting = host.engine.task(&owner, task.id).await.unwrap();
    assert_eq!(waiting.status, TaskStatus::Waiting);
    assert_eq!(
        waiting.waiting.map(|waiting| (waiting.wait_for, waiting.until.is_some())),
        Some((WaitFor::Provider, true))
    );
    mended.store(true, Ordering::SeqCst);
    let task = host.finish(task.id).await;
    assert_eq!((task.status, &task.steps[0].output), (TaskStatus::Succeeded, &json!("mended")));
    host.engine.stop().await;
}

/// All in one test: the server has one list of what comes next.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_does_wrong_is_survived_and_it_is_treated_well() {
    let Some(url) = counterpart("NINJA_TEST_LLMOCK_URL", "a server that goes wrong") else { return };
    let nobody = Scripted::answering("nobody asks");
    let host = ScriptedEngine::start_with(nobody, |options| faulty_providers(options, &url)).await;
    let (owner, server) = (host.engine.local_owner(), Faulty { url, http: reqwest::Client::new() });
    let breaks = |kind: &str, after: u32| json!([{ "type": "stream_fault", "kind": kind, "after_chunks": after }]);
    let fails = |status: u16, times: u32| json!([{ "type": "fail", "status": status, "times": times }]);
    let mut rows = vec![
        ("chat", json!([{ "type": "fail", "status": 429, "retry_after": 1.5 }]), None),
        ("chat", fails(500, 3), None),
        ("chat", json!([{ "type": "stream_fault", "kind": "stall", "after_chunks": 3, "stall_seconds": 30 }]), None),
        ("chat", fails(400, 1), Some(ErrorCode::ProviderRejected)),
        ("anthropic", fails(529, 3), None),
        ("gemini", fails(401, 1), Some(ErrorCode::ProviderUnauthorized)),
    ];
    // In the middle of the words: neither in a ping nor in the last event.
    for (provider, after) in [("chat", 3), ("responses", 5), ("anthropic", 3), ("gemini", 1)] {
        let faults = ["malformed", "truncate", "disconnect"];
        rows.extend(faults.map(|kind| (provider, breaks(kind, after), None)));
    }
    for (provider, behaviors, wanted) in rows {
        server.will(&behaviors).await;
        let task = host.engine.submit_task(&owner, one_agent(provider, "")).await.unwrap();
        let task = host.finish(task.id).await;
        let (verdict, row) = (server.verdict().await, format!("{provider}: {behaviors}"));
        assert_eq!(task.error.map(|error| error.code), wanted, "{row}");
        assert_eq!((&verdict["passed"], &verdict["findings"]), (&json!(true), &json!([])), "{row}: {verdict}");
        assert!(verdict["faults_injected"].as_u64() > Some(0), "{row}: {verdict}");
        let charged = u64::from(wanted.is_none());
        assert_eq!(task.usage.model_calls, charged, "{row}: charged once, however often it was tried");
    }
    for kind in ["malformed_arguments", "unknown_tool"] {
        server.will(&json!([{ "type": "tool_fault", "kind": kind }])).await;
        let task = host.engine.submit_task(&owner, one_agent("chat", "\"list_files\"")).await.unwrap();
        let task = host.finish(task.id).await;
        assert_eq!((task.status, task.error), (TaskStatus::Succeeded, None), "{kind}: the model was told and went on");
        assert_eq!(server.verdict().await["passed"], true, "{kind}");
    }
    host.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_used_is_summed_up_by_day_model_agent_and_task() {
    let (host, _) = first_is_down(true).await;
    let owner = host.engine.local_owner();
    let mut steps = vec![agent_step("a", &[], "work"), agent_step("b", &["a"], "work")];
    steps[1].agent = Some("writer".to_owned());
    let mut tasks = Vec::new();
    for model in [None, Some("second/large".to_owned())] {
        let request = SubmitTask { model, ..plan(steps.clone()) };
        let task = host.engine.submit_task(&owner, request).await.unwrap();
        tasks.push(host.finish(task.id).await);
    }
    let sums = async |by| {
        let report = host.engine.usage(&owner, UsageQuery { by, ..UsageQuery::default() }).await.unwrap();
        let calls = report.items.iter().map(|item| (item.of.clone(), item.usage.model_calls)).collect::<Vec<_>>();
        (calls, report.total)
    };
    let of_tasks = |task: &Task| (task.id.to_string(), task.usage.model_calls);
    assert_eq!(sums(UsageBy::Task).await.0, [of_tasks(&tasks[1]), of_tasks(&tasks[0])]);
    let (models, total) = sums(UsageBy::Model).await;
    assert_eq!(models.iter().map(|(_, calls)| calls).sum::<u64>(), 4, "those that failed used nothing");
    assert!(models.iter().all(|(model, calls)| model.starts_with("second/") && *calls == 2), "{models:?}");
    let mut agents = sums(UsageBy::Agent).await.0;
    agents.sort();
    assert_eq!(agents, [("coder".to_owned(), 2), ("writer".to_owned(), 2)]);
    assert_eq!(sums(UsageBy::Day).await.1, total);
    let none = UsageQuery { to: Some("2001-01-01".parse().unwrap()), ..UsageQuery::default() };
    assert_eq!(host.engine.usage(&owner, none).await.unwrap().items, []);
    let backwards = UsageQuery { from: Some("2002-01-01".parse().unwrap()), ..none };
    assert_eq!(host.engine.usage(&owner, backwards).await.unwrap_err().code, ErrorCode::InvalidRequest);
    host.engine.stop().await;
}

/// A server that repeats the key of each request wherever it can: in answers, in arguments, in what it refuses and how.
pub(super) struct Parrot {
    pub(super) url: String,
}

impl Parrot {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut turns = 0..;
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let request = read_request(&mut socket).await;
                let turn = if request.starts_with("POST") { turns.next() } else { None };
                let key = request.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).unwrap_or("");
                let (status, body) = match turn {
                    None => (200, json!({ "data": [{ "id": key }] })),
                    Some(0) => (
                        200,
                        answer(json!({ "content": format!("first {key}"), "tool_calls": [{
                        "id": key, "type": "function",
                        "function": { "name": "shell", "arguments": json!({ "command": format!("echo {key}") }).to_string() },
                    }] })),
                    ),
                    Some(1) => (500, json!({ "error": { "message": format!("trouble with {key}") } })),
                    Some(2) => (200, answer(json!({ "content": format!("your key is {key}") }))),
                    Some(_) => (400, json!({ "error": { "message": format!("{key} is refused"), "param": key } })),
                };
                let body = body.to_string();
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                socket.write_all(format!("{head}{body}").as_bytes()).await.ok();
            }
        });
        Self { url }
    }
}

pub(super) fn answer(message: Value) -> Value {
    json!({ "choices": [{ "message": message, "finish_reason": "stop" }] })
}

pub(super) async fn read_request(socket: &mut tokio::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        socket.read_buf(&mut bytes).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if body.len() >= length.unwrap_or(0) {
            return text;
        }
    }
}

/// Returns the files below a folder that hold a text.
pub(super) fn holders(folder: &std::path::Path, text: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(holders(&path, text)),
            false => {
                let bytes = std::fs::read(&path).unwrap_or_default();
                if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                    found.push(path);
                }
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_a_provider_repeats_is_in_no_file_event_or_error() {
    const KEY: &str = "sk-canary-0f3a9c";
    let parrot = Parrot::start().await;
    let config = ProviderConfig {
        base_url: Some(parrot.url),
        api_key: Some(Secret::new(KEY)),
        model: Some("m".to_owned()),
        ..ProviderConfig::new(ProviderKind::Openai)
    };
    let nobody = Scripted::answering("nobody asks");
    let host = ScriptedEngine::start_with(nobody, |options| only(options, config)).await;
    let owner = host.engine.local_owner();
    let steps = vec![agent_step("a", &[], "work"), agent_step("b", &["a"], "work")];
    let task = host.engine.submit_task(&owner, plan(steps)).await.unwrap();
    let task = host.finish(task.id).await;
    let error = task.error.as_ref().unwrap();
    assert_eq!(error.code, ErrorCode::ProviderRejected);
    assert_eq!(task.steps[0].output, json!("your key is [redacted]"), "the rest is there");
    for text in [serde_json::to_string(&task).unwrap(), format!("{:?}", events_of(&host, task.id).await)] {
        assert!(text.contains("[redacted]") && !text.contains("canary"), "{text}");
    }
    host.engine.stop().await;
    assert_eq!(holders(host.directory.path(), KEY), Vec::<std::path::PathBuf>::new());
}
