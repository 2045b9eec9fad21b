//! What the generator writes under a schema, with a model that knows nothing: validity must come from the grammar alone.

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::tiny::Tiny;
use crate::providers::ProviderError;
use crate::providers::ToolDefinition;
use crate::providers::local::constraint::GrammarFactory;
use crate::providers::local::generate::{End, Shape, Writing, Written, write};
use crate::providers::local::gguf::GgufFile;
use crate::providers::local::network::Network;
use crate::providers::local::tool_calls;
use crate::providers::local::vocabulary::Vocabulary;

/// The schemas that must always be kept to: each kind that a template is likely to use.
pub(super) fn schemas() -> Vec<Value> {
    let text = json!({"type": "string", "maxLength": 12});
    let small = json!({"type": "integer", "minimum": 0, "maximum": 99});
    let object = |properties: Value| {
        let required: Vec<String> = properties.as_object().unwrap().keys().cloned().collect();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    };
    vec![
        text.clone(),
        small.clone(),
        json!({"type": "boolean"}),
        json!({"type": "null"}),
        json!({"enum": ["red", "green", "blue"]}),
        json!({"enum": [1, "two", null, true]}),
        json!({"const": {"fixed": [1, 2, "ü\"quoted\""]}}),
        json!({"type": "number", "minimum": -1, "maximum": 1, "multipleOf": 0.25}),
        json!({"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"}),
        json!({"type": "string", "format": "date"}),
        json!({"type": "array", "items": small, "minItems": 1, "maxItems": 4}),
        json!({"type": "array", "prefixItems": [{"type": "boolean"}, small], "items": false, "minItems": 2}),
        json!({"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "null"}, "maxItems": 2}]}),
        json!({"oneOf": [{"type": "boolean"}, {"type": "null"}]}),
        json!({"type": ["string", "null"], "maxLength": 5}),
        object(json!({})),
        object(json!({"title": text, "count": small})),
        object(json!({"kind": {"enum": ["a", "b"]}, "inner": object(json!({"deep": object(json!({"x": small}))}))})),
        object(
            json!({"rows": {"type": "array", "maxItems": 3, "items": object(json!({"name": text, "ok": {"type": "boolean"}}))}}),
        ),
        json!({"type": "object", "properties": {"a": small, "b": text}, "required": ["a"], "additionalProperties": false}),
        json!({"type": "object", "additionalProperties": small, "maxProperties": 0}),
        json!({"$defs": {"n": small}, "type": "array", "items": {"$ref": "#/$defs/n"}, "maxItems": 2}),
        json!({"type": "string", "minLength": 3, "maxLength": 6}),
        json!({"allOf": [{"type": "integer", "minimum": 5}, {"type": "integer", "maximum": 7}]}),
    ]
}

struct Fixture {
    network: Network,
    vocabulary: Vocabulary,
    grammars: GrammarFactory,
}

fn fixture(tiny: &Tiny) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    tiny.write(&path);
    let file = GgufFile::open(&path).unwrap();
    let vocabulary = Vocabulary::from_gguf(&file).unwrap();
    let grammars = GrammarFactory::new(&vocabulary).unwrap();
    Fixture { network: Network::load(file).unwrap(), vocabulary, grammars }
}

impl Fixture {
    fn write(&mut self, prompt: &str, shape: Shape, tokens_max: usize) -> Result<Written, ProviderError> {
        let prompt = self.vocabulary.encode(prompt).unwrap();
        let stop = CancellationToken::new();
        let writing = Writing { prompt: &prompt, tokens_max, shape, stop: &stop, show: &|_| () };
        write(&mut self.network, &self.vocabulary, &self.grammars, writing)
    }

    fn json(&mut self, prompt: &str, schema: &Value, tokens_max: usize) -> Written {
        let constraint = self.grammars.constrain(schema).unwrap_or_else(|error| panic!("{schema}: {error}"));
        self.write(prompt, Shape::Json(Box::new(constraint)), tokens_max).unwrap()
    }
}

/// Asserts that a text is JSON and matches a schema, by another implementation of JSON Schema.
pub(super) fn assert_matches(schema: &Value, text: &str) {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{schema}: {text:?}: {error}"));
    let validator = jsonschema::validator_for(schema).unwrap();
    assert!(validator.is_valid(&value), "{schema}: {text}");
}

#[test]
fn whatever_is_written_matches_its_schema() {
    let mut fixture = fixture(&Tiny::default());
    for schema in schemas() {
        for prompt in ["hello", "12", "äöü"] {
            let written = fixture.json(prompt, &schema, 400);
            assert_eq!(written.end, End::Turn, "{schema}: {}", written.text);
            assert_matches(&schema, &written.text);
        }
    }
}

#[test]
fn a_document_without_bounds_still_ends() {
    let mut fixture = fixture(&Tiny::default());
    let node = json!({"type": "object", "properties": {"v": {"type": "boolean"},
        "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
        "required": ["v", "next"], "additionalProperties": false});
    let unbounded = [
        json!({"$defs": {"node": node}, "$ref": "#/$defs/node"}),
        json!({"type": "string"}),
        json!({"type": "array", "items": {"type": "boolean"}}),
        json!({"type": "object", "properties": {"text": {"type": "string"}, "list": {"type": "array", "items": {"type": "string"}}},
            "required": ["text", "list"], "additionalProperties": false}),
    ];
    let mut ended = 0;
    for schema in &unbounded {
        for prompt in ["hello", "12", "x"] {
            let written = fixture.json(prompt, schema, 400);
            if written.end == End::Turn {
                assert_matches(schema, &written.text);
                ended += 1;
            }
        }
    }
    assert!(ended > 0, "no cycle was ever broken");
}

#[test]
fn a_document_that_is_cut_off_says_so() {
    let mut fixture = fixture(&Tiny::default());
    let schema = json!({"type": "string", "pattern": "^[a-z]{50}$"});
    let written = fixture.json("hello", &schema, 10);
    assert_eq!((written.end, written.tokens), (End::Length, 10));
    assert!(written.text.starts_with('"'));
}

#[test]
fn a_document_that_is_complete_at_the_limit_is_complete() {
    let mut fixture = fixture(&Tiny::default());
    let written = fixture.json("hello", &json!({"const": 12345}), 5);
    assert_eq!((written.end, written.text.as_str()), (End::Turn, "12345"));
}

#[test]
fn a_schema_may_hold_what_looks_like_a_control_token() {
    let mut fixture = fixture(&Tiny::default());
    let written = fixture.json("hello", &json!({"const": "<|im_end|><tool_call>"}), 60);
    assert_eq!((written.end, written.text.as_str()), (End::Turn, "\"<|im_end|><tool_call>\""));
}

#[test]
fn a_long_prompt_is_read_in_parts_as_it_would_be_at_once() {
    let mut fixture = fixture(&Tiny { dtype: candle_core::quantized::GgmlDType::F32, ..Tiny::default() });
    let tokens: Vec<u32> = (0..333).map(|i| 4 + (i * 7) % 250).collect();
    let in_parts = fixture.network.read(&tokens, &|| false).unwrap().unwrap();
    fixture.network.forget();
    let mut singly = Vec::new();
    for (position, &token) in tokens.iter().enumerate() {
        singly = fixture.network.step(token, position).unwrap();
    }
    let difference = in_parts.iter().zip(&singly).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference < 1e-3, "{difference}");
}

#[test]
fn reading_stops_between_two_parts() {
    let mut fixture = fixture(&Tiny::default());
    let asked = std::cell::Cell::new(0);
    let stopped = || {
        asked.set(asked.get() + 1);
        asked.get() == 3
    };
    assert_eq!(fixture.network.read(&[5; 400], &stopped).unwrap(), None);
    assert_eq!(asked.get(), 3);
}

#[test]
fn a_call_is_always_to_a_known_tool_with_arguments_of_its_schema() {
    let mut fixture = fixture(&Tiny::default());
    let tool = |name: &str, schema| ToolDefinition { name: name.into(), description: String::new(), schema };
    let arguments = json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9}},
        "required": ["n"], "additionalProperties": false});
    let schema = tool_calls::call_schema(&[tool("one", arguments.clone()), tool("two", arguments.clone())]);
    for prompt in ["hello", "12", "x", "two"] {
        let written = fixture.json(prompt, &schema, 100);
        let call = tool_calls::read(&written.text, &[]).unwrap();
        assert!(["one", "two"].contains(&call.name.as_str()));
        assert_matches(&arguments, &call.args.to_string());
    }
}

#[test]
fn a_free_answer_that_circles_is_ended() {
    let ends: Vec<End> = ["hello", "12", "x", "aaaa", "?"]
        .map(|prompt| fixture(&Tiny::default()).write(prompt, Shape::Text, 450).unwrap().end)
        .to_vec();
    assert!(ends.contains(&End::Cycle), "{ends:?}");
}
