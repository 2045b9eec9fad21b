//! Writes an answer, one token after another.
//!
//! Always the token that the model finds most likely: with so small a model, dice make answers worse, and the same call shall
//! give the same answer. What keeps a greedy model from circling stands in `repetition`: a free answer ends there, and an
//! answer under a schema is led to its end, since it must stay valid.

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use toktrie::SimpleVob;

use super::byte_text::TextStream;
use super::constraint::{Constraint, GrammarFactory};
use super::network::Network;
use super::repetition::RepetitionGuard;
use super::tool_calls;
use super::vocabulary::Vocabulary;
use crate::providers::ProviderError;

/// What an answer must look like.
pub(super) enum Shape {
    /// Plain text.
    Text,
    /// A JSON document.
    Json(Box<Constraint>),
    /// Plain text, or a tool call that matches this schema.
    TextOrCall(Value),
}

/// What is to be written.
pub(super) struct Writing<'a> {
    /// The prompt.
    pub(super) prompt: &'a [u32],
    /// The most tokens to write.
    pub(super) tokens_max: usize,
    /// What it must look like.
    pub(super) shape: Shape,
    /// Ends it early.
    pub(super) stop: &'a CancellationToken,
    /// Receives text as it comes.
    pub(super) show: &'a dyn Fn(&str),
}

/// Why the writing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The answer is complete.
    Turn,
    /// The limit was reached.
    Length,
    /// The model repeated itself.
    Cycle,
}

/// What was written.
pub(super) struct Written {
    /// All text; a tool call with its opening marker included.
    pub(super) text: String,
    /// How many bytes of it were shown.
    pub(super) shown: usize,
    /// Whether it has a tool call.
    pub(super) has_call: bool,
    /// Tokens, the one that ends the turn not counted.
    pub(super) tokens: usize,
    /// Why it ended.
    pub(super) end: End,
}

/// Writes an answer. The key-value cache is free again afterwards.
pub(super) fn write(
    network: &mut Network,
    vocabulary: &Vocabulary,
    grammars: &GrammarFactory,
    writing: Writing<'_>,
) -> Result<Written, ProviderError> {
    let Writing { prompt, tokens_max, shape, stop, show } = writing;
    let (constraint, calling) = match shape {
        Shape::Text => (None, Calling::Never),
        Shape::Json(constraint) => (Some(*constraint), Calling::Never),
        Shape::TextOrCall(schema) => (None, Calling::Possible(schema)),
    };
    let writer = Writer {
        vocabulary,
        grammars,
        show,
        constraint,
        calling,
        stream: TextStream::default(),
        guard: RepetitionGuard::default(),
        cycles: 0,
        closers_due: 0,
        text: String::new(),
        shown: 0,
        tokens: 0,
    };
    let written = writer.run(network, prompt, tokens_max, stop);
    network.forget();
    written
}

/// Whether a tool may be called.
enum Calling {
    /// There are no tools.
    Never,
    /// A call of this schema may begin.
    Possible(Value),
    /// A call has begun.
    Begun,
}

struct Writer<'a> {
    vocabulary: &'a Vocabulary,
    grammars: &'a GrammarFactory,
    show: &'a dyn Fn(&str),
    constraint: Option<Constraint>,
    calling: Calling,
    stream: TextStream,
    guard: RepetitionGuard,
    /// How often a cycle was broken.
    cycles: usize,
    /// How many closing tokens are still to be preferred, to leave a cycle.
    closers_due: usize,
    text: String,
    /// How much of `text` has been shown.
    shown: usize,
    tokens: usize,
}

impl Writer<'_> {
    fn run(
        mut self,
        network: &mut Network,
        prompt: &[u32],
        tokens_max: usize,
        stop: &CancellationToken,
    ) -> Result<Written, ProviderError> {
        let stopped = || stop.is_cancelled();
        let Some(mut logits) = network.read(prompt, &stopped).map_err(failed)? else {
            return Err(ProviderError::Cancelled);
        };
        let end = loop {
            if stopped() {
                return Err(ProviderError::Cancelled);
            }
            if self.tokens >= tokens_max {
                break self.end_at_limit();
            }
            let token = self.choose(&logits)?;
            if let Some(end) = self.take(token)? {
                break end;
            }
            logits = network.step(token, prompt.len() + self.tokens - 1).map_err(failed)?;
        };
        let has_call = matches!(self.calling, Calling::Begun);
        Ok(Written { text: self.text, shown: self.shown, has_call, tokens: self.tokens, end })
    }

    fn end_at_limit(&mut self) -> End {
        let is_complete = self.constraint.as_mut().is_some_and(Constraint::may_end);
        if is_complete { End::Turn } else { End::Length }
    }

    /// Chooses the next token: the likeliest that is allowed; while leaving a cycle, the likeliest of those that close most.
    fn choose(&mut self, logits: &[f32]) -> Result<u32, ProviderError> {
        let allowed = match &mut self.constraint {
            Some(constraint) => Some(constraint.allowed().map_err(failed)?),
            None => None,
        };
        let permitted = |id: u32| allowed.as_ref().is_none_or(|mask: &SimpleVob| mask.is_allowed(id));
        let mut best: Option<(u8, f32, u32)> = None;
        for (&logit, id) in logits.iter().zip(0..).take(self.vocabulary.len()) {
            if !permitted(id) || logit.is_nan() {
                continue;
            }
            let rank = self.closing_rank(id);
            if best.is_none_or(|(best_rank, best_logit, _)| (rank, logit) > (best_rank, best_logit)) {
                best = Some((rank, logit, id));
            }
        }
        let (rank, _, id) = best.ok_or_else(|| failed("no token may come next"))?;
        if rank > 0 {
            self.closers_due = self.closers_due.saturating_sub(1);
        }
        Ok(id)
    }

    fn closing_rank(&self, id: u32) -> u8 {
        match &self.constraint {
            Some(constraint) if self.closers_due > 0 => constraint.closing_rank(self.vocabulary.shown(id)),
            Some(_) | None => 0,
        }
    }

    /// Takes a token; returns why the writing ends, if it does.
    fn take(&mut self, token: u32) -> Result<Option<End>, ProviderError> {
        if self.vocabulary.ends_turn(token) {
            return Ok(Some(End::Turn));
        }
        let bytes = self.vocabulary.shown(token);
        if let Some(constraint) = &mut self.constraint {
            constraint.accept(token, bytes).map_err(failed)?;
        }
        self.tokens += 1;
        self.text.push_str(&self.stream.push(bytes));
        self.show_more();
        self.begin_call();
        if self.constraint.as_ref().is_some_and(Constraint::is_finished) {
            return Ok(Some(End::Turn));
        }
        Ok(self.watch(token))
    }

    /// Shows what is new; a tool call is not text for people.
    fn show_more(&mut self) {
        let len = match self.calling {
            Calling::Never => self.text.len(),
            Calling::Possible(_) => tool_calls::shown_len(&self.text),
            Calling::Begun => return,
        };
        if let Some(new) = self.text.get(self.shown..len).filter(|new| !new.is_empty()) {
            (self.show)(new);
            self.shown = len;
        }
    }

    /// Once the opening marker of a tool call is written, holds the rest to the call's schema.
    fn begin_call(&mut self) {
        let Calling::Possible(schema) = &self.calling else { return };
        let Some((_, begun)) = self.text.split_once(tool_calls::CALL_BEGIN) else { return };
        // The marker's last token may already have brought the call's first characters; where they do not fit the
        // schema the call stays free, and is read as well as it can be.
        let begun = self.vocabulary.encode(begun.trim_start()).unwrap_or_default();
        let constraint = self.grammars.constrain(schema).ok();
        self.constraint = constraint.and_then(|mut constraint| {
            let accepted = begun.iter().try_for_each(|&id| constraint.accept(id, self.vocabulary.shown(id)));
            accepted.is_ok().then_some(constraint)
        });
        self.calling = Calling::Begun;
    }

    /// Watches for cycles. A free answer ends; a document is led out of it, by one more closing token each time.
    fn watch(&mut self, token: u32) -> Option<End> {
        if !self.guard.push(token) {
            return None;
        }
        if self.constraint.is_none() {
            return Some(End::Cycle);
        }
        self.guard.clear();
        self.cycles += 1;
        self.closers_due = self.cycles;
        None
    }
}

fn failed(error: impl std::fmt::Display) -> ProviderError {
    ProviderError::Rejected(format!("the local model failed: {error}"))
}
