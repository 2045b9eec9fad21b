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
    AuditAction, AuditCheckpoint, AuditFilter, AuditFormat, AuditOutcome, AuditVerified, ErrorCode, ListAudit,
    Timestamp, UserId,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::paging::paged;
use crate::{app::App, auth::Caller, error::Refusal, extract::Params};

/// The query of `GET /api/v1/admin/audit-logs`.
#[derive(Deserialize, Default, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// Of what this account did.
    user: Option<UserId>,
    /// Of this action.
    action: Option<AuditAction>,
    /// That ended so.
    outcome: Option<AuditOutcome>,
    /// Of what was done to this.
    target: Option<String>,
    /// That came from this address.
    #[param(value_type = Option<String>, format = "ipv4")]
    ip: Option<IpAddr>,
    /// At this time or later.
    from: Option<Timestamp>,
    /// Before this time.
    to: Option<Timestamp>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// The most entries on the page: 1 to 200, 50 where none is given.
    limit: Option<u32>,
}

/// The query of `GET /api/v1/admin/audit-logs/export`.
#[derive(Deserialize, Default, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportParams {
    /// Of what this account did.
    user: Option<UserId>,
    /// Of this action.
    action: Option<AuditAction>,
    /// That ended so.
    outcome: Option<AuditOutcome>,
    /// Of what was done to this.
    target: Option<String>,
    /// That came from this address.
    #[param(value_type = Option<String>, format = "ipv4")]
    ip: Option<IpAddr>,
    /// At this time or later.
    from: Option<Timestamp>,
    /// Before this time.
    to: Option<Timestamp>,
    /// How it is written.
    format: AuditFormat,
}

/// The query of `GET /api/v1/admin/audit-logs/verify`.
#[derive(Deserialize, Default, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct VerifyParams {
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
    let checkpoint = checkpoint.map_err(|error| {
        Refusal::new(ErrorCode::InvalidRequest, format!("checkpoint is the line that was kept: {error}"))
    })?;
    Ok(Json(app.engine.verify_audit(&by, checkpoint).await?))
}

/// Answers with where the audit log ends, signed, to be kept elsewhere.
pub(super) async fn checkpoint_audit(
    State(app): State<App>,
    Caller(by): Caller,
) -> Result<Json<AuditCheckpoint>, Refusal> {
    Ok(Json(app.engine.checkpoint_audit(&by).await?))
}
