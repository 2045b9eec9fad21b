//! Everything the store holds, streamed to an administrator.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};

use crate::{app::App, auth::Caller, error::Refusal};

/// Streams a backup. Whether it is whole is said by its last line, and there alone.
pub(super) async fn backup(State(app): State<App>, Caller(by): Caller) -> Result<Response, Refusal> {
    let pieces = app.engine.backup(&by).await?;
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))];
    Ok((kind, Body::from_stream(pieces)).into_response())
}
