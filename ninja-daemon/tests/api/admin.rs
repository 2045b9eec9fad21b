//! What an administrator sets over a real socket: providers whose keys go in and never come out, and rotation.

use ninja_core::{api::RotateKeys, providers::Scripted};
use ninja_sdk::Client;
use serde_json::{Value, json};

use crate::support::{Daemon, exchange};

const PROVIDERS: &str = "/api/v1/admin/settings/ai-providers";
const KEY: &str = "sk-canary-0123456789abcdef";

fn settings() -> Value {
    json!({
        "name": "mine", "kind": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key": KEY, "model": "m",
        "models": { "best": "large" }, "price": { "input": 1.0, "output": 2.5 }, "max_concurrency": 2,
    })
}

#[tokio::test]
async fn a_provider_is_stored_listed_changed_and_forgotten() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    let post = |body: &Value| daemon.request("POST", PROVIDERS).json(body);
    insta::assert_json_snapshot!("provider_stored", exchange(post(&settings())).await);
    insta::assert_json_snapshot!("providers_listed", exchange(daemon.request("GET", PROVIDERS)).await);
    let without_key = json!({ "name": "mine", "kind": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "n" });
    let changed = exchange(post(&without_key)).await;
    assert_eq!((&changed["status"], &changed["body"]["model"]), (&json!(200), &json!("n")));
    assert_eq!((&changed["body"]["has_key"], &changed["body"]["key_end"]), (&json!(true), &json!("cdef")));
    let moved = json!({ "name": "mine", "kind": "openai", "base_url": "http://127.0.0.2:9/v1", "model": "n" });
    insta::assert_json_snapshot!("provider_moved_without_key", exchange(post(&moved)).await);
    let gone = exchange(daemon.request("DELETE", &format!("{PROVIDERS}/mine"))).await;
    assert_eq!((&gone["status"], &gone["body"]), (&json!(204), &json!("")));
    insta::assert_json_snapshot!(
        "provider_gone",
        exchange(daemon.request("DELETE", &format!("{PROVIDERS}/mine"))).await
    );
}

#[tokio::test]
async fn no_answer_holds_a_key_and_nobody_else_is_answered() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    let changed = |field: &str, value: Value| {
        let mut settings = settings();
        settings[field] = value;
        daemon.request("POST", PROVIDERS).json(&settings)
    };
    let mut seen = Vec::new();
    for (request, status) in [
        (changed("model", json!("m")), 200),
        (changed("name", json!("a/b")), 422),
        (changed("api_key", json!([KEY])), 400),
        (changed("api_key", json!(format!("{KEY}\r\nx-other: y"))), 422),
        (changed("api_key_env", json!("HOME")), 400),
        (changed("price", json!({ "input": -1.0, "output": 1.0 })), 422),
        (changed("base_url", json!(format!("http://me:{KEY}@127.0.0.1/v1"))), 422),
        (changed("model", json!("m".repeat(70_000))), 413),
        (daemon.request("GET", PROVIDERS), 200),
        (daemon.request("GET", "/api/v1/admin/keys"), 200),
        (daemon.http.get(format!("{}/api/v1/admin/keys", daemon.url)), 401),
        (daemon.request("POST", "/api/v1/admin/keys/rotate").json(&json!({ "drop": 1 })), 400),
        (daemon.http.get(format!("{}{PROVIDERS}", daemon.url)), 401),
        (daemon.http.post(format!("{}{PROVIDERS}", daemon.url)).json(&settings()), 401),
        (daemon.http.delete(format!("{}{PROVIDERS}/mine", daemon.url)), 401),
        (daemon.http.post(format!("{}/api/v1/admin/keys/rotate", daemon.url)).json(&json!({})), 401),
    ] {
        let came = exchange(request).await;
        assert_eq!(came["status"], status, "{came}");
        assert!(!came.to_string().contains("canary"), "{came}");
        seen.push(came);
    }
    assert_eq!(seen[8]["body"]["items"].as_array().unwrap().len(), 2, "what was refused is not there: {}", seen[8]);
}

#[tokio::test]
async fn the_sdk_stores_a_key_and_rotates_what_seals_it() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    let client = Client::builder().url(&daemon.url).key(&daemon.key).build().unwrap();
    let given = serde_json::from_value(settings()).unwrap();
    let info = client.put_provider(&given).await.unwrap();
    assert_eq!((info.has_key, info.key_end.as_deref()), (true, Some("cdef")));
    let mut rotated = exchange(daemon.request("POST", "/api/v1/admin/keys/rotate").json(&json!({}))).await;
    let key = rotated["body"]["key"].take();
    assert_eq!(key.as_str().map(str::len), Some(16), "{key}");
    insta::assert_json_snapshot!("keys_rotated", rotated);
    let again = client.rotate_keys(&RotateKeys { drop_old: true }).await.unwrap();
    assert_eq!((again.resealed, again.dropped, again.keys), (2, 2, 1));
    assert_eq!(client.providers().await.unwrap().iter().find(|found| found.name == "mine"), Some(&info));
    client.remove_provider("mine").await.unwrap();
    assert!(client.remove_provider("mine").await.unwrap_err().to_string().contains("no settings"));
}

#[tokio::test]
async fn a_provider_says_whether_it_could_answer() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    let client = Client::builder().url(&daemon.url).key(&daemon.key).build().unwrap();
    let test = client.test_provider("scripted").await.unwrap();
    assert_eq!((test.can_answer, test.detail.as_str()), (true, "follows a script"));
    client.put_provider(&serde_json::from_value(settings()).unwrap()).await.unwrap();
    let test = client.test_provider("mine").await.unwrap();
    assert!(!test.can_answer && !test.detail.contains(KEY), "{test:?}");
    let missing = exchange(daemon.request("POST", &format!("{PROVIDERS}/none/test"))).await;
    assert_eq!(missing["status"], 404, "{missing}");
    let logged = exchange(daemon.request("GET", "/api/v1/admin/audit-logs?action=provider.test")).await;
    assert_eq!(logged["body"]["items"].as_array().unwrap().len(), 2, "{logged}");
}
