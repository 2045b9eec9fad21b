//! Health and readiness: cheap for whoever asks, honest to whoever may know, silent to strangers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::{BoxFuture, join_all};
use ninja_core::{
    providers::Scripted,
    sandbox::{ProcessOutput, ProcessSpec, Sandbox, SandboxError},
};
use ninja_sdk::Client;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use crate::support::{Daemon, exchange};

/// Isolation whose check takes its time, is counted and tells of a path.
#[derive(Default)]
struct Slow {
    checks: AtomicUsize,
}

impl Sandbox for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn check(&self) -> BoxFuture<'_, Result<String, SandboxError>> {
        self.checks.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Err(SandboxError::Unavailable("/opt/canary/bwrap is not there".to_owned()))
        })
    }

    fn run<'a>(&'a self, _: ProcessSpec, _: CancellationToken) -> BoxFuture<'a, Result<ProcessOutput, SandboxError>> {
        Box::pin(async { Err(SandboxError::Failed("tests run no code".to_owned())) })
    }
}

fn part<'a>(health: &'a Value, name: &str) -> &'a Value {
    let parts = health["body"]["components"].as_array().unwrap();
    parts.iter().find(|part| part["name"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_who_ask_at_once_cost_one_look() {
    let slow = Arc::new(Slow::default());
    let sandbox = Arc::clone(&slow);
    let daemon = Daemon::start_engine_with(Scripted::answering("x"), |options| options.sandbox = Some(sandbox)).await;
    let asked = (0..100).map(|_| exchange(daemon.http.get(format!("{}/health", daemon.url))));
    for came in join_all(asked).await {
        assert_eq!((&came["status"], &came["body"]["state"]), (&json!(200), &json!("degraded")), "{came}");
        assert_eq!(came["body"]["components"].as_array().unwrap().len(), 6);
    }
    assert_eq!(slow.checks.load(Ordering::SeqCst), 1);
    // Nobody waits for what was found already.
    exchange(daemon.http.get(format!("{}/health", daemon.url))).await;
    assert_eq!(slow.checks.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn strangers_read_what_a_state_means_and_administrators_why() {
    let slow = Arc::new(Slow::default());
    let daemon = Daemon::start_engine_with(Scripted::answering("x"), |options| options.sandbox = Some(slow)).await;
    for stranger in [daemon.http.get(format!("{}/health", daemon.url)), {
        daemon.http.get(format!("{}/health", daemon.url)).bearer_auth("nj_000000000000_wrong")
    }] {
        let came = exchange(stranger).await;
        let said = came.to_string();
        assert!(!said.contains("canary") && !said.contains("scripted") && !said.contains("MiB"), "{said}");
        assert_eq!(part(&came, "sandbox")["detail"], "does not work: tasks run no code");
        assert_eq!(part(&came, "sandbox")["since"], "[time]");
    }
    let admin = exchange(daemon.request("GET", "/health")).await;
    assert_eq!(part(&admin, "sandbox")["detail"], "no sandbox: /opt/canary/bwrap is not there");
    assert!(part(&admin, "providers")["detail"].as_str().unwrap().starts_with("scripted/script"));
    assert!(part(&admin, "disk")["detail"].as_str().unwrap().ends_with("MiB are free"));
    let local = Client::builder().unix_socket(&daemon.socket).build().unwrap().health().await.unwrap();
    let sandbox = local.components.iter().find(|part| part.name == "sandbox").unwrap();
    assert_eq!(sandbox.detail, "no sandbox: /opt/canary/bwrap is not there");
    assert!(sandbox.since.unwrap() <= sandbox.checked_at.unwrap());
}

#[tokio::test]
async fn a_daemon_that_stops_is_not_ready_and_says_so() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    let ready = exchange(daemon.http.get(format!("{}/ready", daemon.url))).await;
    assert_eq!((&ready["status"], &ready["body"]), (&json!(200), &json!({ "ready": true })));
    // A request that has begun is served to its end.
    let mut connection = TcpStream::connect(daemon.url.trim_start_matches("http://")).await.unwrap();
    connection.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n").await.unwrap();
    exchange(daemon.http.get(format!("{}/", daemon.url))).await;
    daemon.shutdown.cancel();
    connection.write_all(b"Connection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.ends_with(r#"{"ready":false,"because":"stopping"}"#), "{answer}");
    daemon.engine.stop().await;
    assert!(!daemon.engine.ready().ready, "an engine that stops takes no requests");
}
