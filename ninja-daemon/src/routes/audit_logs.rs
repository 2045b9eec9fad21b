//! `/api/v1/admin/audit-logs`: who did what, as a list, as a file, and whether it is what was written.

use std::net::IpAddr;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use ninja_core::api::{
    AuditAction, AuditCheckpoint, AuditFilter, AuditFormat, AuditOutcome, AuditVerified, ListAudit, Timestamp, UserId,
};
use serde::Deserialize;

use super::paging::paged;
use crate::{app::App, auth::Caller, error::Refusal, extract::Params};

/// The query of `GET /api/v1/admin/audit-logs`.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ListParams {
    user: Option<UserId>,
    action: Option<AuditAction>,
    outcome: Option<AuditOutcome>,
    target: Option<String>,
    ip: Option<IpAddr>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// The query of `GET /api/v1/admin/audit-logs/export`.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ExportParams {
    user: Option<UserId>,
    action: Option<AuditAction>,
    outcome: Option<AuditOutcome>,
    target: Option<String>,
    ip: Option<IpAddr>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    format: AuditFormat,
}

/// The query of `GET /api/v1/admin/audit-logs/verify`.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct VerifyParams {
    /// The line that was kept, as it is.
    checkpoint: Option<String>,
}

/// Answers with a page of the audit log, newest first.
pub(super) async fn list_audit(
    State(app): State<App>,
    Caller(by): Caller,
    uri: Uri,
    Params(params): Params<ListParams>,
) -> Result<Response, Refusal> {
    let ListParams { user, action, outcome, target, ip, from, to, cursor, limit } = params;
    let filter = AuditFilter { user, action, outcome, target, ip, from, to };
    Ok(paged(&uri, app.engine.list_audit(&by, ListAudit { filter, cursor, limit }).await?))
}

/// Streams the audit log, oldest first, as a file to keep.
pub(super) async fn export_audit(
    State(app): State<App>,
    Caller(by): Caller,
    Params(params): Params<ExportParams>,
) -> Result<Response, Refusal> {
    let ExportParams { user, action, outcome, target, ip, from, to, format } = params;
    let filter = AuditFilter { user, action, outcome, target, ip, from, to };
    let pieces = app.engine.export_audit(&by, filter, format).await?;
    let (kind, disposition) = match format {
        AuditFormat::Ndjson => ("application/x-ndjson", "attachment; filename=\"audit.ndjson\""),
        AuditFormat::Csv => ("text/csv; charset=utf-8; header=present", "attachment; filename=\"audit.csv\""),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static(disposition)),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// Says whether the audit log is the one that was written, and goes on from a checkpoint.
pub(super) async fn verify_audit(
    State(app): State<App>,
    Caller(by): Caller,
    Params(VerifyParams { checkpoint }): Params<VerifyParams>,
) -> Result<Json<AuditVerified>, Refusal> {
    let read = |line: String| serde_json::from_str(&line);
    let checkpoint = checkpoint.map(read).transpose();
    let checkpoint =
        checkpoint.map_err(|error| Refusal::invalid(format!("checkpoint is the line that was kept: {error}")))?;
    Ok(Json(app.engine.verify_audit(&by, checkpoint).await?))
}

/// Answers with where the audit log ends, signed, to be kept elsewhere.
pub(super) async fn checkpoint_audit(
    State(app): State<App>,
    Caller(by): Caller,
) -> Result<Json<AuditCheckpoint>, Refusal> {
    Ok(Json(app.engine.checkpoint_audit(&by).await?))
}
