//! Web pages: whose may use the API, and by which names a browser may call this daemon.
//!
//! No page may, unless its origin is named in the configuration, byte by byte; no origin is ever repeated to a page because
//! it asked. Cookies and other credentials that a browser adds by itself are never allowed.

use std::{net::IpAddr, time::Duration};

use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{
        AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, HOST, IF_MATCH, IF_NONE_MATCH, LINK, LOCATION, ORIGIN,
        RANGE, RETRY_AFTER,
    },
    uri::Authority,
};
use ninja_core::{api::ErrorCode, config::HttpConfig};
use tower_http::cors::CorsLayer;

use crate::{
    edge::{Peer, REQUEST_ID, only},
    error::Refusal,
    rate::{RATE_LIMIT, RATE_LIMIT_POLICY},
};

/// How long a browser need not ask again; it is what the strictest of them keep at most.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Returns what tells browsers which pages may read answers; nothing where none may.
pub(crate) fn cors(http: &HttpConfig) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> =
        http.allowed_origins.iter().filter_map(|origin| origin.as_str().parse().ok()).collect();
    if origins.is_empty() {
        return None;
    }
    let methods = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let sent =
        [AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, RANGE, IDEMPOTENCY_KEY, LAST_EVENT_ID, REQUEST_ID];
    let told = [ETAG, LOCATION, LINK, RETRY_AFTER, CONTENT_DISPOSITION, RATE_LIMIT, RATE_LIMIT_POLICY, REQUEST_ID];
    let layer = CorsLayer::new().allow_origin(origins).allow_methods(methods).allow_headers(sent);
    Some(layer.expose_headers(told).max_age(PREFLIGHT_MAX_AGE))
}

/// A web page can make a browser send requests to this machine under the page's own host name (DNS rebinding). So a daemon
/// answers to names that no stranger can choose: those of the configuration, and those of this machine.
///
/// One that is reached from elsewhere has an address besides, and may be called by any: a page cannot be loaded from a bare
/// address without its server being there. Other names it has only where they are configured, since it cannot know them.
pub(crate) fn check_host(http: &HttpConfig, loopback_only: bool, headers: &HeaderMap) -> Result<(), Refusal> {
    let known = host(headers).is_some_and(|host| {
        let name = host.host();
        let is_allowed = http.allowed_hosts.iter().any(|allowed| allowed.as_str().eq_ignore_ascii_case(name));
        is_allowed || is_loopback(name) || (!loopback_only && address(name).is_some())
    });
    match (known, loopback_only) {
        (true, _) => Ok(()),
        (false, true) => Err(Refusal::invalid(
            "this daemon is called localhost, 127.0.0.1 or [::1]; correct the header Host, or name it in allowed_hosts",
        )),
        (false, false) => Err(Refusal::invalid(
            "this daemon is not called that; ask for its address, or have its name added to allowed_hosts",
        )),
    }
}

/// Refuses a WebSocket that a web page of somewhere else opens: browsers ask nobody before they do.
pub(crate) fn check_origin(http: &HttpConfig, peer: Option<&Peer>, headers: &HeaderMap) -> Result<(), Refusal> {
    if !headers.contains_key(ORIGIN) {
        // Programs send none, and no page can leave it out.
        return Ok(());
    }
    let fits = only(headers, ORIGIN).and_then(|origin| origin.to_str().ok()).is_some_and(|origin| {
        http.allowed_origins.iter().any(|allowed| allowed.as_str() == origin) || is_own(peer, headers, origin)
    });
    match fits {
        true => Ok(()),
        false => Err(Refusal::new(ErrorCode::Forbidden, "a page of another origin may not open this WebSocket")),
    }
}

/// Returns whether an origin is this daemon itself, by the name that it was just called by.
fn is_own(peer: Option<&Peer>, headers: &HeaderMap, origin: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let is_scheme = match peer {
        Some(Peer::Network { is_tls: true, .. }) => scheme == "https",
        // A proxy may have taken the encryption off.
        Some(Peer::Network { is_tls: false, .. } | Peer::LocalOwner) | None => matches!(scheme, "http" | "https"),
    };
    is_scheme && host(headers).is_some_and(|host| host.as_str() == authority)
}

/// Returns the one host that a request names; two are a trick.
fn host(headers: &HeaderMap) -> Option<Authority> {
    let host: Authority = only(headers, HOST)?.to_str().ok()?.parse().ok()?;
    // A URL may name a user before its host; this header never does.
    (!host.as_str().contains('@')).then_some(host)
}

fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || address(host).is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    fn http() -> HttpConfig {
        HttpConfig {
            allowed_hosts: vec!["ninja.example".to_owned().try_into().unwrap()],
            allowed_origins: vec!["https://app.example".to_owned().try_into().unwrap()],
            ..HttpConfig::default()
        }
    }

    #[test]
    fn only_named_pages_and_our_own_open_a_socket() {
        let host = (HOST, "ninja.example:7420");
        for (origin, fits) in [
            ("https://app.example", true),
            ("https://ninja.example:7420", true),
            ("http://ninja.example:7420", true),
            ("http://app.example", false),
            ("https://app.example:443", false),
            ("https://app.example:8443", false),
            ("https://app.example.", false),
            ("https://APP.example", false),
            ("https://app.example.evil.example", false),
            ("https://evil-app.example", false),
            ("https://app.example@evil.example", false),
            ("https://ninja.example", false),
            ("ftp://ninja.example:7420", false),
            ("http://localhost:3000", false),
            ("null", false),
            ("", false),
        ] {
            let headers = headers(&[host.clone(), (ORIGIN, origin)]);
            assert_eq!(check_origin(&http(), None, &headers).is_ok(), fits, "{origin}");
        }
        assert!(check_origin(&http(), None, &headers(std::slice::from_ref(&host))).is_ok(), "programs send no Origin");
        let mut twice = headers(&[host.clone(), (ORIGIN, "https://app.example")]);
        twice.append(ORIGIN, HeaderValue::from_static("http://evil.example"));
        assert!(check_origin(&http(), None, &twice).is_err(), "an Origin stands once");
        let secure = Peer::Network { ip: "192.0.2.1".parse().unwrap(), is_tls: true };
        let plain = headers(&[host, (ORIGIN, "http://ninja.example:7420")]);
        assert!(check_origin(&http(), Some(&secure), &plain).is_err(), "whoever reads the line could have written it");
    }

    #[test]
    fn a_daemon_answers_to_names_that_no_stranger_can_choose() {
        for (host, at_home, abroad) in [
            ("localhost", true, true),
            ("LOCALHOST:1", true, true),
            ("127.0.0.2", true, true),
            ("[::1]:80", true, true),
            ("ninja.example", true, true),
            ("Ninja.Example:7420", true, true),
            ("203.0.113.7:7420", false, true),
            ("[2001:db8::1]", false, true),
            ("ninja.example.", false, false),
            ("ninja.example.evil.example", false, false),
            ("127.0.0.1.evil.example", false, false),
            ("user@localhost", false, false),
            ("", false, false),
        ] {
            let headers = headers(&[(HOST, host)]);
            assert_eq!(check_host(&http(), true, &headers).is_ok(), at_home, "{host}");
            assert_eq!(check_host(&http(), false, &headers).is_ok(), abroad, "{host}");
        }
        let mut twice = headers(&[(HOST, "localhost")]);
        twice.append(HOST, HeaderValue::from_static("localhost"));
        assert!(check_host(&http(), true, &twice).is_err());
    }
}
