//! Asking a server what it does with a model, where it would cut what is too long without a word.
//!
//! Before a call: what the model was made for, so that no more is asked for. After it: what the server gave it, so that an
//! answer to half a prompt is none. What a server does not tell keeps no call from being made.

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::{
    HttpProvider, extended,
    listing::{self, LIST_TIMEOUT, ServedModel},
    protocol::Inspection,
};
use crate::providers::{Answer, ChatRequest, ProviderError, http::answer::prompt_tokens};

/// Models that are asked for at a time.
const CONCURRENCY: usize = 4;

impl HttpProvider {
    /// Asks for each of the models, as long as that takes no longer than to list them.
    pub(super) async fn inspect(&self, models: &[ServedModel]) {
        let mut asked = Vec::new();
        for model in models {
            asked.push(self.learn(&model.name));
        }
        let all = stream::iter(asked).buffer_unordered(CONCURRENCY).collect::<()>();
        tokio::time::timeout(LIST_TIMEOUT, all).await.ok();
    }

    /// Asks what a model was made for.
    async fn learn(&self, model: &str) {
        let Some(inspection) = self.protocol.inspection() else { return };
        let Ok(url) = extended(&self.url, inspection.details_path()) else { return };
        if let Some(told) = self.told(self.http.post(url).json(&json!({ "model": model }))).await {
            self.windows.take_details(model, inspection.read_details(&told));
        }
    }

    /// Refuses a prompt that its model's window does not take, which no server would.
    ///
    /// # Errors
    /// [`ProviderError::PromptTooLarge`].
    pub(super) async fn check_before(&self, request: &ChatRequest) -> Result<(), ProviderError> {
        if self.protocol.inspection().is_none() {
            return Ok(());
        }
        if self.windows.details(&request.model).is_none() {
            self.learn(&request.model).await;
        }
        let (tokens, window) = (prompt_tokens(request), u64::from(self.window_tokens(&request.model)));
        if tokens > window { Err(ProviderError::PromptTooLarge { tokens, window }) } else { Ok(()) }
    }

    /// Refuses an answer that was made with a smaller window than was asked for, and did not fit it.
    ///
    /// # Errors
    /// [`ProviderError::PromptTooLarge`]. The next prompts are held to the smaller window.
    pub(super) async fn check_after(&self, request: &ChatRequest, answer: &Answer) -> Result<(), ProviderError> {
        let Some(inspection) = self.protocol.inspection() else { return Ok(()) };
        let Some(loaded) = self.loaded_tokens(inspection, &request.model).await else { return Ok(()) };
        self.windows.take_loaded(&request.model, loaded);
        if loaded >= self.asked_tokens(&request.model) {
            return Ok(());
        }
        // What a server counts of a prompt that it cut is what was left of it.
        let prompt = prompt_tokens(request).max(answer.usage.input_tokens);
        let (tokens, window) = (prompt + answer.usage.output_tokens, u64::from(loaded));
        if tokens > window { Err(ProviderError::PromptTooLarge { tokens, window }) } else { Ok(()) }
    }

    async fn loaded_tokens(&self, inspection: &dyn Inspection, model: &str) -> Option<u32> {
        let url = extended(&self.url, inspection.loaded_path()).ok()?;
        inspection.read_loaded(&self.told(self.http.get(url)).await?, model)
    }

    async fn told(&self, request: reqwest::RequestBuilder) -> Option<Value> {
        let request = self.protocol.sign(request, self.key.as_ref());
        let host = self.url.host_str().unwrap_or_default();
        listing::ask(request, host, self.key.as_ref()).await.ok().flatten()
    }
}
