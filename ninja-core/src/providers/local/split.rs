//! How a text is cut into words before byte-pair merging: the "pre-tokenizer" that a GGUF names.
//!
//! A wrong cut gives wrong tokens without any error, so only rules that are known exactly are here, and a name that is
//! not among them is refused.

use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;

use super::error::ModelError;

/// Qwen 2, 2.5 and 3: each digit for itself.
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Llama 3: digits in groups of up to three.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The way a vocabulary wants its text cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SplitRule {
    /// GPT-2's rule.
    Gpt2,
    /// Each digit for itself, then GPT-2's rule.
    SmolLm,
    /// Qwen's rule, after composing accents (NFC).
    Qwen2,
    /// Llama 3's rule; a word that is in the vocabulary as a whole is taken as it is.
    Llama3,
}

impl SplitRule {
    /// Finds the rule that a GGUF means by `tokenizer.ggml.pre`.
    pub(super) fn named(name: &str) -> Result<Self, ModelError> {
        match name {
            "gpt-2" | "gpt2" => Ok(Self::Gpt2),
            "smollm" => Ok(Self::SmolLm),
            "qwen2" | "deepseek-r1-qwen" => Ok(Self::Qwen2),
            "llama-bpe" | "llama3" | "llama-v3" => Ok(Self::Llama3),
            other => Err(ModelError::unsupported(format!(
                "the pre-tokenizer `{other}` is unknown; known are smollm, gpt-2, qwen2 and llama-bpe"
            ))),
        }
    }

    /// Returns whether text is composed (NFC) first.
    pub(super) fn composes_accents(self) -> bool {
        self == Self::Qwen2
    }

    /// Returns whether a whole word of the vocabulary is taken without merging.
    pub(super) fn takes_whole_words(self) -> bool {
        self == Self::Llama3
    }

    /// Makes the splitter; its last part turns bytes into the characters of a byte-level vocabulary.
    pub(super) fn splitter(self) -> Result<PreTokenizerWrapper, ModelError> {
        // Arguments: no space before the first word, offsets untouched, and whether GPT-2's own cut is applied.
        let gpt2 = ByteLevel::new(false, false, true);
        let bytes_only = ByteLevel::new(false, false, false);
        Ok(match self {
            Self::Gpt2 => gpt2.into(),
            Self::SmolLm => Sequence::new(vec![Digits::new(true).into(), gpt2.into()]).into(),
            Self::Qwen2 => Sequence::new(vec![by_pattern(QWEN2)?.into(), bytes_only.into()]).into(),
            Self::Llama3 => Sequence::new(vec![by_pattern(LLAMA3)?.into(), bytes_only.into()]).into(),
        })
    }
}

fn by_pattern(pattern: &str) -> Result<Split, ModelError> {
    Split::new(SplitPattern::Regex(pattern.to_owned()), SplitDelimiterBehavior::Isolated, false)
        .map_err(|error| ModelError::unsupported(format!("its cut pattern does not compile: {error}")))
}
