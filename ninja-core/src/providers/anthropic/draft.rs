//! The events of a stream as one answer: <https://platform.claude.com/docs/en/build-with-claude/streaming>.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::providers::{
    Answer, ProviderError, ToolCall,
    http::{
        answer::{CALLS_MAX, Counted, Ids, carry, finish_reason, is_cut, read_args},
        error,
        protocol::{Draft, Listener},
        stream::{ANSWER_BYTES_MAX, too_large},
    },
};

/// Blocks of an answer: its calls, and words and thinking between them.
const BLOCKS_MAX: usize = 4 * CALLS_MAX;

/// An event, or an answer that came whole.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: Option<String>,
    index: Option<u64>,
    message: Option<Value>,
    content_block: Option<Value>,
    delta: Option<Value>,
    usage: Option<Value>,
    error: Option<Value>,
    // Of an answer that came whole.
    content: Option<Vec<Value>>,
    stop_reason: Option<String>,
}

/// What came so far. Blocks are told apart by their index: some servers close none before the last has begun.
#[derive(Default)]
pub(super) struct MessageDraft {
    blocks: BTreeMap<u64, Block>,
    bytes: usize,
    reason: Option<String>,
    usage: BTreeMap<String, u64>,
}

/// A block as it began, and what was added to it.
#[derive(Default)]
struct Block {
    begun: Value,
    text: String,
    signature: String,
}

impl Draft for MessageDraft {
    fn take_in(&mut self, data: &str, listener: &Listener<'_>) -> Result<bool, ProviderError> {
        let event: Event = serde_json::from_str(data).map_err(|_| ProviderError::Truncated)?;
        self.count(event.usage.as_ref());
        match event.kind.as_deref().unwrap_or_default() {
            "message_start" => self.count(event.message.as_ref().and_then(|message| message.get("usage"))),
            "content_block_start" => {
                self.begin(event.index.unwrap_or_default(), event.content_block.unwrap_or_default(), listener)?;
            }
            "content_block_delta" => {
                self.add(event.index.unwrap_or_default(), &event.delta.unwrap_or_default(), listener)?;
            }
            "message_delta" => {
                let delta = event.delta.unwrap_or_default();
                let reason = delta.get("stop_reason").and_then(Value::as_str).map(str::to_owned);
                self.reason = reason.or(self.reason.take());
            }
            "message_stop" => return Ok(true),
            "message" => {
                for (index, block) in (0..).zip(event.content.unwrap_or_default()) {
                    self.begin(index, block, listener)?;
                }
                self.reason = event.stop_reason;
                return Ok(true);
            }
            "error" => return Err(error::map_event(event.error.unwrap_or_default(), listener.context)),
            // The end of a block, a sign of life, and what newer versions say besides.
            _ => {}
        }
        Ok(false)
    }

    fn finish(self: Box<Self>, listener: &Listener<'_>) -> Result<Answer, ProviderError> {
        let is_cut = is_cut(self.reason.as_deref());
        let mut ids = Ids::of(listener.request);
        let (mut text, mut tool_calls, mut carried, mut thinks) = (String::new(), Vec::new(), Vec::new(), false);
        for block in self.blocks.into_values() {
            match block.kind() {
                "text" => {
                    text.push_str(&block.text);
                    carried.push(json!({ "type": "text", "text": block.text }));
                }
                "tool_use" => {
                    carried.push(json!({ "type": "tool_use" }));
                    tool_calls.push(block.into_call(&mut ids, is_cut));
                }
                "thinking" | "redacted_thinking" => {
                    thinks = true;
                    carried.push(block.into_thinking());
                }
                _ => {}
            }
        }
        let finish = finish_reason(self.reason.as_deref(), !tool_calls.is_empty())?;
        let input = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
        let counted = Counted {
            input: self.usage.get("input_tokens").map(|_| input.iter().filter_map(|of| self.usage.get(*of)).sum()),
            output: self.usage.get("output_tokens").copied(),
            cached: self.usage.get("cache_read_input_tokens").copied(),
            // Thinking is not counted apart.
            reasoning: None,
        };
        let answer = counted.answer(text, tool_calls, finish, listener);
        let carry = if thinks { carry(Value::Array(carried), listener) } else { None };
        Ok(Answer { carry, ..answer })
    }
}

impl MessageDraft {
    /// Notes what was counted. Counts grow, and a later event may leave some out.
    fn count(&mut self, usage: Option<&Value>) {
        for (of, count) in usage.and_then(Value::as_object).into_iter().flatten() {
            if let Some(count) = count.as_u64() {
                self.usage.insert(of.clone(), count);
            }
        }
    }

    fn begin(&mut self, index: u64, block: Value, listener: &Listener<'_>) -> Result<(), ProviderError> {
        let field = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (text, signature) = match field("type").as_str() {
            "thinking" => (field("thinking"), field("signature")),
            _ => (field("text"), String::new()),
        };
        if self.blocks.len() >= BLOCKS_MAX {
            return Err(too_large());
        }
        if field("type") == "text" && !text.is_empty() {
            (listener.deltas)(&text);
        }
        self.grow(block.to_string().len())?;
        self.blocks.insert(index, Block { begun: block, text, signature });
        Ok(())
    }

    fn add(&mut self, index: u64, delta: &Value, listener: &Listener<'_>) -> Result<(), ProviderError> {
        let field = |name: &str| delta.get(name).and_then(Value::as_str).unwrap_or_default();
        let (text, signature) = match field("type") {
            "text_delta" => (field("text"), ""),
            "input_json_delta" => (field("partial_json"), ""),
            "thinking_delta" => (field("thinking"), ""),
            "signature_delta" => ("", field("signature")),
            _ => return Ok(()),
        };
        self.grow(text.len() + signature.len())?;
        // What belongs to no block was cut before it.
        let block = self.blocks.get_mut(&index).ok_or(ProviderError::Truncated)?;
        block.text.push_str(text);
        block.signature.push_str(signature);
        if field("type") == "text_delta" && !text.is_empty() {
            (listener.deltas)(text);
        }
        Ok(())
    }

    fn grow(&mut self, bytes: usize) -> Result<(), ProviderError> {
        self.bytes += bytes;
        if self.bytes > ANSWER_BYTES_MAX { Err(too_large()) } else { Ok(()) }
    }
}

impl Block {
    fn kind(&self) -> &str {
        self.begun.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    fn into_call(self, ids: &mut Ids, is_cut: bool) -> ToolCall {
        let field = |name: &str| self.begun.get(name).and_then(Value::as_str).map(str::to_owned);
        let begun_with = self.begun.get("input").filter(|input| input.as_object().is_some_and(|args| !args.is_empty()));
        let args = match begun_with {
            Some(input) if self.text.is_empty() => input.clone(),
            _ => read_args(self.text.clone(), is_cut),
        };
        ToolCall { id: ids.unique(field("id")), name: field("name").unwrap_or_default(), args }
    }

    fn into_thinking(self) -> Value {
        match self.kind() {
            "thinking" => json!({ "type": "thinking", "thinking": self.text, "signature": self.signature }),
            _ => self.begun,
        }
    }
}
