//! The lines of a stream as one answer.

use serde::Deserialize;
use serde_json::Value;

use crate::providers::{
    Answer, ProviderError, ToolCall,
    http::{
        answer::{CALLS_MAX, Counted, Ids, finish_reason},
        error,
        protocol::{Draft, Listener},
        stream::{ANSWER_BYTES_MAX, too_large},
    },
};

/// One line, or an answer that came whole.
#[derive(Deserialize)]
struct Line {
    message: Option<Words>,
    #[serde(default)]
    done: bool,
    done_reason: Option<String>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Words {
    content: Option<String>,
    tool_calls: Option<Vec<Called>>,
}

#[derive(Deserialize)]
struct Called {
    id: Option<String>,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    arguments: Option<Value>,
}

/// What came so far.
#[derive(Default)]
pub(super) struct ChatDraft {
    text: String,
    calls: Vec<Called>,
    reason: Option<String>,
    counted: Counted,
}

impl Draft for ChatDraft {
    fn take_in(&mut self, data: &str, listener: &Listener<'_>) -> Result<bool, ProviderError> {
        let line: Line = serde_json::from_str(data).map_err(|_| ProviderError::Truncated)?;
        if let Some(told) = line.error {
            return Err(error::map_event(told, listener.context));
        }
        if let Some(words) = line.message {
            if let Some(text) = words.content.filter(|text| !text.is_empty()) {
                self.text.push_str(&text);
                (listener.deltas)(&text);
            }
            self.calls.extend(words.tool_calls.into_iter().flatten());
        }
        if self.text.len() > ANSWER_BYTES_MAX || self.calls.len() > CALLS_MAX {
            return Err(too_large());
        }
        if line.done {
            // Older versions give no reason.
            self.reason = Some(line.done_reason.unwrap_or_else(|| "stop".to_owned()));
            // What it did not count it tells as nothing.
            let told = |count: Option<u64>| count.filter(|count| *count > 0);
            let (input, output) = (told(line.prompt_eval_count), told(line.eval_count));
            self.counted = Counted { input, output, ..Counted::default() };
        }
        Ok(line.done)
    }

    fn finish(self: Box<Self>, listener: &Listener<'_>) -> Result<Answer, ProviderError> {
        let mut ids = Ids::of(listener.request);
        let read = |call: Called| ToolCall {
            id: ids.unique(call.id),
            name: call.function.name,
            args: call.function.arguments.unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        };
        let calls: Vec<ToolCall> = self.calls.into_iter().map(read).collect();
        let finish = finish_reason(self.reason.as_deref(), !calls.is_empty())?;
        Ok(self.counted.answer(self.text, calls, finish, listener))
    }
}
