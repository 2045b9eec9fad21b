//! How the daemon is, for people, load balancers, probes and those who collect numbers.

use axum::{
    Extension, Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use ninja_core::api::{ComponentState, ErrorCode, Readiness, SupervisionTree, Unready};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{app::App, auth::Caller, error::Refusal};

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

/// What Prometheus's parsers take.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns the numbers of this moment in Prometheus's text format.
pub(super) async fn metrics(State(app): State<App>) -> Result<Response, Refusal> {
    let missing = || Refusal::new(ErrorCode::NotFound, "this daemon keeps no numbers; `ninja serve` does");
    let exporters = app.exporters.ok_or_else(missing)?;
    // Some of the numbers are looked at on the disk.
    let text = tokio::task::spawn_blocking(move || exporters.text()).await;
    let failed = |error: &dyn std::fmt::Display| Refusal::new(ErrorCode::Internal, format!("the numbers: {error}"));
    let text = text.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    Ok(([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response())
}

/// Returns the live tree of actors.
pub(super) async fn supervision(State(app): State<App>, Caller(by): Caller) -> Result<Json<SupervisionTree>, Refusal> {
    Ok(Json(app.engine.supervision(&by)?))
}
