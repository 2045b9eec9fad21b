//! Sets a [`Client`] up: where the daemon is, who asks, how long to keep trying.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    Certificate, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
    redirect,
};

use super::{Client, http::Http};
use crate::SdkError;

/// A daemon on the same machine answers at once; one across an ocean within a few round trips.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The daemon closes idle connections after 15 s; closing them earlier here keeps a request from meeting that.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// No pause within an answer may be longer: a verb takes at most the two seconds of a cancellation.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Longer than a daemon takes to drain (30 s) and start again.
const GIVE_UP_AFTER: Duration = Duration::from_secs(90);

/// Where the daemon is.
#[derive(Debug, Clone)]
enum Place {
    Url(String),
    UnixSocket(PathBuf),
}

/// A client that is being set up.
#[derive(Clone)]
pub struct ClientBuilder {
    place: Option<Place>,
    key: Option<String>,
    ca_file: Option<PathBuf>,
    give_up_after: Duration,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self { place: None, key: None, ca_file: None, give_up_after: GIVE_UP_AFTER }
    }
}

impl ClientBuilder {
    /// Speaks to a daemon over HTTP, such as `http://127.0.0.1:7420`.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.place = Some(Place::Url(url.into()));
        self
    }

    /// Speaks to the daemon of this machine on its Unix socket, where the caller needs no key.
    #[must_use]
    pub fn unix_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.place = Some(Place::UnixSocket(path.into()));
        self
    }

    /// Shows this API key (`nj_…`).
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Believes a daemon that shows a certificate by one of those in this file (PEM), and no other: for one that signed its own,
    /// or was signed within the house.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// Lets a stream give up after the daemon was away for this long; 90 s where nothing is said.
    #[must_use]
    pub fn give_up_after(mut self, away: Duration) -> Self {
        self.give_up_after = away;
        self
    }

    /// Makes the client. Connects to nothing yet.
    ///
    /// # Errors
    ///
    /// [`SdkError::Setup`] when the URL, the key or the file of certificates cannot be one.
    pub fn build(self) -> Result<Client, SdkError> {
        let setup = |detail: String| SdkError::Setup { detail };
        let place = self.place.ok_or_else(|| setup("a client needs a URL or a Unix socket".into()))?;
        let mut builder = reqwest::Client::builder()
            .http1_only()
            .redirect(redirect::Policy::none())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .default_headers(headers(self.key.as_deref())?);
        let (base, daemon) = match &place {
            Place::Url(url) => (parse(url)?, url.clone()),
            Place::UnixSocket(path) => {
                builder = builder.unix_socket(path.as_path());
                (parse("http://localhost")?, path.display().to_string())
            }
        };
        if base.scheme() == "http" {
            // Without TLS no root certificate is needed, and a machine that has none can still speak to its daemon.
            builder = builder.tls_certs_only([]);
        } else if let Some(path) = &self.ca_file {
            builder = builder.tls_certs_only(certificates(path)?);
        }
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| setup(format!("no HTTP client can be made: {error}")))?;
        Ok(Client { http: Arc::new(Http { client, base, daemon, give_up_after: self.give_up_after }) })
    }
}

impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = self.key.as_ref().map(|_| "nj_…");
        f.debug_struct("ClientBuilder").field("place", &self.place).field("key", &key).finish_non_exhaustive()
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, SdkError> {
    let setup = |why: String| SdkError::Setup { detail: format!("{} holds no certificates: {why}", path.display()) };
    let pem = std::fs::read(path).map_err(|error| setup(error.to_string()))?;
    match Certificate::from_pem_bundle(&pem).map_err(|error| setup(error.to_string()))? {
        found if found.is_empty() => Err(setup("there is none in it".to_owned())),
        found => Ok(found),
    }
}

fn headers(key: Option<&str>) -> Result<HeaderMap, SdkError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = key {
        let mut value = HeaderValue::try_from(format!("Bearer {}", key.trim())).map_err(|_| SdkError::Setup {
            detail: "the API key holds characters that no key has; keys begin with `nj_`".into(),
        })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn parse(url: &str) -> Result<Url, SdkError> {
    let setup = |why: &str| SdkError::Setup { detail: format!("{url:?} is not the URL of a daemon: {why}") };
    let parsed = Url::parse(url).map_err(|error| setup(&error.to_string()))?;
    match parsed.scheme() {
        "http" | "https" if parsed.has_host() => Ok(parsed),
        _ => Err(setup("it begins with http:// or https:// and names a host")),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_refused_what_cannot_work() {
        for url in ["", "127.0.0.1:7420", "ftp://host", "unix:/x", "http://"] {
            let error = Client::builder().url(url).build().unwrap_err();
            assert!(matches!(error, SdkError::Setup { .. }), "{url}: {error}");
        }
        assert!(Client::builder().build().is_err());
        assert!(Client::builder().url("http://localhost:1").key("nj_\n").build().is_ok(), "surrounding space is cut");
        assert!(Client::builder().url("http://localhost:1").key("nj_a\nb").build().is_err());
        for no_certificates in ["/nowhere", file!(), "/dev/null"] {
            let error = Client::builder().url("https://localhost:1").ca_file(no_certificates).build().unwrap_err();
            assert!(matches!(error, SdkError::Setup { .. }), "{no_certificates}: {error}");
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let builder = Client::builder().url("http://localhost:1").key("nj_secret");
        assert!(!format!("{builder:?}").contains("secret"));
        assert!(!format!("{:?}", builder.build().unwrap()).contains("secret"));
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (url, loopback) in [
            ("http://localhost:7420", true),
            ("http://127.0.0.1:7420", true),
            ("http://[::1]:7420", true),
            ("http://10.0.0.1:7420", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(is_loopback(&parse(url).unwrap()), loopback, "{url}");
        }
    }
}
