//! What surrounds every request and answer: its id, where it came from, the check of the host it was sent to, the security
//! headers, and the problem body of a refusal.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use ninja_core::{api::Origin, config::HttpConfig};
use uuid::Uuid;

use crate::{
    address,
    app::App,
    error::{self, Refusal},
    pages,
    telemetry::TraceParent,
    wire::Unreadable,
};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What the audit log shows of it at most; `to_str` lets ASCII through only.
const USER_AGENT_BYTES_MAX: usize = 256;
/// Longer ones are not taken over from a client: they end up in logs and answers.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// What every answer says to browsers, unless its route knows better: nothing in it is a page, nothing is kept, and no page
/// of others gets hold of it.
const SECURITY_HEADERS: [(HeaderName, &str); 7] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; sandbox"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
/// A year. Other names below the daemon's are not its to speak for.
const TLS_ONLY: &str = "max-age=31536000";

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Peer {
    /// The owner of the data directory, through its Unix socket.
    LocalOwner,
    /// Somebody, over TCP.
    Network {
        /// The other end of the connection, which may be a proxy.
        ip: IpAddr,
        /// Whether the daemon itself encrypts it.
        is_tls: bool,
    },
}

/// The id of a request, in its answer and in the log.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

impl RequestId {
    /// Takes over what a proxy or client chose, if it is plain and short.
    fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(&REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|id| {
            (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        });
        Self(given.map_or_else(|| Uuid::now_v7().simple().to_string(), str::to_owned))
    }
}

/// Wraps every route, known or not.
pub(crate) async fn surround(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let is_encrypted = is_encrypted(&app.http, &request);
    let origin = origin(&app.http, &request, &id);
    request.extensions_mut().insert(origin);
    request.extensions_mut().insert(app.deadlines);
    let answer = match check(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    let mut answer = error::render(answer, &id);
    let headers = answer.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        headers.insert(REQUEST_ID, id);
    }
    for (name, value) in SECURITY_HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if is_encrypted {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(TLS_ONLY));
    }
    answer
}

/// Refuses what no route is asked about.
fn check(app: &App, request: &Request) -> Result<(), Refusal> {
    if let Some(Unreadable { status, detail }) = request.extensions().get() {
        let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST);
        return Err(Refusal::of_status(status, *detail));
    }
    match peer(request) {
        Some(Peer::Network { .. }) => pages::check_host(&app.http, app.loopback_only, request.headers()),
        Some(Peer::LocalOwner) | None => Ok(()),
    }
}

/// Returns where a request came from, as the audit log tells it.
fn origin(http: &HttpConfig, request: &Request, id: &RequestId) -> Origin {
    let ip = match peer(request) {
        Some(Peer::Network { ip, .. }) => Some(address::client(http, *ip, request.headers())),
        Some(Peer::LocalOwner) | None => None,
    };
    let user_agent = request.headers().get(header::USER_AGENT).and_then(|name| name.to_str().ok());
    let traceparent = request.extensions().get::<TraceParent>().map(|trace| Arc::clone(&trace.0));
    // It is kept as long as a connection or a ticket.
    let user_agent = user_agent.map(|name| name.get(..USER_AGENT_BYTES_MAX).unwrap_or(name).into());
    Origin { ip, user_agent, request_id: Some(id.0.as_str().into()), traceparent }
}

/// Returns whether nobody on the way could read a request, as far as that is known.
pub(crate) fn is_encrypted(http: &HttpConfig, request: &Request) -> bool {
    match peer(request) {
        Some(Peer::Network { ip, is_tls }) => *is_tls || address::is_encrypted_before(http, *ip, request.headers()),
        Some(Peer::LocalOwner) | None => false,
    }
}

fn peer(request: &Request) -> Option<&Peer> {
    request.extensions().get()
}

/// Returns a header that may stand once. What is given twice is nobody's word: two readers would each take another.
pub(crate) fn only(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_taken_over_only_when_it_is_plain() {
        let of = |value| RequestId::of(&HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_static(value))])).0;
        assert_eq!(of("trace-1.a_B"), "trace-1.a_B");
        for bad in ["", "a b", "a\"b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert_ne!(of(bad), bad);
            assert_eq!(of(bad).len(), 32);
        }
    }
}
