//! OpenAI's responses: <https://platform.openai.com/docs/api-reference/responses>. Nothing is kept at the server.
//!
//! - [`request`]: our request as the protocol's.
//! - [`draft`]: its events as our answer.

mod draft;
mod request;

use reqwest::Url;
use serde_json::Value;

use self::draft::ResponseDraft;
use super::{
    ProviderError,
    http::{
        extended,
        listing::{ServedModel, models},
        protocol::{Call, Draft, Protocol},
    },
};

/// Responses at one address.
pub(super) struct Responses {
    url: Url,
    is_vendor: bool,
}

impl Responses {
    /// Returns the protocol at an address up to and with `/v1/`. `is_vendor` says that it is OpenAI's own.
    pub(super) fn new(url: &Url, is_vendor: bool) -> Result<Self, ProviderError> {
        Ok(Self { url: extended(url, "responses")?, is_vendor })
    }
}

impl Protocol for Responses {
    fn name(&self) -> &'static str {
        "openai-responses"
    }

    fn call_url(&self, _: &Call<'_>) -> Result<Url, ProviderError> {
        Ok(self.url.clone())
    }

    fn body(&self, call: &Call<'_>) -> Vec<u8> {
        request::body(call, self.is_vendor)
    }

    fn draft(&self) -> Box<dyn Draft> {
        Box::new(ResponseDraft::default())
    }

    fn list_path(&self) -> &'static str {
        "models"
    }

    fn read_list(&self, list: &Value) -> Option<Vec<ServedModel>> {
        models(list.get("data"), "id", |_| None)
    }
}
