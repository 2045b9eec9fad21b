//! Our request as the protocol's.

use serde::Serialize;
use serde_json::{Value, json};

use crate::providers::{
    Image, Message, ToolCall, ToolDefinition,
    http::{answer::sendable_args, images::shown_by, protocol::Call},
};

/// Returns the body of a call. The window is told with each: a model that is loaded with a smaller one is loaded anew. What
/// does not fit is to be an error, where the server knows of that (since 0.12.6): others cut it.
pub(super) fn body(call: &Call<'_>) -> Vec<u8> {
    let request = call.request;
    let body = Body {
        model: &request.model,
        messages: messages(call),
        tools: request.tools.iter().map(tool).collect(),
        format: request.schema.as_ref(),
        stream: call.is_streamed,
        truncate: false,
        shift: false,
        options: Options { num_ctx: call.window_tokens, num_predict: request.max_output_tokens },
    };
    serde_json::to_vec(&body).expect("text, numbers and values become JSON")
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'a Value>,
    stream: bool,
    /// Whether the beginning of a prompt that is too long is left out.
    truncate: bool,
    /// The same while an answer grows.
    shift: bool,
    options: Options,
}

#[derive(Serialize)]
struct Options {
    num_ctx: u32,
    num_predict: u32,
}

/// Returns the conversation. Images of results follow the last of the results, as the user's: the templates of many models
/// leave out those of a result.
fn messages(call: &Call<'_>) -> Vec<Value> {
    let (mut messages, mut shown) = (Vec::new(), Vec::new());
    for said in &call.request.messages {
        if !matches!(said, Message::Tool { .. }) {
            messages.append(&mut shown);
        }
        messages.push(message(said, call));
        if let Message::Tool { name, images, .. } = said
            && !images.is_empty()
        {
            shown.push(user(&shown_by(name, images), images, call));
        }
    }
    messages.append(&mut shown);
    messages
}

fn user(text: &str, images: &[Image], call: &Call<'_>) -> Value {
    if images.is_empty() {
        return json!({ "role": "user", "content": text });
    }
    let images: Vec<&str> = images.iter().map(|image| call.images.base64(image)).collect();
    json!({ "role": "user", "content": text, "images": images })
}

fn message(message: &Message, call: &Call<'_>) -> Value {
    match message {
        Message::System { text } => json!({ "role": "system", "content": text }),
        Message::User { text, images } => user(text, images, call),
        Message::Assistant { text, tool_calls, .. } if tool_calls.is_empty() => {
            json!({ "role": "assistant", "content": text })
        }
        Message::Assistant { text, tool_calls, .. } => {
            let calls: Vec<Value> = tool_calls.iter().map(called).collect();
            json!({ "role": "assistant", "content": text, "tool_calls": calls })
        }
        Message::Tool { name, text, .. } => json!({ "role": "tool", "tool_name": name, "content": text }),
    }
}

fn called(call: &ToolCall) -> Value {
    json!({ "function": { "name": call.name, "arguments": sendable_args(&call.args) } })
}

fn tool(tool: &ToolDefinition) -> Value {
    json!({
        "type": "function",
        "function": { "name": tool.name, "description": tool.description, "parameters": tool.schema },
    })
}
