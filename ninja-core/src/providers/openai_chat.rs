//! OpenAI's chat completions: OpenAI itself, llama.cpp, vLLM, and whatever calls itself compatible.
//!
//! - [`request`]: our request as the protocol's.
//! - [`draft`]: its events as our answer; [`tool_calls`] puts calls together from their pieces.

mod draft;
mod request;
mod tool_calls;

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
        protocol::{Call, Draft, Protocol},
    },
};

/// Chat completions at one address.
pub(super) struct Chat {
    url: Url,
    dialect: Dialect,
}

/// Whose chat completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// OpenAI's own: it has renamed the limit of an answer.
    Openai,
    /// Those of most who are compatible.
    Compatible,
    /// DeepSeek's: thinking goes back with the calls that it led to, and a schema is not known, only that JSON is wanted.
    Deepseek,
}

impl Chat {
    /// Returns the protocol at an address up to and with `/v1/`. `is_vendor` says that it is OpenAI's own.
    pub(super) fn new(url: &Url, is_vendor: bool) -> Result<Self, ProviderError> {
        let dialect = if is_vendor { Dialect::Openai } else { Dialect::Compatible };
        Ok(Self { url: extended(url, "chat/completions")?, dialect })
    }

    /// Returns the protocol as DeepSeek speaks it.
    pub(super) fn deepseek(url: &Url) -> Result<Self, ProviderError> {
        Ok(Self { url: extended(url, "chat/completions")?, dialect: Dialect::Deepseek })
    }
}

impl Protocol for Chat {
    fn name(&self) -> &'static str {
        "openai-chat"
    }

    fn call_url(&self, _: &Call<'_>) -> Result<Url, ProviderError> {
        Ok(self.url.clone())
    }

    fn body(&self, call: &Call<'_>) -> Vec<u8> {
        request::body(call, self.dialect)
    }

    fn draft(&self) -> Box<dyn Draft> {
        Box::new(ChatDraft::new(self.dialect))
    }

    fn list_path(&self) -> &'static str {
        "models"
    }

    fn read_list(&self, list: &Value) -> Option<Vec<ServedModel>> {
        // llama.cpp, vLLM, and what several routers call it.
        let windows = ["/meta/n_ctx", "/max_model_len", "/context_length"];
        models(list.get("data"), "id", |model| windows.iter().find_map(|path| model.pointer(path)?.as_u64()))
    }
}
