//! How the daemon is, for people, load balancers and probes.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use ninja_core::api::ComponentState;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;

/// What the daemon says of itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct Root {
    /// `ninja`.
    name: &'static str,
    /// Its version.
    version: &'static str,
    /// Where the API begins.
    api: &'static str,
    /// Where its health is told.
    health: &'static str,
    /// Where the API is described for programs.
    openapi: &'static str,
    /// Where it is described for people.
    docs: &'static str,
}

/// Whether to send requests here.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ready {
    /// Whether it is so.
    ready: bool,
}

/// Says what this is.
pub(super) async fn root() -> Json<Root> {
    Json(Root {
        name: "ninja",
        version: env!("CARGO_PKG_VERSION"),
        api: "/api/v1",
        health: "/health",
        openapi: "/openapi.json",
        docs: "/docs",
    })
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
    (status, Json(Ready { ready })).into_response()
}
