//! How the daemon is, for people, load balancers and probes.

use axum::{
    Extension, Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use ninja_core::api::{ComponentState, Readiness, Unready};
use serde_json::{Value, json};

use crate::{app::App, auth::Caller};

/// Says what this is.
pub(super) async fn root() -> Json<Value> {
    Json(json!({ "name": "ninja", "version": env!("CARGO_PKG_VERSION"), "api": "/api/v1", "health": "/health" }))
}

/// Says how each component is: 200, or 503 when one is down. Whoever proves to be an administrator is told more.
pub(super) async fn health(State(app): State<App>, caller: Option<Extension<Caller>>) -> Response {
    let health = app.engine.health(caller.as_ref().map(|Extension(Caller(by))| by)).await;
    let status = match health.state {
        ComponentState::Ok | ComponentState::Degraded => StatusCode::OK,
        ComponentState::Down => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(health)).into_response()
}

/// Says whether to send requests here: not before unfinished tasks were looked through, while the store takes no writes, or
/// while stopping.
pub(super) async fn ready(State(app): State<App>) -> Response {
    let ready = match app.shutdown.is_cancelled() {
        true => Readiness { ready: false, because: Some(Unready::Stopping) },
        false => app.engine.ready(),
    };
    let status = if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ready)).into_response()
}
