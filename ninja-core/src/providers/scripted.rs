//! A provider that says what it is told to: for tests, demonstrations and the crash harness.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::{Answer, ChatRequest, DeltaSink, FinishReason, ModelInfo, Provider, ProviderError, ToolCall};
use crate::{api::Usage, machine::estimate_tokens};

/// What a [`Scripted`] provider does with one call.
#[derive(Debug, Clone, PartialEq)]
pub enum ScriptStep {
    /// It answers.
    Answer {
        /// The text, streamed word by word.
        text: String,
        /// The tools it asks for.
        tool_calls: Vec<ToolCall>,
        /// How long it thinks before the first word.
        delay: Duration,
    },
    /// It fails.
    Fail(ProviderError),
    /// It says nothing until the call is cancelled.
    Hang,
}

type Script = dyn Fn(&ChatRequest) -> ScriptStep + Send + Sync;

/// A provider whose answers come from a function of the request.
pub struct Scripted {
    script: Box<Script>,
    calls: AtomicU64,
    window_tokens: u32,
}

impl Scripted {
    /// Returns a provider that does for each call what `script` says.
    pub fn new(script: impl Fn(&ChatRequest) -> ScriptStep + Send + Sync + 'static) -> Self {
        Self { script: Box::new(script), calls: AtomicU64::new(0), window_tokens: 32_768 }
    }

    /// Returns a provider that gives the same text to every call.
    pub fn answering(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::new(move |_| ScriptStep::answer(text.clone()))
    }

    /// Returns a provider that does one step a call, in order, and refuses calls after the last.
    pub fn sequence(steps: impl Into<VecDeque<ScriptStep>>) -> Self {
        let steps = Mutex::new(steps.into());
        Self::new(move |_| {
            let next = steps.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            next.unwrap_or_else(|| ScriptStep::Fail(ProviderError::Rejected("the script is at its end".into())))
        })
    }

    /// Sets the context window that it claims.
    pub fn with_window(mut self, window_tokens: u32) -> Self {
        self.window_tokens = window_tokens;
        self
    }

    /// Returns how many calls were made, whatever became of them.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    async fn act(&self, request: ChatRequest, deltas: DeltaSink) -> Result<Answer, ProviderError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match (self.script)(&request) {
            ScriptStep::Answer { text, tool_calls, delay } => {
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                text.split_inclusive(' ').for_each(|word| deltas(word));
                Ok(answer(&request, text, tool_calls))
            }
            ScriptStep::Fail(error) => Err(error),
            ScriptStep::Hang => std::future::pending().await,
        }
    }
}

impl ScriptStep {
    /// Returns the step that answers with a text at once.
    pub fn answer(text: impl Into<String>) -> Self {
        Self::Answer { text: text.into(), tool_calls: Vec::new(), delay: Duration::ZERO }
    }

    /// Returns the step that asks for tools at once, without a word.
    pub fn tools(tool_calls: Vec<ToolCall>) -> Self {
        Self::Answer { text: String::new(), tool_calls, delay: Duration::ZERO }
    }
}

impl Provider for Scripted {
    fn model_info(&self, _model: &str) -> ModelInfo {
        ModelInfo { window_tokens: self.window_tokens, tools: true, images: None, label: "scripted".into() }
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
                () = cancel.cancelled() => Err(ProviderError::Cancelled),
                result = self.act(request, deltas) => result,
            }
        })
    }

    fn check(&self) -> BoxFuture<'_, Result<String, ProviderError>> {
        Box::pin(async { Ok("follows a script".into()) })
    }
}

/// Returns the answer with tokens counted over the texts, so that the same script costs the same on every run.
fn answer(request: &ChatRequest, text: String, tool_calls: Vec<ToolCall>) -> Answer {
    let usage = Usage {
        input_tokens: request.messages.iter().map(|message| estimate_tokens(message.text())).sum(),
        output_tokens: estimate_tokens(&text),
        model_calls: 1,
        ..Usage::default()
    };
    let finish = if tool_calls.is_empty() { FinishReason::Stop } else { FinishReason::ToolCalls };
    Answer { text, tool_calls, finish, usage, carry: None }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::providers::Message;

    fn request() -> ChatRequest {
        ChatRequest {
            model: "m".into(),
            messages: vec![Message::user("hello")],
            tools: Arc::default(),
            schema: None,
            images: Default::default(),
            max_output_tokens: 10,
        }
    }

    async fn call(provider: &Scripted) -> Result<Answer, ProviderError> {
        provider.chat(request(), Arc::new(|_| {}), CancellationToken::new()).await
    }

    #[tokio::test]
    async fn a_sequence_is_followed_and_ends() {
        let provider =
            Scripted::sequence(vec![ScriptStep::answer("one two"), ScriptStep::Fail(ProviderError::Truncated)]);
        assert_eq!(call(&provider).await.unwrap().text, "one two");
        assert_eq!(call(&provider).await, Err(ProviderError::Truncated));
        assert!(matches!(call(&provider).await, Err(ProviderError::Rejected(_))));
        assert_eq!(provider.calls(), 3);
    }

    #[tokio::test]
    async fn the_deltas_make_the_text() {
        let heard = Arc::new(Mutex::new(String::new()));
        let sink = heard.clone();
        let deltas: DeltaSink = Arc::new(move |delta| sink.lock().unwrap().push_str(delta));
        let answer = Scripted::answering("a b  c").chat(request(), deltas, CancellationToken::new()).await.unwrap();
        assert_eq!(*heard.lock().unwrap(), answer.text);
    }

    #[tokio::test]
    async fn a_hanging_call_ends_when_it_is_cancelled() {
        let provider = Scripted::new(|_| ScriptStep::Hang);
        let cancel = CancellationToken::new();
        let call = provider.chat(request(), Arc::new(|_| {}), cancel.clone());
        let (result, ()) = tokio::join!(call, async { cancel.cancel() });
        assert_eq!(result, Err(ProviderError::Cancelled));
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_passes_on_the_runtime_clock() {
        let delay = Duration::from_secs(60);
        let provider = Scripted::sequence(vec![ScriptStep::Answer { text: "late".into(), tool_calls: vec![], delay }]);
        let start = tokio::time::Instant::now();
        call(&provider).await.unwrap();
        assert_eq!(start.elapsed(), delay);
    }
}
