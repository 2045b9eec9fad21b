//! Our request as the protocol's: <https://platform.claude.com/docs/en/api/messages>.

use serde::Serialize;
use serde_json::{Value, json};

use crate::providers::{
    Carry, Image, Message, ToolCall, ToolDefinition,
    http::{
        answer::{closed, sendable_args},
        protocol::Call,
    },
};

/// Returns the body of a call.
pub(super) fn body(call: &Call<'_>) -> Vec<u8> {
    let request = call.request;
    let mut turns = Turns::default();
    let mut system = None;
    for message in &request.messages {
        match message {
            Message::System { text } => {
                system = Some(json!([{ "type": "text", "text": text, "cache_control": CACHED }]))
            }
            Message::User { text, images } => {
                turns.add("user", json!({ "type": "text", "text": text }));
                for image in images {
                    turns.add("user", image_block(image, call));
                }
            }
            Message::Assistant { text, tool_calls, carry } => {
                let carry = carry.as_ref().filter(|carry| carry.is_of(call.protocol, &request.model));
                for block in answer_blocks(text, tool_calls, carry) {
                    turns.add("assistant", block);
                }
            }
            Message::Tool { call_id, text, images, .. } => {
                let content = result_content(text, images, call);
                turns.add("user", json!({ "type": "tool_result", "tool_use_id": call_id, "content": content }));
            }
        }
    }
    let body = Body {
        model: &request.model,
        max_tokens: request.max_output_tokens,
        stream: call.is_streamed,
        system,
        messages: turns.cached(),
        tools: request.tools.iter().map(Tool::of).collect(),
        output_config: request.schema.as_ref().map(output_config),
    };
    serde_json::to_vec(&body).expect("text, numbers and values become JSON")
}

fn result_content(text: &str, images: &[Image], call: &Call<'_>) -> Value {
    if images.is_empty() {
        return json!(text);
    }
    let blocks = images.iter().map(|image| image_block(image, call));
    std::iter::once(json!({ "type": "text", "text": text })).chain(blocks).collect()
}

fn image_block(image: &Image, call: &Call<'_>) -> Value {
    let media_type = image.file.shape.media_type.as_str();
    let source = json!({ "type": "base64", "media_type": media_type, "data": call.images.base64(image) });
    json!({ "type": "image", "source": source })
}

/// Marks the end of what a next call will begin with as well, so that it costs a tenth there.
const CACHED: Cached = Cached { kind: "ephemeral" };

#[derive(Clone, Copy, Serialize)]
struct Cached {
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<Value>,
    messages: Vec<Turn>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<Value>,
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: &'a Value,
}

impl<'a> Tool<'a> {
    fn of(tool: &'a ToolDefinition) -> Self {
        Self { name: &tool.name, description: &tool.description, input_schema: &tool.schema }
    }
}

#[derive(Serialize)]
struct Turn {
    role: &'static str,
    content: Vec<Value>,
}

/// A conversation whose roles take turns: results of tools and words of the user are one turn.
#[derive(Default)]
struct Turns(Vec<Turn>);

impl Turns {
    fn add(&mut self, role: &'static str, block: Value) {
        match self.0.last_mut() {
            Some(turn) if turn.role == role => turn.content.push(block),
            _ => self.0.push(Turn { role, content: vec![block] }),
        }
    }

    fn cached(mut self) -> Vec<Turn> {
        if let Some(Value::Object(last)) = self.0.last_mut().and_then(|turn| turn.content.last_mut()) {
            last.insert("cache_control".to_owned(), json!(CACHED));
        }
        self.0
    }
}

/// Returns the blocks of an answer. Those that carry thinking are repeated in their order, unchanged: a signature covers them.
fn answer_blocks(text: &str, tool_calls: &[ToolCall], carry: Option<&Carry>) -> Vec<Value> {
    let mut calls = tool_calls.iter().map(tool_use);
    let mut blocks = Vec::new();
    match carry.and_then(|carry| carry.data.as_array()) {
        Some(carried) => {
            for block in carried {
                match block.get("type").and_then(Value::as_str) {
                    Some("tool_use") => blocks.extend(calls.next()),
                    _ => blocks.push(block.clone()),
                }
            }
        }
        // An empty text is refused.
        None if text.trim().is_empty() => {}
        None => blocks.push(json!({ "type": "text", "text": text })),
    }
    blocks.extend(calls);
    blocks
}

fn tool_use(call: &ToolCall) -> Value {
    json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": sendable_args(&call.args) })
}

fn output_config(schema: &Value) -> Value {
    json!({ "format": { "type": "json_schema", "schema": closed(schema) } })
}
