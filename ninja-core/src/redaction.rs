//! Known secrets, taken out of what comes from outside before it is journaled and before it is used: so a prompt that is made
//! again after a crash is the one that was sent, and neither holds a key.
//!
//! Known are the keys of the providers. What the model is still writing is shown piece by piece; a secret that is cut in two
//! there is not found, but it is in the answer.

use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use crate::{
    journal::record::{Answer, Outcome},
    providers::Secret,
};

/// What stands in the place of a secret.
const REDACTED: &str = "[redacted]";
/// What is shorter is found in texts that have nothing to do with it.
const SECRET_BYTES_MIN: usize = 8;

/// The secrets of one engine. One that is no longer used stays known: it may still come back.
#[derive(Debug, Default)]
pub(crate) struct Redaction(RwLock<Arc<Known>>);

/// Secrets that are known at one moment.
#[derive(Debug, Default, Clone)]
struct Known(Vec<Secret>);

impl Redaction {
    /// Takes out these from now on.
    pub(crate) fn of(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let redaction = Self::default();
        redaction.learn(secrets);
        redaction
    }

    /// Takes out these too from now on.
    pub(crate) fn learn(&self, secrets: impl IntoIterator<Item = Secret>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for secret in secrets {
            if secret.expose().len() >= SECRET_BYTES_MIN && !known.0.contains(&secret) {
                Arc::make_mut(&mut known).0.push(secret);
            }
        }
    }

    /// Takes them out of a text; `None` where there is none in it.
    pub(crate) fn text(&self, text: &str) -> Option<String> {
        self.known().text(text)
    }

    /// Takes them out of what came of a call.
    pub(crate) fn outcome(&self, outcome: &mut Outcome) {
        self.known().outcome(outcome);
    }

    /// Takes them out of a text in its place.
    pub(crate) fn replace(&self, text: &mut String) {
        self.known().replace(text);
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Known {
    fn text(&self, text: &str) -> Option<String> {
        let found = self.0.iter().filter(|secret| text.contains(secret.expose()));
        found.fold(None, |cleaned: Option<String>, secret| {
            Some(cleaned.as_deref().unwrap_or(text).replace(secret.expose(), REDACTED))
        })
    }

    fn outcome(&self, outcome: &mut Outcome) {
        if self.0.is_empty() {
            return;
        }
        match outcome {
            Outcome::Answered(answer) => self.answer(answer),
            Outcome::Returned { output, images, .. } => {
                self.value(output);
                images.iter_mut().for_each(|image| self.replace(&mut image.name));
            }
            Outcome::Failed { error, .. } => self.replace(&mut error.detail),
            Outcome::Lost { .. } | Outcome::Stopped { .. } => {}
        }
    }

    fn answer(&self, answer: &mut Answer) {
        self.replace(&mut answer.text);
        answer.tool_calls.iter_mut().for_each(|call| self.value(&mut call.args));
        // It may be signed: changed it would be refused, and without it the conversation goes on.
        let holds_one = |data: &Value| self.text(&data.to_string()).is_some();
        answer.carry.take_if(|carry| holds_one(&carry.data));
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.replace(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(fields) => {
                if fields.keys().any(|name| self.text(name).is_some()) {
                    let renamed = std::mem::take(fields).into_iter();
                    *fields = renamed.map(|(name, value)| (self.text(&name).unwrap_or(name), value)).collect();
                }
                fields.values_mut().for_each(|field| self.value(field));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn replace(&self, text: &mut String) {
        if let Some(cleaned) = self.text(text) {
            *text = cleaned;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        api::{ApiError, BlobHash, ErrorCode, Usage},
        journal::record::{Carry, FinishReason, ImageFile, ImageShape, ManifestDelta, MediaType, ToolCall},
    };

    const KEY: &str = "sk-canary-1234";

    fn redaction() -> Redaction {
        Redaction::of(["short", KEY, "other-secret"].map(Secret::new))
    }

    fn cleaned(mut outcome: Outcome) -> String {
        redaction().outcome(&mut outcome);
        serde_json::to_string(&outcome).unwrap()
    }

    fn named(name: &str) -> ImageFile {
        let shape = ImageShape { media_type: MediaType::Png, width: 1, height: 1, is_animated: false, is_cut: false };
        ImageFile { name: name.to_owned(), blob: BlobHash::from_bytes([0; 32]), bytes: 1, shape }
    }

    #[test]
    fn what_is_learned_later_is_taken_out_too() {
        let redaction = redaction();
        assert_eq!(redaction.text("a late-secret"), None);
        redaction.learn(["late-secret", "tiny", KEY].map(Secret::new));
        assert_eq!(redaction.text(&format!("a late-secret, {KEY}")).as_deref(), Some("a [redacted], [redacted]"));
        assert_eq!(redaction.text("tiny"), None);
    }

    #[test]
    fn nothing_that_is_recorded_holds_a_secret() {
        let nested = json!({ "a": [KEY, { KEY: format!("x{KEY}y other-secret") }], "n": 1 });
        let call = ToolCall { id: "1".to_owned(), name: "shell".to_owned(), args: nested.clone() };
        let answer = Answer {
            text: format!("the key is {KEY}, {KEY}"),
            tool_calls: vec![call],
            finish: FinishReason::Stop,
            usage: Usage::default(),
            carry: Some(Carry { of: "p/m".to_owned(), data: nested.clone() }),
        };
        let outcomes = [
            Outcome::Answered(answer),
            Outcome::Returned { ok: true, output: nested, delta: ManifestDelta::default(), images: Vec::new() },
            Outcome::Returned {
                ok: true,
                output: Value::Null,
                delta: ManifestDelta::default(),
                images: vec![named(KEY)],
            },
            Outcome::Failed { error: ApiError::new(ErrorCode::ProviderFailed, KEY), usage: Usage::default() },
        ];
        for outcome in outcomes {
            let text = cleaned(outcome);
            assert!(text.contains(REDACTED) && !text.contains("canary") && !text.contains("other-secret"), "{text}");
            assert!(!text.contains("carry"), "{text}");
        }
        let untouched = json!({ "a": "short", "b": ["x"] });
        let outcome = Outcome::Returned {
            ok: true,
            output: untouched.clone(),
            delta: ManifestDelta::default(),
            images: Vec::new(),
        };
        assert!(cleaned(outcome).contains(&untouched.to_string()));
    }
}
