//! A subscription that outlives its connections: replay from the last number seen, never a gap, never a repeat.

use std::{hash::BuildHasher, sync::Arc, time::Duration};

use futures::{SinkExt, StreamExt};
use ninja_core::api::{ApiError, Cursor, ErrorCode, StreamFrame, Subscribe, TaskId};
use reqwest::{
    StatusCode, Upgraded,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::{client::generate_key, derive_accept_key},
        protocol::{Role, WebSocketConfig},
    },
};

use super::http::Http;
use crate::{EventStream, SdkError, Signal};

type Socket = WebSocketStream<Upgraded>;

/// The daemon pings every 20 s; after three that did not come the connection is dead.
const SILENCE_MAX: Duration = Duration::from_secs(60);
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// A daemon that comes back is noticed within this.
const BACKOFF_MAX: Duration = Duration::from_secs(3);

/// What is followed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Topic {
    Task(TaskId),
    Feed,
}

/// A subscription and where it is.
pub(super) struct Follow {
    http: Arc<Http>,
    topic: Topic,
    /// The last number delivered.
    last: u64,
    socket: Option<Socket>,
    backoff: Duration,
    /// Since when nothing came.
    away_since: Option<Instant>,
    /// Whether the reader was told that the connection is lost.
    told_away: bool,
    ended: bool,
}

/// What a connection brings.
#[expect(clippy::large_enum_variant, reason = "one is in memory at a time, and is handed on at once")]
enum Read {
    Connected,
    Alive,
    Frame(StreamFrame),
}

/// With this the daemon closes a socket whose client has lost what let it in.
const CLOSE_UNAUTHORIZED: u16 = 4401;

/// What becomes of a frame.
enum Verdict {
    Deliver,
    /// It was delivered before, or belongs to something else.
    Skip,
    /// Something before it is missing.
    Gap,
}

impl Follow {
    /// Connects and subscribes, then follows.
    pub(super) async fn start(http: Arc<Http>, topic: Topic, last: u64) -> Result<EventStream, SdkError> {
        let socket = Some(connect(&http, topic, last).await?);
        let follow = Self {
            http,
            topic,
            last,
            socket,
            backoff: BACKOFF_FIRST,
            away_since: None,
            told_away: false,
            ended: false,
        };
        Ok(EventStream::new(futures::stream::unfold(follow, |mut follow| async move {
            follow.next().await.map(|signal| (signal, follow))
        })))
    }

    async fn next(&mut self) -> Option<Result<Signal, SdkError>> {
        while !self.ended {
            let error = match self.read().await {
                Ok(Read::Connected) => match std::mem::take(&mut self.told_away) {
                    true => return Some(Ok(Signal::Back)),
                    false => continue,
                },
                Ok(Read::Alive) => return Some(Ok(Signal::Alive)),
                Ok(Read::Frame(frame)) => match self.judge(&frame) {
                    Verdict::Skip => continue,
                    Verdict::Deliver => return self.deliver(frame),
                    Verdict::Gap => self.http.unreachable("events are missing before the one that came"),
                },
                Err(error) => error,
            };
            if let Some(last) = self.lose(error) {
                return Some(last);
            }
        }
        None
    }

    fn deliver(&mut self, frame: StreamFrame) -> Option<Result<Signal, SdkError>> {
        (self.backoff, self.away_since) = (BACKOFF_FIRST, None);
        match frame {
            StreamFrame::End { .. } => self.end(Ok(Signal::Frame(frame))),
            StreamFrame::Error { error } => self.end(Err(error.into())),
            StreamFrame::Event { .. }
            | StreamFrame::Feed { .. }
            | StreamFrame::Delta { .. }
            | StreamFrame::Lagged { .. } => Some(Ok(Signal::Frame(frame))),
        }
    }

    fn end(&mut self, last: Result<Signal, SdkError>) -> Option<Result<Signal, SdkError>> {
        (self.ended, self.socket) = (true, None);
        Some(last)
    }

    /// Returns what comes next of the connection, making one where there is none.
    async fn read(&mut self) -> Result<Read, SdkError> {
        loop {
            let socket = match &mut self.socket {
                Some(socket) => socket,
                None => {
                    self.pause().await;
                    self.socket = Some(connect(&self.http, self.topic, self.last).await?);
                    return Ok(Read::Connected);
                }
            };
            let message = match timeout(SILENCE_MAX, socket.next()).await {
                Err(_) => return Err(self.http.unreachable("nothing came for a minute")),
                Ok(None) => return Err(self.http.unreachable("the connection was closed")),
                Ok(Some(Err(error))) => return Err(self.http.unreachable(error)),
                Ok(Some(Ok(message))) => message,
            };
            match message {
                Message::Text(text) => {
                    let frame = serde_json::from_str(&text);
                    return frame.map(Read::Frame).map_err(|error| self.http.protocol(error.to_string()));
                }
                Message::Ping(_) | Message::Pong(_) => return Ok(Read::Alive),
                Message::Close(Some(close)) if u16::from(close.code) == CLOSE_UNAUTHORIZED => {
                    return Err(ApiError::new(ErrorCode::Unauthorized, close.reason.to_string()).into());
                }
                Message::Binary(_) | Message::Close(_) | Message::Frame(_) => {}
            }
        }
    }

    /// Waits before the next attempt.
    async fn pause(&mut self) {
        sleep(jitter(self.backoff)).await;
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
    }

    /// Gives the connection up; what it returns is told, once for each time that the daemon is away. Ends the stream where
    /// another attempt is of no use.
    fn lose(&mut self, error: SdkError) -> Option<Result<Signal, SdkError>> {
        self.socket = None;
        let away_since = *self.away_since.get_or_insert_with(Instant::now);
        if !error.is_transient() || away_since.elapsed() >= self.http.give_up_after {
            return self.end(Err(error));
        }
        match std::mem::replace(&mut self.told_away, true) {
            true => None,
            false => Some(Ok(Signal::Away { last: self.last, reason: error.chain() })),
        }
    }

    fn judge(&mut self, frame: &StreamFrame) -> Verdict {
        match (frame, self.topic) {
            (StreamFrame::Event { event }, Topic::Task(task)) if event.task == task => self.count(event.seq),
            (StreamFrame::Feed { entry }, Topic::Feed) => self.count(entry.seq),
            (StreamFrame::Delta { task: of, .. } | StreamFrame::End { task: of }, Topic::Task(task)) if *of == task => {
                Verdict::Deliver
            }
            (StreamFrame::Lagged { task: Some(of), .. }, Topic::Task(task)) if *of == task => Verdict::Deliver,
            (StreamFrame::Lagged { task: None, .. }, Topic::Feed) | (StreamFrame::Error { .. }, _) => Verdict::Deliver,
            _ => Verdict::Skip,
        }
    }

    fn count(&mut self, seq: u64) -> Verdict {
        if seq <= self.last {
            return Verdict::Skip;
        }
        if seq > self.last + 1 {
            return Verdict::Gap;
        }
        self.last = seq;
        Verdict::Deliver
    }
}

/// Makes a WebSocket through the same pool, socket and key as every other request, and subscribes on it.
async fn connect(http: &Http, topic: Topic, last: u64) -> Result<Socket, SdkError> {
    let key = generate_key();
    let request = http.client.get(http.url(["ws"])?);
    let request = request
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, &key);
    let response = http.send(request).await?;
    let accept = response.headers().get(SEC_WEBSOCKET_ACCEPT).map(|value| value.as_bytes().to_vec());
    if response.status() != StatusCode::SWITCHING_PROTOCOLS
        || accept.as_deref() != Some(derive_accept_key(key.as_bytes()).as_bytes())
    {
        return Err(http.protocol("`/ws` does not answer as a WebSocket does"));
    }
    let upgraded = response.upgrade().await.map_err(|error| http.unreachable(error))?;
    let config = WebSocketConfig::default().read_buffer_size(16 * 1024).write_buffer_size(4 * 1024);
    let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await;
    let subscribe = match topic {
        Topic::Task(task) => Subscribe::Task { task, after: Some(Cursor::Task(last)) },
        Topic::Feed => Subscribe::Feed { after: Some(Cursor::Feed(last)) },
    };
    let text = serde_json::to_string(&subscribe).map_err(|error| http.protocol(error.to_string()))?;
    socket.send(Message::text(text)).await.map_err(|error| http.unreachable(error))?;
    Ok(socket)
}

/// Spreads attempts over half to all of `backoff`, so that a thousand clients do not come back as one.
fn jitter(backoff: Duration) -> Duration {
    let random = std::hash::RandomState::new().hash_one(());
    let share = (random % 1_000) as f64 / 2_000.0;
    backoff.mul_f64(0.5 + share)
}
