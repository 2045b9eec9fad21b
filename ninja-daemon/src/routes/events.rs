//! A task's events as server-sent events. The last id a client saw is enough to go on after it.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::StreamExt;
use ninja_core::{
    api::{ApiError, Cursor, StreamFrame},
    journal::feed::Frame,
};
use serde::Deserialize;

use super::frames::follow_on;
use crate::{
    app::App,
    auth::Caller,
    error::Refusal,
    extract::{Params, id},
};

/// Shorter than the idle limit of the usual reverse proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The query of `GET …/events`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsParams {
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
    let stream = follow_on(events).take_until(app.shutdown.cancelled_owned());
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(stream.map(|frame| Ok::<_, Infallible>(event(frame)))).keep_alive(keep_alive).into_response())
}

fn cursor(text: &str) -> Result<u64, Refusal> {
    match id(text)? {
        Cursor::Task(seq) => Ok(seq),
        Cursor::Feed(_) => Err(Refusal::invalid("a task's events are counted by cursors that begin with `t:`")),
    }
}

fn event(frame: Result<Frame, ApiError>) -> Event {
    match frame {
        Ok(Frame { seq: Some(seq), json, .. }) => Event::default().id(Cursor::Task(seq).to_string()).data(&json),
        Ok(Frame { seq: None, json, .. }) => Event::default().data(&json),
        Err(error) => {
            let json = serde_json::to_string(&StreamFrame::Error { error });
            Event::default().data(json.as_deref().unwrap_or("{}"))
        }
    }
}
