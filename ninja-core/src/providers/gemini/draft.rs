//! The chunks of a stream as one answer. There is no last event: an answer is whole when its stream ends after a reason.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::providers::{
    Answer, ProviderError, ToolCall,
    http::{
        answer::{CALLS_MAX, Counted, Ids, carry, finish_reason},
        error,
        protocol::{Draft, Listener},
        stream::{ANSWER_BYTES_MAX, too_large},
    },
};

/// One chunk, or an answer that came whole.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk {
    candidates: Option<Vec<Candidate>>,
    usage_metadata: Option<UsageMetadata>,
    prompt_feedback: Option<Value>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    content: Option<Content>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    parts: Option<Vec<Part>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    text: Option<String>,
    #[serde(default)]
    thought: bool,
    function_call: Option<FunctionCall>,
    thought_signature: Option<String>,
}

#[derive(Deserialize)]
struct FunctionCall {
    id: Option<String>,
    name: String,
    args: Option<Value>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsageMetadata {
    prompt_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
}

/// What came so far.
#[derive(Default)]
pub(super) struct ContentDraft {
    text: String,
    calls: Vec<FunctionCall>,
    /// The parts in their order, for those that were signed.
    parts: Vec<Value>,
    is_signed: bool,
    bytes: usize,
    reason: Option<String>,
    usage: UsageMetadata,
}

impl Draft for ContentDraft {
    fn take_in(&mut self, data: &str, listener: &Listener<'_>) -> Result<bool, ProviderError> {
        let chunk: Chunk = serde_json::from_str(data).map_err(|_| ProviderError::Truncated)?;
        if let Some(told) = chunk.error {
            return Err(error::map_event(told, listener.context));
        }
        if let Some(reason) = chunk.prompt_feedback.as_ref().and_then(|feedback| feedback.get("blockReason")) {
            return Err(ProviderError::Rejected(format!("the provider blocked the prompt: {reason}")));
        }
        self.count(chunk.usage_metadata);
        let Some(candidate) = chunk.candidates.and_then(|all| all.into_iter().next()) else { return Ok(false) };
        self.reason = candidate.finish_reason.or(self.reason.take());
        for part in candidate.content.and_then(|content| content.parts).into_iter().flatten() {
            self.add(part, listener)?;
        }
        Ok(false)
    }

    fn may_end(&self) -> bool {
        self.reason.is_some()
    }

    fn finish(self: Box<Self>, listener: &Listener<'_>) -> Result<Answer, ProviderError> {
        let mut ids = Ids::of(listener.request);
        let read = |call: FunctionCall| ToolCall {
            id: ids.unique(call.id),
            name: call.name,
            args: call.args.unwrap_or_else(|| Value::Object(Map::new())),
        };
        let calls: Vec<ToolCall> = self.calls.into_iter().map(read).collect();
        let finish = finish_reason(self.reason.as_deref(), !calls.is_empty())?;
        let usage = self.usage;
        let output = match (usage.candidates_token_count, usage.thoughts_token_count) {
            (None, None) => None,
            (words, thoughts) => Some(words.unwrap_or(0) + thoughts.unwrap_or(0)),
        };
        let counted = Counted {
            input: usage.prompt_token_count,
            output,
            cached: usage.cached_content_token_count,
            reasoning: usage.thoughts_token_count,
        };
        let answer = counted.answer(self.text, calls, finish, listener);
        let carry = if self.is_signed { carry(Value::Array(self.parts), listener) } else { None };
        Ok(Answer { carry, ..answer })
    }
}

impl ContentDraft {
    /// Notes what was counted; a later chunk may leave some out.
    fn count(&mut self, usage: Option<UsageMetadata>) {
        let Some(usage) = usage else { return };
        self.usage = UsageMetadata {
            prompt_token_count: usage.prompt_token_count.or(self.usage.prompt_token_count),
            candidates_token_count: usage.candidates_token_count.or(self.usage.candidates_token_count),
            thoughts_token_count: usage.thoughts_token_count.or(self.usage.thoughts_token_count),
            cached_content_token_count: usage.cached_content_token_count.or(self.usage.cached_content_token_count),
        };
    }

    fn add(&mut self, part: Part, listener: &Listener<'_>) -> Result<(), ProviderError> {
        let signature = part.thought_signature;
        self.bytes += signature.as_ref().map_or(0, String::len) + part.text.as_ref().map_or(0, String::len);
        self.is_signed |= signature.is_some();
        if let Some(call) = part.function_call {
            self.bytes += call.args.as_ref().map_or(0, |args| args.to_string().len());
            self.parts.push(with_signature(json!({ "functionCall": {} }), signature));
            self.calls.push(call);
        } else if let Some(text) = part.text.filter(|_| !part.thought) {
            if !text.is_empty() {
                (listener.deltas)(&text);
                self.text.push_str(&text);
            }
            self.add_text(text, signature);
        }
        let is_too_large = self.bytes > ANSWER_BYTES_MAX || self.calls.len() > CALLS_MAX;
        if is_too_large { Err(too_large()) } else { Ok(()) }
    }

    /// Adds text to the part before, unless one of them is signed: then they stay apart.
    fn add_text(&mut self, text: String, signature: Option<String>) {
        if signature.is_none()
            && let Some(Value::Object(last)) = self.parts.last_mut()
            && !last.contains_key("thoughtSignature")
            && let Some(Value::String(before)) = last.get_mut("text")
        {
            before.push_str(&text);
            return;
        }
        if !text.is_empty() || signature.is_some() {
            self.parts.push(with_signature(json!({ "text": text }), signature));
        }
    }
}

fn with_signature(mut part: Value, signature: Option<String>) -> Value {
    if let (Value::Object(part), Some(signature)) = (&mut part, signature) {
        part.insert("thoughtSignature".to_owned(), Value::String(signature));
    }
    part
}
