//! `[http]`: how a daemon is called and by whom, whom it believes, and how much it takes from one of them.
//!
//! Values are checked here, when they are read, so that a mistake is named with its setting. What they mean to a request the
//! daemon knows.

use std::{
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
};

use ipnet::IpNet;
use serde::Deserialize;

/// What ten thousand subscribers and a thousand callers need, with room.
const CONNECTIONS_MAX: usize = 16 * 1024;

/// The daemon's HTTP face.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// The certificate chain of the daemon, PEM, its own certificate first. With it TLS is spoken, and nothing else.
    pub tls_cert: Option<PathBuf>,
    /// The key of that certificate, PEM.
    pub tls_key: Option<PathBuf>,
    /// Names that the daemon is called by, beside those of this machine.
    pub allowed_hosts: Vec<HostName>,
    /// Web origins whose pages may use the API and open its WebSocket.
    pub allowed_origins: Vec<WebOrigin>,
    /// Proxies that are believed when they say whom they speak for.
    pub trusted_proxies: Vec<Network>,
    /// The header in which they say it. The other one anybody may have sent, and is never read.
    pub forwarded_header: ForwardedHeader,
    /// How often one address may ask.
    pub requests_per_minute: RequestsPerMinute,
    /// Connections at a time.
    pub connections_max: usize,
    /// Connections of one address at a time; where absent 512, and no limit for this machine itself.
    pub connections_per_address_max: Option<usize>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            tls_cert: None,
            tls_key: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::XForwardedFor,
            requests_per_minute: RequestsPerMinute::default(),
            connections_max: CONNECTIONS_MAX,
            connections_per_address_max: None,
        }
    }
}

/// How often one address may ask in a minute; 0: as often as it likes. Accounts have quotas of their own, wherever they ask from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestsPerMinute {
    /// One that shows no credential.
    pub anonymous: u32,
    /// One that wants to sign in, or does what else costs a password's hash.
    pub sign_in: u32,
    /// One whose credential is wrong.
    pub refused: u32,
}

impl Default for RequestsPerMinute {
    fn default() -> Self {
        Self { anonymous: 300, sign_in: 20, refused: 60 }
    }
}

/// A header in which a proxy says whom it speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, with `X-Forwarded-Proto`.
    XForwardedFor,
    /// `Forwarded` of RFC 7239.
    Forwarded,
}

/// A name or address without a port, as it stands in the header `Host`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HostName(String);

impl HostName {
    /// Returns the name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HostName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let name = text.to_ascii_lowercase();
        let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_address = address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
        let is_label =
            |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        match is_address || name.split('.').all(is_label) {
            true => Ok(Self(name)),
            false => {
                Err(format!("`{text}` is no host: write a name such as `ninja.example`, without port or wildcard"))
            }
        }
    }
}

/// Scheme, host and port of a web page, as a browser writes them in the header `Origin`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct WebOrigin(String);

impl WebOrigin {
    /// Returns the origin as a browser writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for WebOrigin {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let url = reqwest::Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        // What is compared is compared byte by byte: a spelling that no browser uses would never fit.
        match url.map(|url| url.origin().ascii_serialization()) {
            Some(origin) if origin == text => Ok(Self(text)),
            Some(origin) => Err(format!("`{text}` is no origin as browsers write it; write `{origin}`")),
            None => Err(format!("`{text}` is no origin: write one such as `https://app.example`, without wildcard")),
        }
    }
}

/// Addresses that begin alike, as `10.0.0.0/8`; one address alone is a network as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network(IpNet);

impl Network {
    /// Returns whether an address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        match net {
            Some(net) if net.addr() == net.network() && !is_everything(&net) => Ok(Self(net)),
            Some(net) if is_everything(&net) => Err(format!("`{text}` is everybody: whoever asks would be believed")),
            Some(net) => Err(format!("`{text}` names an address and more; write `{}`", net.trunc())),
            None => Err(format!("`{text}` is no network: write one such as `10.0.0.0/8`, or an address")),
        }
    }
}

fn is_everything(net: &IpNet) -> bool {
    net.prefix_len() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint<T: TryFrom<String, Error = String>>(text: &str) -> Option<String> {
        T::try_from(text.to_owned()).err()
    }

    #[test]
    fn only_what_a_browser_writes_is_an_origin() {
        for good in ["https://app.example", "http://localhost:3000", "http://[::1]:8080", "https://a.example:8443"] {
            assert_eq!(complaint::<WebOrigin>(good), None, "{good}");
        }
        for bad in ["*", "null", "app.example", "https://*.example/", "file:///x", "ftp://a", "", "https://"] {
            assert!(complaint::<WebOrigin>(bad).is_some(), "{bad}");
        }
        for (near, right) in [
            ("https://APP.example", "https://app.example"),
            ("https://app.example/", "https://app.example"),
            ("https://app.example:443", "https://app.example"),
            ("https://me@app.example", "https://app.example"),
        ] {
            assert!(
                complaint::<WebOrigin>(near).is_some_and(|said| said.contains(&format!("write `{right}`"))),
                "{near}"
            );
        }
    }

    #[test]
    fn hosts_have_no_ports_and_no_wildcards() {
        for good in ["ninja.example", "NINJA", "203.0.113.7", "[::1]"] {
            assert_eq!(complaint::<HostName>(good), None, "{good}");
        }
        for bad in ["", "*", "*.example", "a:80", "a..b", "a.", "::1", "a b", "http://a"] {
            assert!(complaint::<HostName>(bad).is_some(), "{bad}");
        }
        assert_eq!(HostName::try_from("Ninja.Example".to_owned()).unwrap().as_str(), "ninja.example");
    }

    #[test]
    fn a_network_is_not_everybody() {
        for bad in ["", "0.0.0.0/0", "::/0", "10.0.0.1/8", "proxy", "10.0.0.0/33"] {
            assert!(complaint::<Network>(bad).is_some(), "{bad}");
        }
        let within =
            |net: &str, address: &str| Network::try_from(net.to_owned()).unwrap().contains(address.parse().unwrap());
        assert!(within("10.0.0.0/8", "10.9.9.9") && within("10.0.0.1", "10.0.0.1") && within("fd00::/8", "fd00::1"));
        assert!(!within("10.0.0.0/8", "11.0.0.1") && !within("10.0.0.1", "10.0.0.2"));
    }
}
