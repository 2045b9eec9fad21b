//! Looking at what was done once more: a replay of one task, the first difference of two.

use axum::{
    Json,
    extract::{Path, State},
};
use ninja_core::api::{ReplayReport, TaskDiff};

use crate::{app::App, auth::Caller, error::Refusal, extract::id};

/// Decides a task once more from its log and says whether it comes to the same. Calls no model.
pub(super) async fn replay_task(
    State(app): State<App>,
    Caller(by): Caller,
    Path(task): Path<String>,
) -> Result<Json<ReplayReport>, Refusal> {
    Ok(Json(app.engine.replay_task(&by, id(&task)?).await?))
}

/// Answers with the first thing that two tasks did differently.
pub(super) async fn diff_tasks(
    State(app): State<App>,
    Caller(by): Caller,
    Path((task, other)): Path<(String, String)>,
) -> Result<Json<TaskDiff>, Refusal> {
    Ok(Json(app.engine.diff_tasks(&by, id(&task)?, id(&other)?).await?))
}
