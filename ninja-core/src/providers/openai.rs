//! OpenAI's chat completions over HTTP: OpenAI itself, Ollama, llama.cpp, vLLM, and whatever calls itself compatible.
//!
//! The rule above all: an answer without its final event is no answer.
//!
//! - [`wire`]: the kinds, one row each.
//! - [`request`]: our request as the protocol's.
//! - [`stream`]: its events as our answer; [`tool_calls`] puts calls together from their pieces.
//! - [`error`]: everything that fails as a [`ProviderError`].
//! - [`listing`]: which models are served, and with what window.

mod error;
mod listing;
mod request;
mod stream;
mod tool_calls;
mod wire;

#[cfg(test)]
pub(super) mod tests;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use reqwest::{
    Url,
    header::{ACCEPT, CONTENT_TYPE},
};
use tokio_util::sync::CancellationToken;

use self::{
    error::ErrorContext,
    request::prompt_tokens,
    stream::{FIRST_BYTE_TIMEOUT, within},
    wire::Wire,
};
pub(super) use self::{listing::ServedModel, wire::ollama_url};
use super::{Answer, ChatRequest, DeltaSink, ModelInfo, Provider, ProviderConfig, ProviderError, ProviderKind, Secret};

/// A host that does not take a connection in this time is away; a slow answer has its own, longer limits.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A provider reached over HTTP. Cheap to share; holds its own connections.
pub struct OpenaiProvider {
    wire: Wire,
    /// What paths are appended to.
    url: Url,
    /// Where calls go.
    chat_url: Url,
    is_vendor: bool,
    key: Option<Secret>,
    http: reqwest::Client,
    context_window: Option<u32>,
    /// What the provider told of its models' windows when it was last asked.
    served_windows: Mutex<BTreeMap<String, u32>>,
}

impl OpenaiProvider {
    /// Returns the provider that `config` describes, with `key` already looked up. Connects to nothing yet.
    ///
    /// # Errors
    /// [`ProviderError::Rejected`] if the address is none, or the key cannot stand in a header.
    pub fn new(config: &ProviderConfig, key: Option<Secret>) -> Result<Self, ProviderError> {
        let wire = Wire::of(config.kind);
        let url = wire.base_url(config.base_url.as_deref())?;
        let is_vendor = wire.is_vendor(&url);
        let chat_url = extended(&url, "chat/completions")?;
        if let Some(key) = &key
            && (key.expose().is_empty() || !key.expose().bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(ProviderError::Rejected("the key is empty or has characters that no key has".into()));
        }
        let http = http_client(&url)?;
        let context_window = config.context_window;
        Ok(Self { wire, url, chat_url, is_vendor, key, http, context_window, served_windows: Mutex::default() })
    }

    /// Asks which models are served, and remembers their windows.
    ///
    /// # Errors
    /// Whatever keeps the provider from telling. Dropping the future ends the question.
    pub async fn list_models(&self) -> Result<Vec<ServedModel>, ProviderError> {
        let models = listing::list_models(&self.wire, &self.http, &self.url, self.key.as_ref()).await?;
        let windows = models.iter().filter_map(|model| Some((model.name.clone(), model.window_tokens?))).collect();
        *self.served_windows.lock().unwrap_or_else(PoisonError::into_inner) = windows;
        Ok(models)
    }

    /// Returns whether this is the vendor's own address rather than something compatible.
    pub fn is_vendor(&self) -> bool {
        self.is_vendor
    }

    /// Returns the model to use at the vendor's own address when nobody names one.
    pub fn vendor_model(&self) -> Option<&'static str> {
        self.wire.vendor_model.filter(|_| self.is_vendor)
    }

    fn window_tokens(&self, model: &str) -> u32 {
        let served = || self.served_windows.lock().unwrap_or_else(PoisonError::into_inner).get(model).copied();
        let known = || if self.is_vendor { wire::vendor_window(model) } else { None };
        self.context_window.or_else(served).or_else(known).unwrap_or(self.wire.window_tokens)
    }

    async fn call(&self, request: ChatRequest, deltas: DeltaSink) -> Result<Answer, ProviderError> {
        let prompt_tokens = || prompt_tokens(&request);
        let context = ErrorContext {
            host: self.url.host_str().unwrap_or_default(),
            key: self.key.as_ref(),
            prompt_tokens: &prompt_tokens,
            window_tokens: u64::from(self.window_tokens(&request.model)),
        };
        let mut post = self
            .http
            .post(self.chat_url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "text/event-stream")
            .body(request::body(&request, self.is_vendor));
        if let Some(key) = &self.key {
            post = post.bearer_auth(key.expose());
        }
        let response = within(FIRST_BYTE_TIMEOUT, post.send()).await?;
        let response = response.map_err(|error| error::map_transport(&error, &context))?;
        if response.status().is_success() {
            stream::read(response, &request, &deltas, &context).await
        } else {
            Err(error::read_refusal(response, &context).await)
        }
    }
}

impl Provider for OpenaiProvider {
    fn model_info(&self, model: &str) -> ModelInfo {
        // Some servers name a model by its file: people need its name, not where it lies.
        let short = model.rsplit('/').next().unwrap_or(model);
        ModelInfo {
            window_tokens: self.window_tokens(model),
            tools: true,
            label: format!("{short} at {}", self.wire.place(&self.url)),
        }
    }

    fn chat<'a>(
        &'a self,
        request: ChatRequest,
        deltas: DeltaSink,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<Answer, ProviderError>> {
        Box::pin(async move {
            tokio::select! {
                biased;
                // The other branch is dropped, and with it the stream and its connection.
                () = cancel.cancelled() => Err(ProviderError::Cancelled),
                result = self.call(request, deltas) => result,
            }
        })
    }

    fn check(&self) -> BoxFuture<'_, Result<String, ProviderError>> {
        Box::pin(async {
            let count = self.list_models().await?.len();
            let place = self.wire.place(&self.url);
            Ok(if count == 1 { format!("{place} serves 1 model") } else { format!("{place} serves {count} models") })
        })
    }
}

/// Returns an address with a path appended and its query kept.
fn extended(url: &Url, path: &str) -> Result<Url, ProviderError> {
    let unusable = |_| ProviderError::Rejected("the address cannot be extended".into());
    let mut extended = url.join(path).map_err(unusable)?;
    extended.set_query(url.query());
    Ok(extended)
}

/// Returns the HTTP client for a provider.
fn http_client(url: &Url) -> Result<reqwest::Client, ProviderError> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        // A prompt goes where it was sent and nowhere else.
        .redirect(reqwest::redirect::Policy::none());
    if wire::is_loopback(url) {
        builder = builder.no_proxy();
        if url.scheme() == "http" {
            // Neither a proxy nor a redirect leads to TLS from here, and reading the system's certificates takes longer
            // than the rest of a start.
            builder = builder.tls_certs_only([]);
        }
    }
    builder.build().map_err(|_| ProviderError::Rejected("the HTTP client cannot be built".into()))
}

/// Asks a running Ollama at `base_url` for its models.
pub(super) async fn find_ollama(base_url: &str) -> Result<(OpenaiProvider, Vec<ServedModel>), ProviderError> {
    let config = ProviderConfig { base_url: Some(base_url.to_owned()), ..ProviderConfig::new(ProviderKind::Ollama) };
    let provider = OpenaiProvider::new(&config, None)?;
    let models = provider.list_models().await?;
    Ok((provider, models))
}
