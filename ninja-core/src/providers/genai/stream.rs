//! The events of a stream as one answer, or as none.
//!
//! What came counts only with its final event and a reason to stop: genai ends a cut stream silently, and some servers
//! end one properly after they failed.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use genai::chat::{
    ChatFrameSink, ChatStream, ChatStreamEvent, FrameCtx, RawFrameRef, StopReason, StreamEnd, Usage as GenaiUsage,
};

use super::super::{Answer, ChatRequest, DeltaSink, FinishReason, ProviderError};
use super::{
    error::{self, ErrorContext},
    request::call_tokens,
    tool_calls::Pieces,
};
use crate::{api::Usage, machine::estimate_tokens};

/// A large model behind a queue, or a small one reading a long prompt, may take this long to say its first word.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(120);
/// Between words no provider pauses longer; those that think in silence send comments, which count.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// More than any model writes at once: a stream beyond it is broken and would only take memory.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What was heard on the wire below genai's events: that something came at all, and the pieces of tool calls.
#[derive(Default)]
pub(super) struct Frames {
    count: AtomicU64,
    tool_calls: Mutex<Pieces>,
}

impl Frames {
    fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    fn tool_calls(&self) -> std::sync::MutexGuard<'_, Pieces> {
        self.tool_calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChatFrameSink for Frames {
    fn on_frame(&self, _ctx: &FrameCtx, frame: RawFrameRef<'_>) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.tool_calls().read_frame(frame.data);
    }
}

/// Reads a stream to its end. Dropping the future drops the stream and closes its connection.
///
/// # Errors
/// [`ProviderError::Truncated`] if it ends without its final event; what the provider says, if it fails.
pub(super) async fn read(
    mut stream: ChatStream,
    frames: &Frames,
    request: &ChatRequest,
    deltas: &DeltaSink,
    context: &ErrorContext<'_>,
) -> Result<Answer, ProviderError> {
    let mut text = String::new();
    let mut patience = Patience { frames, heard: 0, limit: FIRST_BYTE_TIMEOUT };
    loop {
        match patience.next(&mut stream).await? {
            None => return Err(ProviderError::Truncated),
            Some(Err(error)) => return Err(error::map(error, context)),
            Some(Ok(ChatStreamEvent::End(end))) => return finish(end, text, frames, request, context),
            Some(Ok(ChatStreamEvent::Chunk(chunk))) => {
                text.push_str(&chunk.content);
                deltas(&chunk.content);
            }
            // Thoughts are not part of the answer; pieces of tool calls were taken from the frames.
            Some(Ok(
                ChatStreamEvent::Start
                | ChatStreamEvent::ReasoningChunk(_)
                | ChatStreamEvent::ThoughtSignatureChunk(_)
                | ChatStreamEvent::ToolCallChunk(_)
                | ChatStreamEvent::Heartbeat,
            )) => {}
        }
        let calls = frames.tool_calls();
        if text.len() + calls.args_bytes() > ANSWER_BYTES_MAX || calls.are_too_many() {
            return Err(ProviderError::Rejected("the answer is larger than any may be".into()));
        }
    }
}

/// Waits for events, and gives up when nothing at all came for too long.
struct Patience<'a> {
    frames: &'a Frames,
    heard: u64,
    limit: Duration,
}

impl Patience<'_> {
    async fn next(&mut self, stream: &mut ChatStream) -> Result<Option<genai::Result<ChatStreamEvent>>, ProviderError> {
        loop {
            if let Ok(event) = tokio::time::timeout(self.limit, stream.next()).await {
                // genai's first event says only that it begins.
                if self.frames.count() > 0 {
                    self.limit = IDLE_TIMEOUT;
                }
                self.heard = self.frames.count();
                return Ok(event);
            }
            let count = self.frames.count();
            if count == self.heard {
                let seconds = self.limit.as_secs();
                return Err(ProviderError::Unavailable(format!("nothing came for {seconds} seconds")));
            }
            (self.heard, self.limit) = (count, IDLE_TIMEOUT);
        }
    }
}

fn finish(
    end: StreamEnd,
    text: String,
    frames: &Frames,
    request: &ChatRequest,
    context: &ErrorContext<'_>,
) -> Result<Answer, ProviderError> {
    let is_cut = matches!(end.captured_stop_reason, Some(StopReason::MaxTokens(_)));
    let tool_calls = frames.tool_calls().finish(request, is_cut);
    let finish = finish_reason(end.captured_stop_reason, !tool_calls.is_empty())?;
    let output_tokens = estimate_tokens(&text) + call_tokens(&tool_calls);
    let usage = usage(end.captured_usage, context.prompt_tokens, output_tokens);
    Ok(Answer { text, tool_calls, finish, usage })
}

/// Returns why the model stopped. Some servers say `stop` where they mean tools, or tools where there are none.
fn finish_reason(reason: Option<StopReason>, has_calls: bool) -> Result<FinishReason, ProviderError> {
    let done = if has_calls { FinishReason::ToolCalls } else { FinishReason::Stop };
    match reason {
        Some(StopReason::Completed(_) | StopReason::StopSequence(_) | StopReason::ToolCall(_)) => Ok(done),
        Some(StopReason::MaxTokens(_)) => Ok(FinishReason::Length),
        Some(StopReason::ContentFilter(_)) => {
            Err(ProviderError::Rejected("the provider's content filter stopped the answer".into()))
        }
        Some(StopReason::Other(reason)) if matches!(reason.as_str(), "eos" | "eos_token") => Ok(done),
        // A final event without a reason, or with one such as `error`: the server gave up.
        Some(StopReason::Other(_)) | None => Err(ProviderError::Truncated),
    }
}

/// Returns what the provider counted; what it did not is estimated and says so.
fn usage(told: Option<GenaiUsage>, prompt_tokens: impl Fn() -> u64, output_tokens: u64) -> Usage {
    let count = |tokens: Option<i32>| tokens.and_then(|tokens| u64::try_from(tokens).ok());
    let told = told.unwrap_or_default();
    let mut usage = Usage { model_calls: 1, ..Usage::default() };
    usage.input_tokens = count(told.prompt_tokens).unwrap_or_else(|| {
        let estimated = prompt_tokens();
        usage.estimated_tokens += estimated;
        estimated
    });
    usage.output_tokens = count(told.completion_tokens).unwrap_or_else(|| {
        usage.estimated_tokens += output_tokens;
        output_tokens
    });
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reason_to_stop_makes_an_answer() {
        let reason = |reason: &str, has_calls| finish_reason(Some(StopReason::from(reason.to_owned())), has_calls);
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
        let told = GenaiUsage { prompt_tokens: Some(7), completion_tokens: Some(3), ..GenaiUsage::default() };
        let exact = Usage { input_tokens: 7, output_tokens: 3, model_calls: 1, ..Usage::default() };
        assert_eq!(usage(Some(told.clone()), || 9, 9), exact);
        let half = GenaiUsage { completion_tokens: None, ..told };
        assert_eq!(usage(Some(half), || 9, 4), Usage { output_tokens: 4, estimated_tokens: 4, ..exact });
        assert_eq!(usage(None, || 9, 4), Usage { input_tokens: 9, output_tokens: 4, estimated_tokens: 13, ..exact });
    }
}
