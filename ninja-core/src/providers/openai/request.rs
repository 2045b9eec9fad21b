//! Our request as the protocol's: <https://platform.openai.com/docs/api-reference/chat/create>.
//!
//! Written straight from what the task holds, without a tree of values between: the tools of an agent are most of a
//! short prompt, and go out with every call.

use serde::Serialize;
use serde_json::{Value, json};

use super::super::{ChatRequest, Message, ToolCall, ToolDefinition};
use crate::machine::estimate_tokens;

/// Models that know only the new name of an answer's limit, wherever they are served.
const NEW_LIMIT_MODELS: [&str; 5] = ["gpt-5", "gpt-6", "o1", "o3", "o4"];

/// What the body of a short prompt with an agent's tools takes.
const BODY_BYTES: usize = 8 * 1024;

/// Returns the body of a call. `is_vendor` says that it goes to OpenAI itself, which has renamed the limit of an
/// answer; most of what is compatible with it knows the old name alone.
pub(super) fn body(request: &ChatRequest, is_vendor: bool) -> Vec<u8> {
    let name = request.model.rsplit('/').next().unwrap_or(&request.model);
    let is_new = is_vendor || NEW_LIMIT_MODELS.iter().any(|prefix| name.starts_with(prefix));
    let limit = Some(request.max_output_tokens);
    let body = Body {
        model: &request.model,
        stream: true,
        stream_options: StreamOptions { include_usage: true },
        max_tokens: limit.filter(|_| !is_new),
        max_completion_tokens: limit.filter(|_| is_new),
        messages: request.messages.iter().map(MessageBody::of).collect(),
        tools: request.tools.iter().map(Function::offered).collect(),
        response_format: request.schema.as_ref().map(response_format),
    };
    let mut bytes = Vec::with_capacity(BODY_BYTES);
    serde_json::to_writer(&mut bytes, &body).expect("text, numbers and values become JSON");
    bytes
}

/// Estimates the tokens of a prompt, for when the provider does not count.
pub(super) fn prompt_tokens(request: &ChatRequest) -> u64 {
    let messages: u64 = request.messages.iter().map(message_tokens).sum();
    let tools = request.tools.iter().map(|tool| {
        estimate_tokens(&tool.name) + estimate_tokens(&tool.description) + estimate_tokens(&tool.schema.to_string())
    });
    messages + tools.sum::<u64>()
}

/// Estimates the tokens of tool calls.
pub(super) fn call_tokens(calls: &[ToolCall]) -> u64 {
    calls.iter().map(|call| estimate_tokens(&call.name) + estimate_tokens(&call.args.to_string())).sum()
}

fn message_tokens(message: &Message) -> u64 {
    let calls = if let Message::Assistant { tool_calls, .. } = message { call_tokens(tool_calls) } else { 0 };
    estimate_tokens(message.text()) + calls
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    messages: Vec<MessageBody<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Function<'a, Offered<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Value>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
enum MessageBody<'a> {
    System {
        content: &'a str,
    },
    User {
        content: &'a str,
    },
    Assistant {
        content: &'a str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Function<'a, Called<'a>>>,
    },
    Tool {
        content: &'a str,
        tool_call_id: &'a str,
    },
}

impl<'a> MessageBody<'a> {
    fn of(message: &'a Message) -> Self {
        match message {
            Message::System { text } => Self::System { content: text },
            Message::User { text } => Self::User { content: text },
            Message::Assistant { text, tool_calls } => {
                Self::Assistant { content: text, tool_calls: tool_calls.iter().map(Function::called).collect() }
            }
            Message::Tool { call_id, text, .. } => Self::Tool { content: text, tool_call_id: call_id },
        }
    }
}

/// A function as it is offered or called: the one kind of tool there is.
#[derive(Serialize)]
struct Function<'a, T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'static str,
    function: T,
}

#[derive(Serialize)]
struct Offered<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
}

#[derive(Serialize)]
struct Called<'a> {
    name: &'a str,
    arguments: String,
}

impl<'a> Function<'a, Offered<'a>> {
    fn offered(tool: &'a ToolDefinition) -> Self {
        let function = Offered { name: &tool.name, description: &tool.description, parameters: &tool.schema };
        Self { id: None, kind: "function", function }
    }
}

impl<'a> Function<'a, Called<'a>> {
    fn called(call: &'a ToolCall) -> Self {
        let function = Called { name: &call.name, arguments: sendable_args(&call.args) };
        Self { id: Some(&call.id), kind: "function", function }
    }
}

/// Returns arguments that every server takes back: chat templates fail on what is no object, so what the model once
/// wrote wrongly returns to it inside one.
fn sendable_args(args: &Value) -> String {
    if args.is_object() { args.to_string() } else { json!({ "unreadable": args }).to_string() }
}

/// Returns the schema that an answer must match. OpenAI refuses one whose objects do not say that they are closed.
fn response_format(schema: &Value) -> Value {
    let mut schema = schema.clone();
    close_objects(&mut schema);
    json!({ "type": "json_schema", "json_schema": { "name": "answer", "strict": true, "schema": schema } })
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
