//! Lists, sums, deletion, keys and conditions over a real socket: what each route answers and how it refuses.

use ninja_core::providers::Scripted;
use ninja_sdk::{
    Client, ListApprovals, ListTasks, Ninja,
    api::{ErrorCode, TaskId, TaskStatus},
};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::support::{Daemon, exchange};

const NOBODY: &str = "task_00000000000070008000000000000000";

fn asking() -> Value {
    json!({ "goal": "greet", "plan": { "steps": [{ "id": "ask", "kind": "approval", "prompt": "Shall I?" }] } })
}

fn speaking() -> Value {
    json!({ "goal": "speak", "plan": { "steps": [{ "id": "say", "kind": "agent", "prompt": "Say it." }] } })
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

async fn status(request: RequestBuilder) -> u16 {
    send(request).await.status().as_u16()
}

#[tokio::test]
async fn a_task_is_deleted_when_it_has_ended() {
    let daemon = Daemon::start(Scripted::answering("hello")).await;
    let (id, path) = {
        let id = daemon.submit(asking()).await;
        (id.clone(), format!("/api/v1/tasks/{id}"))
    };
    daemon.settled(&id).await;
    let delete = || daemon.request("DELETE", &path);
    insta::assert_json_snapshot!("deleted_too_early", exchange(delete()).await);
    assert_eq!(status(daemon.request("POST", &format!("{path}/cancel"))).await, 200);
    let gone = exchange(delete()).await;
    assert_eq!((&gone["status"], &gone["body"]), (&json!(204), &json!("")));
    insta::assert_json_snapshot!("deleted_twice", exchange(delete()).await);
    let get = |rest: &str| daemon.request("GET", &format!("{path}{rest}"));
    for request in [
        get(""),
        get("/steps"),
        get("/events?after=t:2"),
        get("/events").header("last-event-id", "t:2"),
        get("/artifacts"),
        get("/artifacts/a"),
        get("/replay"),
        get(&format!("/diff/{id}")),
        daemon.request("POST", &format!("{path}/cancel")),
        daemon.request("POST", &format!("{path}/retry")),
        daemon.request("POST", &format!("{path}/fork")).json(&json!({ "at": "ask" })),
        daemon.request("POST", &format!("{path}/budget")).json(&json!({ "steps": 3 })),
    ] {
        assert_eq!(status(request).await, 404);
    }
    assert_eq!(status(daemon.request("DELETE", "/api/v1/tasks/7")).await, 400);
    assert_eq!(status(daemon.http.delete(format!("{}{path}", daemon.url))).await, 401);
}

#[tokio::test]
async fn open_questions_are_listed_in_pages_with_a_link_to_the_next() {
    let daemon = Daemon::start(Scripted::answering("hello")).await;
    for _ in 0..3 {
        let id = daemon.submit(asking()).await;
        daemon.settled(&id).await;
    }
    let get = |query: &str| daemon.request("GET", &format!("/api/v1/approvals{query}"));
    insta::assert_json_snapshot!("approvals", exchange(get("?limit=200")).await);
    let page = send(get("?limit=2&all=true")).await;
    let link = header(&page, "link").unwrap().to_owned();
    let body: Value = page.json().await.unwrap();
    let next = format!("/api/v1/approvals?limit=2&all=true&cursor={}", body["next_cursor"].as_str().unwrap());
    assert_eq!((link, body["items"].as_array().unwrap().len()), (format!("<{next}>; rel=\"next\""), 2));
    let rest = send(daemon.request("GET", &next)).await;
    assert_eq!(header(&rest, "link"), None);
    assert_eq!(rest.json::<Value>().await.unwrap()["items"].as_array().unwrap().len(), 1);
    for (name, query) in [
        ("approvals_bad_cursor", "?cursor=x"),
        ("approvals_limit", "?limit=0"),
        ("approvals_unknown_query", "?owner=me"),
        ("approvals_bad_all", "?all=yes"),
    ] {
        insta::assert_json_snapshot!(name, exchange(get(query)).await);
    }
    let tasks = send(daemon.request("GET", "/api/v1/tasks?limit=1&status=waiting,failed")).await;
    let link = header(&tasks, "link").unwrap().to_owned();
    assert!(link.starts_with("</api/v1/tasks?limit=1&status=waiting,failed&cursor=task_"), "{link}");
}

#[tokio::test]
async fn a_list_refuses_what_it_cannot_show() {
    let daemon = Daemon::start(Scripted::answering("hello")).await;
    for (name, query) in [
        ("tasks_two_statuses", "status=failed&status=waiting"),
        ("tasks_no_status", "status="),
        ("tasks_bad_time", "created_after=yesterday"),
        ("tasks_no_time", "created_after=2026-02-02T00:00:00Z&created_before=2026-02-01T00:00:00Z"),
        ("tasks_empty_text", "q="),
        ("tasks_huge_limit", "limit=1000000000"),
        ("tasks_negative_limit", "limit=-1"),
        ("tasks_sorted", "sort=password"),
    ] {
        insta::assert_json_snapshot!(name, exchange(daemon.request("GET", &format!("/api/v1/tasks?{query}"))).await);
    }
}

#[tokio::test]
async fn tasks_are_summed_up() {
    let daemon = Daemon::start(Scripted::answering("hello")).await;
    let id = daemon.submit(speaking()).await;
    daemon.settled(&id).await;
    let asks = daemon.submit(asking()).await;
    daemon.settled(&asks).await;
    let get = |query: &str| daemon.request("GET", &format!("/api/v1/tasks/stats/summary{query}"));
    let summary = exchange(get("")).await;
    insta::assert_json_snapshot!("summary", summary, { ".**.mean_ms" => "[ms]", ".**.median_ms" => "[ms]" });
    assert_eq!(exchange(get("?all=true")).await, summary);
    assert_eq!(status(get("?days=2")).await, 400);
}

#[tokio::test]
async fn a_request_with_a_key_can_be_repeated() {
    let daemon = Daemon::start(Scripted::answering("hello")).await;
    let submit = |key: &'static str, body: Value| {
        daemon.request("POST", "/api/v1/tasks").header("idempotency-key", key).json(&body)
    };
    let first = send(submit("\"a\"", asking())).await;
    assert_eq!((first.status().as_u16(), header(&first, "idempotency-replayed")), (201, None));
    let location = header(&first, "location").unwrap().to_owned();
    let id = first.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
    let stands = daemon.settled(&id).await;
    // The same in other words: fields in another order, a default written out, the key without quotes.
    let again = json!({ "plan": asking()["plan"], "planning": "auto", "goal": "greet" });
    let again = send(submit("a", again)).await;
    assert_eq!((again.status().as_u16(), header(&again, "idempotency-replayed")), (201, Some("true")));
    assert_eq!(header(&again, "location"), Some(location.as_str()));
    assert_eq!(again.json::<Value>().await.unwrap(), stands, "as it stands now");
    insta::assert_json_snapshot!("another_request_with_the_key", exchange(submit("a", speaking())).await);

    let fork = || {
        let request = daemon.request("POST", &format!("/api/v1/tasks/{id}/fork"));
        request.header("idempotency-key", "a").json(&json!({ "at": "ask" }))
    };
    let (one, two) = (exchange(fork()).await, send(fork()).await);
    assert_eq!((&one["status"], header(&two, "idempotency-replayed")), (&json!(201), Some("true")));

    for (name, key) in
        [("key_empty", ""), ("key_quoted_empty", "\"\""), ("key_open", "\"a"), ("key_two_in_one", "a, b")]
    {
        insta::assert_json_snapshot!(name, exchange(submit(key, asking())).await);
    }
    insta::assert_json_snapshot!("key_twice", exchange(submit("a", asking()).header("idempotency-key", "a")).await);
    let long = daemon.request("POST", "/api/v1/tasks").header("idempotency-key", "x".repeat(256)).json(&asking());
    assert_eq!(status(long).await, 400);
    let tasks = exchange(daemon.request("GET", "/api/v1/tasks")).await;
    assert_eq!(tasks["body"]["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_version_is_told_and_asked_for() {
    let daemon = Daemon::start(Scripted::answering("hello")).await;
    let id = daemon.submit(asking()).await;
    let seq = daemon.settled(&id).await["last_seq"].as_u64().unwrap();
    let path = format!("/api/v1/tasks/{id}");
    let tag = format!("\"{seq}\"");
    let get = || daemon.request("GET", &path);
    assert_eq!(header(&send(get()).await, "etag"), Some(tag.as_str()));
    for known in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let answer = send(get().header("if-none-match", known)).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "etag")), (304, Some(tag.as_str())));
        assert_eq!(answer.bytes().await.unwrap(), "");
    }
    assert_eq!(status(get().header("if-none-match", "\"1\"")).await, 200);
    insta::assert_json_snapshot!("bad_tag", exchange(get().header("if-none-match", "1")).await);
    let nobody = daemon.request("GET", &format!("/api/v1/tasks/{NOBODY}")).header("if-none-match", "*");
    assert_eq!(status(nobody).await, 404);

    let post = |verb: &str| daemon.request("POST", &format!("{path}/{verb}"));
    for stale in ["\"1\"", "\"1\", \"999\"", "W/\"4\"", "\"x\""] {
        let answer = exchange(post("pause").header("if-match", stale)).await;
        assert_eq!(
            (&answer["status"], &answer["body"]["code"]),
            (&json!(412), &json!("precondition_failed")),
            "{stale}"
        );
    }
    insta::assert_json_snapshot!("moved_on", exchange(post("cancel").header("if-match", "\"1\"")).await);
    let paused = send(post("pause").header("if-match", tag.as_str())).await;
    assert_eq!(paused.status(), 200);
    let newer = header(&paused, "etag").unwrap().to_owned();
    assert_ne!(newer, tag);
    assert_eq!(status(post("resume").header("if-match", tag.as_str())).await, 412);
    assert_eq!(status(post("resume").header("if-match", format!("{tag}, {newer}"))).await, 200);
    assert_eq!(status(post("cancel").header("if-match", "*")).await, 200);
    let delete = || daemon.request("DELETE", &path);
    assert_eq!(status(delete().header("if-match", tag.as_str())).await, 412);
    let newest = header(&send(get()).await, "etag").unwrap().to_owned();
    assert_eq!(status(delete().header("if-match", newest)).await, 204);
}

#[tokio::test]
async fn the_sdk_has_the_same_verbs_over_tcp_and_in_process() {
    let daemon = Daemon::start(Scripted::answering("hello")).await;
    let tcp: Ninja = Client::builder().url(&daemon.url).key(&daemon.key).build().unwrap().into();
    for ninja in [tcp, Ninja::from(daemon.engine.clone())] {
        let request = serde_json::from_value(asking()).unwrap();
        let task = ninja.submit_task(&request).await.unwrap();
        daemon.settled(&task.id.to_string()).await;
        let asked = ninja.list_approvals(&ListApprovals { all: true, ..Default::default() }).await.unwrap();
        assert_eq!((asked.items.len(), asked.items[0].approval.task), (1, task.id));
        let waiting = ListTasks {
            status: vec![TaskStatus::Waiting, TaskStatus::Running],
            q: Some("GREET & more?".to_owned()),
            created_after: Some(task.created_at),
            ..ListTasks::default()
        };
        assert_eq!(ninja.list_tasks(&waiting).await.unwrap().items, []);
        let waiting = ListTasks { q: Some("GREET".to_owned()), ..waiting };
        assert_eq!(ninja.list_tasks(&waiting).await.unwrap().items[0].id, task.id);
        assert_eq!(ninja.delete_task(task.id).await.unwrap_err().code(), Some(ErrorCode::Conflict));
        ninja.cancel_task(task.id).await.unwrap();
        assert_eq!(ninja.tasks_summary(&Default::default()).await.unwrap().all.tasks, 1);
        ninja.delete_task(task.id).await.unwrap();
        let nobody: TaskId = NOBODY.parse().unwrap();
        for gone in [task.id, nobody] {
            assert_eq!(ninja.delete_task(gone).await.unwrap_err().code(), Some(ErrorCode::NotFound));
        }
    }
}
