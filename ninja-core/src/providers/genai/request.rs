//! Our request as genai's.

use std::sync::Arc;

use genai::chat::{
    ChatMessage, ChatOptions, ChatRequest as GenaiRequest, ChatRole, ContentPart, JsonSpec, MessageContent,
    ReasoningEffort, Tool, ToolCall as GenaiToolCall, ToolResponse,
};
use serde_json::{Value, json};

use super::super::{ChatRequest, Message, ToolCall, ToolDefinition};
use super::stream::Frames;
use crate::machine::estimate_tokens;

/// Returns the conversation and the tools as genai takes them.
pub(super) fn to_genai(request: &ChatRequest) -> GenaiRequest {
    let messages = request.messages.iter().map(message).collect();
    let mut out = GenaiRequest::from_messages(messages);
    if !request.tools.is_empty() {
        out = out.with_tools(request.tools.iter().map(tool));
    }
    out
}

/// Returns the options of a call, with `frames` listening to what comes.
pub(super) fn options(request: &ChatRequest, frames: Arc<Frames>) -> ChatOptions {
    let options = ChatOptions::default()
        .with_max_tokens(request.max_output_tokens)
        .with_capture_usage(true)
        // Without an effort genai takes one from the name's end, `qwen-max` becoming `qwen`; this one sends nothing.
        .with_reasoning_effort(ReasoningEffort::Budget(0))
        .with_raw_frame_sink_arc(frames);
    match &request.schema {
        Some(schema) => options.with_response_format(JsonSpec::new("answer", schema.clone())),
        None => options,
    }
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

fn message(message: &Message) -> ChatMessage {
    match message {
        Message::System { text } => ChatMessage::system(text),
        Message::User { text } => ChatMessage::user(text),
        Message::Assistant { text, tool_calls } => assistant(text, tool_calls),
        Message::Tool { call_id, name, text } => {
            let response = ToolResponse::new(call_id, text).with_fn_name(name);
            ChatMessage::new(ChatRole::Tool, MessageContent::from_tool_responses(vec![response]))
        }
    }
}

fn assistant(text: &str, tool_calls: &[ToolCall]) -> ChatMessage {
    let text = (!text.is_empty()).then(|| ContentPart::Text(text.to_owned()));
    let calls = tool_calls.iter().map(|call| ContentPart::ToolCall(tool_call(call)));
    ChatMessage::assistant(MessageContent::from_parts(text.into_iter().chain(calls).collect::<Vec<_>>()))
}

fn tool_call(call: &ToolCall) -> GenaiToolCall {
    GenaiToolCall {
        call_id: call.id.clone(),
        fn_name: call.name.clone(),
        fn_arguments: sendable_args(&call.args),
        thought_signatures: None,
    }
}

/// Returns arguments that every server takes back: chat templates fail on what is no object, so what the model once
/// wrote wrongly returns to it inside one.
fn sendable_args(args: &Value) -> Value {
    if args.is_object() { args.clone() } else { json!({ "unreadable": args }) }
}

fn tool(tool: &ToolDefinition) -> Tool {
    Tool::new(tool.name.as_str()).with_description(&tool.description).with_schema(tool.schema.clone())
}
