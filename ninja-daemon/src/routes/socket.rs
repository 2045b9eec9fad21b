//! `/ws`: subscriptions in, frames out, many tasks on one socket.
//!
//! One task a socket. It reads nothing while it writes, so a slow reader slows itself down and is sent back to the disk
//! by the engine when it falls behind; no queue grows here.

use std::{collections::HashSet, time::Duration};

use axum::{
    Extension,
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code, rejection::WebSocketUpgradeRejection},
    },
    http::HeaderMap,
    response::Response,
};
use futures::{FutureExt, SinkExt, StreamExt, stream::SelectAll};
use ninja_core::{
    Engine,
    api::{ApiError, Cursor, ErrorCode, Principal, StreamFrame, Subscribe},
};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use super::frames::{Sent, Topic, TopicFrames, frames, text};
use crate::{app::App, auth::Caller, edge::Peer, error::Refusal, pages};

/// A subscription is a few hundred bytes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// axum's own 128 KiB each way would be most of the memory of a socket.
const READ_BUFFER_BYTES: usize = 4 * 1024;
const WRITE_BUFFER_BYTES: usize = 8 * 1024;
/// More than any console shows at a time.
const SUBSCRIPTIONS_MAX: usize = 1_000;
/// Messages that are no subscription; who sends more does not mean to subscribe.
const MISTAKES_MAX: u32 = 16;
const PING: Duration = Duration::from_secs(20);
/// Three pings that nobody answered.
const SILENCE_MAX: Duration = Duration::from_secs(65);
/// Longer than any pause of a network that still works.
const WRITE_MAX: Duration = Duration::from_secs(30);
/// Frames that are written before the socket is flushed.
const BATCH: usize = 64;

/// Opens the socket.
pub(super) async fn open(
    State(app): State<App>,
    Caller(by): Caller,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    pages::check_origin(&app.http, peer.as_deref(), &headers)?;
    let upgrade = upgrade.map_err(|_| Refusal::invalid("this path speaks WebSocket only; open it with an upgrade"))?;
    let upgrade = upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES);
    let (engine, shutdown, sockets) = (app.engine, app.shutdown, app.sockets);
    Ok(upgrade.on_upgrade(move |socket| {
        let session = Session { engine, by, socket, topics: HashSet::new(), streams: SelectAll::new(), mistakes: 0 };
        sockets.track_future(session.run(shutdown))
    }))
}

/// One socket and what it follows.
struct Session {
    engine: Engine,
    by: Principal,
    socket: WebSocket,
    topics: HashSet<Topic>,
    streams: SelectAll<TopicFrames>,
    mistakes: u32,
}

/// Why a socket is closed: a code of RFC 6455 and a few words.
struct Goodbye(u16, &'static str);

impl Session {
    async fn run(mut self, shutdown: CancellationToken) {
        let Err(Goodbye(code, reason)) = self.serve(&shutdown).await;
        let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        // The other side may be gone already.
        timeout(WRITE_MAX, self.socket.send(close)).await.ok();
    }

    async fn serve(&mut self, shutdown: &CancellationToken) -> Result<std::convert::Infallible, Goodbye> {
        let mut ping = interval_at(Instant::now() + PING, PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                message = self.socket.recv() => {
                    heard = Instant::now();
                    self.hear(message).await?;
                }
                Some(sent) = self.streams.next(), if !self.streams.is_empty() => self.pass_on(sent).await?,
                _ = ping.tick() => {
                    if heard.elapsed() > SILENCE_MAX {
                        return Err(Goodbye(close_code::AWAY, "no answer to pings"));
                    }
                    self.write(Message::Ping(bytes::Bytes::new())).await?;
                }
                () = shutdown.cancelled() => return Err(Goodbye(close_code::RESTART, "the daemon stops")),
            }
        }
    }

    async fn hear(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), Goodbye> {
        let text = match message {
            None | Some(Ok(Message::Close(_))) => return Err(Goodbye(close_code::NORMAL, "")),
            Some(Err(_)) => return Err(Goodbye(close_code::PROTOCOL, "the message could not be read")),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Binary(_))) => return Err(Goodbye(close_code::UNSUPPORTED, "subscriptions are text")),
            Some(Ok(Message::Text(text))) => text,
        };
        let refused = match serde_json::from_str::<Subscribe>(&text) {
            Ok(subscribe) => self.subscribe(subscribe).await.err(),
            Err(error) => Some(invalid(format!("this is no subscription: {error}"))),
        };
        let Some(error) = refused else { return Ok(()) };
        self.mistakes += 1;
        if self.mistakes > MISTAKES_MAX {
            return Err(Goodbye(close_code::POLICY, "too many messages that cannot be served"));
        }
        self.write(text_of(&StreamFrame::Error { error })).await
    }

    async fn subscribe(&mut self, subscribe: Subscribe) -> Result<(), ApiError> {
        let topic = match &subscribe {
            Subscribe::Task { task, .. } => Topic::Task(*task),
            Subscribe::Feed { .. } => Topic::Feed,
        };
        if self.topics.contains(&topic) {
            return Err(ApiError::new(ErrorCode::Conflict, "this socket follows that already"));
        }
        if self.topics.len() >= SUBSCRIPTIONS_MAX {
            let detail = format!("one socket follows at most {SUBSCRIPTIONS_MAX} things; open another");
            return Err(ApiError::new(ErrorCode::LimitReached, detail));
        }
        let follow = match subscribe {
            Subscribe::Task { task, after: None } => self.engine.task_events(&self.by, task, None).await?,
            Subscribe::Task { task, after: Some(Cursor::Task(seq)) } => {
                self.engine.task_events(&self.by, task, Some(seq)).await?
            }
            Subscribe::Feed { after: None } => self.engine.feed(&self.by, None).await?,
            Subscribe::Feed { after: Some(Cursor::Feed(seq)) } => self.engine.feed(&self.by, Some(seq)).await?,
            Subscribe::Task { .. } => {
                return Err(invalid("a task's events are counted by cursors that begin with `t:`"));
            }
            Subscribe::Feed { .. } => return Err(invalid("a feed is counted by cursors that begin with `u:`")),
        };
        self.topics.insert(topic);
        self.streams.push(frames(topic, follow));
        Ok(())
    }

    /// Writes a frame and those that are ready behind it, then flushes once.
    async fn pass_on(&mut self, first: Sent) -> Result<(), Goodbye> {
        let mut next = Some(first);
        for room in (0..BATCH).rev() {
            match next {
                None => break,
                Some(Sent::Frame(json)) => wrote(timeout(WRITE_MAX, self.socket.feed(text(json))).await)?,
                Some(Sent::Failed(error)) => {
                    let frame = text_of(&StreamFrame::Error { error });
                    wrote(timeout(WRITE_MAX, self.socket.feed(frame)).await)?;
                }
                Some(Sent::Over(topic)) => {
                    self.topics.remove(&topic);
                }
            }
            next = if room == 0 { None } else { self.streams.next().now_or_never().flatten() };
        }
        wrote(timeout(WRITE_MAX, self.socket.flush()).await)
    }

    async fn write(&mut self, message: Message) -> Result<(), Goodbye> {
        wrote(timeout(WRITE_MAX, self.socket.send(message)).await)
    }
}

fn wrote(result: Result<Result<(), axum::Error>, tokio::time::error::Elapsed>) -> Result<(), Goodbye> {
    match result {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Goodbye(close_code::AWAY, "")),
        Err(_) => Err(Goodbye(close_code::POLICY, "frames were not read for too long; come back with the last cursor")),
    }
}

fn text_of(frame: &StreamFrame) -> Message {
    // Every key of a frame is a string, so it can always be written.
    Message::text(serde_json::to_string(frame).unwrap_or_default())
}

fn invalid(detail: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, detail)
}
