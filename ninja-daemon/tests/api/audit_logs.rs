//! The audit log over a real socket: who did what from where, found, exported, verified; and what strangers leave in it.

use ninja_core::{
    api::{AuditAction, AuditEntry, AuditFilter, AuditFormat},
    providers::Scripted,
};
use ninja_sdk::{Client, ListAudit, Ninja};
use serde_json::{Value, json};

use crate::support::{Daemon, exchange};

const LOGS: &str = "/api/v1/admin/audit-logs";

async fn daemon() -> Daemon {
    Daemon::start(Scripted::answering("done")).await
}

impl Daemon {
    async fn listed(&self, query: &str) -> Vec<AuditEntry> {
        let response = self.request("GET", &format!("{LOGS}{query}")).send().await.unwrap();
        assert_eq!(response.status(), 200, "{query}");
        serde_json::from_value(response.json::<Value>().await.unwrap()["items"].take()).unwrap()
    }
}

#[tokio::test]
async fn what_is_done_over_http_is_told_with_address_agent_and_request() {
    let daemon = daemon().await;
    let body = json!({ "plan": { "steps": [{ "id": "a", "kind": "agent", "prompt": "go" }] } });
    let submit = daemon.request("POST", "/api/v1/tasks").header("user-agent", "prober/1.0").json(&body);
    let response = submit.send().await.unwrap();
    assert_eq!(response.status(), 201);
    let request = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let task = response.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
    daemon.settled(&task).await;
    let [entry] = daemon.listed(&format!("?target={task}")).await.try_into().unwrap();
    assert_eq!((entry.action, entry.ip), (AuditAction::SubmitTask, Some([127, 0, 0, 1].into())));
    assert_eq!(entry.request_id, Some(request));
    assert_eq!(entry.user_agent.as_deref(), Some("prober/1.0"));
    assert!(entry.actor.unwrap().credential.starts_with("key_"));
}

#[tokio::test]
async fn entries_are_filtered_paged_and_read_strictly() {
    let daemon = daemon().await;
    for _ in 0..5 {
        let change = daemon.request("PATCH", "/api/v1/admin/settings").json(&json!({ "session_days": 30 }));
        assert_eq!(change.send().await.unwrap().status(), 200);
    }
    insta::assert_json_snapshot!(
        "audit_listed",
        exchange(daemon.request("GET", &format!("{LOGS}?action=settings.change&limit=1"))).await,
        { ".body.items[].actor.credential" => "[credential]" }
    );
    let mut next = Some(format!("{LOGS}?action=settings.change&limit=2"));
    let mut seqs = Vec::new();
    while let Some(path) = next {
        let response = daemon.request("GET", &path).send().await.unwrap();
        let link = response.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
        let page: Value = response.json().await.unwrap();
        seqs.extend(page["items"].as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()));
        next = link.map(|link| link[1..].split_once('>').unwrap().0.to_owned());
    }
    assert_eq!(seqs, [6, 5, 4, 3, 2]);
    for query in ["outcome=refused", "action=task.submit", "ip=203.0.113.1", "from=2999-01-01T00:00:00Z", "target=x"] {
        assert_eq!(daemon.listed(&format!("?{query}")).await, [], "{query}");
    }
    for (query, status) in [
        ("limit=0", 422),
        ("limit=201", 422),
        ("limit=x", 400),
        ("cursor=x", 422),
        ("action=task.fly", 400),
        ("outcome=perhaps", 400),
        ("user=ada", 400),
        ("ip=here", 400),
        ("from=now", 400),
        ("sort=at", 400),
        ("action=task.submit&action=task.cancel", 400),
    ] {
        let response = daemon.request("GET", &format!("{LOGS}?{query}")).send().await.unwrap();
        assert_eq!(response.status(), status, "{query}");
    }
    for (path, status) in [
        ("export?format=xml", 400),
        ("verify?checkpoint=x", 422),
        ("verify?checkpoint={}", 422),
        ("export?limit=1", 400),
    ] {
        let response = daemon.request("GET", &format!("{LOGS}/{path}")).send().await.unwrap();
        assert_eq!(response.status(), status, "{path}");
    }
    assert_eq!(daemon.listed("?action=audit.export").await, [], "what was refused exported nothing");
}

#[tokio::test]
async fn the_log_is_exported_as_a_file_and_verified_against_a_checkpoint() {
    let daemon = daemon().await;
    let checkpoint: Value =
        daemon.request("GET", &format!("{LOGS}/checkpoint")).send().await.unwrap().json().await.unwrap();
    assert_eq!(checkpoint["seq"], 1, "{checkpoint}");
    for (format, kind, name) in [
        ("ndjson", "application/x-ndjson", "audit.ndjson"),
        ("csv", "text/csv; charset=utf-8; header=present", "audit.csv"),
    ] {
        let response = daemon.request("GET", &format!("{LOGS}/export?format={format}")).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()), (200, kind));
        let disposition = response.headers()["content-disposition"].to_str().unwrap().to_owned();
        assert!(disposition.starts_with("attachment") && disposition.contains(name), "{disposition}");
        let text = response.text().await.unwrap();
        assert!(text.contains("audit.begin") && text.contains("audit.export"), "{text}");
    }
    let client: Ninja = Client::builder().url(&daemon.url).key(&daemon.key).build().unwrap().into();
    let verify = |checkpoint: &Value| {
        let query = [("checkpoint", checkpoint.to_string())];
        daemon.request("GET", &format!("{LOGS}/verify")).query(&query).send()
    };
    let verified: Value = verify(&checkpoint).await.unwrap().json().await.unwrap();
    assert_eq!((&verified["entries"], &verified["problems"]), (&json!(3), &json!([])));
    let mut forged = checkpoint.clone();
    forged["seq"] = json!(2);
    let verified: Value = verify(&forged).await.unwrap().json().await.unwrap();
    assert_eq!(verified["problems"].as_array().unwrap().len(), 1, "{verified}");

    // The same through the SDK.
    let kept = client.checkpoint_audit().await.unwrap();
    assert_eq!(kept.seq, 3);
    assert!(client.verify_audit(Some(&kept)).await.unwrap().is_whole());
    let filter = AuditFilter { action: Some(AuditAction::ExportAudit), ..AuditFilter::default() };
    let page = client.list_audit(&ListAudit { filter: filter.clone(), cursor: None, limit: Some(1) }).await.unwrap();
    assert_eq!(page.items.first().map(|entry| entry.seq), Some(3));
    let mut exported = client.export_audit(&filter, AuditFormat::Ndjson).await.unwrap();
    let mut text = Vec::new();
    while let Some(piece) = futures::StreamExt::next(&mut exported).await {
        text.extend(piece.unwrap());
    }
    assert_eq!(String::from_utf8(text).unwrap().lines().count(), 3, "two exports before it, and itself");
}

#[tokio::test]
async fn whoever_is_refused_leaves_a_trace_and_nothing_that_proves_anything() {
    let daemon = daemon().await;
    let body = json!({ "name": "reader", "scopes": ["tasks:read"] });
    let made: Value =
        daemon.request("POST", "/api/v1/auth/api-keys").json(&body).send().await.unwrap().json().await.unwrap();
    let (key, id) = (made["key"].as_str().unwrap(), made["info"]["id"].as_str().unwrap());
    let ask =
        |path: &str, credential: &str| daemon.http.get(format!("{}{path}", daemon.url)).bearer_auth(credential).send();
    assert_eq!(ask("/api/v1/admin/users?q=canary", key).await.unwrap().status(), 403);
    assert_eq!(ask("/api/v1/files", key).await.unwrap().status(), 403);
    assert_eq!(ask("/api/v1/tasks", "canary").await.unwrap().status(), 401);
    assert_eq!(daemon.http.get(format!("{}/api/v1/tasks", daemon.url)).send().await.unwrap().status(), 401);
    let denied = daemon.listed("?action=access.denied").await;
    let told: Vec<_> = denied
        .iter()
        .map(|entry| (entry.target.as_deref().unwrap(), entry.actor.as_ref().map(|actor| actor.credential.clone())))
        .collect();
    let credential = Some(format!("key_{id}"));
    assert_eq!(
        told,
        [
            ("GET /api/v1/tasks", None),
            ("GET /api/v1/files", credential.clone()),
            ("GET /api/v1/admin/users", credential),
        ],
        "whoever shows nothing is nobody that tried"
    );
    assert!(denied.iter().all(|entry| entry.ip.is_some()));
    let text = daemon.request("GET", &format!("{LOGS}/export")).send().await.unwrap().text().await.unwrap();
    assert!(!text.contains("canary") && !text.contains(key), "{text}");
}
