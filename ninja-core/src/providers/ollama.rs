//! Ollama's own API: <https://docs.ollama.com/api/chat>. Its OpenAI-compatible face cannot be told how large a window is, and
//! then cuts what is longer at the front without a word.
//!
//! - [`request`]: our request as the protocol's.
//! - [`draft`]: its lines as our answer.
//! - [`inspection`]: what it tells of a model, and of what it does with it.

mod draft;
mod inspection;
mod request;

#[cfg(test)]
mod tests;

use reqwest::Url;
use serde_json::Value;

use self::draft::ChatDraft;
use super::{
    ProviderError,
    http::{
        extended,
        listing::{ServedModel, models},
        protocol::{Call, Draft, Framing, Inspection, Protocol},
    },
};

/// Ollama at one address.
pub(super) struct Ollama {
    url: Url,
}

impl Ollama {
    /// Returns the protocol at a server's address.
    pub(super) fn new(url: &Url) -> Result<Self, ProviderError> {
        Ok(Self { url: extended(url, "api/chat")? })
    }
}

impl Protocol for Ollama {
    fn name(&self) -> &'static str {
        "ollama"
    }

    fn call_url(&self, _: &Call<'_>) -> Result<Url, ProviderError> {
        Ok(self.url.clone())
    }

    fn body(&self, call: &Call<'_>) -> Vec<u8> {
        request::body(call)
    }

    fn draft(&self) -> Box<dyn Draft> {
        Box::new(ChatDraft::default())
    }

    fn framing(&self) -> Framing {
        Framing::Lines
    }

    fn list_path(&self) -> &'static str {
        "api/tags"
    }

    fn read_list(&self, list: &Value) -> Option<Vec<ServedModel>> {
        models(list.get("models"), "name", |_| None)
    }

    fn inspection(&self) -> Option<&dyn Inspection> {
        Some(self)
    }
}
