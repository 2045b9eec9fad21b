//! Our request as the protocol's.

use serde::Serialize;
use serde_json::{Value, json};

use crate::providers::{
    Carry, Image, Message, ToolCall, ToolDefinition,
    http::{answer::sendable_args, protocol::Call},
};

/// What stands for the signature of a call that another model made:
/// <https://ai.google.dev/gemini-api/docs/thought-signatures>.
const FOREIGN: &str = "skip_thought_signature_validator";

/// Returns the body of a call.
pub(super) fn body(call: &Call<'_>) -> Vec<u8> {
    let request = call.request;
    let is_signed = is_third_generation(&request.model);
    let (mut contents, mut system) = (Vec::<Content>::new(), None);
    let mut add = |role, parts: Vec<Value>| match contents.last_mut() {
        Some(content) if content.role == role => content.parts.extend(parts),
        _ if parts.is_empty() => {}
        _ => contents.push(Content { role, parts }),
    };
    for message in &request.messages {
        match message {
            Message::System { text } => system = Some(json!({ "parts": [{ "text": text }] })),
            Message::User { text, images } => {
                let images = images.iter().map(|image| inline(image, call));
                add("user", std::iter::once(json!({ "text": text })).chain(images).collect());
            }
            Message::Assistant { text, tool_calls, carry } => {
                let carry = carry.as_ref().filter(|carry| carry.is_of(call.protocol, &request.model));
                add("model", answer_parts(text, tool_calls, carry, is_signed));
            }
            Message::Tool { name, text, images, .. } => add("user", result_parts(name, text, images, call)),
        }
    }
    let body = Body {
        system_instruction: system,
        contents,
        tools: tools(&request.tools),
        generation_config: GenerationConfig {
            max_output_tokens: request.max_output_tokens,
            // Together with tools most models refuse it; whoever asked checks the answer in any case.
            response_json_schema: request.schema.as_ref().filter(|_| request.tools.is_empty()),
            response_mime_type: request
                .schema
                .as_ref()
                .filter(|_| request.tools.is_empty())
                .map(|_| "application/json"),
        },
    };
    serde_json::to_vec(&body).expect("text, numbers and values become JSON")
}

/// Returns a result with its images: inside of it since the third generation, beside it before.
/// <https://ai.google.dev/gemini-api/docs/function-calling>
fn result_parts(name: &str, text: &str, images: &[Image], call: &Call<'_>) -> Vec<Value> {
    let images: Vec<Value> = images.iter().map(|image| inline(image, call)).collect();
    let result = json!({ "result": text });
    if !images.is_empty() && is_third_generation(&call.request.model) {
        return vec![json!({ "functionResponse": { "name": name, "response": result, "parts": images } })];
    }
    let response = json!({ "functionResponse": { "name": name, "response": result } });
    std::iter::once(response).chain(images).collect()
}

fn inline(image: &Image, call: &Call<'_>) -> Value {
    json!({ "inlineData": { "mimeType": image.file.shape.media_type.as_str(), "data": call.images.base64(image) } })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Value>,
    contents: Vec<Content>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    generation_config: GenerationConfig<'a>,
}

#[derive(Serialize)]
struct Content {
    role: &'static str,
    parts: Vec<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig<'a> {
    max_output_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<&'a Value>,
}

fn tools(tools: &[ToolDefinition]) -> Vec<Value> {
    let declaration = |tool: &ToolDefinition| json!({ "name": tool.name, "description": tool.description, "parametersJsonSchema": tool.schema });
    match tools {
        [] => Vec::new(),
        tools => {
            let declarations: Vec<Value> = tools.iter().map(declaration).collect();
            vec![json!({ "functionDeclarations": declarations })]
        }
    }
}

/// Returns whether a model is of the third generation or a later one: these want the signatures of their calls back, and take
/// images within results.
fn is_third_generation(model: &str) -> bool {
    !["gemini-1", "gemini-2"].iter().any(|old| model.contains(old))
}

/// Returns the parts of an answer: as they came, if this model gave it.
fn answer_parts(text: &str, tool_calls: &[ToolCall], carry: Option<&Carry>, is_signed: bool) -> Vec<Value> {
    let mut calls = tool_calls.iter().map(function_call);
    let mut parts = Vec::new();
    if let Some(carried) = carry.and_then(|carry| carry.data.as_array()) {
        for part in carried {
            match part.get("functionCall") {
                Some(_) => parts.extend(calls.next().map(|call| signed(call, part.get("thoughtSignature")))),
                None => parts.push(part.clone()),
            }
        }
        parts.extend(calls);
        return parts;
    }
    if !text.is_empty() {
        parts.push(json!({ "text": text }));
    }
    let foreign = json!(FOREIGN);
    parts.extend(calls.next().map(|first| signed(first, is_signed.then_some(&foreign))));
    parts.extend(calls);
    parts
}

fn function_call(call: &ToolCall) -> Value {
    json!({ "functionCall": { "name": call.name, "args": sendable_args(&call.args) } })
}

fn signed(mut part: Value, signature: Option<&Value>) -> Value {
    if let (Value::Object(part), Some(signature)) = (&mut part, signature) {
        part.insert("thoughtSignature".to_owned(), signature.clone());
    }
    part
}
