//! Lays a conversation out as the tokens that a model was trained on.
//!
//! Written by hand, not from the template in the file, because a template language over untrusted text cannot keep text and
//! control tokens apart. Here a [`Piece`] is one or the other, and a message's text only ever becomes [`Piece::Text`].

use super::error::ModelError;
use super::split::SplitRule;
use super::tool_calls;
use super::vocabulary::Vocabulary;
use crate::providers::{Message, ToolDefinition};

/// What SmolLM2 was trained to expect where nobody gives instructions.
const SMOLLM_SYSTEM: &str = "You are a helpful AI assistant named SmolLM, trained by Hugging Face";

/// The formats that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// `<|im_start|>role` … `<|im_end|>`: SmolLM2, Qwen.
    ChatMl,
    /// `<|start_header_id|>role<|end_header_id|>` … `<|eot_id|>`: Llama 3.
    Llama3,
}

/// A part of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// A control token that the vocabulary must have.
    Control(&'static str),
    /// A marker that is one token where the vocabulary has it, otherwise text.
    Marker(&'static str),
    /// Text; can never become a control token.
    Text(String),
}

/// Lays conversations out for one model.
#[derive(Debug, Clone)]
pub(super) struct ChatTemplate {
    format: Format,
    default_system: Option<&'static str>,
    skips_thinking: bool,
}

impl ChatTemplate {
    /// Chooses the format by the control tokens that a vocabulary has.
    pub(super) fn of(vocabulary: &Vocabulary, architecture: &str) -> Result<Self, ModelError> {
        let has = |name| vocabulary.special(name).is_some();
        let format = if has("<|im_start|>") && has("<|im_end|>") {
            Format::ChatMl
        } else if has("<|start_header_id|>") && has("<|end_header_id|>") && has("<|eot_id|>") {
            Format::Llama3
        } else {
            return Err(ModelError::unsupported("its vocabulary has the control tokens of no known chat format"));
        };
        let default_system = (vocabulary.split() == SplitRule::SmolLm).then_some(SMOLLM_SYSTEM);
        // Qwen 3 thinks aloud unless it is shown an empty thought; on a CPU that would cost most of the answer.
        Ok(Self { format, default_system, skips_thinking: architecture == "qwen3" })
    }

    /// Returns the prompt's tokens, up to where the model begins to answer.
    pub(super) fn encode(
        &self,
        messages: &[Message],
        tools: &[ToolDefinition],
        vocabulary: &Vocabulary,
    ) -> Result<Vec<u32>, ModelError> {
        let mut tokens = Vec::new();
        for piece in self.pieces(messages, tools) {
            let (name, text) = match piece {
                Piece::Control(name) => (Some(name), None),
                Piece::Marker(name) => (Some(name), Some(name.to_owned())),
                Piece::Text(text) => (None, Some(text)),
            };
            match (name.and_then(|name| vocabulary.special(name)), text) {
                (Some(id), _) => tokens.push(id),
                (None, Some(text)) => tokens.extend(vocabulary.encode(&text)?),
                (None, None) => return Err(ModelError::unsupported("its vocabulary lacks a control token")),
            }
        }
        Ok(tokens)
    }

    fn pieces(&self, messages: &[Message], tools: &[ToolDefinition]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if self.format == Format::Llama3 {
            pieces.push(Piece::Control("<|begin_of_text|>"));
        }
        let (system, rest) = match messages.split_first() {
            Some((Message::System { text }, rest)) => (Some(text.as_str()), rest),
            _ => (self.default_system, messages),
        };
        let mut system = system.unwrap_or_default().to_owned();
        if !tools.is_empty() {
            system.push_str(&tool_calls::instructions(tools));
        }
        if !system.is_empty() {
            self.turn(&mut pieces, "system", vec![Piece::Text(system)]);
        }
        for message in rest {
            self.message(&mut pieces, message);
        }
        self.open(&mut pieces, "assistant");
        if self.skips_thinking {
            let empty = [Piece::Marker("<think>"), Piece::Text("\n\n".into()), Piece::Marker("</think>")];
            pieces.extend(empty);
            pieces.push(Piece::Text("\n\n".into()));
        }
        joined(pieces)
    }

    fn message(&self, pieces: &mut Vec<Piece>, message: &Message) {
        match message {
            Message::System { text } => self.turn(pieces, "system", vec![Piece::Text(text.clone())]),
            Message::User { text, .. } => self.turn(pieces, "user", vec![Piece::Text(text.clone())]),
            Message::Assistant { text, tool_calls, .. } => {
                let mut body = vec![Piece::Text(text.clone())];
                for call in tool_calls {
                    body.push(Piece::Text("\n".into()));
                    body.push(Piece::Marker(tool_calls::CALL_BEGIN));
                    body.push(Piece::Text(tool_calls::written(call)));
                    body.push(Piece::Marker(tool_calls::CALL_END));
                }
                self.turn(pieces, "assistant", body);
            }
            Message::Tool { name, text, .. } => {
                let text = format!("Result of the tool {name}:\n{text}");
                let role = if self.format == Format::Llama3 { "ipython" } else { "user" };
                self.turn(pieces, role, vec![Piece::Text(text)]);
            }
        }
    }

    fn turn(&self, pieces: &mut Vec<Piece>, role: &str, body: Vec<Piece>) {
        self.open(pieces, role);
        pieces.extend(body);
        match self.format {
            Format::ChatMl => {
                pieces.push(Piece::Control("<|im_end|>"));
                pieces.push(Piece::Text("\n".into()));
            }
            Format::Llama3 => pieces.push(Piece::Control("<|eot_id|>")),
        }
    }

    fn open(&self, pieces: &mut Vec<Piece>, role: &str) {
        match self.format {
            Format::ChatMl => {
                pieces.push(Piece::Control("<|im_start|>"));
                pieces.push(Piece::Text(format!("{role}\n")));
            }
            Format::Llama3 => {
                pieces.push(Piece::Control("<|start_header_id|>"));
                pieces.push(Piece::Text(role.to_owned()));
                pieces.push(Piece::Control("<|end_header_id|>"));
                pieces.push(Piece::Text("\n\n".into()));
            }
        }
    }
}

/// Joins neighbouring texts: words are cut across the seam between a role and its text just as in training.
fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut all: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match (all.last_mut(), piece) {
            (Some(Piece::Text(before)), Piece::Text(text)) => before.push_str(&text),
            (_, piece) => all.push(piece),
        }
    }
    all
}
