//! Events over SSE, WebSocket and the SDK, against a real daemon; and how it stops.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use ninja_core::{
    api::{StreamFrame, TaskId},
    providers::{ScriptStep, Scripted},
};
use ninja_sdk::{Client, Ninja, SdkError};
use serde_json::{Value, json};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use crate::support::{Daemon, exchange};

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

fn goal() -> Value {
    json!({ "goal": "say hello" })
}

/// A model that never answers.
fn hanging() -> Scripted {
    Scripted::new(|_| ScriptStep::Hang)
}

/// Returns the `id` and the frame of every event of an SSE body.
fn read_sse(body: &str) -> Vec<(String, Value)> {
    let events = body.split("\n\n").filter(|event| event.contains("data: "));
    let field =
        |event: &str, name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
    events.map(|event| (field(event, "id: "), serde_json::from_str(&field(event, "data: ")).unwrap())).collect()
}

fn numbered(events: &[(String, Value)]) -> Vec<String> {
    events.iter().map(|(id, _)| id.clone()).filter(|id| !id.is_empty()).collect()
}

#[tokio::test]
async fn server_sent_events_go_on_after_the_last_id() {
    let daemon = Daemon::start(Scripted::answering("hello")).await;
    let id = daemon.submit(goal()).await;
    let last = daemon.settled(&id).await["last_seq"].as_u64().unwrap();
    let path = format!("/api/v1/tasks/{id}/events");
    let whole = daemon.request("GET", &path).send().await.unwrap();
    assert_eq!(whole.headers()["content-type"], "text/event-stream");
    let events = read_sse(&whole.text().await.unwrap());
    assert_eq!(numbered(&events), (1..=last).map(|seq| format!("t:{seq}")).collect::<Vec<_>>());
    assert_eq!(events.last().unwrap().1, json!({ "frame": "end", "task": id }));

    for request in [
        daemon.request("GET", &format!("{path}?after=t:2")),
        daemon.request("GET", &path).header("last-event-id", "t:2"),
    ] {
        let events = read_sse(&request.send().await.unwrap().text().await.unwrap());
        assert_eq!(numbered(&events).first().map(String::as_str), Some("t:3"));
    }
    let seen_all = daemon.request("GET", &path).header("last-event-id", format!("t:{last}")).send().await.unwrap();
    assert_eq!(seen_all.status(), 204, "a browser would come back for ever");
    let beyond = exchange(daemon.request("GET", &format!("{path}?after=t:{}", last + 1))).await;
    assert_eq!(beyond["status"], 422);
}

async fn open(daemon: &Daemon, origin: Option<&str>) -> Result<Socket, Error> {
    let mut request = format!("{}/ws", daemon.url.replace("http", "ws")).into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {}", daemon.key).parse().unwrap());
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    connect_async(request).await.map(|(socket, _)| socket)
}

/// Opens a socket that has not said who it is, as a page does.
async fn open_unknown(daemon: &Daemon) -> Socket {
    let url = format!("{}/ws", daemon.url.replace("http", "ws"));
    connect_async(url).await.unwrap().0
}

/// Returns the code that a socket is closed with.
async fn close_code(socket: &mut Socket) -> u16 {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Close(close) => return close.unwrap().code.into(),
            Message::Text(text) => panic!("{text}"),
            _ => {}
        }
    }
}

async fn next_frame(socket: &mut Socket) -> Value {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn say(socket: &mut Socket, message: Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

#[tokio::test]
async fn one_socket_follows_many_things_and_says_what_it_cannot() {
    let daemon = Daemon::start(Scripted::answering("hello")).await;
    let ids = [daemon.submit(goal()).await, daemon.submit(goal()).await];
    let mut socket = open(&daemon, None).await.unwrap();
    say(&mut socket, json!({ "type": "nonsense" })).await;
    assert_eq!(next_frame(&mut socket).await["error"]["code"], "invalid_request");
    say(&mut socket, json!({ "type": "task", "task": "task_00000000000070008000000000000000" })).await;
    assert_eq!(next_frame(&mut socket).await["error"]["code"], "not_found");

    for beyond in ["u:9223372036854775808", "u:18446744073709551615", "u:1000000"] {
        say(&mut socket, json!({ "type": "feed", "after": beyond })).await;
        assert_eq!(next_frame(&mut socket).await["error"]["code"], "invalid_request", "{beyond}");
    }

    for id in &ids {
        say(&mut socket, json!({ "type": "task", "task": id })).await;
    }
    let (mut seen, mut ended) = ([0, 0], 0);
    while ended < 2 {
        let frame = next_frame(&mut socket).await;
        match frame["frame"].as_str().unwrap() {
            "event" => {
                let which = usize::from(frame["event"]["task"] == json!(ids[1]));
                assert_eq!(frame["event"]["seq"], seen[which] + 1, "no gap and no repeat");
                seen[which] += 1;
            }
            "end" => ended += 1,
            "delta" => {}
            other => panic!("{other}"),
        }
    }
    say(&mut socket, json!({ "type": "feed", "after": "u:0" })).await;
    let frame = next_frame(&mut socket).await;
    assert_eq!((&frame["frame"], &frame["entry"]["seq"]), (&json!("feed"), &json!(1)));
    say(&mut socket, json!({ "type": "task", "task": ids[0], "after": "t:3" })).await;
    let again = loop {
        let frame = next_frame(&mut socket).await;
        if frame["frame"] == "event" {
            break frame;
        }
    };
    assert_eq!(again["event"]["seq"], 4, "what has ended can be followed again");
}

/// Reads so many numbered events of a task over a new socket; returns the last number, and whether the task has ended.
async fn read_by_socket(daemon: &Daemon, task: &str, after: u64, count: u64) -> (u64, bool) {
    let mut socket = open(daemon, None).await.unwrap();
    say(&mut socket, json!({ "type": "task", "task": task, "after": format!("t:{after}") })).await;
    let mut last = after;
    while last < after + count {
        let frame = next_frame(&mut socket).await;
        match frame["frame"].as_str().unwrap() {
            "event" => {
                assert_eq!(frame["event"]["seq"], last + 1, "no gap and no repeat");
                last += 1;
            }
            "end" => return (last, true),
            other => panic!("{other}: {frame}"),
        }
    }
    (last, false)
}

/// The same as server-sent events.
async fn read_by_events(daemon: &Daemon, task: &str, after: u64, count: u64) -> (u64, bool) {
    let path = format!("/api/v1/tasks/{task}/events");
    let request = daemon.request("GET", &path).header("last-event-id", format!("t:{after}"));
    let answer = request.send().await.unwrap();
    if answer.status() == 204 {
        return (after, true);
    }
    let (mut pieces, mut text) = (answer.bytes_stream(), String::new());
    loop {
        let whole = text.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
        let numbers = numbered(&read_sse(whole));
        let came: Vec<String> = numbers.into_iter().take(usize::try_from(count).unwrap()).collect();
        let expected: Vec<String> = (1..).map(|n| format!("t:{}", after + n)).take(came.len()).collect();
        assert_eq!(came, expected, "no gap and no repeat");
        if came.len() as u64 == count {
            return (after + count, false);
        }
        match pieces.next().await {
            Some(piece) => text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap()),
            None => return (after + came.len() as u64, true),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_reconnects_leave_no_gap_and_no_repeat() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    let step = |number: usize| {
        let after: Vec<String> = number.checked_sub(1).map(|before| format!("s{before}")).into_iter().collect();
        let args = json!({ "path": format!("{number}.txt"), "content": "x" });
        json!({ "id": format!("s{number}"), "kind": "tool", "tool": "write_file", "args": args, "after": after })
    };
    let steps: Vec<Value> = (0..200).map(step).collect();
    let task = daemon.submit(json!({ "plan": { "steps": steps } })).await;
    let (mut last, mut has_ended, mut reconnects) = (0, false, 0_u64);
    while !has_ended {
        // Anything from nothing to three, in an order that is no pattern.
        let count = reconnects.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 62;
        (last, has_ended) = match reconnects % 2 {
            0 => read_by_socket(&daemon, &task, last, count).await,
            _ => read_by_events(&daemon, &task, last, count).await,
        };
        reconnects += 1;
    }
    assert!(reconnects >= 500, "{reconnects}");
    let task = exchange(daemon.request("GET", &format!("/api/v1/tasks/{task}"))).await;
    assert_eq!((&task["body"]["status"], &task["body"]["last_seq"]), (&json!("succeeded"), &json!(last)));
}

#[tokio::test]
async fn a_page_says_who_it_is_with_a_ticket_that_is_good_once() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    let ticket = async || {
        let response = daemon.request("POST", "/api/v1/auth/ws-ticket").send().await.unwrap();
        response.json::<Value>().await.unwrap()["ticket"].as_str().unwrap().to_owned()
    };
    let introduce = |credential: &str| json!({ "type": "authenticate", "credential": credential });
    let once = ticket().await;
    for credential in [once.as_str(), &daemon.key] {
        let mut socket = open_unknown(&daemon).await;
        say(&mut socket, introduce(credential)).await;
        let id = daemon.submit(goal()).await;
        say(&mut socket, json!({ "type": "task", "task": id })).await;
        assert_eq!(next_frame(&mut socket).await["event"]["task"], json!(id));
    }
    for first in [
        introduce(&once),
        introduce("nj_wrong"),
        introduce("nt_wrong"),
        introduce(""),
        json!({ "type": "feed" }),
        json!({ "type": "authenticate" }),
        json!({ "type": "authenticate", "credential": daemon.key, "role": "admin" }),
        json!(null),
    ] {
        let mut socket = open_unknown(&daemon).await;
        say(&mut socket, first.clone()).await;
        assert_eq!(close_code(&mut socket).await, 4401, "{first}");
    }
    // As a header that a page may choose.
    let offer = async |ticket: String| {
        let mut request = format!("{}/ws", daemon.url.replace("http", "ws")).into_client_request().unwrap();
        let offered = format!("ninja.v1, ninja.ticket.{ticket}");
        request.headers_mut().insert("sec-websocket-protocol", offered.parse().unwrap());
        connect_async(request).await
    };
    let again = ticket().await;
    let (mut socket, response) = offer(again.clone()).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "ninja.v1", "the ticket is not said back");
    say(&mut socket, json!({ "type": "feed" })).await;
    assert_eq!(next_frame(&mut socket).await["frame"], "feed");
    let Err(Error::Http(response)) = offer(again).await else { panic!("again") };
    assert_eq!(response.status(), 401);
    let in_url = format!("{}/ws?access_token={}", daemon.url.replace("http", "ws"), daemon.key);
    let Err(Error::Http(response)) = connect_async(in_url).await else { panic!("in a URL") };
    assert_eq!(response.status(), 400);
}

#[tokio::test]
async fn whoever_loses_what_let_them_in_loses_what_is_open() {
    let daemon = Daemon::start(hanging()).await;
    let create = json!({ "name": "x", "scopes": ["tasks:read", "tasks:write"] });
    let made = daemon.request("POST", "/api/v1/auth/api-keys").json(&create).send().await.unwrap();
    let made: Value = made.json().await.unwrap();
    let key = made["key"].as_str().unwrap();
    let id = daemon.submit(goal()).await;
    let mut request = format!("{}/ws", daemon.url.replace("http", "ws")).into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    let mut socket = connect_async(request).await.unwrap().0;
    say(&mut socket, json!({ "type": "task", "task": id })).await;
    next_frame(&mut socket).await;
    let events = format!("{}/api/v1/tasks/{id}/events", daemon.url);
    let streamed = daemon.http.get(events).bearer_auth(key).send().await.unwrap();
    let client: Ninja = Client::builder().url(&daemon.url).key(key).build().unwrap().into();
    let mut followed = client.events(id.parse().unwrap(), None).await.unwrap();

    let path = format!("/api/v1/auth/api-keys/{}", made["info"]["id"].as_str().unwrap());
    assert_eq!(daemon.request("DELETE", &path).send().await.unwrap().status(), 204);
    let closed = async {
        loop {
            match socket.next().await.unwrap().unwrap() {
                Message::Close(close) => break u16::from(close.unwrap().code),
                _ => continue,
            }
        }
    };
    let all = async {
        assert_eq!(closed.await, 4401);
        streamed.text().await.unwrap();
        loop {
            match followed.next().await.unwrap() {
                Err(error) => break assert!(matches!(error, SdkError::Api(_)), "{error:?}"),
                Ok(_) => continue,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all).await.unwrap();
}

#[tokio::test]
async fn a_socket_is_refused_to_strangers_and_closed_on_abuse() {
    let daemon = Daemon::start(Scripted::answering("x")).await;
    for origin in ["https://evil.example", "http://localhost:3000", "null"] {
        let Err(Error::Http(response)) = open(&daemon, Some(origin)).await else { panic!("{origin}") };
        assert_eq!(response.status(), 403);
    }
    assert!(open(&daemon, Some(&daemon.url)).await.is_ok(), "its own pages may");
    let mut request = format!("{}/ws", daemon.url.replace("http", "ws")).into_client_request().unwrap();
    request.headers_mut().insert("authorization", "Bearer nj_wrong".parse().unwrap());
    let Err(Error::Http(response)) = connect_async(request).await else { panic!("a wrong key") };
    assert_eq!(response.status(), 401);

    for message in [Message::text("x".repeat(64 * 1024 + 1)), Message::binary(vec![0; 8])] {
        let mut socket = open(&daemon, None).await.unwrap();
        socket.send(message).await.ok();
        let closed = loop {
            match socket.next().await {
                None | Some(Err(_) | Ok(Message::Close(_))) => break true,
                Some(Ok(Message::Text(_))) => break false,
                Some(Ok(_)) => {}
            }
        };
        assert!(closed);
    }
    let mut socket = open(&daemon, None).await.unwrap();
    for _ in 0..40 {
        if socket.send(Message::text("{}")).await.is_err() {
            break;
        }
    }
    let mut errors = 0;
    while let Some(Ok(message)) = socket.next().await {
        errors += u32::from(message.is_text());
    }
    assert!(errors <= 16, "{errors}");
}

#[tokio::test]
async fn the_sdk_sees_the_same_task_over_tcp_socket_and_in_process() {
    let daemon = Daemon::start(Scripted::answering("hello")).await;
    let tcp: Ninja = Client::builder().url(&daemon.url).key(&daemon.key).build().unwrap().into();
    let unix: Ninja = Client::builder().unix_socket(&daemon.socket).build().unwrap().into();
    let here = Ninja::from(daemon.engine.clone());
    let id: TaskId = daemon.submit(goal()).await.parse().unwrap();
    let mut seen = Vec::new();
    for ninja in [&tcp, &unix, &here] {
        let mut events = ninja.events(id, None).await.unwrap();
        let mut numbered = Vec::new();
        let mut ended = false;
        while let Some(frame) = events.next().await {
            match frame.unwrap() {
                StreamFrame::Event { event } => numbered.push(event),
                StreamFrame::End { .. } => ended = true,
                _ => {}
            }
        }
        assert!(ended);
        seen.push((numbered, ninja.task(id).await.unwrap()));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
    let stranger = Client::builder().url(&daemon.url).build().unwrap();
    let error = stranger.task(id).await.unwrap_err();
    assert!(matches!(error, SdkError::Api(_)), "{error:?}");
}

#[tokio::test]
async fn a_stop_ends_streams_and_leaves_no_socket() {
    let daemon = Daemon::start(hanging()).await;
    let id = daemon.submit(goal()).await;
    let mut socket = open(&daemon, None).await.unwrap();
    say(&mut socket, json!({ "type": "task", "task": id })).await;
    next_frame(&mut socket).await;
    let sse = daemon.request("GET", &format!("/api/v1/tasks/{id}/events")).send().await.unwrap();
    let idle = tokio::net::TcpStream::connect(daemon.url.trim_start_matches("http://")).await.unwrap();

    daemon.shutdown.cancel();
    let rest = async {
        let body = sse.text().await;
        assert!(body.is_ok(), "the stream ends in order: {body:?}");
        while let Some(Ok(_)) = socket.next().await {}
        daemon.serving.await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(10), rest).await.unwrap();
    drop(idle);
    assert!(!daemon.socket.exists());
    assert!(daemon.http.get(&daemon.url).send().await.is_err());
    daemon.engine.stop().await;
}
