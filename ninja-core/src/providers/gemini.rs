//! Google's Gemini: <https://ai.google.dev/api/generate-content>.
//!
//! - [`request`]: our request as the protocol's.
//! - [`draft`]: its chunks as our answer.

mod draft;
mod request;

use reqwest::{RequestBuilder, Url};
use serde_json::Value;

use self::draft::ContentDraft;
use super::{
    ProviderError, Secret,
    http::{
        listing::{ServedModel, models},
        protocol::{Call, Draft, Protocol},
    },
};

/// Gemini at one address.
pub(super) struct Gemini {
    url: Url,
}

impl Gemini {
    /// Returns the protocol at an address up to and with `/v1beta/`.
    pub(super) fn new(url: &Url) -> Self {
        Self { url: url.clone() }
    }
}

impl Protocol for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    /// The model is part of the path, and no more than one part of it, whatever its name.
    fn call_url(&self, call: &Call<'_>) -> Result<Url, ProviderError> {
        let verb = if call.is_streamed { "streamGenerateContent" } else { "generateContent" };
        let model = call.request.model.strip_prefix("models/").unwrap_or(&call.request.model);
        let mut url = self.url.clone();
        url.path_segments_mut()
            .map_err(|()| ProviderError::Rejected("the address cannot be extended".into()))?
            .pop_if_empty()
            .push("models")
            .push(&format!("{model}:{verb}"));
        if call.is_streamed {
            url.query_pairs_mut().append_pair("alt", "sse");
        }
        Ok(url)
    }

    fn body(&self, call: &Call<'_>) -> Vec<u8> {
        request::body(call)
    }

    fn draft(&self) -> Box<dyn Draft> {
        Box::new(ContentDraft::default())
    }

    fn sign(&self, request: RequestBuilder, key: Option<&Secret>) -> RequestBuilder {
        match key {
            Some(key) => request.header("x-goog-api-key", key.header()),
            None => request,
        }
    }

    fn list_path(&self) -> &'static str {
        "models?pageSize=1000"
    }

    fn read_list(&self, list: &Value) -> Option<Vec<ServedModel>> {
        let models = models(list.get("models"), "name", |model| model.get("inputTokenLimit")?.as_u64())?;
        let short = |model: ServedModel| ServedModel {
            name: model.name.strip_prefix("models/").unwrap_or(&model.name).to_owned(),
            ..model
        };
        Some(models.into_iter().map(short).collect())
    }
}
