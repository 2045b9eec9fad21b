//! Requests out, answers and problems in. Knows status codes and bodies, not what they mean to a task.

use std::{io, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use ninja_core::api::{ApiError, ErrorCode, Health};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::{Deserialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{SdkError, error::BoxError};

/// Longer than any verb takes; uploads and downloads are bounded by their pauses instead.
const VERB_TIMEOUT: Duration = Duration::from_secs(60);

/// The header that makes a request one that can be repeated.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The waits before a request is sent again whose answer was lost: about as long as a daemon takes that is started again.
const REPEAT_WAITS_MS: [u64; 5] = [100, 200, 400, 800, 1_600];

/// A connection pool to one daemon.
#[derive(Debug)]
pub(super) struct Http {
    pub(super) client: reqwest::Client,
    pub(super) base: Url,
    /// The URL or socket, for messages to people.
    pub(super) daemon: String,
    pub(super) give_up_after: Duration,
}

/// What is read of an RFC 9457 body.
#[derive(Deserialize)]
struct Problem {
    code: ErrorCode,
    detail: String,
}

impl Http {
    /// Begins a request to a path below `/api/v1`; each segment is escaped.
    pub(super) fn api<'a>(
        &self,
        method: Method,
        segments: impl IntoIterator<Item = &'a str>,
    ) -> Result<RequestBuilder, SdkError> {
        Ok(self.client.request(method, self.url(["api", "v1"].into_iter().chain(segments))?))
    }

    /// Returns the URL of a path; each segment is escaped.
    pub(super) fn url<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Result<Url, SdkError> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut path) => path.pop_if_empty().extend(segments),
            Err(()) => return Err(self.protocol("its URL has no path")),
        };
        Ok(url)
    }

    /// Sends a request and reads its JSON answer, all within [`VERB_TIMEOUT`].
    pub(super) async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, SdkError> {
        let response = self.send(request.timeout(VERB_TIMEOUT)).await?;
        self.read(response).await
    }

    /// Sends a request that makes something, with a key of its own, and again where it was sent and no answer came: what it
    /// made then is the answer. Where nobody can be reached at all, it is not sent again.
    pub(super) async fn once<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, SdkError> {
        let request = request.header(IDEMPOTENCY_KEY, Uuid::now_v7().to_string()).timeout(VERB_TIMEOUT);
        let mut waits = REPEAT_WAITS_MS.into_iter().map(Duration::from_millis);
        let mut was_sent = false;
        loop {
            let again = request.try_clone().ok_or_else(|| self.protocol("a request cannot be sent twice"))?;
            let (error, is_unsent) = match again.send().await {
                Ok(response) if !response.status().is_success() => return Err(self.problem(response).await),
                Ok(response) => match response.bytes().await {
                    Ok(body) => return self.parse(&body),
                    Err(error) => (error, false),
                },
                Err(error) => {
                    let is_unsent = error.is_connect() || error.is_builder();
                    (error, is_unsent)
                }
            };
            // One that took a minute has waited long enough.
            was_sent |= !is_unsent && !error.is_timeout();
            let Some(wait) = waits.next().filter(|_| was_sent) else { return Err(self.failed(error)) };
            tokio::time::sleep(wait).await;
        }
    }

    /// Sends a request whose answer says nothing more, within [`VERB_TIMEOUT`].
    pub(super) async fn done(&self, request: RequestBuilder) -> Result<(), SdkError> {
        self.send(request.timeout(VERB_TIMEOUT)).await.map(drop)
    }

    /// Sends a request; an answer that is a problem becomes an error.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, SdkError> {
        let response = request.send().await.map_err(|error| self.failed(error))?;
        match response.status() {
            status if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS => Ok(response),
            _ => Err(self.problem(response).await),
        }
    }

    /// Reads a JSON answer.
    pub(super) async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, SdkError> {
        let body = response.bytes().await.map_err(|error| self.failed(error))?;
        self.parse(&body)
    }

    fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, SdkError> {
        serde_json::from_slice(body).map_err(|error| self.protocol(error.to_string()))
    }

    /// Reads `/health`, whose body is the same whether the engine is well (200) or not (503).
    pub(super) async fn health(&self) -> Result<Health, SdkError> {
        let request = self.client.get(self.url(["health"])?).timeout(VERB_TIMEOUT);
        let response = request.send().await.map_err(|error| self.failed(error))?;
        self.read(response).await
    }

    /// Says that the other side does not speak as a daemon does.
    pub(super) fn protocol(&self, detail: impl Into<String>) -> SdkError {
        SdkError::Protocol { daemon: self.daemon.clone(), detail: detail.into() }
    }

    /// Says that the other side cannot be reached.
    pub(super) fn unreachable(&self, source: impl Into<BoxError>) -> SdkError {
        SdkError::Unreachable { daemon: self.daemon.clone(), source: source.into() }
    }

    fn failed(&self, error: reqwest::Error) -> SdkError {
        match error.is_builder() {
            true => self.protocol(error.without_url().to_string()),
            false => self.unreachable(error.without_url()),
        }
    }

    async fn problem(&self, response: Response) -> SdkError {
        let status = response.status();
        let body = response.bytes().await.unwrap_or_default();
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => ApiError::new(problem.code, problem.detail).into(),
            // A reverse proxy in between, or a daemon that knows codes this client does not.
            Err(_) => match code_for(status) {
                Some(code) => ApiError::new(code, format!("{} answered {status}", self.daemon)).into(),
                None => self.protocol(format!("HTTP {status} without a problem that this client knows")),
            },
        }
    }
}

/// Returns the body of an answer as it arrives.
pub(super) fn body(response: Response) -> BoxStream<'static, io::Result<Bytes>> {
    response.bytes_stream().map_err(|error| io::Error::other(error.without_url())).boxed()
}

fn code_for(status: StatusCode) -> Option<ErrorCode> {
    match status.as_u16() {
        401 => Some(ErrorCode::Unauthorized),
        403 => Some(ErrorCode::Forbidden),
        404 => Some(ErrorCode::NotFound),
        409 => Some(ErrorCode::Conflict),
        413 => Some(ErrorCode::TooLarge),
        429 => Some(ErrorCode::TooManyRequests),
        500..=599 => Some(ErrorCode::Internal),
        _ => None,
    }
}
