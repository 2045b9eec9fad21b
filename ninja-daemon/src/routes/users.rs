//! `/api/v1/admin/users` and `/api/v1/admin/settings`: accounts, and what counts for all of them.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use ninja_core::{
    ListUsers,
    api::{ChangeSettings, ChangeUser, CreateUser, InvitedUser, LiveSettings, Page, Role, User},
};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    auth::Caller,
    edge::only,
    error::Refusal,
    extract::{Body, Params, id, limit},
};

/// The query of `GET /api/v1/admin/users`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct UserParams {
    role: Option<Role>,
    disabled: Option<bool>,
    q: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// Answers with a page of accounts.
pub(super) async fn users(
    State(app): State<App>,
    Caller(by): Caller,
    Params(params): Params<UserParams>,
) -> Result<Json<Page<User>>, Refusal> {
    let UserParams { role, disabled, q, cursor, limit: wanted } = params;
    let query = ListUsers { role, disabled, search: q, cursor, limit: limit(wanted)? };
    Ok(Json(app.engine.users(&by, query).await?))
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
    Ok(revised(user.revision, user))
}

/// Changes an account.
pub(super) async fn change_user(
    State(app): State<App>,
    Caller(by): Caller,
    Path(user): Path<String>,
    headers: HeaderMap,
    Body(change): Body<ChangeUser>,
) -> Result<Response, Refusal> {
    let user = app.engine.change_user(&by, id(&user)?, change, expected(&headers)?).await?;
    Ok(revised(user.revision, user))
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
    Ok(revised(settings.revision, settings))
}

/// Changes settings.
pub(super) async fn change_settings(
    State(app): State<App>,
    Caller(by): Caller,
    headers: HeaderMap,
    Body(change): Body<ChangeSettings>,
) -> Result<Response, Refusal> {
    let settings: LiveSettings = app.engine.change_settings(&by, change, expected(&headers)?).await?;
    Ok(revised(settings.revision, settings))
}

/// Answers with something and its revision, as `If-Match` names it.
fn revised(revision: u64, body: impl Serialize) -> Response {
    let mut response = Json(body).into_response();
    if let Ok(tag) = HeaderValue::try_from(format!("\"{revision}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Reads which revision the caller means to change.
fn expected(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    if !headers.contains_key(header::IF_MATCH) {
        return Ok(None);
    }
    let tag = only(headers, header::IF_MATCH).and_then(|tag| tag.to_str().ok()).map(str::trim);
    match tag {
        Some("*") => Ok(None),
        Some(tag) => {
            // A tag that we never gave names no revision there is.
            let number = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).map(str::parse);
            Ok(Some(number.and_then(Result::ok).unwrap_or(0)))
        }
        None => Err(Refusal::invalid("the header If-Match stands once")),
    }
}
