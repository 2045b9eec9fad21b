//! The events of a stream as one answer.

use serde::Deserialize;
use serde_json::{Value, json};

use super::request::said;
use crate::providers::{
    Answer, ProviderError, ToolCall,
    http::{
        answer::{CALLS_MAX, Counted, Ids, carry, finish_reason, is_cut, read_args},
        error,
        protocol::{Draft, Listener},
        stream::{ANSWER_BYTES_MAX, too_large},
    },
};

/// Items of an answer: its calls, and words and thinking between them.
const ITEMS_MAX: usize = 4 * CALLS_MAX;

/// An event, or a response that came whole.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: Option<String>,
    delta: Option<Value>,
    item: Option<Value>,
    response: Option<Response>,
    code: Option<Value>,
    message: Option<Value>,
    error: Option<Value>,
}

#[derive(Default, Deserialize)]
struct Response {
    status: Option<String>,
    output: Option<Vec<Value>>,
    usage: Option<Value>,
    incomplete_details: Option<Value>,
    error: Option<Value>,
}

/// What came so far. The answer is made of items that are done: pieces of them only serve those who watch.
#[derive(Default)]
pub(super) struct ResponseDraft {
    items: Vec<Value>,
    bytes: usize,
    reason: Option<String>,
    usage: Option<Value>,
}

impl Draft for ResponseDraft {
    fn take_in(&mut self, data: &str, listener: &Listener<'_>) -> Result<bool, ProviderError> {
        let event: Event = serde_json::from_str(data).map_err(|_| ProviderError::Truncated)?;
        match event.kind.as_deref() {
            Some("response.output_text.delta") => {
                let text = event.delta.as_ref().and_then(Value::as_str).unwrap_or_default();
                (listener.deltas)(text);
                self.grow(text.len())?;
            }
            Some("response.output_item.done") => {
                let item = event.item.unwrap_or_default();
                self.grow(item.to_string().len())?;
                self.items.push(item);
            }
            Some("response.completed" | "response.incomplete" | "response.failed") => {
                self.end(event.response.unwrap_or_default(), listener)?;
                return Ok(true);
            }
            Some("error") => {
                let told = event.error.unwrap_or_else(|| json!({ "code": event.code, "message": event.message }));
                return Err(error::map_event(told, listener.context));
            }
            // What else is told, and what newer versions say besides.
            Some(_) => {}
            None => {
                let response: Response = serde_json::from_str(data).map_err(|_| ProviderError::Truncated)?;
                self.end(response, listener)?;
                return Ok(true);
            }
        }
        if self.items.len() > ITEMS_MAX { Err(too_large()) } else { Ok(false) }
    }

    fn finish(self: Box<Self>, listener: &Listener<'_>) -> Result<Answer, ProviderError> {
        let is_cut = is_cut(self.reason.as_deref());
        let mut ids = Ids::of(listener.request);
        let (mut text, mut tool_calls, mut carried, mut thinks) = (String::new(), Vec::new(), Vec::new(), false);
        for item in self.items {
            match item.get("type").and_then(Value::as_str) {
                Some("message") => {
                    let words = words(&item)?;
                    text.push_str(&words);
                    carried.push(said(&words));
                }
                Some("function_call") => {
                    carried.push(json!({ "type": "function_call" }));
                    tool_calls.push(tool_call(&item, &mut ids, is_cut));
                }
                Some("reasoning") if item.get("encrypted_content").is_some_and(Value::is_string) => {
                    thinks = true;
                    let (content, summary) = (item.get("encrypted_content"), item.get("summary"));
                    carried.push(json!({ "type": "reasoning", "encrypted_content": content, "summary": summary }));
                }
                _ => {}
            }
        }
        let finish = finish_reason(self.reason.as_deref(), !tool_calls.is_empty())?;
        let count = |path: &str| self.usage.as_ref()?.pointer(path)?.as_u64();
        let counted = Counted {
            input: count("/input_tokens"),
            output: count("/output_tokens"),
            cached: count("/input_tokens_details/cached_tokens"),
            reasoning: count("/output_tokens_details/reasoning_tokens"),
        };
        let answer = counted.answer(text, tool_calls, finish, listener);
        let carry = if thinks { carry(Value::Array(carried), listener) } else { None };
        Ok(Answer { carry, ..answer })
    }
}

impl ResponseDraft {
    fn end(&mut self, response: Response, listener: &Listener<'_>) -> Result<(), ProviderError> {
        if let Some(told) = response.error.filter(|error| !error.is_null()) {
            return Err(error::map_event(told, listener.context));
        }
        let details = response.incomplete_details.as_ref().and_then(|details| details.get("reason")?.as_str());
        self.reason = details.map(str::to_owned).or(response.status);
        self.usage = response.usage;
        if self.items.is_empty() {
            self.items = response.output.unwrap_or_default();
        }
        if self.items.len() > ITEMS_MAX { Err(too_large()) } else { Ok(()) }
    }

    fn grow(&mut self, bytes: usize) -> Result<(), ProviderError> {
        self.bytes += bytes;
        // Text comes in pieces and once more in its item.
        if self.bytes > 2 * ANSWER_BYTES_MAX { Err(too_large()) } else { Ok(()) }
    }
}

/// Returns the text of a message.
fn words(item: &Value) -> Result<String, ProviderError> {
    let mut text = String::new();
    for part in item.get("content").and_then(Value::as_array).into_iter().flatten() {
        match part.get("type").and_then(Value::as_str) {
            Some("refusal") => return Err(ProviderError::Rejected("the model refused to answer".into())),
            _ => text.push_str(part.get("text").and_then(Value::as_str).unwrap_or_default()),
        }
    }
    Ok(text)
}

fn tool_call(item: &Value, ids: &mut Ids, is_cut: bool) -> ToolCall {
    let field = |name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
    ToolCall {
        id: ids.unique(field("call_id").or_else(|| field("id"))),
        name: field("name").unwrap_or_default(),
        args: read_args(field("arguments").unwrap_or_default(), is_cut),
    }
}
