//! Notices when a model repeats itself word for word.
//!
//! A model of 135 million weights that decodes greedily sometimes falls into a cycle and would stay there until
//! the token limit. A penalty on repeated tokens would avoid that, but also spoil what such a model is good for here,
//! which is copying names and figures from its prompt. So nothing is changed while it writes; a cycle is recognised and ended.

/// The longest cycle that is looked for: a long sentence, or two short ones.
const PERIOD_MAX: usize = 64;

/// A cycle counts when it has been seen this often in a row. Twice happens in honest text.
const REPEATS_MIN: usize = 3;

/// A cycle counts only over at least this many tokens, so that a ruler of dashes or a run of zeros is not cut off.
const TOKENS_MIN: usize = 32;

/// Watches the tokens of one answer.
#[derive(Debug, Default)]
pub(super) struct RepetitionGuard {
    tokens: Vec<u32>,
}

impl RepetitionGuard {
    /// Takes the next token and returns whether the answer now ends in a cycle.
    pub(super) fn push(&mut self, token: u32) -> bool {
        self.tokens.push(token);
        (1..=PERIOD_MAX).any(|period| self.ends_in_cycle(period))
    }

    /// Forgets what came before, after a cycle was broken.
    pub(super) fn clear(&mut self) {
        self.tokens.clear();
    }

    fn ends_in_cycle(&self, period: usize) -> bool {
        let repeats = REPEATS_MIN.max(TOKENS_MIN.div_ceil(period));
        let Some(start) = self.tokens.len().checked_sub(period * repeats) else { return false };
        let tail = self.tokens.get(start..).unwrap_or_default();
        tail.iter().zip(tail.iter().skip(period)).all(|(earlier, later)| earlier == later)
    }
}
