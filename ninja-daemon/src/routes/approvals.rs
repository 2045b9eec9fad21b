//! A person's answer to a waiting task.

use axum::{
    Json,
    extract::{Path, State},
};
use ninja_core::api::{DecideApproval, Task};

use crate::{
    app::App,
    auth::Caller,
    error::Refusal,
    extract::{Body, id},
};

/// Stores the answer, then replies with the task as it stands.
pub(super) async fn decide_approval(
    State(app): State<App>,
    Caller(by): Caller,
    Path((task, approval)): Path<(String, String)>,
    Body(decision): Body<DecideApproval>,
) -> Result<Json<Task>, Refusal> {
    Ok(Json(app.engine.decide_approval(&by, id(&task)?, id(&approval)?, decision).await?))
}
