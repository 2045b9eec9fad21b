//! Whose address a request counts for: the other end of the connection, or whom a trusted proxy speaks for.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header::FORWARDED};
use ninja_core::config::{ForwardedHeader, HttpConfig};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Returns whether an address is that of a proxy that is believed.
pub(crate) fn is_trusted(http: &HttpConfig, address: IpAddr) -> bool {
    http.trusted_proxies.iter().any(|network| network.contains(address))
}

/// Returns the address of the client.
///
/// Each proxy adds, at the right, whom it was asked by. Read from there, the first one that is no trusted proxy is the client;
/// what stands further left that client could have written itself.
pub(crate) fn client(http: &HttpConfig, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let mut client = peer;
    let hops = hops(http, headers);
    let mut hops = hops.iter().rev();
    while is_trusted(http, client) {
        // What cannot be read is nobody: the last proxy that could be counts for it.
        let Some(Some(hop)) = hops.next().map(|hop| address_in(http, hop)) else { break };
        client = hop;
    }
    client
}

/// Returns whether the client's side of the conversation is encrypted, as far as a trusted proxy says so.
pub(crate) fn is_encrypted_before(http: &HttpConfig, peer: IpAddr, headers: &HeaderMap) -> bool {
    if !is_trusted(http, peer) {
        return false;
    }
    match http.forwarded_header {
        ForwardedHeader::XForwardedFor => {
            let last = all(headers, &X_FORWARDED_PROTO).pop();
            last.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
        }
        ForwardedHeader::Forwarded => {
            let last = all(headers, &FORWARDED).pop();
            last.and_then(|hop| parameter(hop, "proto")).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
        }
    }
}

/// Returns the address that stands for a client where clients are counted: whoever has one IPv6 address has 2^64 of them.
pub(crate) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

fn hops<'a>(http: &HttpConfig, headers: &'a HeaderMap) -> Vec<&'a str> {
    match http.forwarded_header {
        ForwardedHeader::XForwardedFor => all(headers, &X_FORWARDED_FOR),
        ForwardedHeader::Forwarded => all(headers, &FORWARDED),
    }
}

/// Returns the items of a list that may stand in several headers. One that is no text is an item that nobody can read.
fn all<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?"));
    values.flat_map(|value| value.split(',')).map(str::trim).collect()
}

fn address_in(http: &HttpConfig, hop: &str) -> Option<IpAddr> {
    let text = match http.forwarded_header {
        ForwardedHeader::XForwardedFor => hop,
        ForwardedHeader::Forwarded => parameter(hop, "for")?,
    };
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

/// Returns a parameter of an element of RFC 7239.
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some(value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn http(header: ForwardedHeader) -> HttpConfig {
        let trusted_proxies = ["10.0.0.0/8", "fd00::/8"].map(|net| net.to_owned().try_into().unwrap()).to_vec();
        HttpConfig { trusted_proxies, forwarded_header: header, ..HttpConfig::default() }
    }

    fn headers(pairs: &[(&HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).clone(), HeaderValue::from_static(value))).collect()
    }

    fn client_of(header: ForwardedHeader, peer: &str, pairs: &[(&HeaderName, &'static str)]) -> String {
        let mut lines = HeaderMap::new();
        for (name, value) in headers(pairs).iter() {
            lines.append(name, value.clone());
        }
        client(&http(header), peer.parse().unwrap(), &lines).to_string()
    }

    #[test]
    fn only_what_trusted_proxies_added_is_believed() {
        for (peer, forwarded, expected) in [
            ("192.0.2.9", "198.51.100.1", "192.0.2.9"),
            ("127.0.0.1", "198.51.100.1", "127.0.0.1"),
            ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "203.0.113.66, 198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "127.0.0.1, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
            ("10.0.0.1", "10.9.9.9", "10.9.9.9"),
            ("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
            ("10.0.0.1", "198.51.100.1, , 10.0.0.2", "10.0.0.2"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
            ("fd00::1", "[2001:db8::7]:80", "2001:db8::7"),
            ("10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ] {
            let came = client_of(ForwardedHeader::XForwardedFor, peer, &[(&X_FORWARDED_FOR, forwarded)]);
            assert_eq!(came, expected, "{peer} says {forwarded:?}");
        }
    }

    #[test]
    fn the_other_header_is_never_read() {
        let both = [(&X_FORWARDED_FOR, "198.51.100.1"), (&FORWARDED, "for=203.0.113.66")];
        assert_eq!(client_of(ForwardedHeader::XForwardedFor, "10.0.0.1", &both), "198.51.100.1");
        assert_eq!(client_of(ForwardedHeader::Forwarded, "10.0.0.1", &both), "203.0.113.66");
        assert_eq!(client_of(ForwardedHeader::Forwarded, "10.0.0.1", &both[..1]), "10.0.0.1");
        let quoted = [(&FORWARDED, "for=1.1.1.1, For=\"[2001:db8::7]:80\";proto=https;by=_x, for=10.0.0.2")];
        assert_eq!(client_of(ForwardedHeader::Forwarded, "10.0.0.1", &quoted), "2001:db8::7");
    }

    #[test]
    fn a_stranger_cannot_claim_to_be_encrypted() {
        let says = |header, peer: &str, pairs: &[(&HeaderName, &'static str)]| {
            is_encrypted_before(&http(header), peer.parse().unwrap(), &headers(pairs))
        };
        let (plain, standard) = (ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded);
        assert!(says(plain, "10.0.0.1", &[(&X_FORWARDED_PROTO, "http, https")]));
        assert!(!says(plain, "10.0.0.1", &[(&X_FORWARDED_PROTO, "https, http")]));
        assert!(!says(plain, "192.0.2.1", &[(&X_FORWARDED_PROTO, "https")]));
        assert!(says(standard, "10.0.0.1", &[(&FORWARDED, "for=1.1.1.1;proto=HTTPS")]));
        assert!(!says(standard, "10.0.0.1", &[(&X_FORWARDED_PROTO, "https")]));
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        for (address, expected) in
            [("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"), ("::ffff:192.0.2.1", "192.0.2.1"), ("192.0.2.1", "192.0.2.1")]
        {
            assert_eq!(neighbourhood(address.parse().unwrap()).to_string(), expected);
        }
    }
}
