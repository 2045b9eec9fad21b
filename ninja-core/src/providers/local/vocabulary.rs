//! The vocabulary of a model: text to tokens, tokens to bytes.
//!
//! Built by hand from the GGUF, because what decides over safety is who may make a control token: only
//! [`Vocabulary::special`] can. The encoder does not know the control tokens at all, so no text, wherever it comes from, can end a turn or begin one.

use std::collections::HashMap;

use tokenizers::Tokenizer;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::unicode::NFC;

use super::byte_text::bytes_of;
use super::error::ModelError;
use super::gguf::GgufFile;
use super::split::SplitRule;

/// Control tokens that end a turn, besides the one the file names.
const TURN_ENDS: [&str; 5] = ["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"];

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A piece of text, as bytes.
    Text(Vec<u8>),
    /// A marker that is text to a reader but never made from text, such as `<tool_call>`.
    Marker(String),
    /// A control token, or a placeholder: never text.
    Control(String),
}

/// A model's vocabulary.
pub(super) struct Vocabulary {
    encoder: Tokenizer,
    tokens: Vec<Token>,
    specials: HashMap<String, u32>,
    turn_ends: Vec<u32>,
    split: SplitRule,
}

impl Vocabulary {
    /// Builds the vocabulary from a file's metadata. Only byte-level vocabularies (`gpt2`) are supported.
    pub(super) fn from_gguf(file: &GgufFile) -> Result<Self, ModelError> {
        match file.text("tokenizer.ggml.model") {
            Some("gpt2") => {}
            other => {
                let detail = format!("the tokenizer `{}` is unknown; known is gpt2", other.unwrap_or("(none)"));
                return Err(ModelError::unsupported(detail));
            }
        }
        let split = SplitRule::named(file.text("tokenizer.ggml.pre").unwrap_or("(none)"))?;
        let texts = file.texts("tokenizer.ggml.tokens")?;
        let kinds = file.numbers("tokenizer.ggml.token_type")?;
        if texts.len() != kinds.len() || u32::try_from(texts.len()).is_err() {
            return Err(ModelError::unsupported("its vocabulary and its token types have different lengths"));
        }
        let tokens = texts.iter().zip(kinds).map(|(text, kind)| token(text, kind)).collect::<Result<Vec<_>, _>>()?;
        let specials = specials(&tokens);
        let encoder = encoder(&texts, &tokens, &file.texts("tokenizer.ggml.merges")?, split)?;
        let turn_ends = turn_ends(file.number("tokenizer.ggml.eos_token_id"), &specials, tokens.len())?;
        Ok(Self { encoder, tokens, specials, turn_ends, split })
    }

    /// Turns text into tokens; never into control tokens. A control character that the vocabulary has no byte for is left out.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        let encoding = self.encoder.encode_fast(text, false);
        let encoding = encoding.map_err(|error| ModelError::unsupported(format!("its vocabulary fails: {error}")))?;
        let ids = encoding.get_ids().to_vec();
        debug_assert!(ids.iter().all(|&id| matches!(self.token(id), Some(Token::Text(_)))));
        Ok(ids)
    }

    /// Returns the control token or marker of this name.
    pub(super) fn special(&self, name: &str) -> Option<u32> {
        self.specials.get(name).copied()
    }

    /// Returns the bytes that a token shows; none for a control token.
    pub(super) fn shown(&self, id: u32) -> &[u8] {
        match self.token(id) {
            Some(Token::Text(bytes)) => bytes,
            Some(Token::Marker(text)) => text.as_bytes(),
            Some(Token::Control(_)) | None => &[],
        }
    }

    /// Returns whether a token ends the turn. Every control token does: a model that makes another has left the format.
    pub(super) fn ends_turn(&self, id: u32) -> bool {
        matches!(self.token(id), Some(Token::Control(_)) | None)
    }

    /// Returns the tokens that end a turn, the usual one first; never empty.
    pub(super) fn turn_ends(&self) -> &[u32] {
        &self.turn_ends
    }

    /// Returns the number of tokens.
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Returns how text is cut into words.
    pub(super) fn split(&self) -> SplitRule {
        self.split
    }

    /// Returns each token's bytes as the grammar engine wants them: whatever is not text is marked by a leading 0xFF,
    /// which no text contains.
    pub(super) fn grammar_words(&self) -> Vec<Vec<u8>> {
        let word = |token: &Token| match token {
            Token::Text(bytes) => bytes.clone(),
            Token::Marker(text) | Token::Control(text) => [&[0xFF], text.as_bytes()].concat(),
        };
        self.tokens.iter().map(word).collect()
    }

    fn token(&self, id: u32) -> Option<&Token> {
        self.tokens.get(usize::try_from(id).ok()?)
    }
}

/// Reads one token; the numbers are those of llama.cpp's `llama_token_type`.
fn token(text: &str, kind: u64) -> Result<Token, ModelError> {
    match kind {
        1 => {
            let bytes = bytes_of(text);
            bytes.map(Token::Text).ok_or_else(|| ModelError::unsupported(format!("`{text}` is no byte-level token")))
        }
        4 => Ok(Token::Marker(text.to_owned())),
        2 | 3 | 5 => Ok(Token::Control(text.to_owned())),
        other => Err(ModelError::unsupported(format!("`{text}` has the unknown token type {other}"))),
    }
}

fn specials(tokens: &[Token]) -> HashMap<String, u32> {
    let named = |(token, id): (&Token, u32)| match token {
        Token::Text(_) => None,
        Token::Marker(text) | Token::Control(text) => Some((text.clone(), id)),
    };
    tokens.iter().zip(0..).filter_map(named).collect()
}

fn turn_ends(named: Option<u64>, specials: &HashMap<String, u32>, len: usize) -> Result<Vec<u32>, ModelError> {
    let named = named.filter(|&id| (id as usize) < len).and_then(|id| u32::try_from(id).ok());
    let mut ends: Vec<u32> = named.into_iter().collect();
    for id in TURN_ENDS.iter().filter_map(|name| specials.get(*name).copied()) {
        if !ends.contains(&id) {
            ends.push(id);
        }
    }
    if ends.is_empty() {
        return Err(ModelError::unsupported("its vocabulary has no token that ends a turn"));
    }
    Ok(ends)
}

fn encoder(texts: &[&str], tokens: &[Token], merges: &[&str], split: SplitRule) -> Result<Tokenizer, ModelError> {
    let words = texts.iter().zip(tokens).zip(0..);
    let words = words.filter(|((_, token), _)| matches!(token, Token::Text(_)));
    let vocab: Vocab = words.map(|((text, _), id)| ((*text).to_owned(), id)).collect();
    let pair = |merge: &&str| merge.split_once(' ').map(|(left, right)| (left.to_owned(), right.to_owned()));
    let merges = merges.iter().map(pair).collect::<Option<Vec<_>>>();
    let merges = merges.ok_or_else(|| ModelError::unsupported("a merge rule of it is not a pair"))?;
    let bpe = BPE::builder().vocab_and_merges(vocab, merges).ignore_merges(split.takes_whole_words()).build();
    let bpe = bpe.map_err(|error| ModelError::unsupported(format!("its merge rules do not fit: {error}")))?;
    let mut encoder = Tokenizer::new(bpe);
    encoder.with_pre_tokenizer(Some(split.splitter()?));
    if split.composes_accents() {
        let outcome = encoder.with_normalizer(Some(NFC));
        outcome.map_err(|error| ModelError::unsupported(format!("its normalizer does not fit: {error}")))?;
    }
    Ok(encoder)
}
