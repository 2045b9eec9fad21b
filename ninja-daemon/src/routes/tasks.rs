//! `/api/v1/tasks`: hand in, list, count, look, cancel, delete.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use ninja_core::{
    TaskAt,
    api::{Forecast, ListTasks, Made, Page, Step, SubmitTask, SummaryQuery, Task, TasksSummary},
};

use super::paging::paged;
use crate::{
    app::App,
    auth::Caller,
    conditional::{IfMatch, IfNoneMatch, with_etag},
    error::Refusal,
    extract::{Body, Params, id},
    idempotency::{Key, marked},
};

/// Stores a task, then answers; work on it begins afterwards.
pub(super) async fn submit_task(
    State(app): State<App>,
    Caller(by): Caller,
    Key(key): Key,
    Body(request): Body<SubmitTask>,
) -> Result<Response, Refusal> {
    Ok(match key {
        Some(key) => made(app.engine.submit_task_once(&by, &key, request).await?),
        None => created(app.engine.submit_task(&by, request).await?),
    })
}

/// Answers with what a task may come to; stores and begins nothing.
pub(super) async fn forecast(
    State(app): State<App>,
    Caller(by): Caller,
    Body(request): Body<SubmitTask>,
) -> Result<Json<Forecast>, Refusal> {
    Ok(Json(app.engine.forecast(&by, request).await?))
}

/// Answers with a new task, its version and where it is.
pub(super) fn created(task: Task) -> Response {
    let location = format!("/api/v1/tasks/{}", task.id);
    let mut response = (StatusCode::CREATED, shown(task)).into_response();
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Answers with a new task, or with the one that the same request has made.
pub(super) fn made(made: Made) -> Response {
    marked(made.replayed, created(made.task))
}

/// Answers with a task and its version.
pub(super) fn shown(task: Task) -> Response {
    with_etag(task.last_seq, Json(task))
}

/// Reads the task that a request is for, with the versions for which alone it is meant.
pub(super) fn task_at(task: &str, IfMatch(seqs): IfMatch) -> Result<TaskAt, Refusal> {
    Ok(TaskAt { task: id(task)?, seqs })
}

/// Answers with a page of the caller's tasks.
pub(super) async fn list_tasks(
    State(app): State<App>,
    Caller(by): Caller,
    uri: Uri,
    Params(query): Params<ListTasks>,
) -> Result<Response, Refusal> {
    Ok(paged(&uri, app.engine.list_tasks(&by, query).await?))
}

/// Answers with the caller's tasks in numbers.
pub(super) async fn tasks_summary(
    State(app): State<App>,
    Caller(by): Caller,
    Params(query): Params<SummaryQuery>,
) -> Result<Json<TasksSummary>, Refusal> {
    Ok(Json(app.engine.tasks_summary(&by, query).await?))
}

/// Answers with a task, whole, unless the client has it as it stands.
pub(super) async fn task(
    State(app): State<App>,
    Caller(by): Caller,
    Path(task): Path<String>,
    known: IfNoneMatch,
) -> Result<Response, Refusal> {
    let task = id(&task)?;
    if known.is_there()
        && let Some(answer) = known.not_modified(app.engine.last_seq(&by, task)?)
    {
        return Ok(answer);
    }
    let task = app.engine.task(&by, task).await?;
    Ok(shown(task))
}

/// Answers when the task is gone.
pub(super) async fn delete_task(
    State(app): State<App>,
    Caller(by): Caller,
    Path(task): Path<String>,
    at: IfMatch,
) -> Result<StatusCode, Refusal> {
    app.engine.delete_task(&by, task_at(&task, at)?).await?;
    Ok(StatusCode::NO_CONTENT)
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
    at: IfMatch,
) -> Result<Response, Refusal> {
    Ok(shown(app.engine.cancel_task(&by, task_at(&task, at)?).await?))
}
