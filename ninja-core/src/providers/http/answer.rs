//! What every API's answer needs: ids that are unique, arguments that are JSON, tokens that somebody counted.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::protocol::Listener;
use crate::{
    api::Usage,
    machine::estimate_tokens,
    providers::{Answer, Carry, ChatRequest, FinishReason, Message, ProviderError, ToolCall},
};

/// More calls than one turn may have; further ones are an error of the model, not work to do.
pub(in crate::providers) const CALLS_MAX: usize = 64;

/// Gives tool calls ids that neither the conversation nor another call of the answer has.
pub(in crate::providers) struct Ids(HashSet<String>);

impl Ids {
    /// Returns what gives ids within a conversation.
    pub(in crate::providers) fn of(request: &ChatRequest) -> Self {
        let mut ids = HashSet::new();
        for message in &request.messages {
            if let Message::Assistant { tool_calls, .. } = message {
                ids.extend(tool_calls.iter().map(|call| call.id.clone()));
            }
        }
        Self(ids)
    }

    /// Returns `id`, or another where it is missing or taken.
    pub(in crate::providers) fn unique(&mut self, id: Option<String>) -> String {
        let mut id = id.unwrap_or_default();
        let mut n = self.0.len();
        while id.is_empty() || self.0.contains(&id) {
            n += 1;
            id = format!("call_{n}");
        }
        self.0.insert(id.clone());
        id
    }
}

/// Returns arguments as JSON: nothing is no arguments, unless the model was cut off, and what cannot be read stays a string.
pub(in crate::providers) fn read_args(text: String, is_cut: bool) -> Value {
    if text.trim().is_empty() && !is_cut {
        return Value::Object(Map::new());
    }
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

/// Returns arguments that every server takes back: chat templates fail on what is no object, so what the model once
/// wrote wrongly returns to it inside one.
pub(in crate::providers) fn sendable_args(args: &Value) -> Value {
    if args.is_object() { args.clone() } else { json!({ "unreadable": args }) }
}

/// Returns a schema whose objects say that they are closed: the vendors refuse others.
pub(in crate::providers) fn closed(schema: &Value) -> Value {
    let mut schema = schema.clone();
    close_objects(&mut schema);
    schema
}

fn close_objects(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(close_objects);
            if fields.get("type").is_some_and(|kind| kind == "object") {
                fields.entry("additionalProperties").or_insert(Value::Bool(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close_objects),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Returns whether the model was stopped because its answer grew too long.
pub(in crate::providers) fn is_cut(reason: Option<&str>) -> bool {
    matches!(
        reason.map(str::to_ascii_lowercase).as_deref(),
        Some("length" | "max_tokens" | "max_output_tokens" | "model_length" | "model_context_window_exceeded")
    )
}

/// Returns why the model stopped. Some servers say `stop` where they mean tools, or tools where there are none, and
/// gateways pass on other vendors' words.
pub(in crate::providers) fn finish_reason(
    reason: Option<&str>,
    has_calls: bool,
) -> Result<FinishReason, ProviderError> {
    if is_cut(reason) {
        return Ok(FinishReason::Length);
    }
    match reason.map(str::to_ascii_lowercase).as_deref() {
        Some(
            "stop" | "stop_sequence" | "end_turn" | "eos" | "eos_token" | "tool_calls" | "tool_use" | "function_call"
            | "completed",
        ) => Ok(if has_calls { FinishReason::ToolCalls } else { FinishReason::Stop }),
        Some(
            "content_filter" | "refusal" | "safety" | "recitation" | "blocklist" | "prohibited_content" | "spii"
            | "language" | "image_safety",
        ) => Err(ProviderError::Rejected("the provider's content filter stopped the answer".into())),
        // A final event without a reason, or with one such as `error`: the server gave up.
        Some(_) | None => Err(ProviderError::Truncated),
    }
}

/// Tokens as a provider counted them; what it did not is estimated and says so.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::providers) struct Counted {
    /// Of the prompt, with those that came from a cache.
    pub(in crate::providers) input: Option<u64>,
    /// Of the answer, thinking and all.
    pub(in crate::providers) output: Option<u64>,
    /// Of the prompt, those that came from a cache.
    pub(in crate::providers) cached: Option<u64>,
    /// Of the answer, those of thinking.
    pub(in crate::providers) reasoning: Option<u64>,
}

impl Counted {
    /// Returns an answer with its usage.
    pub(in crate::providers) fn answer(
        self,
        text: String,
        tool_calls: Vec<ToolCall>,
        finish: FinishReason,
        listener: &Listener<'_>,
    ) -> Answer {
        let mut usage = Usage { model_calls: 1, ..Usage::default() };
        usage.input_tokens = self.input.unwrap_or_else(|| {
            let estimated = (listener.context.prompt_tokens)();
            usage.estimated_tokens += estimated;
            estimated
        });
        usage.output_tokens = self.output.unwrap_or_else(|| {
            let estimated = estimate_tokens(&text) + call_tokens(&tool_calls);
            usage.estimated_tokens += estimated;
            estimated
        });
        // A part is never more than the whole, whatever is told.
        usage.cached_input_tokens = self.cached.unwrap_or(0).min(usage.input_tokens);
        usage.reasoning_tokens = self.reasoning.unwrap_or(0).min(usage.output_tokens);
        Answer { text, tool_calls, finish, usage, carry: None }
    }
}

/// Returns what an answer is to carry.
pub(in crate::providers) fn carry(data: Value, listener: &Listener<'_>) -> Option<Carry> {
    Some(Carry { of: format!("{}/{}", listener.protocol, listener.request.model), data })
}

/// Estimates the tokens of a prompt, for when the provider does not count.
pub(in crate::providers) fn prompt_tokens(request: &ChatRequest) -> u64 {
    let messages: u64 = request.messages.iter().map(message_tokens).sum();
    let tools = request.tools.iter().map(|tool| {
        estimate_tokens(&tool.name) + estimate_tokens(&tool.description) + estimate_tokens(&tool.schema.to_string())
    });
    let schema = request.schema.as_ref().map_or(0, |schema| estimate_tokens(&schema.to_string()));
    messages + tools.sum::<u64>() + schema
}

fn call_tokens(calls: &[ToolCall]) -> u64 {
    calls.iter().map(|call| estimate_tokens(&call.name) + estimate_tokens(&call.args.to_string())).sum()
}

fn message_tokens(message: &Message) -> u64 {
    let calls = if let Message::Assistant { tool_calls, .. } = message { call_tokens(tool_calls) } else { 0 };
    let images = message.images().iter().map(|image| image.tokens).sum::<u64>();
    estimate_tokens(message.text()) + calls + images
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::providers::{Timeouts, http::error::ErrorContext};

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
    fn what_is_not_counted_is_estimated() {
        let request = ChatRequest {
            model: "m".into(),
            messages: Vec::new(),
            tools: Arc::default(),
            schema: None,
            images: Default::default(),
            max_output_tokens: 1,
        };
        let context = ErrorContext { host: "h", key: None, prompt_tokens: &|| 9, window_tokens: 1 };
        let timeouts = Timeouts::default();
        let listener = Listener {
            protocol: "p",
            request: &request,
            deltas: &(Arc::new(|_: &str| {}) as _),
            context: &context,
            timeouts,
        };
        let usage = |input, output| {
            let counted = Counted { input, output, cached: Some(4), reasoning: None };
            counted.answer("words".into(), Vec::new(), FinishReason::Stop, &listener).usage
        };
        let exact =
            Usage { input_tokens: 7, output_tokens: 3, model_calls: 1, cached_input_tokens: 4, ..Usage::default() };
        assert_eq!(usage(Some(7), Some(3)), exact);
        let of_words = estimate_tokens("words");
        let half = Usage { output_tokens: of_words, estimated_tokens: of_words, ..exact };
        assert_eq!(usage(Some(7), None), half);
        let none = Usage { input_tokens: 9, estimated_tokens: of_words + 9, ..half };
        assert_eq!(usage(None, None), none);
    }
}
