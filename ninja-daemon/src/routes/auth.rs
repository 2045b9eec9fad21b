//! `/api/v1/auth` and `/api/v1/sessions`: how people and programs get in, and what they do with their own account.

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use ninja_core::api::{
    ApiKeyInfo, ChangePassword, CreateApiKey, Login, Me, NewApiKey, Origin, Page, RedeemToken, Refresh, Register,
    Session, Tokens, User, WsTicket,
};

use crate::{
    app::App,
    auth::Caller,
    error::Refusal,
    extract::{Body, id},
};

/// Makes an account for whoever asks, where that is open.
pub(super) async fn register(
    State(app): State<App>,
    Extension(origin): Extension<Origin>,
    Body(request): Body<Register>,
) -> Result<(StatusCode, Json<User>), Refusal> {
    Ok((StatusCode::CREATED, Json(app.engine.register(&origin, request).await?)))
}

/// Answers with the tokens of a new session.
pub(super) async fn login(
    State(app): State<App>,
    Extension(origin): Extension<Origin>,
    Body(request): Body<Login>,
) -> Result<Json<Tokens>, Refusal> {
    Ok(Json(app.engine.login(&origin, request).await?))
}

/// Answers with new tokens; the refresh token that was given is used up.
pub(super) async fn refresh(
    State(app): State<App>,
    Extension(origin): Extension<Origin>,
    Body(request): Body<Refresh>,
) -> Result<Json<Tokens>, Refusal> {
    Ok(Json(app.engine.refresh(&origin, request).await?))
}

/// Sets a password with a token that was sent.
pub(super) async fn redeem_token(
    State(app): State<App>,
    Extension(origin): Extension<Origin>,
    Body(request): Body<RedeemToken>,
) -> Result<Json<User>, Refusal> {
    Ok(Json(app.engine.redeem_token(&origin, request).await?))
}

/// Ends the session of the request.
pub(super) async fn logout(State(app): State<App>, Caller(by): Caller) -> Result<StatusCode, Refusal> {
    app.engine.logout(&by).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Answers with the caller's account.
pub(super) async fn me(State(app): State<App>, Caller(by): Caller) -> Result<Json<Me>, Refusal> {
    Ok(Json(app.engine.me(&by).await?))
}

/// Changes the caller's password.
pub(super) async fn change_password(
    State(app): State<App>,
    Caller(by): Caller,
    Body(request): Body<ChangePassword>,
) -> Result<StatusCode, Refusal> {
    app.engine.change_password(&by, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes an API key, and shows it this once.
pub(super) async fn create_api_key(
    State(app): State<App>,
    Caller(by): Caller,
    Body(request): Body<CreateApiKey>,
) -> Result<Response, Refusal> {
    let NewApiKey { key, info } = app.engine.create_api_key(&by, request).await?;
    let location = format!("/api/v1/auth/api-keys/{}", info.id);
    let mut response = (StatusCode::CREATED, Json(NewApiKey { key, info })).into_response();
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Answers with the caller's API keys.
pub(super) async fn api_keys(State(app): State<App>, Caller(by): Caller) -> Result<Json<Page<ApiKeyInfo>>, Refusal> {
    Ok(Json(app.engine.api_keys(&by).await?))
}

/// Ends an API key.
pub(super) async fn revoke_api_key(
    State(app): State<App>,
    Caller(by): Caller,
    Path(key): Path<String>,
) -> Result<StatusCode, Refusal> {
    app.engine.revoke_api_key(&by, id(&key)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a ticket that opens one WebSocket.
pub(super) async fn ws_ticket(State(app): State<App>, Caller(by): Caller) -> Result<Json<WsTicket>, Refusal> {
    Ok(Json(app.engine.ws_ticket(&by).await?))
}

/// Answers with the caller's sessions.
pub(super) async fn sessions(State(app): State<App>, Caller(by): Caller) -> Result<Json<Page<Session>>, Refusal> {
    Ok(Json(app.engine.sessions(&by).await?))
}

/// Ends a session.
pub(super) async fn revoke_session(
    State(app): State<App>,
    Caller(by): Caller,
    Path(session): Path<String>,
) -> Result<StatusCode, Refusal> {
    app.engine.revoke_session(&by, id(&session)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
