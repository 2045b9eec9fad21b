//! Which URLs are fetched at all, judged by their form alone: scheme, credentials, name, literal address, port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

use super::{EgressConfig, EgressError, address::refused_kind};

/// Longer addresses are not fetched; browsers and servers agree on about this much.
const URL_BYTES_MAX: usize = 8_192;

/// Names that belong to a machine, to a local network, or to what a cloud tells its machines, with all below them.
const NAMES_REFUSED: [&str; 6] = ["localhost", "local", "localdomain", "internal", "home.arpa", "metadata.goog"];

/// A URL that may be fetched if its name leads to a public address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) url: Url,
    /// The host as the URL shows it: normalised, an IPv6 address in brackets.
    pub(super) host: String,
    /// The host, where it is a literal address and no name.
    pub(super) literal: Option<IpAddr>,
    pub(super) port: u16,
    /// Whether the operator named it, so that its address does not matter.
    pub(super) allowed: bool,
}

impl Target {
    /// Reads what a caller wrote.
    pub(super) fn parse(text: &str, config: &EgressConfig) -> Result<Self, EgressError> {
        let text = text.trim_matches(' ');
        check_text(text)?;
        let url = Url::parse(text).map_err(|error| EgressError::InvalidUrl(error.to_string()))?;
        Self::check(url, config)
    }

    /// Reads where a redirect leads; it is checked like what a caller wrote.
    pub(super) fn follow(&self, location: &str, config: &EgressConfig) -> Result<Self, EgressError> {
        check_text(location).map_err(|_| EgressError::BadRedirect)?;
        let url = self.url.join(location).map_err(|_| EgressError::BadRedirect)?;
        Self::check(url, config).map_err(|error| EgressError::Redirected(Box::new(error)))
    }

    fn check(mut url: Url, config: &EgressConfig) -> Result<Self, EgressError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(EgressError::Scheme(url.scheme().chars().take(40).collect()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EgressError::Credentials);
        }
        url.set_fragment(None);
        let invalid = || EgressError::InvalidUrl("it has no host".to_owned());
        let host = url.host_str().ok_or_else(invalid)?.to_owned();
        let port = url.port_or_known_default().ok_or_else(invalid)?;
        if host.ends_with('.') {
            return Err(EgressError::InvalidUrl("its host ends with a dot".to_owned()));
        }
        let allowed = config.allow.iter().any(|target| target.is(&host, port));
        let target = Self { literal: read_literal(&host), url, host, port, allowed };
        if !allowed {
            target.check_public(config)?;
        }
        Ok(target)
    }

    /// Checks what only targets that the operator named may be.
    fn check_public(&self, config: &EgressConfig) -> Result<(), EgressError> {
        if !config.public {
            return Err(EgressError::PublicOff(self.host.clone()));
        }
        match self.literal {
            Some(address) => {
                if let Some(kind) = refused_kind(address) {
                    return Err(EgressError::Address { host: self.host.clone(), kind });
                }
            }
            // A name without a dot is looked up in the local network.
            None if !self.host.contains('.') || NAMES_REFUSED.iter().any(|name| is_at_or_below(&self.host, name)) => {
                return Err(EgressError::Name(self.host.clone()));
            }
            None => {}
        }
        match self.port {
            80 | 443 | 1024.. => Ok(()),
            other => Err(EgressError::Port(other)),
        }
    }
}

/// The parser would drop line breaks and tabs without a word, and what is dropped was put there to deceive.
fn check_text(text: &str) -> Result<(), EgressError> {
    if text.len() > URL_BYTES_MAX {
        return Err(EgressError::InvalidUrl(format!("it is longer than {URL_BYTES_MAX} bytes")));
    }
    match text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        true => Err(EgressError::InvalidUrl("it has white space or control characters in it".to_owned())),
        false => Ok(()),
    }
}

/// Reads a host that is an address. The parser has already turned every way of writing an IPv4 address, such as `127.1`
/// and `0x7f000001`, into four numbers.
fn read_literal(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

fn is_at_or_below(host: &str, name: &str) -> bool {
    host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
