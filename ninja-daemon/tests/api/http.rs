//! Bodies, statuses and headers over a real socket, with the real engine behind them.

use ninja_core::providers::Scripted;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::support::{Daemon, exchange};

const NOBODY: &str = "task_00000000000070008000000000000000";

fn plan() -> Value {
    json!({ "goal": "greet", "plan": { "steps": [
        { "id": "write", "kind": "tool", "tool": "write_file", "args": { "path": "out/ä b.txt", "content": "hello" } },
        { "id": "ask", "kind": "approval", "prompt": "Shall I go on?", "after": ["write"] },
        { "id": "say", "kind": "agent", "prompt": "Say it.", "after": ["ask"] },
    ] } })
}

#[tokio::test]
async fn a_task_goes_its_whole_way() {
    let daemon = Daemon::start(Scripted::answering("hello, world")).await;
    insta::assert_json_snapshot!("submitted", exchange(daemon.request("POST", "/api/v1/tasks").json(&plan())).await);
    let list: Value = daemon.request("GET", "/api/v1/tasks").send().await.unwrap().json().await.unwrap();
    let id = list["items"][0]["id"].as_str().unwrap().to_owned();
    let task = daemon.settled(&id).await;
    let path = format!("/api/v1/tasks/{id}");
    insta::assert_json_snapshot!("waiting", exchange(daemon.request("GET", &path)).await);

    let answer = format!("{path}/approvals/{}", task["approvals"][0]["id"].as_str().unwrap());
    let response = daemon.request("POST", &answer).json(&json!({ "decision": "approve" })).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let task = daemon.settled(&id).await;
    assert_eq!((&task["status"], &task["progress"]), (&json!("succeeded"), &json!(100)));
    assert_eq!(task["steps"][2]["output"], "hello, world");
    for (name, path) in
        [("listed", "/api/v1/tasks?status=succeeded&limit=1".to_owned()), ("artifacts", format!("{path}/artifacts"))]
    {
        insta::assert_json_snapshot!(name, exchange(daemon.request("GET", &path)).await);
    }
    let steps = exchange(daemon.request("GET", &format!("{path}/steps"))).await;
    assert_eq!(steps["body"]["items"].as_array().unwrap().len(), 3);
    let again = daemon.request("POST", &answer).json(&json!({ "decision": "approve" })).send().await.unwrap();
    assert!(again.status().is_client_error());
    insta::assert_json_snapshot!(
        "cancelled_too_late",
        exchange(daemon.request("POST", &format!("{path}/cancel"))).await
    );
}

#[tokio::test]
async fn an_artifact_is_saved_never_shown() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    let id = daemon.submit(plan()).await;
    daemon.settled(&id).await;
    let path = format!("/api/v1/tasks/{id}/artifacts/out/%C3%A4%20b.txt");
    let response = daemon.request("GET", &path).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    assert_eq!(headers["content-disposition"], "attachment; filename=\"_ b.txt\"; filename*=UTF-8''%C3%A4%20b.txt");
    assert_eq!(headers["content-type"], "application/octet-stream");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["etag"], "\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"");
    assert_eq!(response.text().await.unwrap(), "hello");
    for (name, path) in [("artifact_missing", "out/none.txt"), ("artifact_outside", "..%2f..%2fowner.key")] {
        let request = daemon.request("GET", &format!("/api/v1/tasks/{id}/artifacts/{path}"));
        insta::assert_json_snapshot!(name, exchange(request).await);
    }
}

#[tokio::test]
async fn every_refusal_is_a_problem_with_a_code_and_a_sentence() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    let json = |body: &str| {
        daemon.request("POST", "/api/v1/tasks").header("content-type", "application/json").body(body.to_owned())
    };
    let get = |path: &str| daemon.request("GET", path);
    let anonymous = |path: &str| daemon.http.get(format!("{}{path}", daemon.url));
    let requests = [
        ("no_key", anonymous("/api/v1/tasks")),
        ("wrong_key", anonymous("/api/v1/tasks").bearer_auth("nj_000000000000_wrong")),
        ("key_in_url", anonymous(&format!("/api/v1/tasks?access_token={}", daemon.key))),
        ("unknown_path", get("/api/v1/nothing")),
        ("wrong_method", daemon.request("DELETE", "/api/v1/tasks")),
        ("bad_id", get("/api/v1/tasks/7")),
        ("unknown_task", get(&format!("/api/v1/tasks/{NOBODY}"))),
        ("bad_query", get("/api/v1/tasks?limit=x")),
        ("unknown_query", get("/api/v1/tasks?owner=me")),
        ("limit_out_of_range", get("/api/v1/tasks?limit=201")),
        ("bad_status", get("/api/v1/tasks?status=done")),
        ("bad_cursor", get("/api/v1/tasks?cursor=zzz")),
        ("bad_json", json("{\"goal\": ")),
        ("unknown_field", json("{\"goal\": \"x\", \"owner\": \"me\"}")),
        ("wrong_type", json("{\"goal\": 7}")),
        ("nothing_asked", json("{}")),
        ("too_deep", json(&"[".repeat(65))),
        ("too_large", json(&format!("{{\"goal\": \"{}\"}}", "x".repeat(1024 * 1024)))),
        ("no_content_type", daemon.request("POST", "/api/v1/tasks").body("{}")),
        ("bad_cursor_of_events", get(&format!("/api/v1/tasks/{NOBODY}/events?after=u:1"))),
        ("not_a_websocket", get("/ws")),
        ("bad_decision", {
            let path = format!("/api/v1/tasks/{NOBODY}/approvals/appr_00000000000070008000000000000000");
            daemon.request("POST", &path).json(&json!({ "decision": "perhaps" }))
        }),
    ];
    for (name, request) in requests {
        let came = exchange(request).await;
        assert_eq!(came["type"], "application/problem+json", "{name}");
        insta::assert_json_snapshot!(name, came);
    }
}

#[tokio::test]
async fn every_answer_carries_its_id_and_the_security_headers() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    for path in ["/", "/health", "/ready", "/nothing", "/api/v1/tasks", "/api/v1/tasks/x"] {
        let request = daemon.request("GET", path).header("x-request-id", "trace-7");
        let headers = request.send().await.unwrap().headers().clone();
        assert_eq!(headers["x-request-id"], "trace-7", "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        assert!(headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"), "{path}");
    }
    let response = daemon.http.get(format!("{}/api/v1/tasks", daemon.url)).send().await.unwrap();
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
}

#[tokio::test]
async fn the_system_routes_are_open_and_honest() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    for (name, path) in [("root", "/"), ("health", "/health"), ("ready", "/ready")] {
        insta::assert_json_snapshot!(name, exchange(daemon.http.get(format!("{}{path}", daemon.url))).await);
    }
}

#[tokio::test]
async fn the_page_of_the_documentation_needs_nothing_but_the_daemon() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    let get = async |path: &str| daemon.http.get(format!("{}{path}", daemon.url)).send().await.unwrap();
    let page = get("/docs").await;
    assert_eq!((page.status().as_u16(), page.url().path()), (200, "/docs/index.html"));
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("script-src 'self';") && policy.starts_with("default-src 'none'"), "{policy}");
    let text = page.text().await.unwrap();
    assert!(!text.contains("://"), "nothing of elsewhere: {text}");
    let named: Vec<&str> = text.split("=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let files = named.iter().map(|name| name.trim_start_matches("./")).filter(|name| name.contains('.'));
    for file in files {
        assert_eq!(get(&format!("/docs/{file}")).await.status(), 200, "{file}");
    }
    assert!(get("/docs/swagger-initializer.js").await.text().await.unwrap().contains("\"/openapi.json\""));
    assert_eq!(get("/docs/..%2fowner.key").await.status(), 404);
}

#[tokio::test]
async fn a_page_under_another_name_reaches_nothing() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    for host in ["evil.example", "evil.example:7420", "127.0.0.1.evil.example", "169.254.169.254"] {
        let came = exchange(daemon.request("GET", "/health").header("host", host)).await;
        assert_eq!(came["status"], 400, "{host}");
    }
    let twice = daemon.request("GET", "/health").header("host", "localhost").header("host", "evil.example");
    assert_eq!(exchange(twice).await["status"], 400);
    for host in ["localhost", "LOCALHOST:1", "[::1]:80", "127.0.0.2"] {
        assert_eq!(exchange(daemon.request("GET", "/health").header("host", host)).await["status"], 200, "{host}");
    }
}

#[tokio::test]
async fn an_upload_is_streamed_named_and_bounded() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    let upload = |form: Form| daemon.request("POST", "/api/v1/files/upload").multipart(form);
    let file = |bytes: Vec<u8>| Part::bytes(bytes).file_name("../../table.csv");
    insta::assert_json_snapshot!(
        "uploaded",
        exchange(upload(Form::new().part("file", file(b"a,b\n1,2\n".to_vec())))).await
    );
    let limit = 50 * 1024 * 1024;
    assert_eq!(exchange(upload(Form::new().part("file", file(vec![b'a'; limit])))).await["status"], 201);
    insta::assert_json_snapshot!(
        "upload_too_large",
        exchange(upload(Form::new().part("file", file(vec![b'a'; limit + 1])))).await
    );
    insta::assert_json_snapshot!("upload_without_file", exchange(upload(Form::new().text("name", "x"))).await);
    insta::assert_json_snapshot!(
        "upload_not_multipart",
        exchange(daemon.request("POST", "/api/v1/files/upload").body("x")).await
    );
}

#[tokio::test]
async fn a_forecast_begins_nothing() {
    let daemon = Daemon::start(Scripted::answering("hello")).await;
    let body = json!({ "goal": "greet", "plan": { "steps": [
        { "id": "say", "kind": "agent", "agent": "writer", "prompt": "Say hello.", "max_output_tokens": 500 },
        { "id": "write", "kind": "tool", "tool": "write_file", "args": { "path": "a", "content": "b" }, "after": ["say"] },
    ] } });
    let forecast = |body: Value| exchange(daemon.request("POST", "/api/v1/tasks/forecast").json(&body));
    // How long prompts are is not this page's concern.
    insta::assert_json_snapshot!("forecast", forecast(body).await, { ".body.**.tokens" => "[tokens]" });
    insta::assert_json_snapshot!("forecast_of_nothing", forecast(json!({})).await);
    let tasks = exchange(daemon.request("GET", "/api/v1/tasks")).await;
    assert_eq!(tasks["body"]["items"], json!([]));
    insta::assert_json_snapshot!("budgets", exchange(daemon.request("GET", "/api/v1/budgets")).await);
}
