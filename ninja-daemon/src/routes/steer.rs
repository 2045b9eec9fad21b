//! Steering a task that is there: pause, resume, budget, retry, fork.

use axum::{
    Json,
    extract::{Path, State},
    response::Response,
};
use ninja_core::api::{Budget, ForkTask, Task};

use super::tasks::created;
use crate::{
    app::App,
    auth::Caller,
    error::Refusal,
    extract::{Body, id},
};

/// Pauses a task: what runs ends, nothing new begins.
pub(super) async fn pause_task(
    State(app): State<App>,
    Caller(by): Caller,
    Path(task): Path<String>,
) -> Result<Json<Task>, Refusal> {
    Ok(Json(app.engine.pause_task(&by, id(&task)?).await?))
}

/// Lets a paused task go on.
pub(super) async fn resume_task(
    State(app): State<App>,
    Caller(by): Caller,
    Path(task): Path<String>,
) -> Result<Json<Task>, Refusal> {
    Ok(Json(app.engine.resume_task(&by, id(&task)?).await?))
}

/// Changes limits of a task.
pub(super) async fn change_budget(
    State(app): State<App>,
    Caller(by): Caller,
    Path(task): Path<String>,
    Body(budget): Body<Budget>,
) -> Result<Json<Task>, Refusal> {
    Ok(Json(app.engine.change_budget(&by, id(&task)?, budget).await?))
}

/// Takes up a task that failed or was cancelled.
pub(super) async fn retry_task(
    State(app): State<App>,
    Caller(by): Caller,
    Path(task): Path<String>,
) -> Result<Json<Task>, Refusal> {
    Ok(Json(app.engine.retry_task(&by, id(&task)?).await?))
}

/// Stores a task that begins with what another one did, then answers; work on it begins afterwards.
pub(super) async fn fork_task(
    State(app): State<App>,
    Caller(by): Caller,
    Path(task): Path<String>,
    Body(request): Body<ForkTask>,
) -> Result<Response, Refusal> {
    Ok(created(app.engine.fork_task(&by, id(&task)?, request).await?))
}
