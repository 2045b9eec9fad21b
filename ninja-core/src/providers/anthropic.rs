//! Anthropic's messages: Anthropic itself, llama.cpp, and gateways that speak it.
//!
//! - [`request`]: our request as the protocol's.
//! - [`draft`]: its events as our answer.

mod draft;
mod request;

use reqwest::{RequestBuilder, Url};
use serde_json::Value;

use self::draft::MessageDraft;
use super::{
    ProviderError, Secret,
    http::{
        extended,
        listing::{ServedModel, models},
        protocol::{Call, Draft, Protocol},
    },
};

/// The version of the API that is spoken: <https://platform.claude.com/docs/en/api/versioning>.
const VERSION: &str = "2023-06-01";

/// Messages at one address.
pub(super) struct Messages {
    url: Url,
}

impl Messages {
    /// Returns the protocol at an address up to and with `/v1/`.
    pub(super) fn new(url: &Url) -> Result<Self, ProviderError> {
        Ok(Self { url: extended(url, "messages")? })
    }
}

impl Protocol for Messages {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn call_url(&self, _: &Call<'_>) -> Result<Url, ProviderError> {
        Ok(self.url.clone())
    }

    fn body(&self, call: &Call<'_>) -> Vec<u8> {
        request::body(call)
    }

    fn draft(&self) -> Box<dyn Draft> {
        Box::new(MessageDraft::default())
    }

    fn sign(&self, request: RequestBuilder, key: Option<&Secret>) -> RequestBuilder {
        let request = request.header("anthropic-version", VERSION);
        match key {
            Some(key) => request.header("x-api-key", key.header()),
            None => request,
        }
    }

    fn list_path(&self) -> &'static str {
        "models?limit=1000"
    }

    fn read_list(&self, list: &Value) -> Option<Vec<ServedModel>> {
        models(list.get("data"), "id", |model| model.get("max_input_tokens")?.as_u64())
    }
}
