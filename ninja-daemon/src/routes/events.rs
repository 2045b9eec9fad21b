//! A task's events as server-sent events. The last id a client saw is enough to go on after it.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use ninja_core::{
    api::{ApiError, Cursor, StreamFrame},
    journal::feed::Frame,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::frames::follow_on;
use crate::{
    app::App,
    auth::Caller,
    error::Refusal,
    extract::{Params, id},
    telemetry::{OpenStream, StreamKind},
};

/// Shorter than the idle limit of the usual reverse proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A comment: what keeps a connection alive while nothing happens.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");
/// Frames that go out together at most.
const FRAMES_TOGETHER: usize = 64;

/// The query of `GET …/events`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsParams {
    /// The cursor of the last event that was seen, such as `t:12`.
    #[param(pattern = "^t:[0-9]{1,15}$")]
    after: Option<String>,
}

/// Streams the task's frames from after the cursor until the task has ended.
pub(super) async fn task_events(
    State(app): State<App>,
    Caller(by): Caller,
    Path(task): Path<String>,
    Params(params): Params<EventsParams>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let task = id(&task)?;
    let seen = headers.get("last-event-id").map(|seen| seen.to_str().unwrap_or("?"));
    let after = seen.or(params.after.as_deref()).map(cursor).transpose()?;
    let is_reconnect = seen.is_some();
    if is_reconnect {
        let task = app.engine.task(&by, task).await?;
        if task.status.is_terminal() && after >= Some(task.last_seq) {
            // The one answer that keeps a browser's EventSource from coming back for ever.
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
    let events = app.engine.task_events(&by, task, after).await?;
    let place = app.engine.attach(&by).await?;
    let shutdown = app.shutdown;
    let over = async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = place.closed() => {}
        }
    };
    let frames = follow_on(events).take_until(Box::pin(over));
    let headers = [(CONTENT_TYPE, "text/event-stream")];
    let open = app.numbers.opened(StreamKind::ServerSentEvents);
    Ok((headers, Body::from_stream(event_stream(frames, open))).into_response())
}

fn cursor(text: &str) -> Result<u64, Refusal> {
    match id(text)? {
        Cursor::Task(seq) => Ok(seq),
        Cursor::Feed(_) => Err(Refusal::invalid("a task's events are counted by cursors that begin with `t:`")),
    }
}

/// Returns frames in their form on the wire. What is ready at once goes out as one piece: a commit's events cost a
/// follower one write and not one each, which is why this is not axum's `Sse`.
fn event_stream(
    frames: impl Stream<Item = Result<Frame, ApiError>> + Send + 'static,
    open: OpenStream,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    let ready = Box::pin(frames.ready_chunks(FRAMES_TOGETHER));
    stream::unfold((ready, open), |(mut ready, open)| async move {
        let piece = match tokio::time::timeout(KEEP_ALIVE, ready.next()).await {
            Ok(frames) => {
                let frames = frames?;
                open.sent(frames.len() as u64);
                frames.into_iter().fold(String::new(), write_event).into()
            }
            Err(_) => COMMENT,
        };
        Some((Ok(piece), (ready, open)))
    })
}

/// Writes a frame as an event. Its JSON has no line breaks.
fn write_event(mut text: String, frame: Result<Frame, ApiError>) -> String {
    let (seq, json) = match frame {
        Ok(Frame { seq, json, .. }) => (seq, json),
        Err(error) => (None, serde_json::to_string(&StreamFrame::Error { error }).unwrap_or_default().into()),
    };
    if let Some(seq) = seq {
        text.extend(["id: ", &Cursor::Task(seq).to_string(), "\n"]);
    }
    text.extend(["data: ", &json, "\n\n"]);
    text
}
