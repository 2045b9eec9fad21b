//! How the daemon is, for people, load balancers and probes.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use ninja_core::api::ComponentState;
use serde_json::{Value, json};

use crate::app::App;

/// Says what this is.
pub(super) async fn root() -> Json<Value> {
    Json(json!({ "name": "ninja", "version": env!("CARGO_PKG_VERSION"), "api": "/api/v1", "health": "/health" }))
}

/// Says how each component is: 200, or 503 when one is down.
pub(super) async fn health(State(app): State<App>) -> Response {
    let health = app.engine.health().await;
    let status = match health.state {
        ComponentState::Ok | ComponentState::Degraded => StatusCode::OK,
        ComponentState::Down => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(health)).into_response()
}

/// Says whether to send requests here: not while stopping or down.
pub(super) async fn ready(State(app): State<App>) -> Response {
    let is_down = app.engine.health().await.state == ComponentState::Down;
    let ready = !is_down && !app.shutdown.is_cancelled();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready }))).into_response()
}
