//! Holds an answer to a JSON Schema while it is written.
//!
//! For each token the grammar says which may come next, so what is written is always the beginning of a valid document, and
//! it ends when the document is complete. The grammar never writes whitespace of its own choice: a small model otherwise
//! likes to write newlines for ever.

use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};
use toktrie::{ApproximateTokEnv, SimpleVob, TokEnv, TokRxInfo, TokTrie};

use super::error::ModelError;
use super::vocabulary::Vocabulary;

/// Makes constraints for one vocabulary.
pub(super) struct GrammarFactory {
    factory: ParserFactory,
}

impl GrammarFactory {
    /// Prepares a vocabulary.
    pub(super) fn new(vocabulary: &Vocabulary) -> Result<Self, ModelError> {
        let failed = |error: String| ModelError::unsupported(format!("its vocabulary makes no grammar: {error}"));
        let ends = vocabulary.turn_ends();
        let (Some(&end), Ok(len)) = (ends.first(), u32::try_from(vocabulary.len())) else {
            return Err(failed("no end of turn".into()));
        };
        let trie = TokTrie::from(&TokRxInfo::new(len, end), &vocabulary.grammar_words()).with_eos_tokens(ends);
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let mut factory = ParserFactory::new_simple(&environment).map_err(|error| failed(error.to_string()))?;
        factory.quiet();
        Ok(Self { factory })
    }

    /// Makes a constraint from a schema; the error says what of the schema cannot be enforced.
    pub(super) fn constrain(&self, schema: &Value) -> Result<Constraint, String> {
        let mut schema = match schema {
            Value::Object(_) => schema.clone(),
            Value::Bool(true) => json!({}),
            _ => return Err("it is not an object".into()),
        };
        if let Some(fields) = schema.as_object_mut() {
            fields.insert("x-guidance".into(), options());
        }
        let matcher = Matcher::new(self.factory.create_parser(TopLevelGrammar::from_json_schema(schema)));
        match matcher.get_error() {
            Some(error) => Err(error),
            None => Ok(Constraint { matcher, cursor: JsonCursor::default() }),
        }
    }
}

/// How JSON is written: one line, one space after `:` and `,`, which is what models have read most of.
///
/// `oneOf` is read as `anyOf`, which is all a grammar can promise. No `\u` escapes: text is written as it is, and half a
/// surrogate pair would not be text.
fn options() -> Value {
    json!({
        "item_separator": ", ",
        "key_separator": ": ",
        "whitespace_flexible": false,
        "coerce_one_of": true,
        "json_allowed_escapes": "nrbtf\\\"",
    })
}

/// The constraint of one answer.
pub(super) struct Constraint {
    matcher: Matcher,
    cursor: JsonCursor,
}

impl Constraint {
    /// Returns the tokens that may come next; never empty.
    pub(super) fn allowed(&mut self) -> Result<SimpleVob, String> {
        let allowed = self.matcher.compute_mask_or_eos().map_err(|error| error.to_string())?;
        if allowed.is_zero() { Err("no token may come next".into()) } else { Ok(allowed) }
    }

    /// Takes the next token and the bytes it shows.
    pub(super) fn accept(&mut self, token: u32, shown: &[u8]) -> Result<(), String> {
        self.cursor.push(shown);
        self.matcher.consume_token(token).map_err(|error| error.to_string())
    }

    /// Returns whether the document is complete and cannot go on.
    pub(super) fn is_finished(&self) -> bool {
        self.matcher.is_stopped() && !self.matcher.is_error()
    }

    /// Returns whether the document could end here.
    pub(super) fn may_end(&mut self) -> bool {
        self.is_finished() || self.matcher.is_accepting().unwrap_or(false)
    }

    /// Returns how strongly a token that shows these bytes leads towards the end; zero for one that does not.
    pub(super) fn closing_rank(&self, shown: &[u8]) -> u8 {
        self.cursor.closing_rank(shown)
    }
}

/// Knows whether the end of a JSON text lies inside a string.
#[derive(Debug, Default)]
struct JsonCursor {
    in_string: bool,
    escaped: bool,
}

impl JsonCursor {
    fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ => {}
            }
        }
    }

    fn closing_rank(&self, shown: &[u8]) -> u8 {
        match (self.in_string, shown.first()) {
            (true, Some(b'"')) | (false, None | Some(b'}' | b']')) => 2,
            // A comma ends a number, and `null`, `true` and `false` end a nesting that a bracket cannot.
            (false, Some(b',' | b'n' | b't' | b'f')) => 1,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_closed_by_a_quote_and_nothing_else() {
        let mut cursor = JsonCursor::default();
        cursor.push(br#"{"a": "x"#);
        assert_eq!([&b"\""[..], b"}", b",", b"y"].map(|token| cursor.closing_rank(token)), [2, 0, 0, 0]);
    }

    #[test]
    fn outside_a_string_brackets_close_and_a_comma_moves_on() {
        let mut cursor = JsonCursor::default();
        cursor.push(br#"{"a": 1"#);
        let ranks = [&b"}"[..], b"]", b"", b",", b"null", b"2", b"\""].map(|token| cursor.closing_rank(token));
        assert_eq!(ranks, [2, 2, 2, 1, 1, 0, 0]);
    }

    #[test]
    fn an_escaped_quote_does_not_close() {
        let mut cursor = JsonCursor::default();
        cursor.push(br#""say \"hi\\"#);
        assert!(cursor.in_string);
        cursor.push(b"\"");
        assert!(!cursor.in_string);
    }
}
