//! Those who take their time: five hundred at once, more than there is room for, and the stop of the daemon.

use std::time::Duration;

use futures::future::join_all;
use ninja_core::providers::Scripted;
use ninja_daemon::{Deadlines, ServeOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::{
    probes::{probe, rest, statuses},
    support::Daemon,
};

const MANY: usize = 500;
/// Only a hang takes longer.
const HANG: Duration = Duration::from_secs(60);
const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Starts a daemon that waits for as long as `change` says.
async fn daemon(change: impl FnOnce(&mut Deadlines)) -> Daemon {
    let change = |options: &mut ServeOptions| {
        options.http.requests_per_minute.anonymous = 0;
        change(&mut options.deadlines);
    };
    Daemon::start_with(Scripted::answering("x"), change).await
}

async fn health(daemon: &Daemon) -> u16 {
    let answer = daemon.http.get(format!("{}/health", daemon.url)).send().await.unwrap();
    answer.status().as_u16()
}

/// Opens many connections that each say this and no more. One after another: of what does not fit into the system's queue a
/// client that says nothing never hears again.
async fn say_and_wait(daemon: &Daemon, what: &str) -> Vec<TcpStream> {
    let mut sockets = Vec::new();
    for _ in 0..MANY {
        let mut socket = daemon.connect().await;
        socket.write_all(what.as_bytes()).await.unwrap();
        sockets.push(socket);
    }
    sockets
}

async fn ends(sockets: Vec<TcpStream>) -> Vec<String> {
    timeout(HANG, join_all(sockets.into_iter().map(|mut socket| async move { rest(&mut socket).await }))).await.unwrap()
}

#[tokio::test]
async fn five_hundred_slow_heads_are_told_so_while_others_are_served() {
    let daemon = daemon(|deadlines| deadlines.head = Duration::from_secs(3)).await;
    let sockets = say_and_wait(&daemon, "GET /health HTTP/1.1\r\nhost: loc").await;
    assert_eq!(health(&daemon).await, 200);
    for text in ends(sockets).await {
        assert_eq!(statuses(&text), [408], "{text}");
    }
    assert_eq!(health(&daemon).await, 200);
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_late_as_well() {
    let daemon = daemon(|deadlines| deadlines.head = Duration::from_millis(300)).await;
    let socket = daemon.connect().await;
    let (mut read, mut write) = socket.into_split();
    let trickle = tokio::spawn(async move {
        write.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nx-slow: ").await.unwrap();
        while write.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut text = String::new();
    timeout(HANG, read.read_to_string(&mut text)).await.unwrap().ok();
    assert_eq!(statuses(&text), [408], "{text}");
    timeout(HANG, trickle).await.unwrap().unwrap();
}

#[tokio::test]
async fn five_hundred_that_say_nothing_are_left() {
    let daemon = daemon(|deadlines| deadlines.idle = Duration::from_secs(2)).await;
    let silent = say_and_wait(&daemon, "").await;
    let kept_alive = say_and_wait(&daemon, HEALTH).await;
    assert_eq!(health(&daemon).await, 200);
    for text in ends(silent).await {
        assert_eq!(text, "");
    }
    for text in ends(kept_alive).await {
        assert_eq!(statuses(&text), [200]);
    }
}

#[tokio::test]
async fn five_hundred_slow_bodies_are_given_up() {
    let daemon = daemon(|deadlines| deadlines.pause = Duration::from_secs(3)).await;
    let head = format!(
        "POST /api/v1/tasks HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n",
        daemon.key
    );
    let sized = say_and_wait(&daemon, &format!("{head}content-length: 100\r\n\r\n{{")).await;
    let chunked = say_and_wait(&daemon, &format!("{head}transfer-encoding: chunked\r\n\r\n5\r\n{{")).await;
    assert_eq!(health(&daemon).await, 200);
    for text in [ends(sized).await, ends(chunked).await].concat() {
        assert_eq!(statuses(&text), [408], "{text}");
        assert!(text.contains("\"code\":\"request_timeout\""), "{text}");
    }
    assert_eq!(health(&daemon).await, 200);
}

#[tokio::test]
async fn a_body_that_never_pauses_is_late_all_the_same() {
    let daemon = daemon(|deadlines| deadlines.body = Duration::from_millis(400)).await;
    let (mut read, mut write) = daemon.connect().await.into_split();
    let head = format!("POST /api/v1/tasks HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n", daemon.key);
    let trickle = tokio::spawn(async move {
        write
            .write_all(format!("{head}content-type: application/json\r\ncontent-length: 9999\r\n\r\n").as_bytes())
            .await
            .unwrap();
        while write.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut text = String::new();
    timeout(HANG, read.read_to_string(&mut text)).await.unwrap().ok();
    assert_eq!(statuses(&text), [408], "{text}");
    timeout(HANG, trickle).await.unwrap().unwrap();
}

#[tokio::test]
async fn whoever_finds_no_room_is_told_and_the_owner_always_does() {
    let model = Scripted::answering("x");
    let daemon = Daemon::start_with(model, |options| options.http.connections_max = 4).await;
    let mut inside = Vec::new();
    for _ in 0..4 {
        inside.push(daemon.connect().await);
    }
    for text in join_all((0..8).map(|_| probe(&daemon, HEALTH.as_bytes()))).await {
        assert_eq!(statuses(&text), [503], "{text}");
        assert!(text.contains("\"code\":\"unavailable\"") && text.contains("retry-after: 1"), "{text}");
    }
    let mut owner = UnixStream::connect(&daemon.socket).await.unwrap();
    owner.write_all(HEALTH.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    timeout(HANG, owner.read_to_string(&mut text)).await.unwrap().unwrap();
    assert_eq!(statuses(&text), [200]);
    inside[0].write_all(HEALTH.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    timeout(HANG, inside[0].read_exact(&mut first)).await.unwrap().unwrap();
    assert_eq!(&first, b"HTTP/1.1 200", "who is in is served");
    drop(inside);
    let served = async {
        while daemon.http.get(format!("{}/health", daemon.url)).send().await.is_err_or_refused() {
            tokio::task::yield_now().await;
        }
    };
    timeout(HANG, served).await.unwrap();
}

/// What came of a request.
trait Outcome {
    /// Returns whether it was not served.
    fn is_err_or_refused(&self) -> bool;
}

impl Outcome for Result<reqwest::Response, reqwest::Error> {
    fn is_err_or_refused(&self) -> bool {
        self.as_ref().map_or(true, |answer| answer.status() != 200)
    }
}

#[tokio::test]
async fn one_address_takes_no_more_than_its_share() {
    let model = Scripted::answering("x");
    let daemon = Daemon::start_with(model, |options| options.http.connections_per_address_max = Some(2)).await;
    let (first, second) = (daemon.connect().await, daemon.connect().await);
    let text = probe(&daemon, HEALTH.as_bytes()).await;
    assert_eq!(statuses(&text), [429], "{text}");
    drop((first, second));
    let served = async {
        while daemon.http.get(format!("{}/health", daemon.url)).send().await.is_err_or_refused() {
            tokio::task::yield_now().await;
        }
    };
    timeout(HANG, served).await.unwrap();
}

#[tokio::test]
async fn a_stop_ends_idle_connections_at_once_and_lets_requests_finish() {
    let daemon = daemon(|_| {}).await;
    let mut idle = daemon.connect().await;
    idle.write_all(HEALTH.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    let mut busy = daemon.connect().await;
    let head =
        format!("POST /api/v1/tasks/forecast HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n", daemon.key);
    let head = format!("{head}content-type: application/json\r\ncontent-length: 12\r\nexpect: 100-continue\r\n\r\n");
    busy.write_all(head.as_bytes()).await.unwrap();
    let mut asked = [0; 25];
    timeout(HANG, busy.read_exact(&mut asked)).await.unwrap().unwrap();

    daemon.shutdown.cancel();
    // The deadline is 20 s away: nothing is cut here, and nothing waits for a time to pass.
    assert!(rest(&mut idle).await.ends_with('}'));
    busy.write_all(b"{\"goal\":\"x\"}").await.unwrap();
    let text = rest(&mut busy).await;
    assert_eq!(statuses(&text), [200], "{text}");
    assert!(text.contains("connection: close"));
    timeout(HANG, daemon.serving).await.unwrap().unwrap();
    daemon.engine.stop().await;
}

#[tokio::test]
async fn whoever_does_not_finish_is_cut_at_the_deadline() {
    let daemon = daemon(|deadlines| deadlines.drain = Duration::from_millis(200)).await;
    let mut half = daemon.connect().await;
    let head = format!("POST /api/v1/tasks HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n", daemon.key);
    let head = format!("{head}content-type: application/json\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n");
    half.write_all(head.as_bytes()).await.unwrap();
    timeout(HANG, half.read_exact(&mut [0; 25])).await.unwrap().unwrap();
    daemon.shutdown.cancel();
    timeout(HANG, daemon.serving).await.unwrap().unwrap();
    timeout(HANG, half.read_to_end(&mut Vec::new())).await.unwrap().ok();
    daemon.engine.stop().await;
}
