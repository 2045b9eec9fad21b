//! The events of a stream as one answer.

use serde::Deserialize;
use serde_json::Value;

use super::{Dialect, tool_calls::Pieces};
use crate::providers::{
    Answer, ProviderError,
    http::{
        answer::{Counted, carry, finish_reason, is_cut},
        error,
        protocol::{Draft, Listener},
        stream::{ANSWER_BYTES_MAX, too_large},
    },
};

/// The data of the last event.
const DONE: &str = "[DONE]";

/// One event, or an answer that came whole.
#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Value>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    /// Only where the answer came whole.
    message: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    reasoning_content: Option<String>,
    tool_calls: Option<Vec<Value>>,
}

/// What came so far.
pub(super) struct ChatDraft {
    dialect: Dialect,
    text: String,
    thinking: String,
    tool_calls: Pieces,
    reason: Option<String>,
    usage: Option<Value>,
}

impl ChatDraft {
    /// Returns the place of an answer in a dialect.
    pub(super) fn new(dialect: Dialect) -> Self {
        let (text, thinking, tool_calls) = (String::new(), String::new(), Pieces::default());
        Self { dialect, text, thinking, tool_calls, reason: None, usage: None }
    }
}

impl Draft for ChatDraft {
    fn take_in(&mut self, data: &str, listener: &Listener<'_>) -> Result<bool, ProviderError> {
        if data == DONE {
            return Ok(true);
        }
        // An event that is no JSON is one that was cut, or of a server gone mad; another try tells which.
        let chunk: Chunk = serde_json::from_str(data).map_err(|_| ProviderError::Truncated)?;
        if let Some(told) = chunk.error {
            return Err(error::map_event(told, listener.context));
        }
        self.usage = chunk.usage.or(self.usage.take());
        let Some(choice) = chunk.choices.and_then(|choices| choices.into_iter().next()) else { return Ok(false) };
        self.reason = choice.finish_reason.or(self.reason.take());
        let is_whole = choice.message.is_some();
        let Some(delta) = choice.message.or(choice.delta) else { return Ok(false) };
        if let Some(text) = delta.content.filter(|text| !text.is_empty()) {
            self.text.push_str(&text);
            (listener.deltas)(&text);
        }
        self.thinking.push_str(&delta.reasoning_content.unwrap_or_default());
        for (place, piece) in (0..).zip(delta.tool_calls.iter().flatten()) {
            self.tool_calls.add(is_whole.then_some(place), piece);
        }
        let bytes = self.text.len() + self.thinking.len() + self.tool_calls.args_bytes();
        let is_too_large = bytes > ANSWER_BYTES_MAX;
        if is_too_large || self.tool_calls.are_too_many() { Err(too_large()) } else { Ok(is_whole) }
    }

    fn finish(mut self: Box<Self>, listener: &Listener<'_>) -> Result<Answer, ProviderError> {
        let is_cut = is_cut(self.reason.as_deref());
        let tool_calls = self.tool_calls.finish(listener.request, is_cut);
        let finish = finish_reason(self.reason.as_deref(), !tool_calls.is_empty())?;
        let wants_back = self.dialect == Dialect::Deepseek && !tool_calls.is_empty() && !self.thinking.is_empty();
        let carry = if wants_back { carry(Value::String(self.thinking), listener) } else { None };
        let answer = counted(self.usage.as_ref()).answer(self.text, tool_calls, finish, listener);
        Ok(Answer { carry, ..answer })
    }
}

fn counted(usage: Option<&Value>) -> Counted {
    let count = |path: &str| usage?.pointer(path)?.as_u64();
    Counted {
        input: count("/prompt_tokens"),
        output: count("/completion_tokens"),
        // DeepSeek has a field of its own.
        cached: count("/prompt_tokens_details/cached_tokens").or_else(|| count("/prompt_cache_hit_tokens")),
        reasoning: count("/completion_tokens_details/reasoning_tokens"),
    }
}
