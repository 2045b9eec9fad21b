//! Asking a server what it does with a model, where it would cut what is too long without a word.
//!
//! Before a call: what the model was made for, so that no more is asked for. After it: what the server gave it, so that an
//! answer to half a prompt is none. What a server does not tell keeps no call from being made.

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::{
    HttpProvider, extended,
    listing::{self, LIST_TIMEOUT, ServedModel},
    protocol::{Details, Inspection},
};
use crate::providers::{Answer, ChatRequest, ProviderError, http::answer::prompt_tokens};

/// Models that are asked for at a time.
const CONCURRENCY: usize = 4;
/// An estimate is not off by more than this: a server that counts less than that cut the prompt and counted what was left.
const ESTIMATE_OFF_MAX: u64 = 3;

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

    /// Asks what a model was made for. A server that has no answer to that is not asked before every call.
    async fn learn(&self, model: &str) {
        let Some(inspection) = self.protocol.inspection() else { return };
        let Ok(url) = extended(&self.url, inspection.details_path()) else { return };
        match self.told(self.http.post(url).json(&json!({ "model": model }))).await {
            Ok(told) => self.windows.take_details(model, inspection.read_details(&told.unwrap_or_default())),
            Err(ProviderError::Rejected(_)) => self.windows.take_details(model, Details::default()),
            Err(_) => {}
        }
    }

    /// Refuses a prompt that its model's window does not take, which no server would.
    ///
    /// # Errors
    /// [`ProviderError::PromptTooLarge`].
    pub(super) async fn check_before(&self, request: &ChatRequest) -> Result<(), ProviderError> {
        let Some(inspection) = self.protocol.inspection() else { return Ok(()) };
        let model = &request.model;
        if self.windows.details(model).is_none() {
            self.learn(model).await;
        }
        let tokens = prompt_tokens(request);
        let takes = |window: u32| tokens <= u64::from(window);
        // What it was loaded with before may be over: somebody else asked for less then, or there was less memory.
        if !takes(self.window_tokens(model))
            && takes(self.asked_tokens(model))
            && let Some(loaded) = self.ask_loaded(inspection, model).await
        {
            self.windows.take_loaded(model, loaded);
        }
        let window = self.window_tokens(model);
        if takes(window) { Ok(()) } else { Err(ProviderError::PromptTooLarge { tokens, window: window.into() }) }
    }

    /// Refuses an answer that was made with a smaller window than was asked for, and did not fit it.
    ///
    /// # Errors
    /// [`ProviderError::PromptTooLarge`]. The next prompts are held to the smaller window.
    pub(super) async fn check_after(&self, request: &ChatRequest, answer: &Answer) -> Result<(), ProviderError> {
        let Some(inspection) = self.protocol.inspection() else { return Ok(()) };
        let Some(Some(loaded)) = self.ask_loaded(inspection, &request.model).await else { return Ok(()) };
        let is_believed = counted(answer).is_none_or(|counted| counted <= u64::from(loaded));
        // Who took more than that has not loaded it with that.
        self.windows.take_loaded(&request.model, Some(loaded).filter(|_| is_believed));
        if !is_believed || loaded >= self.asked_tokens(&request.model) {
            return Ok(());
        }
        let prompt = size_of_prompt(prompt_tokens(request), counted(answer));
        let (tokens, window) = (prompt + answer.usage.output_tokens, u64::from(loaded));
        if tokens > window { Err(ProviderError::PromptTooLarge { tokens, window }) } else { Ok(()) }
    }

    /// Asks with what window a model is loaded: `None` if nobody answers, and nothing within where it is not.
    async fn ask_loaded(&self, inspection: &dyn Inspection, model: &str) -> Option<Option<u32>> {
        let url = extended(&self.url, inspection.loaded_path()).ok()?;
        let list = self.told(self.http.get(url)).await.ok()??;
        Some(inspection.read_loaded(&list, model))
    }

    async fn told(&self, request: reqwest::RequestBuilder) -> Result<Option<Value>, ProviderError> {
        let request = self.protocol.sign(request, self.key.as_ref());
        let host = self.url.host_str().unwrap_or_default();
        listing::ask(request, host, self.key.as_ref()).await
    }
}

/// Returns what the server counted of a prompt, if it did.
fn counted(answer: &Answer) -> Option<u64> {
    Some(answer.usage.input_tokens).filter(|tokens| *tokens > 0 && answer.usage.estimated_tokens == 0)
}

/// Returns the size of a prompt: as its server counted it, except where that is so little that it must have been cut before.
fn size_of_prompt(estimated: u64, counted: Option<u64>) -> u64 {
    counted.filter(|counted| estimated <= counted.saturating_mul(ESTIMATE_OFF_MAX)).unwrap_or(estimated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_as_large_as_its_server_says_unless_it_was_cut() {
        for (estimated, counted, size) in
            [(3_000, None, 3_000), (3_000, Some(1_500), 1_500), (3_000, Some(999), 3_000), (100, Some(3_000), 3_000)]
        {
            assert_eq!(size_of_prompt(estimated, counted), size, "{estimated} {counted:?}");
        }
    }
}
