//! Steering a task that is there: pause, resume, budget, retry, fork.

use axum::{
    extract::{Path, State},
    response::Response,
};
use ninja_core::api::{Budget, ForkTask};

use super::tasks::{created, made, shown, task_at};
use crate::{
    app::App,
    auth::Caller,
    conditional::IfMatch,
    error::Refusal,
    extract::{Body, id},
    idempotency::Key,
};

/// Pauses a task: what runs ends, nothing new begins.
pub(super) async fn pause_task(
    State(app): State<App>,
    Caller(by): Caller,
    Path(task): Path<String>,
    at: IfMatch,
) -> Result<Response, Refusal> {
    Ok(shown(app.engine.pause_task(&by, task_at(&task, at)?).await?))
}

/// Lets a paused task go on.
pub(super) async fn resume_task(
    State(app): State<App>,
    Caller(by): Caller,
    Path(task): Path<String>,
    at: IfMatch,
) -> Result<Response, Refusal> {
    Ok(shown(app.engine.resume_task(&by, task_at(&task, at)?).await?))
}

/// Changes limits of a task.
pub(super) async fn change_budget(
    State(app): State<App>,
    Caller(by): Caller,
    Path(task): Path<String>,
    at: IfMatch,
    Body(budget): Body<Budget>,
) -> Result<Response, Refusal> {
    Ok(shown(app.engine.change_budget(&by, task_at(&task, at)?, budget).await?))
}

/// Takes up a task that failed or was cancelled.
pub(super) async fn retry_task(
    State(app): State<App>,
    Caller(by): Caller,
    Path(task): Path<String>,
    at: IfMatch,
) -> Result<Response, Refusal> {
    Ok(shown(app.engine.retry_task(&by, task_at(&task, at)?).await?))
}

/// Stores a task that begins with what another one did, then answers; work on it begins afterwards.
pub(super) async fn fork_task(
    State(app): State<App>,
    Caller(by): Caller,
    Path(task): Path<String>,
    Key(key): Key,
    Body(request): Body<ForkTask>,
) -> Result<Response, Refusal> {
    let task = id(&task)?;
    Ok(match key {
        Some(key) => made(app.engine.fork_task_once(&by, task, &key, request).await?),
        None => created(app.engine.fork_task(&by, task, request).await?),
    })
}
