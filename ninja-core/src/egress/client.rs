//! The client: checks a target, connects to the very addresses that were checked, follows redirects by hand, and reads
//! within bounds.
//!
//! Every hop has a client of its own that knows one host and its checked addresses, and cannot look up any other. So
//! between the check and the connection there is no second answer of a name server that could differ. It sends no
//! credentials, cookies or referrers, so there are none that could reach another origin, and it uses no proxy.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use reqwest::{
    Client, Response, Url,
    dns::{Name, Resolve as ResolveInside, Resolving},
    header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, LOCATION},
    redirect::Policy,
};
use tokio::{sync::Semaphore, time::timeout};

use super::{EgressConfig, EgressError, Resolve, SystemResolver, address::refused_kind, target::Target};

/// As in browsers' advice to sites: a scheme, a host and a path may each be corrected once.
const REDIRECTS_MAX: usize = 3;

/// Fetches at a time; others wait. Each may hold a body and what is made of it, some 20 MiB.
const FETCHES_MAX: usize = 32;

const USER_AGENT: &str = concat!("Ninja/", env!("CARGO_PKG_VERSION"));

const ACCEPTED: &str = "text/html, text/markdown, text/plain, application/json, application/xml;q=0.9, */*;q=0.5";

/// What one fetch may use.
#[derive(Debug, Clone, Copy)]
pub(super) struct FetchLimits {
    /// From the first look-up to the last byte, redirects included.
    pub(super) total: Duration,
    /// For each connection, encryption included.
    pub(super) connect: Duration,
    /// Of the body, after it was unpacked.
    pub(super) body_bytes: usize,
}

impl Default for FetchLimits {
    fn default() -> Self {
        // Few pages are slower than this, and a model waits meanwhile. The longest texts that people read on the web are
        // of one or two megabytes.
        Self { total: Duration::from_secs(30), connect: Duration::from_secs(10), body_bytes: 4 << 20 }
    }
}

/// What types of answer the caller can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Text of any kind.
    Text,
    /// Whatever comes.
    Anything,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Where it came from, after redirects.
    pub url: Url,
    /// Its status.
    pub status: u16,
    /// Its type, as the server names it.
    pub content_type: Option<String>,
    /// Its body, unpacked.
    pub body: Vec<u8>,
    /// Whether that is all of the body, and not its first [`Egress::body_bytes_max`] bytes.
    pub whole: bool,
}

/// The client. One for each engine.
pub struct Egress {
    config: EgressConfig,
    resolver: Arc<dyn Resolve>,
    limits: FetchLimits,
    permits: Semaphore,
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress").field("config", &self.config).field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Egress {
    /// Returns a client for what the operator allows.
    pub fn new(config: EgressConfig) -> Self {
        Self::with(config, Arc::new(SystemResolver), FetchLimits::default())
    }

    pub(super) fn with(config: EgressConfig, resolver: Arc<dyn Resolve>, limits: FetchLimits) -> Self {
        Self { config, resolver, limits, permits: Semaphore::new(FETCHES_MAX) }
    }

    /// Returns how much of a body is read.
    pub fn body_bytes_max(&self) -> usize {
        self.limits.body_bytes
    }

    /// Gets what a URL names. An error status is an answer like any other. Dropping the future closes the connection.
    ///
    /// # Errors
    ///
    /// Fails where the URL, or one it redirects to, is not to be fetched; where nothing answers in time; and where the
    /// answer is not what is wanted.
    pub async fn fetch(&self, url: &str, wanted: Wanted) -> Result<Fetched, EgressError> {
        let target = Target::parse(url, &self.config)?;
        // Who waits for a turn has not begun to use its time.
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        let host = target.host.clone();
        let seconds = self.limits.total.as_secs();
        let fetched = timeout(self.limits.total, Box::pin(self.follow(target, wanted))).await;
        fetched.unwrap_or(Err(EgressError::Timeout { host, seconds }))
    }

    async fn follow(&self, first: Target, wanted: Wanted) -> Result<Fetched, EgressError> {
        let mut target = first;
        for hop in 0..=REDIRECTS_MAX {
            let response = self.send(&target).await.map_err(|error| match hop {
                0 => error,
                _ => EgressError::Redirected(Box::new(error)),
            })?;
            match response.headers().get(LOCATION).filter(|_| is_redirect(&response)) {
                None => return self.read(target, response, wanted).await,
                Some(location) => {
                    // Not only ASCII: servers write what their pages are called.
                    let location = std::str::from_utf8(location.as_bytes()).map_err(|_| EgressError::BadRedirect)?;
                    target = target.follow(location, &self.config)?;
                }
            }
        }
        Err(EgressError::TooManyRedirects(REDIRECTS_MAX))
    }

    /// Connects to the addresses that were checked, and returns the head of the answer.
    async fn send(&self, target: &Target) -> Result<Response, EgressError> {
        let addresses = self.admit(target).await?;
        let unusable = |_| EgressError::Connect(target.host.clone());
        let client = self.client_for(target, &addresses).map_err(unusable)?;
        let response = client.get(target.url.clone()).header(ACCEPT, ACCEPTED).send().await;
        let response = response.map_err(|error| match error.is_connect() {
            true => EgressError::Connect(target.host.clone()),
            false => EgressError::Broken(target.host.clone()),
        })?;
        match response.remote_addr().is_none_or(|peer| addresses.contains(&peer)) {
            true => Ok(response),
            // Not reached as long as the pin holds.
            false => Err(EgressError::Resolved(target.host.clone())),
        }
    }

    /// Returns the addresses of a target, all of which may be connected to.
    async fn admit(&self, target: &Target) -> Result<Vec<SocketAddr>, EgressError> {
        if let Some(address) = target.literal {
            return Ok(vec![SocketAddr::new(address, target.port)]);
        }
        let unknown = || EgressError::Unknown(target.host.clone());
        let found = self.resolver.resolve(&target.host).await.map_err(|_| unknown())?;
        // One that is not public among public ones is no oversight of a name server.
        if !target.allowed && found.iter().any(|address| refused_kind(*address).is_some()) {
            return Err(EgressError::Resolved(target.host.clone()));
        }
        match found.is_empty() {
            true => Err(unknown()),
            false => Ok(found.into_iter().map(|address| SocketAddr::new(address, target.port)).collect()),
        }
    }

    fn client_for(&self, target: &Target, addresses: &[SocketAddr]) -> reqwest::Result<Client> {
        Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(self.limits.connect)
            .redirect(Policy::none())
            .referer(false)
            .no_proxy()
            .http1_only()
            .pool_max_idle_per_host(0)
            .dns_resolver(NoLookup)
            .resolve_to_addrs(&target.host, addresses)
            .build()
    }

    async fn read(&self, target: Target, mut response: Response, wanted: Wanted) -> Result<Fetched, EgressError> {
        let content_type = header_text(&response, CONTENT_TYPE);
        if let (Wanted::Text, Some(named)) = (wanted, &content_type)
            && !is_text(named)
        {
            return Err(EgressError::ContentType(named.clone()));
        }
        // The client has taken the header away where it unpacks.
        if header_text(&response, CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(EgressError::Encoding(target.host));
        }
        let mut body = Vec::new();
        let mut whole = true;
        while let Some(chunk) = response.chunk().await.map_err(|_| EgressError::Broken(target.host.clone()))? {
            let room = self.limits.body_bytes - body.len();
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if chunk.len() > room {
                whole = false;
                break;
            }
        }
        Ok(Fetched { url: target.url, status: response.status().as_u16(), content_type, body, whole })
    }
}

/// Knows no name. Clients look up nothing but what they were given.
struct NoLookup;

impl ResolveInside for NoLookup {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(async { Err("names are looked up before".into()) })
    }
}

fn is_redirect(response: &Response) -> bool {
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn header_text(response: &Response, name: reqwest::header::HeaderName) -> Option<String> {
    let value = response.headers().get(name)?;
    Some(value.to_str().unwrap_or("unreadable").chars().take(200).collect())
}

/// Returns whether a type is one of text.
fn is_text(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some((kind, form)) = essence.split_once('/') else { return false };
    let textual = ["json", "xml", "yaml", "x-yaml", "toml", "csv", "markdown", "javascript", "x-ndjson", "x-sh"];
    kind == "text"
        || kind == "application" && textual.contains(&form)
        || form.ends_with("+json")
        || form.ends_with("+xml")
}
