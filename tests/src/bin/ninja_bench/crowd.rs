//! Many at once: a thousand connections that ask at a steady pace whatever the answers do, two thousand WebSockets that follow a task
//! each, five hundred who log in. Nobody may meet an error.
//!
//! The pace is an open loop: a request is due at its time, and its latency counts from then, so a server that stalls is not spared what
//! it kept waiting. The floor is a bare axum handler that answers the same bytes.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use axum::{Router, http::header, routing::get};
use bytes::Bytes;
use futures::{SinkExt, StreamExt, future::try_join_all, stream};
use hyper::{Method, StatusCode};
use ninja_tests::Process;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::{
    client::{Connection, Target},
    report::{Bar, Figure, Report, Samples},
    start::megabytes,
    targets::{self, Targets},
};

const CONNECTIONS: usize = 1_000;
const REQUESTS_PER_SECOND: u32 = 2_000;
const SUBSCRIBERS: usize = 2_000;
const LOGINS: usize = 500;
/// Slow hashes have a bound on their memory together.
const LOGINS_MB_MAX: f64 = 300.0;
/// Tasks handed in, sockets opened and answers given side by side while a crowd gathers.
const SIDE_BY_SIDE: usize = 64;
const DATA: &str = "crowd";
/// What both sides answer.
const PATH: &str = "/api/v1/auth/me";
const PASSWORD: &str = "plums sailing over quiet umbrellas";
const MEMORY_SAMPLED_EVERY: Duration = Duration::from_millis(20);

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// Measures all three.
pub(crate) async fn measure(targets: &Targets, quick: bool, report: &mut Report) -> Result<()> {
    let stub = targets.stub().await?;
    let daemon = targets.ninja(DATA, &stub).await?;
    let target = targets.target(DATA, &daemon)?;
    requests(targets, &target, quick, report).await?;
    subscribers(&target, &daemon, report).await?;
    logins(&target, &daemon, report).await
}

/// Serves one answer and nothing else: what axum takes at least.
pub(crate) async fn serve_bare(answer: String) -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let answer = Bytes::from(answer);
    let handler = get(move || {
        let answer = answer.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], answer) }
    });
    Ok(axum::serve(listener, Router::new().route(PATH, handler)).await?)
}

async fn requests(targets: &Targets, target: &Target, quick: bool, report: &mut Report) -> Result<()> {
    eprintln!("bench: {CONNECTIONS} connections, {REQUESTS_PER_SECOND} requests/s");
    let (_, answer) = Connection::open(target).await?.ask(Method::GET, PATH, Bytes::new()).await?;
    let bare = targets.bare(&String::from_utf8(answer.to_vec())?).await?;
    let bare = Target { address: bare.address, ..target.clone() };
    let (rounds, seconds) = if quick { (1, 3) } else { (3, 20) };
    let (mut ninja, mut floor) = (Latencies::default(), Latencies::default());
    for _ in 0..rounds {
        ninja.push(pace(target, seconds).await.context("Ninja")?);
        floor.push(pace(&bare, seconds).await.context("the bare handler")?);
    }
    let name = |what: &str| format!("{CONNECTIONS} connections at {REQUESTS_PER_SECOND}/s: {what}");
    report.add(Figure::ratio(name("median"), "ms", &ninja.median, &floor.median));
    report.add(Figure::ratio(name("99 % within"), "ms", &ninja.late, &floor.late));
    Ok(())
}

#[derive(Default)]
struct Latencies {
    median: Samples,
    late: Samples,
}

impl Latencies {
    fn push(&mut self, mut millis: Vec<f64>) {
        millis.sort_by(f64::total_cmp);
        let at = |share: usize| millis.get(millis.len() * share / 100).copied().unwrap_or_default();
        self.median.push(at(50));
        self.late.push(at(99));
    }
}

/// Sends requests at their times over all connections in turn; returns how long after its time each was answered, in milliseconds.
async fn pace(target: &Target, seconds: u32) -> Result<Vec<f64>> {
    let opened: Vec<Result<Connection>> =
        stream::iter(0..CONNECTIONS).map(|_| Connection::open(target)).buffer_unordered(SIDE_BY_SIDE).collect().await;
    let total = usize::try_from(REQUESTS_PER_SECOND * seconds)?;
    // All are open before the first is due.
    let begin = Instant::now() + Duration::from_millis(200);
    let mut asking = JoinSet::new();
    for (index, connection) in opened.into_iter().enumerate() {
        let mut connection = connection?;
        asking.spawn(async move {
            let mut millis = Vec::with_capacity(total / CONNECTIONS + 1);
            for number in (index..total).step_by(CONNECTIONS) {
                let due = begin + Duration::from_secs(1) * u32::try_from(number)? / REQUESTS_PER_SECOND;
                tokio::time::sleep_until(due.into()).await;
                let (status, _) = connection.ask(Method::GET, PATH, Bytes::new()).await?;
                ensure!(status == StatusCode::OK, "a request was answered {status}");
                millis.push(due.elapsed().as_secs_f64() * 1e3);
            }
            Ok::<_, anyhow::Error>(millis)
        });
    }
    let mut all = Vec::with_capacity(total);
    while let Some(millis) = asking.join_next().await {
        all.extend(millis??);
    }
    Ok(all)
}

/// Lets each of many sockets follow a task of its own that waits; then all are let go on, and each is told of its end.
async fn subscribers(target: &Target, daemon: &Process, report: &mut Report) -> Result<()> {
    eprintln!("bench: {SUBSCRIBERS} WebSockets, one task each");
    let idle = daemon.memory()?;
    let task = targets::approval();
    let ids = stream::iter(0..SUBSCRIBERS)
        .map(|_| async {
            let mut connection = Connection::open(target).await?;
            connection.submit(&task).await
        })
        .buffer_unordered(SIDE_BY_SIDE);
    let ids: Vec<String> = ids.collect::<Vec<Result<String>>>().await.into_iter().collect::<Result<_>>()?;
    let asked = stream::iter(ids).map(|id| Follower::open(target, id)).buffer_unordered(SIDE_BY_SIDE);
    let asked: Vec<Result<Follower>> = asked.collect().await;
    let followers: Vec<Follower> = asked.into_iter().collect::<Result<_>>()?;
    let held = daemon.memory()?;
    let answers = try_join_all(
        followers.into_iter().map(|follower| async move { tokio::spawn(follower.answer_and_see_the_end()).await? }),
    );
    let begun = Instant::now();
    let mut latencies = Latencies::default();
    latencies.push(answers.await?);
    let all = begun.elapsed().as_secs_f64();
    let name = |what: &str| format!("{SUBSCRIBERS} WebSockets, a task each: {what}");
    report.add(Figure::alone(name("answer to end, median"), "ms", latencies.median));
    report.add(Figure::alone(name("answer to end, 99 % within"), "ms", latencies.late));
    report.add(Figure::alone(name("all"), "s", Samples::one(all)));
    report.add(Figure::alone(name("memory while they wait"), "MB", Samples::one(megabytes(held - idle.min(held)))));
    Ok(())
}

/// A socket that follows a task which waits for a person.
struct Follower {
    target: Target,
    task: String,
    approval: String,
    socket: Socket,
    seq: u64,
}

impl Follower {
    async fn open(target: &Target, task: String) -> Result<Self> {
        let mut request = format!("ws://{}/ws", target.address).into_client_request()?;
        let key = target.key.as_deref().context("the daemon has a key")?;
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse()?);
        let (mut socket, _) = connect_async(request).await?;
        socket.send(Message::text(json!({ "type": "task", "task": task }).to_string())).await?;
        let mut follower = Self { target: target.clone(), task, approval: String::new(), socket, seq: 0 };
        while follower.approval.is_empty() {
            let event = follower.next().await?.context("the task ended by itself")?;
            if let Some(id) = event.pointer("/event/approval/id").and_then(Value::as_str) {
                id.clone_into(&mut follower.approval);
            }
        }
        Ok(follower)
    }

    /// Returns the next event; nothing where the task has ended.
    async fn next(&mut self) -> Result<Option<Value>> {
        loop {
            let Message::Text(text) = self.socket.next().await.context("the socket was closed")?? else { continue };
            let mut frame: Value = serde_json::from_str(&text)?;
            match frame.get("frame").and_then(Value::as_str) {
                Some("event") => {
                    let event = frame.get_mut("event").map(Value::take).unwrap_or_default();
                    self.seq += 1;
                    ensure!(event.get("seq") == Some(&json!(self.seq)), "a gap or a repeat: {event}");
                    return Ok(Some(event));
                }
                Some("end") => return Ok(None),
                _ => ensure!(frame.get("error").is_none(), "{frame}"),
            }
        }
    }

    /// Answers the question, and returns after how many milliseconds the socket told of the end.
    async fn answer_and_see_the_end(mut self) -> Result<f64> {
        let path = format!("/api/v1/tasks/{}/approvals/{}", self.task, self.approval);
        let mut connection = Connection::open(&self.target).await?;
        let begun = Instant::now();
        let body = json!({ "decision": "approve" }).to_string().into();
        let (status, _) = connection.ask(Method::POST, &path, body).await?;
        ensure!(status == StatusCode::OK, "an answer was answered {status}");
        while self.next().await?.is_some() {}
        Ok(begun.elapsed().as_secs_f64() * 1e3)
    }
}

/// Lets many log in at once, and compares how long known and unknown addresses take one by one.
async fn logins(target: &Target, daemon: &Process, report: &mut Report) -> Result<()> {
    eprintln!("bench: {LOGINS} logins at once");
    let mut connection = Connection::open(target).await?;
    let (_, invited) = connection
        .ask(Method::POST, "/api/v1/admin/users", json!({ "email": "ada@example.org" }).to_string().into())
        .await?;
    let token = serde_json::from_slice::<Value>(&invited)?.get("token").cloned().context("no invitation")?;
    let redeem = json!({ "token": token, "password": PASSWORD }).to_string();
    connection.ask(Method::POST, "/api/v1/auth/redeem", redeem.into()).await?;
    let address = target.address;
    let (mut known, mut unknown) = (Samples::default(), Samples::default());
    for number in 0..10 {
        known.push(login(address, "ada@example.org", StatusCode::OK).await?);
        unknown.push(login(address, &format!("nobody{number}@example.org"), StatusCode::UNAUTHORIZED).await?);
    }
    report.add(Figure::ratio("a login: known address / unknown address".to_owned(), "ms", &known, &unknown));
    let (stop, stopped) = watch::channel(());
    let pid = daemon.pid;
    let highest = tokio::spawn(async move {
        let mut highest = 0;
        while !stopped.has_changed().unwrap_or(true) {
            highest = ninja_tests::memory_of(pid)?.max(highest);
            tokio::time::sleep(MEMORY_SAMPLED_EVERY).await;
        }
        Ok::<_, anyhow::Error>(highest)
    });
    let begun = Instant::now();
    try_join_all((0..LOGINS).map(|_| login(address, "ada@example.org", StatusCode::OK))).await?;
    let all = begun.elapsed().as_secs_f64();
    stop.send(()).ok();
    let name = |what: &str| format!("{LOGINS} logins at once: {what}");
    let highest = Samples::one(megabytes(highest.await??));
    report.add(Figure::alone(name("memory at the most"), "MB", highest).with_bar(Bar::AtMost(LOGINS_MB_MAX)));
    report.add(Figure::alone(name("all"), "s", Samples::one(all)));
    Ok(())
}

/// Logs in over a connection of its own; returns how long that took, in milliseconds.
async fn login(address: SocketAddr, email: &str, expected: StatusCode) -> Result<f64> {
    let nobody: Option<Arc<str>> = None;
    let mut connection = Connection::open(&Target { address, key: nobody }).await?;
    let body = json!({ "email": email, "password": PASSWORD }).to_string();
    let begun = Instant::now();
    let (status, answer) = connection.ask(Method::POST, "/api/v1/auth/login", body.into()).await?;
    ensure!(status == expected, "a login was answered {status}: {}", String::from_utf8_lossy(&answer));
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}
