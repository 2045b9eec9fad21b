//! Our request as the protocol's.

use serde::Serialize;
use serde_json::{Value, json};

use crate::providers::{
    Carry, Image, Message, ToolCall, ToolDefinition,
    http::{answer::sendable_args, images::shown_by, protocol::Call},
};

/// What stands for the signature of a call that another model made:
/// <https://ai.google.dev/gemini-api/docs/thought-signatures>.
const FOREIGN: &str = "skip_thought_signature_validator";

/// Returns the body of a call.
pub(super) fn body(call: &Call<'_>) -> Vec<u8> {
    let request = call.request;
    let system = request.messages.iter().find_map(|message| match message {
        Message::System { text } => Some(json!({ "parts": [{ "text": text }] })),
        Message::User { .. } | Message::Assistant { .. } | Message::Tool { .. } => None,
    });
    let body = Body {
        system_instruction: system,
        contents: contents(call),
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

/// Returns the conversation, in which a role does not speak twice in a row. Images of results are inside of them since the third
/// generation; before, they follow the last of the results, and nothing stands between the results of one answer.
/// <https://ai.google.dev/gemini-api/docs/function-calling>
fn contents(call: &Call<'_>) -> Vec<Content> {
    let is_third = is_third_generation(&call.request.model);
    let (mut contents, mut shown) = (Vec::new(), Vec::new());
    for message in &call.request.messages {
        if !matches!(message, Message::Tool { .. }) {
            contents.extend(shown_apart(&mut shown));
        }
        match message {
            Message::System { .. } => {}
            Message::User { text, images } => {
                let images = images.iter().map(|image| inline(image, call));
                add(&mut contents, "user", std::iter::once(json!({ "text": text })).chain(images).collect());
            }
            Message::Assistant { text, tool_calls, carry } => {
                let carry = carry.as_ref().filter(|carry| carry.is_of(call.protocol, &call.request.model));
                add(&mut contents, "model", answer_parts(text, tool_calls, carry, is_third));
            }
            Message::Tool { name, text, images, .. } => {
                // Of these one has all, and the other none.
                let (inside, apart) = images.split_at(if is_third { images.len() } else { 0 });
                add(&mut contents, "user", vec![result(name, text, inside, call)]);
                if !apart.is_empty() {
                    shown.push(json!({ "text": shown_by(name, apart) }));
                    shown.extend(apart.iter().map(|image| inline(image, call)));
                }
            }
        }
    }
    contents.extend(shown_apart(&mut shown));
    contents
}

fn add(contents: &mut Vec<Content>, role: &'static str, parts: Vec<Value>) {
    match contents.last_mut() {
        Some(content) if content.role == role => content.parts.extend(parts),
        _ if parts.is_empty() => {}
        _ => contents.push(Content { role, parts }),
    }
}

/// Takes what results show as a content of its own, if there is any.
fn shown_apart(shown: &mut Vec<Value>) -> Option<Content> {
    (!shown.is_empty()).then(|| Content { role: "user", parts: std::mem::take(shown) })
}

fn result(name: &str, text: &str, images: &[Image], call: &Call<'_>) -> Value {
    let response = json!({ "result": text });
    if images.is_empty() {
        return json!({ "functionResponse": { "name": name, "response": response } });
    }
    let images: Vec<Value> = images.iter().map(|image| inline(image, call)).collect();
    json!({ "functionResponse": { "name": name, "response": response, "parts": images } })
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
