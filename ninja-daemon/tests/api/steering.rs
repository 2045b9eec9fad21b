//! Steering, replay, diff and the catalogue over a real socket: what each route answers and how it refuses.

use ninja_core::providers::{ScriptStep, Scripted};
use serde_json::{Value, json};

use crate::support::{Daemon, exchange};

const NOBODY: &str = "task_00000000000070008000000000000000";

/// A file is written, a person is asked, an agent speaks.
fn plan() -> Value {
    json!({ "goal": "greet", "plan": { "steps": [
        { "id": "write", "kind": "tool", "tool": "write_file", "args": { "path": "a.txt", "content": "hello" } },
        { "id": "ask", "kind": "approval", "prompt": "Shall I go on?", "after": ["write"] },
        { "id": "say", "kind": "agent", "prompt": "Say it.", "after": ["ask"] },
    ] } })
}

async fn post(daemon: &Daemon, path: &str) -> Value {
    exchange(daemon.request("POST", path)).await
}

async fn answer(daemon: &Daemon, task: &Value, body: Value) -> Value {
    let (id, approval) = (task["id"].as_str().unwrap(), task["approvals"][0]["id"].as_str().unwrap());
    exchange(daemon.request("POST", &format!("/api/v1/tasks/{id}/approvals/{approval}")).json(&body)).await
}

#[tokio::test]
async fn a_task_is_paused_and_resumed() {
    let daemon = Daemon::start(Scripted::answering("hello, world")).await;
    let id = daemon.submit(plan()).await;
    let path = format!("/api/v1/tasks/{id}");
    let task = daemon.settled(&id).await;
    insta::assert_json_snapshot!("resumed_without_pause", post(&daemon, &format!("{path}/resume")).await);
    insta::assert_json_snapshot!("paused", post(&daemon, &format!("{path}/pause")).await);
    insta::assert_json_snapshot!("paused_twice", post(&daemon, &format!("{path}/pause")).await);
    insta::assert_json_snapshot!(
        "answered_while_paused",
        answer(&daemon, &task, json!({ "decision": "approve" })).await
    );
    let resumed = post(&daemon, &format!("{path}/resume")).await;
    assert_eq!((&resumed["status"], &resumed["body"]["waiting"]["for"]), (&json!(200), &json!("approval")));
    assert_eq!(answer(&daemon, &task, json!({ "decision": "approve" })).await["status"], 200);
    assert_eq!(daemon.settled(&id).await["status"], "succeeded");
    insta::assert_json_snapshot!("paused_too_late", post(&daemon, &format!("{path}/pause")).await);
}

#[tokio::test]
async fn a_task_that_failed_is_retried_forked_replayed_and_compared() {
    let daemon = Daemon::start(Scripted::answering("hello, world")).await;
    let id = daemon.submit(plan()).await;
    let path = format!("/api/v1/tasks/{id}");
    let task = daemon.settled(&id).await;
    insta::assert_json_snapshot!("retried_before_the_end", post(&daemon, &format!("{path}/retry")).await);
    answer(&daemon, &task, json!({ "decision": "deny" })).await;
    assert_eq!(daemon.settled(&id).await["status"], "failed");
    let retried = post(&daemon, &format!("{path}/retry")).await;
    assert_eq!(retried["status"], 200);
    let task = daemon.settled(&id).await;
    assert_eq!((&task["status"], &task["steps"][1]["attempt"]), (&json!("waiting"), &json!(2)));
    answer(&daemon, &task, json!({ "decision": "approve" })).await;
    assert_eq!(daemon.settled(&id).await["status"], "succeeded");
    insta::assert_json_snapshot!("retried_after_success", post(&daemon, &format!("{path}/retry")).await);

    let fork = |body: Value| daemon.request("POST", &format!("{path}/fork")).json(&body);
    let response = fork(json!({ "at": "say" })).send().await.unwrap();
    assert_eq!(response.status(), 201);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let forked: Value = response.json().await.unwrap();
    let other = forked["id"].as_str().unwrap().to_owned();
    assert_eq!((location, &forked["forked_from"]["task"]), (format!("/api/v1/tasks/{other}"), &json!(id)));
    assert_eq!(daemon.settled(&other).await["status"], "succeeded");
    for (name, body) in [
        ("forked_nowhere", json!({})),
        ("forked_at_no_step", json!({ "at": "none" })),
        ("forked_with_unknown_field", json!({ "step": "say" })),
    ] {
        insta::assert_json_snapshot!(name, exchange(fork(body)).await);
    }
    let replay = exchange(daemon.request("GET", &format!("{path}/replay"))).await;
    insta::assert_json_snapshot!("replayed", replay);
    insta::assert_json_snapshot!("compared", exchange(daemon.request("GET", &format!("{path}/diff/{other}"))).await);
    let itself = exchange(daemon.request("GET", &format!("{path}/diff/{id}"))).await;
    assert_eq!(
        (&itself["body"]["same"], &itself["body"]["equal_events"]),
        (&json!(true), &json!(task_events(&itself)))
    );
}

fn task_events(diff: &Value) -> u64 {
    diff["body"]["a"]["events"].as_u64().unwrap()
}

#[tokio::test]
async fn a_plan_of_the_models_is_shown_changed_and_approved_first() {
    let model = Scripted::new(|request| {
        let text: String = request.messages.iter().map(|message| message.text()).collect();
        let step = |id: &str| json!({ "id": id, "kind": "agent", "agent": "coder", "prompt": format!("do {id}") });
        match (text.starts_with("You plan work"), text.contains("in two steps")) {
            (true, false) => ScriptStep::answer(json!({ "steps": [step("one")] }).to_string()),
            (true, true) => ScriptStep::answer(json!({ "steps": [step("one"), step("two")] }).to_string()),
            (false, _) => ScriptStep::answer("done"),
        }
    });
    let daemon = Daemon::start(model).await;
    let request = json!({ "goal": "do it", "planning": "model", "autonomy": "review" });
    let (id, denied) = (daemon.submit(request.clone()).await, daemon.submit(request).await);
    let task = daemon.settled(&id).await;
    let mut asked = task["approvals"][0].clone();
    crate::support::mask(&mut asked);
    insta::assert_json_snapshot!("plan_to_approve", asked);
    let wrong = answer(&daemon, &task, json!({ "decision": "happened" })).await;
    assert_eq!(wrong["status"], 422);
    assert_eq!(answer(&daemon, &task, json!({ "decision": "answer", "text": "in two steps" })).await["status"], 200);
    let task = daemon.settled(&id).await;
    assert_eq!(task["approvals"][0]["plan"]["steps"].as_array().unwrap().len(), 2);
    assert_eq!(answer(&daemon, &task, json!({ "decision": "approve" })).await["status"], 200);
    let task = daemon.settled(&id).await;
    let steps: Vec<_> = task["steps"].as_array().unwrap().iter().map(|step| step["id"].as_str().unwrap()).collect();
    assert_eq!((&task["status"], steps), (&json!("succeeded"), vec!["plan:1", "one", "two"]));

    let task = daemon.settled(&denied).await;
    answer(&daemon, &task, json!({ "decision": "deny" })).await;
    let task = daemon.settled(&denied).await;
    assert_eq!((&task["status"], &task["error"]["code"]), (&json!("failed"), &json!("denied")));
}

#[tokio::test]
async fn the_catalogue_tells_what_there_is() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    let get = |path: &str| exchange(daemon.request("GET", path));
    let templates = get("/api/v1/tasks/templates").await;
    let names: Vec<_> = templates["body"]["items"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert!(names.contains(&json!("data-analysis")), "{names:?}");
    let agents = get("/api/v1/agents").await;
    assert!(agents["body"]["items"].as_array().unwrap().iter().any(|agent| agent["name"] == "coder"));
    assert_eq!(get("/api/v1/agents/coder").await["body"]["name"], "coder");
    let may = get("/api/v1/agents/writer/capabilities").await;
    let tools: Vec<_> = may["body"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect();
    assert!(tools.contains(&json!("write_file")), "{may}");
    assert!(may["body"]["tools"].as_array().unwrap().iter().all(|tool| tool["effect"].is_string()));
}

#[tokio::test]
async fn every_refusal_says_what_is_wrong() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    let path = |rest: &str| format!("/api/v1/tasks/{NOBODY}/{rest}");
    let get = |path: String| daemon.request("GET", &path);
    let post = |path: String| daemon.request("POST", &path);
    let requests = [
        ("pause_nobody", post(path("pause"))),
        ("resume_nobody", post(path("resume"))),
        ("retry_nobody", post(path("retry"))),
        ("fork_nobody", post(path("fork")).json(&json!({}))),
        ("fork_without_body", post(path("fork"))),
        ("replay_nobody", get(path("replay"))),
        ("diff_nobody", get(path(&format!("diff/{NOBODY}")))),
        ("diff_bad_id", get(path("diff/7"))),
        ("pause_wrong_method", get(path("pause"))),
        ("unknown_agent", get("/api/v1/agents/nobody".to_owned())),
        ("unknown_agents_capabilities", get("/api/v1/agents/nobody/capabilities".to_owned())),
    ];
    for (name, request) in requests {
        let came = exchange(request).await;
        assert_eq!(came["type"], "application/problem+json", "{name}");
        insta::assert_json_snapshot!(name, came);
    }
    for open in ["/api/v1/agents", "/api/v1/tasks/templates"] {
        let anonymous = exchange(daemon.http.get(format!("{}{open}", daemon.url))).await;
        assert_eq!(anonymous["status"], 401, "{open}");
    }
}
