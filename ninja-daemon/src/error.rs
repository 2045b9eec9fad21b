//! Every refusal as an RFC 9457 problem: the engine's, the routes', and those of the framework beneath them.
//!
//! Handlers return a [`Refusal`]; [`render`] writes the body once, at the edge, where the request's id is known.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use ninja_core::api::{ApiError, ErrorCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::edge::RequestId;

/// What a route says instead of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    error: ApiError,
    status: StatusCode,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        ApiError::new(code, detail).into()
    }

    /// Refuses a request with a status that says more than the code does.
    pub(crate) fn of_status(status: StatusCode, detail: impl Into<String>) -> Self {
        let code = match status {
            StatusCode::REQUEST_TIMEOUT => ErrorCode::RequestTimeout,
            _ => ErrorCode::InvalidRequest,
        };
        Self { error: ApiError::new(code, detail), status }
    }

    /// Refuses a request that could not be read: 400. What was read and cannot be done as it stands is 422.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::of_status(StatusCode::BAD_REQUEST, detail)
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let status = StatusCode::from_u16(error.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { error, status }
    }
}

impl From<Refusal> for ApiError {
    /// For answers that tell of several things, of which some were refused.
    fn from(Refusal { error, status: _ }: Refusal) -> Self {
        error
    }
}

impl IntoResponse for Refusal {
    /// Leaves the body to [`render`].
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// A refusal, as RFC 9457 has it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Problem<'a> {
    /// `urn:ninja:problem:` with the code.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// What went wrong. Scripts rely on it.
    code: ErrorCode,
    /// What happened and, where there is one, what to do about it.
    detail: &'a str,
    /// The request, as the log has it.
    request_id: &'a str,
}

/// Gives a response that refuses its body; leaves every other as it is.
pub(crate) fn render(mut response: Response, request: &RequestId) -> Response {
    let status = response.status();
    let refusal = match response.extensions_mut().remove::<Refusal>() {
        Some(refusal) => refusal,
        None if status.is_client_error() || (status.is_server_error() && !is_json(&response)) => of_framework(status),
        None => return response,
    };
    let Refusal { error, .. } = &refusal;
    match error.code {
        // Somebody must act; whatever else was refused, the caller is told and can.
        ErrorCode::Internal | ErrorCode::Corrupt | ErrorCode::ReadOnly | ErrorCode::DiskFull => {
            tracing::error!(%status, code = %error.code, detail = %error.detail, request = %request.0, "request failed");
        }
        _ => tracing::debug!(%status, code = %error.code, request = %request.0, "request refused"),
    }
    let problem = Problem {
        kind: format!("urn:ninja:problem:{}", error.code),
        title: status.canonical_reason().unwrap_or("Refused"),
        status: status.as_u16(),
        code: error.code,
        detail: &error.detail,
        request_id: &request.0,
    };
    let (_, body) = (status, Json(problem)).into_response().into_parts();
    *response.body_mut() = body;
    let headers = response.headers_mut();
    // What else was said stays: which methods there are, when to come back, which pages may read this.
    for name in [header::CONTENT_LENGTH, header::CONTENT_ENCODING, header::ETAG] {
        headers.remove(name);
    }
    if let Some(seconds) = error.retry_after_s {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if status == StatusCode::UPGRADE_REQUIRED {
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// A component that is down answers 503 with its own body.
fn is_json(response: &Response) -> bool {
    response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json")
}

/// Puts into our words what the framework refuses by itself.
fn of_framework(status: StatusCode) -> Refusal {
    match status {
        StatusCode::NOT_FOUND => Refusal::new(ErrorCode::NotFound, "there is no such path; the API lies below /api/v1"),
        StatusCode::METHOD_NOT_ALLOWED => {
            Refusal::invalid("this path does not know the method; the header Allow lists those it knows")
        }
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(ErrorCode::TooLarge, "the body is larger than this route takes"),
        _ if status.is_client_error() => Refusal::invalid("the request could not be read"),
        _ => Refusal::new(ErrorCode::Internal, "a defect in Ninja; the log has more under the request's id"),
    }
}
