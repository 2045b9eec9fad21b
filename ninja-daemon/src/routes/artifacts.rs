//! Files that a task made: never shown by a browser, only saved.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, Method},
    response::Response,
};
use ninja_core::api::{Artifact, Page};

use crate::{
    app::App,
    auth::Caller,
    download::{self, Saved},
    error::Refusal,
    extract::id,
};

/// Answers with what the task has made so far.
pub(super) async fn artifacts(
    State(app): State<App>,
    Caller(by): Caller,
    Path(task): Path<String>,
) -> Result<Json<Page<Artifact>>, Refusal> {
    let task = app.engine.task(&by, id(&task)?).await?;
    Ok(Json(Page { items: task.artifacts, next_cursor: None }))
}

/// Streams one file, or the part that is asked for.
pub(super) async fn artifact(
    State(app): State<App>,
    Caller(by): Caller,
    Path((task, path)): Path<(String, String)>,
    method: Method,
    asked: HeaderMap,
) -> Result<Response, Refusal> {
    let (artifact, content) = app.engine.artifact(&by, id(&task)?, &path).await?;
    let Artifact { path: name, bytes, sha256, .. } = artifact;
    download::answer(&method, &asked, &Saved { name, bytes, sha256, modified: None }, content).await
}
