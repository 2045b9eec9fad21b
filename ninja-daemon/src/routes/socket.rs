//! `/ws`: subscriptions in, frames out, many tasks on one socket.
//!
//! Who opens it says who they are in the request, or, where a page cannot, in the first message. It stays open as long as what
//! let them in stands. One task a socket. It reads nothing while it writes, so a slow reader slows itself down and is sent back to the disk
//! by the engine when it falls behind; no queue grows here.

use std::{borrow::Cow, collections::HashSet, time::Duration};

use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code, rejection::WebSocketUpgradeRejection},
    },
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use futures::{FutureExt, SinkExt, StreamExt, stream::SelectAll};
use ninja_core::{
    Engine, OpenConnection,
    api::{Access, ApiError, Cursor, ErrorCode, Introduce, Origin, Principal, Scope, StreamFrame, Subscribe},
};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use super::frames::{Sent, Topic, TopicFrames, frames, text};
use crate::{
    app::App,
    auth,
    edge::Peer,
    error::Refusal,
    pages,
    rate::Bucket,
    telemetry::{OpenStream, StreamKind},
};

/// To whom it is open.
const ACCESS: Access = Access::User(Scope::TasksRead);
/// A subscription is a few hundred bytes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// axum's own 128 KiB each way would be most of the memory of a socket.
const READ_BUFFER_BYTES: usize = 4 * 1024;
const WRITE_BUFFER_BYTES: usize = 8 * 1024;
/// More than any console shows at a time.
const SUBSCRIPTIONS_MAX: usize = 1_000;
/// Messages that are no subscription; who sends more does not mean to subscribe.
const MISTAKES_MAX: u32 = 16;
/// Messages of a client that subscribes to everything it may, at once; they come back one by one.
const MESSAGES_MAX: u32 = 2_000;
/// How soon each comes back.
const MESSAGE_AGAIN: Duration = Duration::from_millis(20);
/// Who opens a socket knows who they are.
const INTRODUCE_WITHIN: Duration = Duration::from_secs(5);
/// What let the client in has ended: 4401, as HTTP's 401.
const CLOSE_UNAUTHORIZED: u16 = 4401;
/// It was not introduced in time: 4408, as HTTP's 408.
const CLOSE_TIMEOUT: u16 = 4408;
const PING: Duration = Duration::from_secs(20);
/// Three pings that nobody answered.
const SILENCE_MAX: Duration = Duration::from_secs(65);
/// Longer than any pause of a network that still works.
const WRITE_MAX: Duration = Duration::from_secs(30);
/// Frames that are written before the socket is flushed.
const BATCH: usize = 64;

/// Opens the socket.
pub(super) async fn open_socket(
    State(app): State<App>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Parts,
) -> Result<Response, Refusal> {
    pages::check_origin(&app.http, request.extensions.get::<Peer>(), &request.headers)?;
    let origin = request.extensions.get::<Origin>().cloned().unwrap_or_default();
    let by = auth::introduced(&app, &request).await;
    let known = by.as_ref().map(Option::as_ref).transpose();
    let standing = match auth::count(&app, Bucket::Usual, origin.ip, known) {
        Ok(standing) => standing,
        Err(exceeded) => return Ok(exceeded.into_response()),
    };
    let by = by?;
    if let Some(by) = &by {
        check(&app.engine, by).await?;
    }
    let upgrade = upgrade.map_err(|_| {
        let detail = "this path speaks WebSocket only; open it with an upgrade";
        Refusal::of_status(StatusCode::UPGRADE_REQUIRED, detail)
    })?;
    let upgrade = upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .protocols([auth::SOCKET_PROTOCOL]);
    let (engine, shutdown, sockets, numbers) = (app.engine, app.shutdown, app.sockets, app.numbers);
    Ok(standing.tell(upgrade.on_upgrade(move |socket| {
        let open = numbers.opened(StreamKind::WebSocket);
        sockets.track_future(run(engine, by, origin, socket, open, shutdown))
    })))
}

/// Speaks with a client until one of the two leaves.
async fn run(
    engine: Engine,
    by: Option<Principal>,
    origin: Origin,
    mut socket: WebSocket,
    open: OpenStream,
    shutdown: CancellationToken,
) {
    let introduced = match by {
        Some(by) => Ok(by),
        None => tokio::select! {
            by = introduce(&engine, origin, &mut socket) => by,
            () = shutdown.cancelled() => Err(Goodbye(close_code::RESTART, "the daemon stops".into())),
        },
    };
    let goodbye = match introduced {
        Ok(by) => Session::new(engine, by, &mut socket, open).run(&shutdown).await,
        Err(goodbye) => goodbye,
    };
    let close = Message::Close(Some(CloseFrame { code: goodbye.0, reason: goodbye.1.into_owned().into() }));
    // The other side may be gone already.
    timeout(WRITE_MAX, socket.send(close)).await.ok();
}

/// Waits for the client to say who it is.
async fn introduce(engine: &Engine, origin: Origin, socket: &mut WebSocket) -> Result<Principal, Goodbye> {
    let first = async {
        loop {
            match socket.recv().await {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => return other,
            }
        }
    };
    let late = |_| Goodbye(CLOSE_TIMEOUT, "the first message did not come in time".into());
    let text = match timeout(INTRODUCE_WITHIN, first).await.map_err(late)? {
        Some(Ok(Message::Text(text))) => text,
        Some(Ok(_) | Err(_)) | None => return Err(unauthorized("the first message says who you are")),
    };
    let expected = r#"the first message is {"type":"authenticate","credential":…}"#;
    let introduced = serde_json::from_str::<Introduce>(&text).map_err(|_| unauthorized(expected))?;
    let Introduce::Authenticate { credential } = introduced;
    let by = engine.introduce(credential, origin).await.map_err(|_| unauthorized("the credential is not valid"))?;
    check(engine, &by).await.map_err(|_| unauthorized("the credential is not good for this"))?;
    Ok(by)
}

/// Lets nobody through to whom this is not open.
async fn check(engine: &Engine, by: &Principal) -> Result<(), ApiError> {
    let checked = by.check(ACCESS);
    if checked.is_err() {
        engine.note_denied(by, "a WebSocket").await;
    }
    checked
}

fn unauthorized(reason: &'static str) -> Goodbye {
    Goodbye(CLOSE_UNAUTHORIZED, reason.into())
}

/// One socket and what it follows.
struct Session<'a> {
    engine: Engine,
    by: Principal,
    socket: &'a mut WebSocket,
    topics: HashSet<Topic>,
    streams: SelectAll<TopicFrames>,
    mistakes: u32,
    allowance: Allowance,
    open: OpenStream,
}

/// Why a socket is closed: a code of RFC 6455, or one of ours from 4000 on, and a few words.
struct Goodbye(u16, Cow<'static, str>);

/// How many messages a client may still send.
struct Allowance {
    left: u32,
    counted_at: Instant,
}

impl Allowance {
    fn full() -> Self {
        Self { left: MESSAGES_MAX, counted_at: Instant::now() }
    }

    /// Takes one message; nothing where none is left.
    fn take(&mut self, now: Instant) -> Option<()> {
        let again = now.duration_since(self.counted_at).as_millis() / MESSAGE_AGAIN.as_millis();
        if let Some(again) = u32::try_from(again).ok().filter(|again| *again > 0) {
            self.left = self.left.saturating_add(again).min(MESSAGES_MAX);
            self.counted_at = now;
        }
        self.left = self.left.checked_sub(1)?;
        Some(())
    }
}

impl<'a> Session<'a> {
    fn new(engine: Engine, by: Principal, socket: &'a mut WebSocket, open: OpenStream) -> Self {
        let (topics, streams) = (HashSet::new(), SelectAll::new());
        Self { engine, by, socket, topics, streams, mistakes: 0, allowance: Allowance::full(), open }
    }

    async fn run(mut self, shutdown: &CancellationToken) -> Goodbye {
        let place = match self.engine.attach(&self.by).await {
            Ok(place) => place,
            Err(error) => return Goodbye(CLOSE_UNAUTHORIZED, error.detail.into()),
        };
        let Err(goodbye) = self.serve(&place, shutdown).await;
        goodbye
    }

    async fn serve(
        &mut self,
        place: &OpenConnection,
        shutdown: &CancellationToken,
    ) -> Result<std::convert::Infallible, Goodbye> {
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
                        return Err(Goodbye(close_code::AWAY, "no answer to pings".into()));
                    }
                    self.write(Message::Ping(bytes::Bytes::new())).await?;
                }
                () = place.closed() => return Err(unauthorized("what let you in has ended")),
                () = shutdown.cancelled() => return Err(Goodbye(close_code::RESTART, "the daemon stops".into())),
            }
        }
    }

    async fn hear(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), Goodbye> {
        self.allowance.take(Instant::now()).ok_or(Goodbye(close_code::POLICY, "too many messages".into()))?;
        let text = match message {
            None | Some(Ok(Message::Close(_))) => return Err(Goodbye(close_code::NORMAL, "".into())),
            Some(Err(_)) => return Err(Goodbye(close_code::PROTOCOL, "the message could not be read".into())),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Binary(_))) => {
                return Err(Goodbye(close_code::UNSUPPORTED, "subscriptions are text".into()));
            }
            Some(Ok(Message::Text(text))) => text,
        };
        let refused = match serde_json::from_str::<Subscribe>(&text) {
            Ok(subscribe) => self.subscribe(subscribe).await.err(),
            Err(error) => Some(invalid(format!("this is no subscription: {error}"))),
        };
        let Some(error) = refused else { return Ok(()) };
        self.mistakes += 1;
        if self.mistakes > MISTAKES_MAX {
            return Err(Goodbye(close_code::POLICY, "too many messages that cannot be served".into()));
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
                Some(Sent::Frame(json)) => {
                    wrote(timeout(WRITE_MAX, self.socket.feed(text(json))).await)?;
                    self.open.sent(1);
                }
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
        Ok(Err(_)) => Err(Goodbye(close_code::AWAY, "".into())),
        Err(_) => {
            Err(Goodbye(close_code::POLICY, "frames were not read for too long; come back with the last cursor".into()))
        }
    }
}

fn text_of(frame: &StreamFrame) -> Message {
    // Every key of a frame is a string, so it can always be written.
    Message::text(serde_json::to_string(frame).unwrap_or_default())
}

fn invalid(detail: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, detail)
}
