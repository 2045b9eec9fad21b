//! `/api/v1/admin/users` and `/api/v1/admin/settings`: accounts, and what counts for all of them.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use ninja_core::api::{ChangeSettings, ChangeUser, CreateUser, InvitedUser, ListUsers, LiveSettings};

use super::paging::paged;
use crate::{
    app::App,
    auth::Caller,
    conditional::{IfMatch, with_etag},
    error::Refusal,
    extract::{Body, Params, id},
};

/// Answers with a page of accounts.
pub(super) async fn users(
    State(app): State<App>,
    Caller(by): Caller,
    uri: Uri,
    Params(query): Params<ListUsers>,
) -> Result<Response, Refusal> {
    Ok(paged(&uri, app.engine.users(&by, query).await?))
}

/// Makes an account, and shows the token with which its password is set this once.
pub(super) async fn create_user(
    State(app): State<App>,
    Caller(by): Caller,
    Body(request): Body<CreateUser>,
) -> Result<Response, Refusal> {
    let invited = app.engine.create_user(&by, request).await?;
    let location = format!("/api/v1/admin/users/{}", invited.user.id);
    let mut response = (StatusCode::CREATED, Json(invited)).into_response();
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Answers with an account.
pub(super) async fn user(
    State(app): State<App>,
    Caller(by): Caller,
    Path(user): Path<String>,
) -> Result<Response, Refusal> {
    let user = app.engine.user(&by, id(&user)?).await?;
    Ok(with_etag(user.revision, Json(user)))
}

/// Changes an account.
pub(super) async fn change_user(
    State(app): State<App>,
    Caller(by): Caller,
    Path(user): Path<String>,
    IfMatch(expected): IfMatch,
    Body(change): Body<ChangeUser>,
) -> Result<Response, Refusal> {
    let user = app.engine.change_user(&by, id(&user)?, change, expected).await?;
    Ok(with_etag(user.revision, Json(user)))
}

/// Deletes an account with all that is its.
pub(super) async fn delete_user(
    State(app): State<App>,
    Caller(by): Caller,
    Path(user): Path<String>,
) -> Result<StatusCode, Refusal> {
    app.engine.delete_user(&by, id(&user)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a token with which a password is set anew, and shows it this once.
pub(super) async fn invite_user(
    State(app): State<App>,
    Caller(by): Caller,
    Path(user): Path<String>,
) -> Result<Json<InvitedUser>, Refusal> {
    Ok(Json(app.engine.invite_user(&by, id(&user)?).await?))
}

/// Ends every session of an account.
pub(super) async fn end_sessions(
    State(app): State<App>,
    Caller(by): Caller,
    Path(user): Path<String>,
) -> Result<StatusCode, Refusal> {
    app.engine.end_sessions(&by, id(&user)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Answers with the settings that count now.
pub(super) async fn settings(State(app): State<App>, Caller(by): Caller) -> Result<Response, Refusal> {
    let settings = app.engine.settings(&by).await?;
    Ok(with_etag(settings.revision, Json(settings)))
}

/// Changes settings.
pub(super) async fn change_settings(
    State(app): State<App>,
    Caller(by): Caller,
    IfMatch(expected): IfMatch,
    Body(change): Body<ChangeSettings>,
) -> Result<Response, Refusal> {
    let settings: LiveSettings = app.engine.change_settings(&by, change, expected).await?;
    Ok(with_etag(settings.revision, Json(settings)))
}
