//! Our request as the protocol's.

use serde::Serialize;
use serde_json::{Value, json};

use crate::providers::{
    Message, ToolCall, ToolDefinition,
    http::{answer::sendable_args, protocol::Call},
};

/// Returns the body of a call. The window is told with each: a model that is loaded with a smaller one is loaded anew. What
/// does not fit is to be an error, where the server knows of that (since 0.12.6): others cut it.
pub(super) fn body(call: &Call<'_>) -> Vec<u8> {
    let request = call.request;
    let body = Body {
        model: &request.model,
        messages: request.messages.iter().map(message).collect(),
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

fn message(message: &Message) -> Value {
    match message {
        Message::System { text } => json!({ "role": "system", "content": text }),
        Message::User { text } => json!({ "role": "user", "content": text }),
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
