//! What tasks ask people, and a person's answer.

use axum::{
    extract::{Path, State},
    http::Uri,
    response::Response,
};
use ninja_core::api::{DecideApproval, ListApprovals};

use super::{
    paging::paged,
    tasks::{shown, task_at},
};
use crate::{
    app::App,
    auth::Caller,
    conditional::IfMatch,
    error::Refusal,
    extract::{Body, Params, id},
};

/// Answers with a page of the open questions of the caller's tasks.
pub(super) async fn list_approvals(
    State(app): State<App>,
    Caller(by): Caller,
    uri: Uri,
    Params(query): Params<ListApprovals>,
) -> Result<Response, Refusal> {
    Ok(paged(&uri, app.engine.list_approvals(&by, query).await?))
}

/// Stores the answer, then replies with the task as it stands.
pub(super) async fn decide_approval(
    State(app): State<App>,
    Caller(by): Caller,
    Path((task, approval)): Path<(String, String)>,
    at: IfMatch,
    Body(decision): Body<DecideApproval>,
) -> Result<Response, Refusal> {
    let task = app.engine.decide_approval(&by, task_at(&task, at)?, id(&approval)?, decision).await?;
    Ok(shown(task))
}
