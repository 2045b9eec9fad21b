//! Our request as the protocol's: <https://platform.openai.com/docs/api-reference/chat/create>.
//!
//! Written straight from what the task holds, without a tree of values between: the tools of an agent are most of a
//! short prompt, and go out with every call.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::Dialect;
use crate::providers::{
    Image, Message, ToolCall, ToolDefinition,
    http::{
        answer::{closed, sendable_args},
        images::shown_by,
        protocol::Call,
    },
};

/// Models that know only the new name of an answer's limit, wherever they are served.
const NEW_LIMIT_MODELS: [&str; 5] = ["gpt-5", "gpt-6", "o1", "o3", "o4"];

/// What DeepSeek takes for thinking that there was none of: it refuses calls that come back without any, also those that
/// another model made.
static NO_THINKING: Value = Value::String(String::new());

/// Said between results and the user: Mistral refuses `user` right after `tool`, and templates of open models want turns.
const HAVING_RESULTS: &str = "I have the results.";

/// What the body of a short prompt with an agent's tools takes.
const BODY_BYTES: usize = 8 * 1024;

/// Returns the body of a call.
pub(super) fn body(call: &Call<'_>, dialect: Dialect) -> Vec<u8> {
    let request = call.request;
    let name = request.model.rsplit('/').next().unwrap_or(&request.model);
    let is_new = dialect == Dialect::Openai || NEW_LIMIT_MODELS.iter().any(|prefix| name.starts_with(prefix));
    let limit = Some(request.max_output_tokens);
    let mut messages = messages(call, dialect);
    let hint = request.schema.as_ref().filter(|_| dialect == Dialect::Deepseek).map(schema_in_words);
    messages.extend(hint.as_deref().map(|content| MessageBody::System { content }));
    let body = Body {
        model: &request.model,
        stream: call.is_streamed,
        stream_options: call.is_streamed.then_some(StreamOptions { include_usage: true }),
        max_tokens: limit.filter(|_| !is_new),
        max_completion_tokens: limit.filter(|_| is_new),
        messages,
        tools: request.tools.iter().map(Function::offered).collect(),
        response_format: request.schema.as_ref().map(|schema| response_format(schema, dialect)),
    };
    let mut bytes = Vec::with_capacity(BODY_BYTES);
    serde_json::to_writer(&mut bytes, &body).expect("text, numbers and values become JSON");
    bytes
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
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
        content: Content<'a>,
    },
    Assistant {
        content: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reasoning_content: Option<&'a Value>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Function<'a, Called<'a>>>,
    },
    Tool {
        content: &'a str,
        tool_call_id: &'a str,
    },
}

/// What a user says: words alone, or words and images.
enum Content<'a> {
    Text(&'a str),
    Parts(Vec<Value>),
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Parts(parts) => parts.serialize(serializer),
        }
    }
}

impl<'a> Content<'a> {
    fn of(text: &'a str, images: &[Image], call: &Call<'_>, dialect: Dialect) -> Self {
        if images.is_empty() {
            return Self::Text(text);
        }
        let words = json!({ "type": "text", "text": text });
        Self::Parts(std::iter::once(words).chain(images.iter().map(|image| image_part(image, call, dialect))).collect())
    }
}

fn image_part(image: &Image, call: &Call<'_>, dialect: Dialect) -> Value {
    let url = call.images.data_url(image);
    match dialect {
        // Its newer models may otherwise take more for an image than is set aside.
        Dialect::Openai => json!({ "type": "image_url", "image_url": { "url": url, "detail": "high" } }),
        Dialect::Compatible | Dialect::Deepseek => json!({ "type": "image_url", "image_url": { "url": url } }),
    }
}

/// Returns the conversation. Images of results follow the last of the results, as the user's: a result is text alone here, and
/// nothing may stand between the results of one answer.
fn messages<'a>(call: &Call<'a>, dialect: Dialect) -> Vec<MessageBody<'a>> {
    let mut messages = Vec::new();
    let mut shown: Vec<Value> = Vec::new();
    for message in &call.request.messages {
        if !matches!(message, Message::Tool { .. }) && !shown.is_empty() {
            let content = Content::Parts(std::mem::take(&mut shown));
            add(&mut messages, MessageBody::User { content }, dialect);
        }
        add(&mut messages, MessageBody::of(message, call, dialect), dialect);
        if let Message::Tool { name, images, .. } = message
            && !images.is_empty()
        {
            shown.push(json!({ "type": "text", "text": shown_by(name, images) }));
            shown.extend(images.iter().map(|image| image_part(image, call, dialect)));
        }
    }
    if !shown.is_empty() {
        add(&mut messages, MessageBody::User { content: Content::Parts(shown) }, dialect);
    }
    messages
}

/// Adds a message, and before one of the user's that would follow a result a sentence of the assistant's, except for the
/// vendors that take it so.
fn add<'a>(messages: &mut Vec<MessageBody<'a>>, message: MessageBody<'a>, dialect: Dialect) {
    let follows = matches!((messages.last(), &message), (Some(MessageBody::Tool { .. }), MessageBody::User { .. }));
    if follows && dialect == Dialect::Compatible {
        messages.push(MessageBody::Assistant {
            content: HAVING_RESULTS,
            reasoning_content: None,
            tool_calls: Vec::new(),
        });
    }
    messages.push(message);
}

impl<'a> MessageBody<'a> {
    fn of(message: &'a Message, call: &Call<'_>, dialect: Dialect) -> Self {
        match message {
            Message::System { text } => Self::System { content: text },
            Message::User { text, images } => Self::User { content: Content::of(text, images, call, dialect) },
            Message::Assistant { text, tool_calls, carry } => {
                let carry = carry.as_ref().filter(|carry| carry.is_of(call.protocol, &call.request.model));
                let is_wanted = dialect == Dialect::Deepseek && !tool_calls.is_empty();
                Self::Assistant {
                    content: text,
                    reasoning_content: carry.map(|carry| &carry.data).or(is_wanted.then_some(&NO_THINKING)),
                    tool_calls: tool_calls.iter().map(Function::called).collect(),
                }
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
        let function = Called { name: &call.name, arguments: sendable_args(&call.args).to_string() };
        Self { id: Some(&call.id), kind: "function", function }
    }
}

fn response_format(schema: &Value, dialect: Dialect) -> Value {
    if dialect == Dialect::Deepseek {
        return json!({ "type": "json_object" });
    }
    json!({ "type": "json_schema", "json_schema": { "name": "answer", "strict": true, "schema": closed(schema) } })
}

fn schema_in_words(schema: &Value) -> String {
    format!("Answer with one JSON value that matches this JSON Schema, and nothing else: {schema}")
}
