//! Bytes that no client of ours sends, on raw sockets: what is refused, with which status, and that nothing is answered that
//! was hidden in something else.

use std::time::Duration;

use ninja_core::providers::Scripted;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::Daemon;

/// Only a hang takes longer.
const HANG: Duration = Duration::from_secs(20);
/// What must not be answered where it stands behind or within something else.
const SMUGGLED: &str = "GET /ready HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Writes bytes to a new connection and returns all that comes until the daemon closes it.
pub(crate) async fn probe(daemon: &Daemon, bytes: &[u8]) -> String {
    let mut socket = daemon.connect().await;
    // A refusal may come before all was written.
    socket.write_all(bytes).await.ok();
    rest(&mut socket).await
}

/// Returns all that comes until the daemon closes the connection.
pub(crate) async fn rest(socket: &mut TcpStream) -> String {
    let mut came = Vec::new();
    let read = timeout(HANG, socket.read_to_end(&mut came)).await;
    let text = String::from_utf8(came).unwrap();
    read.unwrap_or_else(|_| panic!("the connection stays open after {text:?}")).unwrap();
    text
}

/// Returns the statuses of all answers in a text.
pub(crate) fn statuses(text: &str) -> Vec<u16> {
    let lines = text.split("HTTP/1.1 ").skip(1);
    lines.map(|rest| rest.get(..3).unwrap().parse().unwrap()).collect()
}

/// Checks an answer that refuses: a problem with an id, and all headers of every answer.
fn check_problem(name: &str, text: &str) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let problem: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{name}: {text}"));
    for header in [
        "content-type: application/problem+json",
        "connection: close",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "x-frame-options: DENY",
        "cross-origin-resource-policy: same-origin",
        "content-security-policy: default-src 'none'; frame-ancestors 'none'; sandbox",
    ] {
        assert!(head.contains(header), "{name}: no {header:?} in {head}");
    }
    let id = problem["request_id"].as_str().unwrap();
    assert!(head.contains(&format!("x-request-id: {id}")), "{name}");
}

async fn is_up(daemon: &Daemon) -> bool {
    daemon.http.get(format!("{}/health", daemon.url)).send().await.is_ok_and(|answer| answer.status() == 200)
}

#[tokio::test]
async fn what_is_not_plain_is_refused_and_hides_nothing() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    let get = |lines: &str| format!("GET /health HTTP/1.1\r\nhost: localhost\r\n{lines}\r\n");
    let post = |lines: &str, body: &str| {
        format!("POST /api/v1/tasks HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{lines}\r\n{body}")
    };
    let (length, chunked) = ("content-length: 4\r\n", "transfer-encoding: chunked\r\n");
    let in_chunks = format!("0\r\n\r\n{SMUGGLED}");
    let cases = [
        ("TE.CL", 400, post(&format!("{chunked}{length}"), &format!("5c\r\n{SMUGGLED}"))),
        ("CL.TE", 400, post(&format!("{length}{chunked}"), &in_chunks)),
        ("two lengths", 400, post(&format!("{length}content-length: 0\r\n"), SMUGGLED)),
        ("twice the same length", 400, post(&format!("{length}{length}"), &format!("{{}}  {SMUGGLED}"))),
        ("a list of lengths", 400, post("content-length: 4, 4\r\n", SMUGGLED)),
        ("a signed length", 400, post("content-length: +4\r\n", SMUGGLED)),
        ("an endless length", 400, post("content-length: 18446744073709551616\r\n", SMUGGLED)),
        ("chunked, identity", 400, post("transfer-encoding: chunked, identity\r\n", &in_chunks)),
        ("two codings", 400, post(&format!("{chunked}transfer-encoding: identity\r\n"), &in_chunks)),
        ("xchunked", 400, post("transfer-encoding: xchunked\r\n", &in_chunks)),
        ("a space before the colon", 400, post("transfer-encoding : chunked\r\n", &in_chunks)),
        ("chunked in HTTP/1.0", 400, post(chunked, &in_chunks).replace("HTTP/1.1\r\nhost", "HTTP/1.0\r\nhost")),
        ("a folded header", 400, get("x-a: b\r\n c\r\n")),
        ("bare line feeds", 400, get("").replace("\r\n", "\n")),
        ("one bare line feed", 400, get("x-a: b\nx-c: d\r\n")),
        ("a bare carriage return", 400, get("x-a: b\rx-c: d\r\n")),
        ("NUL in a header", 400, get("x-a: b\0c\r\n")),
        ("NUL in a path", 400, get("").replace("/health", "/hea\0lth")),
        ("two hosts", 400, get("host: evil.example\r\n")),
        ("no host", 400, get("").replace("host: localhost\r\n", "")),
        ("1,000 headers", 431, get(&"x-a: b\r\n".repeat(1_000))),
        ("a megabyte of headers", 431, get(&format!("x-a: {}\r\n", "b".repeat(1024 * 1024)))),
        ("a megabyte of a first line", 414, format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1024 * 1024))),
        ("HTTP/2", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("HTTP/0.9", 400, "GET /health\r\n".to_owned()),
        ("HTTP/1.2", 505, get("").replace("HTTP/1.1", "HTTP/1.2")),
        ("TLS", 400, "\u{16}\u{3}\u{1}\r\n".to_owned()),
        ("CONNECT", 501, "CONNECT evil.example:443 HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned()),
        ("our own method", 501, get("").replace("GET", "REFUSED")),
        ("an absolute URI", 400, get("").replace("/health", "http://evil.example/health")),
        ("an absolute URI of this machine", 400, get("").replace("/health", "http://localhost/health")),
        ("an expectation", 417, post("expect: 200-ok\r\ncontent-length: 2\r\n", "{}")),
    ];
    for (name, status, bytes) in cases {
        let text = probe(&daemon, bytes.as_bytes()).await;
        assert_eq!(statuses(&text), [status], "{name}: {text}");
        check_problem(name, &text);
    }
    assert!(is_up(&daemon).await);
}

#[tokio::test]
async fn what_follows_a_body_is_a_request_or_nothing() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    let head = format!(
        "POST /api/v1/tasks/forecast HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n",
        daemon.key
    );
    let body = "{\"goal\":\"x\"}";
    let sized = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let pieces = |text: &str| format!("{head}transfer-encoding: chunked\r\n\r\n{text}");
    let last = "GET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    for (name, expected, bytes) in [
        ("garbage", vec![200, 400], format!("{sized}XXXX\r\n\r\n{SMUGGLED}")),
        ("an empty line", vec![200, 200], format!("{sized}\r\n{last}")),
        ("two in one piece", vec![200, 200, 200], format!("{sized}{sized}{last}")),
        (
            "chunks",
            vec![200, 200],
            pieces(&format!("6\r\n{}\r\n6;a=b\r\n{}\r\n0\r\n\r\n{last}", &body[..6], &body[6..])),
        ),
        ("trailers", vec![200, 200], pieces(&format!("c\r\n{body}\r\n0\r\nhost: evil.example\r\n\r\n{last}"))),
        ("a chunk that is no number", vec![400], pieces(&format!("zz\r\n{body}\r\n0\r\n\r\n{last}"))),
        ("a chunk that ends elsewhere", vec![400], pieces(&format!("5\r\n{body}\r\n0\r\n\r\n{last}"))),
        ("a chunk with a bare line feed", vec![400], pieces(&format!("c\n{body}\r\n0\r\n\r\n{last}"))),
        ("a chunk without end", vec![400], pieces(&format!("fffffffffffffffff\r\n{body}{last}"))),
        ("long extensions", vec![400], pieces(&format!("c;{}\r\n{body}\r\n0\r\n\r\n{last}", "x".repeat(64 * 1024)))),
    ] {
        let text = probe(&daemon, bytes.as_bytes()).await;
        assert_eq!(statuses(&text), expected, "{name}: {text}");
    }
    assert!(is_up(&daemon).await);
}

#[tokio::test]
async fn a_body_is_asked_for_only_where_it_is_wanted() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    let head = "POST /api/v1/tasks/forecast HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                content-length: 12\r\nexpect: 100-continue\r\nconnection: close\r\n";
    let unknown = probe(&daemon, format!("{head}\r\n").as_bytes()).await;
    assert_eq!(statuses(&unknown), [401], "nobody reads a body of nobody: {unknown}");

    let mut socket = daemon.connect().await;
    socket.write_all(format!("{head}authorization: Bearer {}\r\n\r\n", daemon.key).as_bytes()).await.unwrap();
    let mut first = [0; 25];
    timeout(HANG, socket.read_exact(&mut first)).await.unwrap().unwrap();
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(b"{\"goal\":\"x\"}").await.unwrap();
    assert_eq!(statuses(&rest(&mut socket).await), [200]);
}

#[tokio::test]
async fn a_large_body_that_nobody_wants_still_lets_its_sender_read_why() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    let head = "POST /api/v1/tasks HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 3000000\r\n";
    let text = probe(&daemon, format!("{head}\r\n{}", "x".repeat(3_000_000)).as_bytes()).await;
    assert_eq!(statuses(&text), [401], "{text}");
    let known = format!("{head}authorization: Bearer {}\r\n\r\n{}", daemon.key, "x".repeat(3_000_000));
    assert_eq!(statuses(&probe(&daemon, known.as_bytes()).await), [413]);
}

#[tokio::test]
async fn requests_in_one_piece_are_answered_in_order_until_one_is_refused() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    let mut socket = daemon.connect().await;
    let bytes = format!("{SMUGGLED}\r\n{SMUGGLED}GET / HTTP/3\r\n\r\n{SMUGGLED}");
    for byte in bytes.as_bytes().chunks(7) {
        socket.write_all(byte).await.unwrap();
    }
    assert_eq!(statuses(&rest(&mut socket).await), [200, 200, 505]);
}
