//! The events of a stream as one answer, or as none.
//!
//! What came counts only with its final event and a reason to stop: a cut stream ends like a whole one, and some servers
//! end one properly after they failed.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::Value;
use sse_stream::SseByteStream;

use super::super::{Answer, ChatRequest, DeltaSink, FinishReason, ProviderError};
use super::{
    error::{self, ErrorContext},
    request::call_tokens,
    tool_calls::Pieces,
};
use crate::{api::Usage, machine::estimate_tokens};

/// A large model behind a queue, or a small one reading a long prompt, may take this long to say its first word.
pub(super) const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(120);
/// Between words no provider pauses longer; those that think in silence send comments, which count.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// More than any model writes at once: a stream beyond it is broken and would only take memory.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The same for what carries the answer: some 300 bytes for each token.
const STREAM_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The data of the last event.
const DONE: &str = "[DONE]";

/// One event.
#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Value>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    tool_calls: Option<Vec<Value>>,
}

/// What came so far.
#[derive(Default)]
struct Draft {
    text: String,
    tool_calls: Pieces,
    reason: Option<String>,
    usage: Option<Value>,
}

/// Reads a stream to its end. Dropping the future closes its connection.
///
/// # Errors
/// [`ProviderError::Truncated`] if it ends without its final event; what the provider says, if it fails.
pub(super) async fn read(
    response: reqwest::Response,
    request: &ChatRequest,
    deltas: &DeltaSink,
    context: &ErrorContext<'_>,
) -> Result<Answer, ProviderError> {
    // Some servers leave out the empty line after the last event; after half an event it makes no whole one.
    let end = stream::iter([Ok(Bytes::from_static(b"\n\n"))]);
    let mut events = pin!(SseByteStream::new(patient(response, context).chain(end)));
    let mut draft = Draft::default();
    while let Some(event) = events.next().await {
        let data = event.map_err(error::map_event_stream)?.data.unwrap_or_default();
        if data == DONE {
            // What ends the body has mostly come too; a body read to its end leaves its connection to the next call.
            events.next().now_or_never();
            return draft.finish(request, context);
        }
        draft.take_in(&data, deltas, context)?;
    }
    Err(ProviderError::Truncated)
}

/// Returns the bytes of a response, and gives up when none came for too long.
fn patient(
    response: reqwest::Response,
    context: &ErrorContext<'_>,
) -> impl Stream<Item = Result<Bytes, ProviderError>> {
    stream::try_unfold((response, FIRST_BYTE_TIMEOUT, 0), move |(mut response, limit, read)| async move {
        let chunk = within(limit, response.chunk()).await?.map_err(|error| error::map_transport(&error, context))?;
        let Some(chunk) = chunk else { return Ok(None) };
        let read = read + chunk.len();
        if read > STREAM_BYTES_MAX { Err(too_large()) } else { Ok(Some((chunk, (response, IDLE_TIMEOUT, read)))) }
    })
}

/// Waits for a server so long and no longer.
///
/// # Errors
/// [`ProviderError::Unavailable`] when the time is up.
pub(super) async fn within<T>(limit: Duration, heard: impl Future<Output = T>) -> Result<T, ProviderError> {
    let silent = |_| ProviderError::Unavailable(format!("nothing came for {} seconds", limit.as_secs()));
    tokio::time::timeout(limit, heard).await.map_err(silent)
}

fn too_large() -> ProviderError {
    ProviderError::Rejected("the answer is larger than any may be".into())
}

impl Draft {
    /// Takes in the data of one event.
    fn take_in(&mut self, data: &str, deltas: &DeltaSink, context: &ErrorContext<'_>) -> Result<(), ProviderError> {
        if data.is_empty() {
            return Ok(());
        }
        // An event that is no JSON is one that was cut, or of a server gone mad; another try tells which.
        let chunk: Chunk = serde_json::from_str(data).map_err(|_| ProviderError::Truncated)?;
        if let Some(told) = chunk.error {
            return Err(error::map_event(told, context));
        }
        self.usage = chunk.usage.or(self.usage.take());
        let Some(choice) = chunk.choices.and_then(|choices| choices.into_iter().next()) else { return Ok(()) };
        self.reason = choice.finish_reason.or(self.reason.take());
        let Some(delta) = choice.delta else { return Ok(()) };
        if let Some(text) = delta.content.filter(|text| !text.is_empty()) {
            self.text.push_str(&text);
            deltas(&text);
        }
        delta.tool_calls.iter().flatten().for_each(|piece| self.tool_calls.add(piece));
        let is_too_large = self.text.len() + self.tool_calls.args_bytes() > ANSWER_BYTES_MAX;
        if is_too_large || self.tool_calls.are_too_many() { Err(too_large()) } else { Ok(()) }
    }

    fn finish(mut self, request: &ChatRequest, context: &ErrorContext<'_>) -> Result<Answer, ProviderError> {
        let is_cut = self.reason.as_deref().is_some_and(is_length);
        let tool_calls = self.tool_calls.finish(request, is_cut);
        let finish = finish_reason(self.reason.as_deref(), !tool_calls.is_empty())?;
        let output_tokens = estimate_tokens(&self.text) + call_tokens(&tool_calls);
        let usage = usage(self.usage.as_ref(), context.prompt_tokens, output_tokens);
        Ok(Answer { text: self.text, tool_calls, finish, usage })
    }
}

fn is_length(reason: &str) -> bool {
    matches!(reason, "length" | "max_tokens" | "model_length")
}

/// Returns why the model stopped. Some servers say `stop` where they mean tools, or tools where there are none, and
/// gateways pass on other vendors' words.
fn finish_reason(reason: Option<&str>, has_calls: bool) -> Result<FinishReason, ProviderError> {
    match reason {
        Some(
            "stop" | "stop_sequence" | "end_turn" | "eos" | "eos_token" | "tool_calls" | "tool_use" | "function_call",
        ) => Ok(if has_calls { FinishReason::ToolCalls } else { FinishReason::Stop }),
        Some(reason) if is_length(reason) => Ok(FinishReason::Length),
        Some("content_filter" | "refusal") => {
            Err(ProviderError::Rejected("the provider's content filter stopped the answer".into()))
        }
        // A final event without a reason, or with one such as `error`: the server gave up.
        Some(_) | None => Err(ProviderError::Truncated),
    }
}

/// Returns what the provider counted; what it did not is estimated and says so.
fn usage(told: Option<&Value>, prompt_tokens: impl Fn() -> u64, output_tokens: u64) -> Usage {
    let count = |field: &str| told?.get(field)?.as_u64();
    let mut usage = Usage { model_calls: 1, ..Usage::default() };
    usage.input_tokens = count("prompt_tokens").unwrap_or_else(|| {
        let estimated = prompt_tokens();
        usage.estimated_tokens += estimated;
        estimated
    });
    usage.output_tokens = count("completion_tokens").unwrap_or_else(|| {
        usage.estimated_tokens += output_tokens;
        output_tokens
    });
    usage
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_reason_to_stop_makes_an_answer() {
        let reason = |reason: &str, has_calls| finish_reason(Some(reason), has_calls);
        assert_eq!(reason("stop", false), Ok(FinishReason::Stop));
        assert_eq!(reason("stop", true), Ok(FinishReason::ToolCalls));
        assert_eq!(reason("tool_calls", true), Ok(FinishReason::ToolCalls));
        assert_eq!(reason("tool_calls", false), Ok(FinishReason::Stop));
        assert_eq!(reason("length", true), Ok(FinishReason::Length));
        assert_eq!(reason("error", false), Err(ProviderError::Truncated));
        assert_eq!(finish_reason(None, true), Err(ProviderError::Truncated));
        assert!(matches!(reason("content_filter", false), Err(ProviderError::Rejected(_))));
    }

    #[test]
    fn what_is_not_told_is_estimated() {
        let told = json!({ "prompt_tokens": 7, "completion_tokens": 3 });
        let exact = Usage { input_tokens: 7, output_tokens: 3, model_calls: 1, ..Usage::default() };
        assert_eq!(usage(Some(&told), || 9, 9), exact);
        let half = json!({ "prompt_tokens": 7, "completion_tokens": -1 });
        assert_eq!(usage(Some(&half), || 9, 4), Usage { output_tokens: 4, estimated_tokens: 4, ..exact });
        assert_eq!(usage(None, || 9, 4), Usage { input_tokens: 9, output_tokens: 4, estimated_tokens: 13, ..exact });
    }
}
