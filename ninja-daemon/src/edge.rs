//! What surrounds every request and answer: its id, the check of the host it was sent to, the security headers, and the
//! problem body of a refusal.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use ninja_core::api::{ErrorCode, Origin};
use uuid::Uuid;

use crate::{
    app::App,
    error::{self, Refusal},
    telemetry::TraceParent,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longer ones are not taken over from a client: they end up in logs and answers.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Peer {
    /// The owner of the data directory, through its Unix socket.
    LocalOwner,
    /// Somebody, over TCP.
    Network(IpAddr),
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
    let origin = origin(&request, &id);
    request.extensions_mut().insert(origin);
    let answer = match check_host(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    let mut answer = error::render(answer, &id);
    let headers = answer.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        headers.insert(REQUEST_ID, id);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; sandbox"),
    ] {
        // The page of the documentation has a policy of its own.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    answer
}

/// Returns where a request came from, as the audit log tells it.
fn origin(request: &Request, id: &RequestId) -> Origin {
    let ip = match request.extensions().get::<Peer>() {
        Some(Peer::Network(ip)) => Some(*ip),
        Some(Peer::LocalOwner) | None => None,
    };
    let user_agent = request.headers().get(header::USER_AGENT).and_then(|name| name.to_str().ok());
    let traceparent = request.extensions().get::<TraceParent>().map(|trace| Arc::clone(&trace.0));
    Origin { ip, user_agent: user_agent.map(Into::into), request_id: Some(id.0.as_str().into()), traceparent }
}

/// A web page can make a browser send requests to this machine under the page's own host name (DNS rebinding). A daemon
/// that listens on loopback only is never rightly called by another name.
fn check_host(app: &App, request: &Request) -> Result<(), Refusal> {
    let refusal = || Refusal::invalid("this daemon is called localhost, 127.0.0.1 or [::1]; correct the header Host");
    match request.extensions().get::<Peer>() {
        Some(Peer::Network(_)) if app.loopback_only => {
            let host = host(request.headers()).ok_or_else(refusal)?;
            // A request line may name a host of its own.
            let named = request.uri().authority().unwrap_or(&host);
            match is_loopback(host.host()) && is_loopback(named.host()) {
                true => Ok(()),
                false => Err(refusal()),
            }
        }
        Some(Peer::Network(_) | Peer::LocalOwner) | None => Ok(()),
    }
}

/// Refuses a WebSocket that a web page of somewhere else opens: browsers ask nobody before they do.
pub(crate) fn check_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    if !headers.contains_key(header::ORIGIN) {
        return Ok(());
    }
    let origin = only(headers, header::ORIGIN);
    let origin = origin
        .and_then(|origin| origin.to_str().ok())
        .and_then(|origin| origin.split_once("://"))
        .and_then(|(_, rest)| rest.parse().ok());
    let origin: Option<Authority> = origin;
    let fits =
        origin.is_some_and(|origin| is_loopback(origin.host()) || host(headers).is_some_and(|host| host == origin));
    match fits {
        true => Ok(()),
        false => Err(Refusal::new(ErrorCode::Forbidden, "a page of another origin may not open this WebSocket")),
    }
}

/// Returns the one host that a request names; two are a trick.
fn host(headers: &HeaderMap) -> Option<Authority> {
    only(headers, header::HOST)?.to_str().ok()?.parse().ok()
}

/// Returns a header that may stand once. What is given twice is nobody's word: two readers would each take another.
pub(crate) fn only(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_this_machine_or_the_same_host_opens_a_socket_from_a_page() {
        let host = (header::HOST, "ninja.example:7420");
        for (origin, fits) in [
            ("https://ninja.example:7420", true),
            ("http://localhost:3000", true),
            ("http://[::1]", true),
            ("https://ninja.example", false),
            ("https://evil.example", false),
            ("http://localhost.evil.example", false),
            ("http://127.0.0.1.evil.example", false),
            ("null", false),
            ("", false),
        ] {
            let headers = headers(&[host.clone(), (header::ORIGIN, origin)]);
            assert_eq!(check_origin(&headers).is_ok(), fits, "{origin}");
        }
        assert!(check_origin(&headers(std::slice::from_ref(&host))).is_ok(), "programs send no Origin");
        let mut twice = headers(&[host, (header::ORIGIN, "http://localhost")]);
        twice.append(header::ORIGIN, HeaderValue::from_static("http://evil.example"));
        assert!(check_origin(&twice).is_err(), "an Origin stands once");
    }

    #[test]
    fn a_request_id_is_taken_over_only_when_it_is_plain() {
        let of = |value| RequestId::of(&headers(&[(REQUEST_ID, value)])).0;
        assert_eq!(of("trace-1.a_B"), "trace-1.a_B");
        for bad in ["", "a b", "a\"b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert_ne!(of(bad), bad);
            assert_eq!(of(bad).len(), 32);
        }
    }
}
