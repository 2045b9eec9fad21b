//! `/api/v1/tasks`: hand in, list, look, cancel.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use ninja_core::{
    ListTasks,
    api::{Forecast, Page, Step, SubmitTask, Task, TaskStatus, TaskSummary},
};
use serde::Deserialize;

use crate::{
    app::App,
    auth::Caller,
    error::Refusal,
    extract::{Body, Params, id},
};

/// A screen and a half.
const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;

/// The query of `GET /api/v1/tasks`.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ListParams {
    status: Option<TaskStatus>,
    cursor: Option<String>,
    limit: u32,
}

impl Default for ListParams {
    fn default() -> Self {
        Self { status: None, cursor: None, limit: LIMIT_DEFAULT }
    }
}

/// Stores a task, then answers; work on it begins afterwards.
pub(super) async fn submit_task(
    State(app): State<App>,
    Caller(by): Caller,
    Body(request): Body<SubmitTask>,
) -> Result<Response, Refusal> {
    Ok(created(app.engine.submit_task(&by, request).await?))
}

/// Answers with what a task may come to; stores and begins nothing.
pub(super) async fn forecast(
    State(app): State<App>,
    Caller(by): Caller,
    Body(request): Body<SubmitTask>,
) -> Result<Json<Forecast>, Refusal> {
    Ok(Json(app.engine.forecast(&by, request).await?))
}

/// Answers with a new task and where it is.
pub(super) fn created(task: Task) -> Response {
    let location = format!("/api/v1/tasks/{}", task.id);
    let mut response = (StatusCode::CREATED, Json(task)).into_response();
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Answers with a page of the caller's tasks.
pub(super) async fn list_tasks(
    State(app): State<App>,
    Caller(by): Caller,
    Params(params): Params<ListParams>,
) -> Result<Json<Page<TaskSummary>>, Refusal> {
    let ListParams { status, cursor, limit } = params;
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Refusal::invalid(format!("limit is a number from 1 to {LIMIT_MAX}")));
    }
    Ok(Json(app.engine.list_tasks(&by, ListTasks { status, cursor, limit }).await?))
}

/// Answers with a task, whole.
pub(super) async fn task(
    State(app): State<App>,
    Caller(by): Caller,
    Path(task): Path<String>,
) -> Result<Json<Task>, Refusal> {
    Ok(Json(app.engine.task(&by, id(&task)?).await?))
}

/// Answers with a task's steps, predecessors first.
pub(super) async fn steps(
    State(app): State<App>,
    Caller(by): Caller,
    Path(task): Path<String>,
) -> Result<Json<Page<Step>>, Refusal> {
    let task = app.engine.task(&by, id(&task)?).await?;
    Ok(Json(Page { items: task.steps, next_cursor: None }))
}

/// Answers when nothing of the task is left alive.
pub(super) async fn cancel_task(
    State(app): State<App>,
    Caller(by): Caller,
    Path(task): Path<String>,
) -> Result<Json<Task>, Refusal> {
    Ok(Json(app.engine.cancel_task(&by, id(&task)?).await?))
}
