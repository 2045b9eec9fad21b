//! What the operator allows.

use reqwest::Url;
use serde::{Deserialize, Serialize};

/// What tasks may fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EgressConfig {
    /// Whether public addresses may be fetched. Without it, only what `allow` names.
    pub public: bool,
    /// Targets that may be fetched whatever their address is.
    pub allow: Vec<AllowedTarget>,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self { public: true, allow: Vec::new() }
    }
}

/// One host and one port, named by the operator: `intranet.example:443`, `127.0.0.1:8080`, `[::1]:8080`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AllowedTarget {
    host: String,
    port: u16,
}

impl AllowedTarget {
    /// Returns whether this is the target; `host` as a URL shows it.
    pub(super) fn is(&self, host: &str, port: u16) -> bool {
        self.host == host && self.port == port
    }
}

impl TryFrom<String> for AllowedTarget {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = text.rsplit_once(':').and_then(|(host, port)| {
            // Whatever ends a host in a URL, and a pattern that would look as if it worked.
            if host.is_empty() || host.contains(['/', '\\', '@', '?', '#', '*']) || host.contains(char::is_whitespace) {
                return None;
            }
            // The same parser reads what is fetched, so both name a host alike.
            let url = Url::parse(&format!("http://{host}/")).ok().filter(|url| url.port().is_none())?;
            // Addresses with such a host are not fetched, so it would allow nothing.
            if url.host_str()?.ends_with('.') {
                return None;
            }
            let port = port.parse().ok().filter(|port| *port > 0)?;
            Some(Self { host: url.host_str()?.to_owned(), port })
        });
        parsed.ok_or_else(|| format!("`{text}` is no target: it must be `host:port`, without patterns"))
    }
}

impl From<AllowedTarget> for String {
    fn from(target: AllowedTarget) -> Self {
        format!("{}:{}", target.host, target.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_one_host_and_one_port() {
        for (text, host, port) in [
            ("127.0.0.1:8080", "127.0.0.1", 8080),
            ("Intranet.Example:443", "intranet.example", 443),
            ("localhost:80", "localhost", 80),
            ("[::1]:80", "[::1]", 80),
            ("0x7f.1:9", "127.0.0.1", 9),
        ] {
            let target = AllowedTarget::try_from(text.to_owned()).unwrap();
            assert!(target.is(host, port), "{text}: {target:?}");
            assert!(!target.is(host, port + 1) && !target.is("other", port));
        }
        for text in ["", "host", "host:", ":80", "host:0", "host:65536", "*.example:80", "http://a:80", "a b:80"] {
            assert!(AllowedTarget::try_from(text.to_owned()).is_err(), "{text}");
        }
        for text in ["u@host:80", "host.:80", "host/path:80", "::1:80", "a:b:80", "host: 80"] {
            assert!(AllowedTarget::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
