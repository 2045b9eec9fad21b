//! Tool calls, put together from the pieces in which they are streamed.
//!
//! The index of a piece is not trusted: servers leave gaps, name huge ones, and send several whole calls under one.

use serde_json::Value;

use crate::providers::{
    ChatRequest, ToolCall,
    http::answer::{CALLS_MAX, Ids, read_args},
};

/// Calls whose pieces are still coming.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    calls: Vec<Partial>,
    too_many: bool,
}

#[derive(Debug, Default)]
struct Partial {
    index: Option<u64>,
    id: Option<String>,
    name: String,
    args: String,
}

impl Pieces {
    /// Returns whether there were more calls than one turn may have.
    pub(super) fn are_too_many(&self) -> bool {
        self.too_many
    }

    /// Returns the bytes of all arguments so far.
    pub(super) fn args_bytes(&self) -> usize {
        self.calls.iter().map(|call| call.args.len()).sum()
    }

    /// Returns the calls, each with an id that neither the conversation nor another call has. `is_cut` says that the
    /// model was stopped: then a call that has no arguments yet is not one that needs none.
    pub(super) fn finish(&mut self, request: &ChatRequest, is_cut: bool) -> Vec<ToolCall> {
        let mut ids = Ids::of(request);
        let calls = std::mem::take(&mut self.calls);
        calls
            .into_iter()
            .map(|call| ToolCall { id: ids.unique(call.id), name: call.name, args: read_args(call.args, is_cut) })
            .collect()
    }

    /// Takes in one piece; `place` numbers a call that came whole, and so without an index.
    pub(super) fn add(&mut self, place: Option<u64>, piece: &Value) {
        let index = piece.get("index").and_then(Value::as_u64).or(place);
        let id = piece.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
        let Some(call) = self.call_of(index, id) else { return };
        call.id = call.id.take().or_else(|| id.map(str::to_owned));
        if call.name.is_empty()
            && let Some(name) = piece.pointer("/function/name").and_then(Value::as_str)
        {
            name.clone_into(&mut call.name);
        }
        match piece.pointer("/function/arguments") {
            Some(Value::String(text)) => call.args.push_str(text),
            None | Some(Value::Null) => {}
            Some(whole) => call.args.push_str(&whole.to_string()),
        }
    }

    /// Returns the call that a piece belongs to: the last one with its index, unless the piece bears another id.
    fn call_of(&mut self, index: Option<u64>, id: Option<&str>) -> Option<&mut Partial> {
        let same_index = |call: &Partial| index.is_none() || call.index == index;
        let same_id = |call: &Partial| id.is_none() || call.id.is_none() || call.id.as_deref() == id;
        let found = self.calls.iter().rposition(same_index).filter(|at| self.calls.get(*at).is_some_and(same_id));
        match found {
            Some(at) => self.calls.get_mut(at),
            None if self.calls.len() < CALLS_MAX => {
                self.calls.push(Partial { index, ..Partial::default() });
                self.calls.last_mut()
            }
            None => {
                self.too_many = true;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::providers::Message;

    fn request(ids: &[&str]) -> ChatRequest {
        let call = |id: &&str| ToolCall { id: (*id).into(), name: "t".into(), args: json!({}) };
        let tool_calls = ids.iter().map(call).collect();
        let messages = vec![Message::Assistant { text: String::new(), tool_calls, carry: None }];
        ChatRequest {
            model: "m".into(),
            messages,
            tools: std::sync::Arc::default(),
            schema: None,
            images: Default::default(),
            max_output_tokens: 1,
        }
    }

    fn read(pieces: &[Value], ids: &[&str]) -> Vec<(String, String, Value)> {
        let mut calls = Pieces::default();
        for piece in pieces {
            calls.add(None, piece);
        }
        calls.finish(&request(ids), false).into_iter().map(|call| (call.id, call.name, call.args)).collect()
    }

    fn call(id: &str, args: Value) -> (String, String, Value) {
        (id.into(), "f".into(), args)
    }

    #[test]
    fn pieces_of_two_calls_are_put_together() {
        let pieces = [
            json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}),
            json!({"index": 0, "function": {"arguments": "{\"x\""}}),
            json!({"index": 1, "id": "b", "function": {"name": "f", "arguments": "{}"}}),
            json!({"index": 0, "function": {"arguments": ":1}"}}),
        ];
        assert_eq!(read(&pieces, &[]), [call("a", json!({"x": 1})), call("b", json!({}))]);
    }

    #[test]
    fn a_gap_in_the_indexes_repeats_no_call() {
        let pieces = [
            json!({"index": 3, "id": "a", "function": {"name": "f", "arguments": "{"}}),
            json!({"index": 3, "function": {"arguments": "}"}}),
            json!({"index": 4_294_967_295_u64, "id": "b", "function": {"name": "f"}}),
        ];
        assert_eq!(read(&pieces, &[]), [call("a", json!({})), call("b", json!({}))]);
    }

    #[test]
    fn whole_calls_under_one_index_stay_apart() {
        let piece = |id: &str, x: u8| json!({"index": 0, "id": id, "function": {"name": "f", "arguments": {"x": x}}});
        assert_eq!(
            read(&[piece("a", 1), piece("b", 2)], &[]),
            [call("a", json!({"x": 1})), call("b", json!({"x": 2}))]
        );
    }

    #[test]
    fn missing_and_repeated_ids_become_unique() {
        let piece = |index: u8, id: &str| json!({"index": index, "id": id, "function": {"name": "f"}});
        let calls = read(&[piece(0, ""), piece(1, "a"), piece(2, "a"), piece(3, "call_2")], &["a"]);
        let ids: Vec<_> = calls.iter().map(|(id, ..)| id.as_str()).collect();
        assert_eq!(ids, ["call_2", "call_3", "call_4", "call_5"]);
    }

    #[test]
    fn arguments_that_cannot_be_read_stay_a_string() {
        let pieces = [json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{\"x\":"}})];
        assert_eq!(read(&pieces, &[]), [call("a", json!("{\"x\":"))]);
    }

    #[test]
    fn a_call_without_arguments_is_whole_only_if_the_model_was_not_stopped() {
        for (is_cut, args) in [(false, json!({})), (true, json!(""))] {
            let mut calls = Pieces::default();
            calls.add(None, &json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}));
            assert_eq!(calls.finish(&request(&[]), is_cut)[0].args, args);
        }
    }

    #[test]
    fn more_calls_than_a_turn_may_have_are_told() {
        let mut calls = Pieces::default();
        for index in 0..=CALLS_MAX {
            calls.add(None, &json!({"index": index, "function": {"name": "f"}}));
        }
        assert!(calls.are_too_many());
        assert_eq!(calls.finish(&request(&[]), false).len(), CALLS_MAX);
    }
}
