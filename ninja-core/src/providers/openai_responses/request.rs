//! Our request as the protocol's.

use serde::Serialize;
use serde_json::{Value, json};

use crate::providers::{
    Carry, Image, Message, ToolCall, ToolDefinition,
    http::{
        answer::{closed, sendable_args},
        protocol::Call,
    },
};

/// Models that think, and give their thinking back encrypted for the next call. Others refuse to be asked for it.
const THINKING_MODELS: [&str; 5] = ["gpt-5", "gpt-6", "o1", "o3", "o4"];

/// Returns the body of a call. `is_vendor` says that it goes to OpenAI itself.
pub(super) fn body(call: &Call<'_>, is_vendor: bool) -> Vec<u8> {
    let request = call.request;
    let (mut input, mut instructions) = (Vec::new(), None);
    for message in &request.messages {
        match message {
            Message::System { text } => instructions = Some(text.as_str()),
            Message::User { text, images } => {
                let content = content(text, images, call, is_vendor);
                input.push(json!({ "type": "message", "role": "user", "content": content }));
            }
            Message::Assistant { text, tool_calls, carry } => {
                let carry = carry.as_ref().filter(|carry| carry.is_of(call.protocol, &request.model));
                input.extend(answer_items(text, tool_calls, carry));
            }
            Message::Tool { call_id, text, images, .. } => {
                let output = content(text, images, call, is_vendor);
                input.push(json!({ "type": "function_call_output", "call_id": call_id, "output": output }));
            }
        }
    }
    let thinks = is_vendor && THINKING_MODELS.iter().any(|prefix| request.model.starts_with(prefix));
    let body = Body {
        model: &request.model,
        instructions,
        input,
        tools: request.tools.iter().map(Tool::of).collect(),
        max_output_tokens: request.max_output_tokens,
        stream: call.is_streamed,
        store: false,
        include: if thinks { &["reasoning.encrypted_content"] } else { &[] },
        text: request.schema.as_ref().map(text_format),
    };
    serde_json::to_vec(&body).expect("text, numbers and values become JSON")
}

/// Returns words alone as a text, and with images as a list.
fn content(text: &str, images: &[Image], call: &Call<'_>, is_vendor: bool) -> Value {
    if images.is_empty() {
        return json!(text);
    }
    // Newer models may otherwise take more for an image than is set aside.
    let detail = if is_vendor { "high" } else { "auto" };
    let image = |image| json!({ "type": "input_image", "image_url": call.images.data_url(image), "detail": detail });
    std::iter::once(json!({ "type": "input_text", "text": text })).chain(images.iter().map(image)).collect()
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
    input: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    max_output_tokens: u32,
    stream: bool,
    store: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    include: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Value>,
}

#[derive(Serialize)]
struct Tool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
    strict: bool,
}

impl<'a> Tool<'a> {
    fn of(tool: &'a ToolDefinition) -> Self {
        let (name, description, parameters) = (&tool.name, &tool.description, &tool.schema);
        Self { kind: "function", name, description, parameters, strict: false }
    }
}

/// Returns the items of an answer. Those that carry thinking are repeated in their order.
fn answer_items(text: &str, tool_calls: &[ToolCall], carry: Option<&Carry>) -> Vec<Value> {
    let mut calls = tool_calls.iter().map(function_call);
    let mut items = Vec::new();
    match carry.and_then(|carry| carry.data.as_array()) {
        Some(carried) => {
            for item in carried {
                match item.get("type").and_then(Value::as_str) {
                    Some("function_call") => items.extend(calls.next()),
                    _ => items.push(item.clone()),
                }
            }
        }
        None if text.is_empty() => {}
        None => items.push(said(text)),
    }
    items.extend(calls);
    items
}

/// Returns the item of a text that a model said.
pub(super) fn said(text: &str) -> Value {
    json!({ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": text }] })
}

fn function_call(call: &ToolCall) -> Value {
    let arguments = sendable_args(&call.args).to_string();
    json!({ "type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments })
}

fn text_format(schema: &Value) -> Value {
    json!({ "format": { "type": "json_schema", "name": "answer", "strict": true, "schema": closed(schema) } })
}
