//! How a larger local model asks for a tool.
//!
//! The convention is the one that Qwen and SmolLM2 were trained on: a JSON object between `<tool_call>` and `</tool_call>`.
//! From the opening marker on the generator is held to [`call_schema`], so a call always names a known tool with arguments of its schema.
//! One call ends the turn; a model that needs more asks again with the result before it.

use serde_json::{Value, json};

use crate::providers::{Message, ToolCall, ToolDefinition};

/// Opens a call.
pub(super) const CALL_BEGIN: &str = "<tool_call>";

/// Closes a call.
pub(super) const CALL_END: &str = "</tool_call>";

/// Returns what the system message says of the tools.
pub(super) fn instructions(tools: &[ToolDefinition]) -> String {
    let mut text =
        String::from("\n\n# Tools\n\nYou may call one of these tools, given as one JSON object a line:\n<tools>\n");
    for tool in tools {
        let line = json!({"name": tool.name, "description": tool.description, "parameters": tool.schema});
        text.push_str(&line.to_string());
        text.push('\n');
    }
    text.push_str("</tools>\n\nTo call a tool, answer with nothing but\n");
    text.push_str(CALL_BEGIN);
    text.push_str("{\"name\": the tool's name, \"arguments\": an object}");
    text.push_str(CALL_END);
    text.push_str("\nand its result follows. Otherwise answer in plain words.");
    text
}

/// Returns a call as it stands in the conversation.
pub(super) fn written(call: &ToolCall) -> String {
    json!({"name": call.name, "arguments": call.args}).to_string()
}

/// Returns the schema of any call to any of the tools.
pub(super) fn call_schema(tools: &[ToolDefinition]) -> Value {
    let call = |tool: &ToolDefinition| {
        json!({
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": tool.schema},
            "required": ["name", "arguments"],
            "additionalProperties": false,
        })
    };
    json!({"anyOf": tools.iter().map(call).collect::<Vec<_>>()})
}

/// Reads the text between the markers; `None` where it is no call.
pub(super) fn read(text: &str, messages: &[Message]) -> Option<ToolCall> {
    let mut call: Value = serde_json::from_str(text.trim()).ok()?;
    let name = call.get("name")?.as_str()?.to_owned();
    let args = call.get_mut("arguments")?.take();
    Some(ToolCall { id: format!("call_{}", calls_so_far(messages) + 1), name, args })
}

fn calls_so_far(messages: &[Message]) -> usize {
    let calls = |message: &Message| match message {
        Message::Assistant { tool_calls, .. } => tool_calls.len(),
        Message::System { .. } | Message::User { .. } | Message::Tool { .. } => 0,
    };
    messages.iter().map(calls).sum()
}

/// Returns how much of `text` may be shown: all before a call, and not what may yet become the beginning of one.
pub(super) fn shown_len(text: &str) -> usize {
    if let Some(at) = text.find(CALL_BEGIN) {
        return at;
    }
    let may_begin = |at: &usize| text.get(*at..).is_some_and(|tail| CALL_BEGIN.starts_with(tail));
    (text.len().saturating_sub(CALL_BEGIN.len())..text.len()).find(may_begin).unwrap_or(text.len())
}
