//! Providers that are reached over HTTP: what they share, whatever they speak.
//!
//! The rule above all: an answer without its final event is no answer.
//!
//! - [`kinds`]: the kinds, one row each.
//! - [`protocol`]: what distinguishes one API from another.
//! - [`stream`]: what comes back, piece by piece and with patience; [`answer`] is what every answer needs.
//! - [`address`]: where a key may go.
//! - [`error`]: everything that fails as a [`ProviderError`].
//! - [`images`]: the bytes of a request's images, while it is written.
//! - [`listing`]: which models are served; [`inspect`]: what their server does with them; [`windows`]: what follows for a
//!   prompt.

mod address;
pub(super) mod answer;
pub(super) mod error;
pub(super) mod images;
mod inspect;
mod kinds;
pub(super) mod listing;
pub(super) mod protocol;
pub(super) mod stream;
mod windows;

#[cfg(test)]
mod counterpart;
#[cfg(test)]
pub(super) mod test_server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures::future::BoxFuture;
use reqwest::{RequestBuilder, Url, header::CONTENT_TYPE};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::{
    answer::prompt_tokens,
    error::ErrorContext,
    images::EncodedImages,
    kinds::Wire,
    protocol::{Call, Listener, Protocol},
    stream::within,
    windows::Windows,
};
pub(super) use self::{kinds::ollama_url, listing::ServedModel};
use super::{
    Answer, ChatRequest, DeltaSink, ImageTokens, ModelInfo, Provider, ProviderConfig, ProviderError, ProviderKind,
    Secret, TakesImages, Timeouts,
};

/// Bodies with images that are written at a time. Each may come to 16 MiB, which is there several times over meanwhile, and to
/// write one takes some milliseconds: more at a time would not be faster.
const WRITERS_MAX: usize = 4;

/// A provider reached over HTTP. Cheap to share; holds its own connections.
pub struct HttpProvider {
    wire: Wire,
    protocol: Arc<dyn Protocol>,
    /// What paths are appended to.
    url: Url,
    is_vendor: bool,
    is_streamed: bool,
    key: Option<Secret>,
    http: reqwest::Client,
    timeouts: Timeouts,
    windows: Windows,
    takes_images: Option<TakesImages>,
    /// Held while a body with images is written.
    writers: Arc<Semaphore>,
}

impl HttpProvider {
    /// Returns the provider that `config` describes, with `key` already looked up. Connects to nothing yet.
    ///
    /// # Errors
    /// [`ProviderError::Rejected`] if the address is none, or the key cannot stand in a header.
    pub fn new(config: &ProviderConfig, key: Option<Secret>) -> Result<Self, ProviderError> {
        let wire = Wire::of(config.kind);
        let url = wire.base_url(config.base_url.as_deref())?;
        let is_vendor = wire.is_vendor(&url);
        if let Some(key) = &key
            && (key.expose().is_empty() || !key.expose().bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(ProviderError::Rejected("the key is empty or has characters that no key has".into()));
        }
        Ok(Self {
            protocol: kinds::protocol(config.kind, &url, is_vendor)?.into(),
            http: http_client(&url, config.timeouts)?,
            timeouts: config.timeouts,
            wire,
            url,
            is_vendor,
            is_streamed: config.stream,
            key,
            windows: Windows::new(config.context_window),
            takes_images: config.takes_images.clone(),
            writers: Arc::new(Semaphore::new(WRITERS_MAX)),
        })
    }

    /// Asks which models are served, and remembers their windows.
    ///
    /// # Errors
    /// Whatever keeps the provider from telling. Dropping the future ends the question.
    pub async fn list_models(&self) -> Result<Vec<ServedModel>, ProviderError> {
        let url = extended(&self.url, self.protocol.list_path())?;
        let models = listing::list_models(&*self.protocol, &self.http, url, self.key.as_ref()).await?;
        self.windows.take_list(&models);
        self.inspect(&models).await;
        Ok(models)
    }

    /// Returns whether this is the vendor's own address rather than something compatible.
    pub fn is_vendor(&self) -> bool {
        self.is_vendor
    }

    /// Says what is wrong with its address, where a request gives it.
    pub(super) fn check_stored(&self, has_key: bool) -> Result<(), ProviderError> {
        address::check_stored(&self.url, has_key).map_err(|what| ProviderError::Rejected(what.to_owned()))
    }

    /// Returns whether its key can be read on the way.
    pub(super) fn shows_its_key(&self) -> bool {
        self.key.is_some() && address::is_in_clear(&self.url)
    }

    /// Returns the model to use at the vendor's own address when nobody names one.
    pub fn vendor_model(&self) -> Option<&'static str> {
        self.wire.vendor_model.filter(|_| self.is_vendor)
    }

    /// Returns the window to assume for a model that nothing is told of.
    fn assumed_tokens(&self, model: &str) -> u32 {
        let known = if self.is_vendor { kinds::vendor_window(model) } else { None };
        known.unwrap_or(self.wire.window_tokens)
    }

    fn window_tokens(&self, model: &str) -> u32 {
        self.windows.tokens(model, self.assumed_tokens(model))
    }

    /// Returns how a model counts images, if it takes any: as configured, else as its server tells, else as is known of the
    /// vendor's. A server of one's own that is not known to take them may refuse the whole request.
    fn image_tokens(&self, model: &str) -> Option<ImageTokens> {
        let configured = self.takes_images.as_ref().map(|takes| takes.holds_for(model));
        let told = || self.windows.takes_images(model);
        let known = || self.is_vendor && kinds::vendor_takes_images(model);
        configured.or_else(told).unwrap_or_else(known).then(|| ImageTokens::of(model))
    }

    fn asked_tokens(&self, model: &str) -> u32 {
        self.windows.asked_tokens(model, self.assumed_tokens(model))
    }

    async fn call(&self, request: ChatRequest, deltas: DeltaSink) -> Result<Answer, ProviderError> {
        let request = Arc::new(request);
        self.check_before(&request).await?;
        let answer = self.call_unchecked(&request, deltas).await?;
        self.check_after(&request, &answer).await?;
        Ok(answer)
    }

    async fn call_unchecked(&self, request: &Arc<ChatRequest>, deltas: DeltaSink) -> Result<Answer, ProviderError> {
        let window_tokens = self.asked_tokens(&request.model);
        let prompt_tokens = || prompt_tokens(request);
        let context = ErrorContext {
            host: self.url.host_str().unwrap_or_default(),
            key: self.key.as_ref(),
            prompt_tokens: &prompt_tokens,
            window_tokens: u64::from(self.window_tokens(&request.model)),
        };
        let protocol = self.protocol.name();
        let post = self.write(request, window_tokens).await?;
        let response = within(self.timeouts.first_byte(), post.send()).await?;
        let response = response.map_err(|error| error::map_transport(&error, &context))?;
        if !response.status().is_success() {
            return Err(error::read_refusal(response, &context).await);
        }
        let listener = Listener { protocol, request, deltas: &deltas, context: &context, timeouts: self.timeouts };
        stream::read(response, self.protocol.framing(), self.protocol.draft(), &listener).await
    }

    async fn write(&self, request: &Arc<ChatRequest>, window_tokens: u32) -> Result<RequestBuilder, ProviderError> {
        let (protocol, is_streamed) = (Arc::clone(&self.protocol), self.is_streamed);
        let (url, body) = if request.messages.iter().all(|message| message.images().is_empty()) {
            written(&*protocol, request, window_tokens, is_streamed)?
        } else {
            let permit = Arc::clone(&self.writers).acquire_owned().await.expect("it is never closed");
            let request = Arc::clone(request);
            let write = move || {
                // A call that is cancelled does not end the writing.
                let _permit = permit;
                written(&*protocol, &request, window_tokens, is_streamed)
            };
            tokio::task::spawn_blocking(write).await.expect("writing a request does not panic")?
        };
        let post = self.http.post(url).header(CONTENT_TYPE, "application/json").body(body);
        Ok(self.protocol.sign(post, self.key.as_ref()))
    }
}

/// Returns where a request goes, and its body. Blocks if there are images to read.
fn written(
    protocol: &dyn Protocol,
    request: &ChatRequest,
    window_tokens: u32,
    is_streamed: bool,
) -> Result<(Url, Vec<u8>), ProviderError> {
    let images = EncodedImages::of(request)?;
    let call = Call { protocol: protocol.name(), request, images: &images, window_tokens, is_streamed };
    Ok((protocol.call_url(&call)?, protocol.body(&call)))
}

impl Provider for HttpProvider {
    fn model_info(&self, model: &str) -> ModelInfo {
        // Some servers name a model by its file: people need its name, not where it lies.
        let short = model.rsplit('/').next().unwrap_or(model);
        ModelInfo {
            window_tokens: self.window_tokens(model),
            tools: true,
            images: self.image_tokens(model),
            label: format!("{short} at {}", self.wire.place(&self.url)),
        }
    }

    fn note(&self, model: &str) -> Option<String> {
        self.windows.note(model, self.assumed_tokens(model))
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

/// Returns an address with a path appended and its query kept, if it has one.
pub(super) fn extended(url: &Url, path: &str) -> Result<Url, ProviderError> {
    let unusable = |_| ProviderError::Rejected("the address cannot be extended".into());
    let mut extended = url.join(path).map_err(unusable)?;
    if url.query().is_some() {
        extended.set_query(url.query());
    }
    Ok(extended)
}

/// Returns the HTTP client for a provider.
fn http_client(url: &Url, timeouts: Timeouts) -> Result<reqwest::Client, ProviderError> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(timeouts.connect())
        // A prompt goes where it was sent and nowhere else.
        .redirect(reqwest::redirect::Policy::none());
    if address::is_loopback(url) {
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
pub(super) async fn find_ollama(base_url: &str) -> Result<(HttpProvider, Vec<ServedModel>), ProviderError> {
    let config = ProviderConfig { base_url: Some(base_url.to_owned()), ..ProviderConfig::new(ProviderKind::Ollama) };
    let provider = HttpProvider::new(&config, None)?;
    let models = provider.list_models().await?;
    Ok((provider, models))
}
