//! The client against a hand-made server that breaks connections, repeats, skips and refuses.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
    routing::{any, get, post},
};
use ninja_sdk::{
    Client, SdkError, Signal,
    api::{Cursor, ErrorCode, Event, EventBody, ForkTask, StreamFrame, SubmitTask, Subscribe, TaskId, Timestamp},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const EVENTS: u64 = 50;

fn task() -> TaskId {
    "task_01920000000070008000000000000001".parse().unwrap()
}

fn event(seq: u64) -> StreamFrame {
    let event = EventBody::CancelRequested;
    StreamFrame::Event { event: Event { task: task(), seq, at: Timestamp::UNIX_EPOCH, event } }
}

async fn send(socket: &mut WebSocket, frame: &StreamFrame) {
    let text = serde_json::to_string(frame).unwrap();
    socket.send(Message::text(text)).await.ok();
}

async fn subscribed(socket: &mut WebSocket) -> u64 {
    let Some(Ok(Message::Text(text))) = socket.recv().await else { panic!("a subscription comes first") };
    match serde_json::from_str(&text).unwrap() {
        Subscribe::Task { after: Some(Cursor::Task(seq)), .. } => seq,
        other => panic!("{other:?}"),
    }
}

/// Sends seven frames a connection: an old one, the next few with a delta between, one too far ahead.
async fn serve_badly(mut socket: WebSocket) {
    let after = subscribed(&mut socket).await;
    send(&mut socket, &event(after.max(1))).await;
    for seq in after + 1..=(after + 4).min(EVENTS) {
        send(&mut socket, &event(seq)).await;
    }
    let delta = StreamFrame::Delta { task: task(), step: "a".parse().unwrap(), text: "x".into() };
    send(&mut socket, &delta).await;
    if after + 4 < EVENTS {
        send(&mut socket, &event(after + 6)).await;
    } else {
        send(&mut socket, &StreamFrame::End { task: task() }).await;
    }
}

fn bad_server(connections: Arc<AtomicUsize>) -> Router {
    let ws = |State(connections): State<Arc<AtomicUsize>>, upgrade: WebSocketUpgrade| async move {
        match connections.fetch_add(1, Ordering::Relaxed) {
            3 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            _ => upgrade.on_upgrade(serve_badly),
        }
    };
    Router::new().route("/ws", any(ws)).with_state(connections)
}

async fn follow_to_the_end(client: &Client) -> (Vec<u64>, bool) {
    let mut events = client.events(task(), None).await.unwrap();
    let (mut seqs, mut ended) = (Vec::new(), false);
    while let Some(frame) = events.next().await {
        match frame.unwrap() {
            StreamFrame::Event { event } => seqs.push(event.seq),
            StreamFrame::End { .. } => ended = true,
            _ => {}
        }
    }
    (seqs, ended)
}

#[tokio::test]
async fn every_event_arrives_once_over_tcp_however_often_the_connection_breaks() {
    let connections = Arc::new(AtomicUsize::new(0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = bad_server(connections.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let (seqs, ended) = follow_to_the_end(&Client::builder().url(url).build().unwrap()).await;
    assert_eq!(seqs, (1..=EVENTS).collect::<Vec<_>>());
    assert!(ended);
    assert!(connections.load(Ordering::Relaxed) > 10, "the connection broke many times");
}

#[tokio::test]
async fn who_asks_is_told_once_that_the_daemon_is_away_and_once_that_it_is_back() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = bad_server(Arc::default());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let client = Client::builder().url(url).build().unwrap();

    let mut events = client.events(task(), None).await.unwrap();
    let (mut last, mut away, mut losses) = (0, false, 0);
    while let Some(signal) = events.next_signal().await {
        match signal.unwrap() {
            Signal::Frame(StreamFrame::Event { event }) => {
                assert!(!away && event.seq == last + 1, "{}", event.seq);
                last = event.seq;
            }
            Signal::Away { last: told, reason } => {
                assert!(!away && told == last && !reason.is_empty(), "{told} {reason}");
                (away, losses) = (true, losses + 1);
            }
            Signal::Back => assert!(std::mem::take(&mut away), "it was away"),
            _ => {}
        }
    }
    assert_eq!((last, away), (EVENTS, false));
    assert!(losses > 10, "the connection broke many times");
}

#[cfg(unix)]
#[tokio::test]
async fn every_event_arrives_once_over_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ninja.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let router = bad_server(Arc::default());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let (seqs, ended) = follow_to_the_end(&Client::builder().unix_socket(&path).build().unwrap()).await;
    assert_eq!(seqs, (1..=EVENTS).collect::<Vec<_>>());
    assert!(ended);
}

#[tokio::test]
async fn a_stream_gives_up_when_the_daemon_stays_away() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = bad_server(Arc::default());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let client = Client::builder().url(url).give_up_after(Duration::from_millis(50)).build().unwrap();

    let mut events = client.events(task(), None).await.unwrap();
    server.abort();
    let mut last = None;
    while let Some(frame) = events.next().await {
        last = Some(frame);
    }
    assert!(matches!(last, Some(Err(SdkError::Unreachable { .. }))), "{last:?}");
    let error = client.task(task()).await.unwrap_err();
    assert!(matches!(error, SdkError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_problem_becomes_its_code_and_a_stranger_is_told_apart() {
    const PROBLEM: &str = r#"{"type":"x","status":404,"code":"not_found","detail":"no such task","request_id":"r"}"#;
    let show = |headers: HeaderMap| async move {
        match headers.get(header::AUTHORIZATION).is_some_and(|value| value == "Bearer nj_right") {
            true => (StatusCode::NOT_FOUND, PROBLEM),
            false => (StatusCode::UNAUTHORIZED, "<html>a proxy says no</html>"),
        }
    };
    let router = Router::new()
        .route("/api/v1/tasks/{id}", get(show))
        .route("/api/v1/tasks", get(|| async { "<html>hello</html>" }))
        .route("/ws", any(|| async { "not a socket" }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let right = Client::builder().url(&url).key("nj_right").build().unwrap();
    let error = right.task(task()).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::NotFound));
    assert_eq!(error.to_string(), "no such task (not_found)");
    let wrong = Client::builder().url(&url).key("nj_wrong").build().unwrap();
    assert_eq!(wrong.task(task()).await.unwrap_err().code(), Some(ErrorCode::Unauthorized));
    assert!(matches!(right.list_tasks(&Default::default()).await, Err(SdkError::Protocol { .. })));
    assert!(matches!(right.events(task(), None).await, Err(SdkError::Protocol { .. })));
    assert!(matches!(right.artifact(task(), "../secret").await, Err(SdkError::Setup { .. })));
}

/// Answers submissions as a daemon does that knows keys, but breaks off before the first answers are out.
async fn forgetful_server(breaks: usize) -> (String, Arc<Mutex<Vec<String>>>) {
    const TASK: &str = r#"{"id":"task_01920000000070008000000000000001","goal":"x","status":"queued","progress":0,"steps":[],
        "artifacts":[],"usage":{"input_tokens":0,"output_tokens":0,"model_calls":0,"tool_calls":0,"estimated_tokens":0},
        "created_at":"2026-11-24T12:00:00Z","last_seq":2}"#;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let keys: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&keys);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 8192];
            let length = stream.read(&mut request).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..length]).to_lowercase();
            let key = text.lines().find_map(|line| line.strip_prefix("idempotency-key: "));
            let answered = {
                let mut seen = seen.lock().unwrap();
                seen.push(key.unwrap_or_default().to_owned());
                seen.len()
            };
            let head = format!("HTTP/1.1 201 Created\r\ncontent-length: {}\r\n\r\n", TASK.len());
            match answered {
                n if n > breaks => stream.write_all(format!("{head}{TASK}").as_bytes()).await.ok(),
                // Every other time the answer is cut off in the middle.
                n if n % 2 == 0 => stream.write_all(format!("{head}{}", &TASK[..40]).as_bytes()).await.ok(),
                _ => None,
            };
        }
    });
    (url, keys)
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_under_the_same_key() {
    let (url, keys) = forgetful_server(3).await;
    let client = Client::builder().url(url).build().unwrap();
    let request = SubmitTask { goal: "x".to_owned(), ..SubmitTask::default() };
    assert_eq!(client.submit_task(&request).await.unwrap().id, task());
    let first = std::mem::take(&mut *keys.lock().unwrap());
    assert_eq!(first.len(), 4);
    assert!(first.iter().all(|key| key.len() == 36 && *key == first[0]), "{first:?}");
    assert_eq!(client.fork_task(task(), &ForkTask::default()).await.unwrap().id, task());
    assert_ne!(keys.lock().unwrap()[0], first[0], "another request has a key of its own");

    let (url, keys) = forgetful_server(usize::MAX).await;
    let client = Client::builder().url(url).build().unwrap();
    let given_up = client.submit_task(&request).await.unwrap_err();
    assert!(matches!(given_up, SdkError::Unreachable { .. }), "{given_up:?}");
    assert_eq!(keys.lock().unwrap().len(), 6);
}

#[tokio::test]
async fn who_was_never_reached_is_not_asked_again_and_a_refusal_is_an_answer() {
    let asked = Arc::new(AtomicUsize::new(0));
    let refuse = |State(asked): State<Arc<AtomicUsize>>| async move {
        asked.fetch_add(1, Ordering::Relaxed);
        (StatusCode::CONFLICT, r#"{"code":"conflict","detail":"no"}"#)
    };
    let router = Router::new().route("/api/v1/tasks", post(refuse)).with_state(Arc::clone(&asked));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let client = Client::builder().url(url).build().unwrap();
    let request = SubmitTask { goal: "x".to_owned(), ..SubmitTask::default() };
    assert_eq!(client.submit_task(&request).await.unwrap_err().code(), Some(ErrorCode::Conflict));
    assert_eq!(asked.load(Ordering::Relaxed), 1);

    server.abort();
    server.await.unwrap_err();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::builder().url(nobody).build().unwrap();
    let told = tokio::time::timeout(Duration::from_millis(2_500), client.submit_task(&request)).await;
    assert!(matches!(told, Ok(Err(SdkError::Unreachable { .. }))), "a command must say at once that no daemon runs");
}
