//! How many tokens a model takes for an image, at the most: what is set aside for a call must cover it, and so must the window.
//!
//! The vendors' own formulas, as they document them in November 2026. Where a formula depends on the model, the dearest of the
//! vendor's models counts.

use serde::{Deserialize, Serialize};

use super::{ImageShape, MediaType};

/// Whose formula counts the tokens of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageTokens {
    /// Anthropic's: a token for each 28 by 28 pixels, once it was for each 750, of an image that was scaled down to 4,784 of them.
    /// <https://platform.claude.com/docs/en/build-with-claude/vision>
    Anthropic,
    /// Google's: 258 for each tile, or 1,120 for an image since Gemini 3.
    /// <https://ai.google.dev/gemini-api/docs/media-resolution>
    Gemini,
    /// OpenAI's: for some models 32 by 32 pixels of up to 2,500 such patches, each of which counts up to 2.46 times; for others
    /// tiles, of which there are never more than 1,445 tokens. <https://platform.openai.com/docs/guides/images-vision>
    Openai,
    /// OpenAI's for one model that counts tiles thirty-three times: 2,833 and 5,667 for each of at most eight.
    Gpt4oMini,
    /// That of the Qwen models: a token for each 28 by 28 pixels, of up to 16,384 as the models have it, and no fewer than LLaVA's
    /// 576, as some of them are built like it. <https://huggingface.co/Qwen/Qwen2.5-VL-7B-Instruct>
    Qwen,
    /// Nobody's: 16 by 16 pixels, the smallest patches of open models, but no fewer than LLaVA's 576 and no more than the
    /// 4,096 to which servers scale down.
    Other,
}

impl ImageTokens {
    /// Returns the formula of a model, by its name: it is the same wherever the model is served.
    pub fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        match name {
            _ if begins(&["gpt-4o-mini"]) => Self::Gpt4oMini,
            _ if begins(&["gpt-4", "gpt-5", "gpt-6", "chatgpt-", "o1", "o3", "o4"]) => Self::Openai,
            _ if begins(&["claude"]) => Self::Anthropic,
            _ if begins(&["gemini"]) => Self::Gemini,
            _ if name.to_ascii_lowercase().contains("qwen") => Self::Qwen,
            _ => Self::Other,
        }
    }

    /// Returns the most tokens that an image takes.
    pub fn count(self, shape: ImageShape) -> u64 {
        let (width, height) = (u64::from(shape.width), u64::from(shape.height));
        let patches = |side: u64| width.div_ceil(side) * height.div_ceil(side);
        match self {
            Self::Anthropic => patches(28).max((width * height).div_ceil(750)).min(4_784),
            Self::Gemini => {
                let tile = (width.min(height) * 2 / 3).clamp(256, 768);
                (patches(tile) * 258).max(1_120)
            }
            Self::Openai => (patches(32).min(2_500) * 246).div_ceil(100).max(1_445),
            Self::Gpt4oMini => 2_833 + 8 * 5_667,
            Self::Qwen => patches(28).clamp(576, 16_384),
            Self::Other => patches(16).clamp(576, 4_096),
        }
    }

    /// Returns whether its vendor takes an image: nobody takes what moves but Anthropic, who looks at its beginning; Gemini
    /// takes no GIF at all, and servers of one's own read PNG and JPEG and often nothing else, such as those of llama.cpp.
    pub fn takes(self, shape: ImageShape) -> bool {
        match self {
            Self::Anthropic => true,
            Self::Openai | Self::Gpt4oMini => !shape.is_animated,
            Self::Gemini => !shape.is_animated && shape.media_type != MediaType::Gif,
            Self::Qwen | Self::Other => matches!(shape.media_type, MediaType::Png | MediaType::Jpeg),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(tokens: ImageTokens, width: u32, height: u32) -> u64 {
        tokens.count(ImageShape { media_type: MediaType::Png, width, height, is_animated: false, is_cut: false })
    }

    /// The vendors' own examples, each of which must be covered; where a formula is one model's alone, exactly.
    #[test]
    fn what_the_vendors_say_of_their_examples_is_covered() {
        for (tokens, width, height, told, counted) in [
            (ImageTokens::Anthropic, 200, 200, 54, 64),
            (ImageTokens::Anthropic, 1_000, 1_000, 1_334, 1_334),
            (ImageTokens::Anthropic, 1_092, 1_092, 1_590, 1_590),
            (ImageTokens::Anthropic, 8_000, 8_000, 4_784, 4_784),
            (ImageTokens::Openai, 1_024, 1_024, 765, 2_520),
            (ImageTokens::Openai, 2_048, 4_096, 1_105, 6_150),
            (ImageTokens::Openai, 1, 1, 255, 1_445),
            (ImageTokens::Gemini, 384, 384, 258, 1_120),
            (ImageTokens::Gemini, 960, 540, 1_548, 1_548),
            (ImageTokens::Other, 640, 480, 576, 1_200),
            (ImageTokens::Other, 8_000, 8_000, 4_096, 4_096),
            (ImageTokens::Other, 10, 10, 576, 576),
            (ImageTokens::Qwen, 8_000, 8_000, 16_384, 16_384),
            (ImageTokens::Qwen, 2_240, 1_680, 4_800, 4_800),
            (ImageTokens::Qwen, 28, 28, 4, 576),
            (ImageTokens::Gpt4oMini, 2_048, 2_048, 48_169, 48_169),
        ] {
            let found = count(tokens, width, height);
            assert!(found >= told && found == counted, "{tokens:?} {width}×{height}: {found}");
        }
    }

    #[test]
    fn a_formula_is_found_by_the_name_of_the_model() {
        for (model, tokens) in [
            ("gpt-5.4-mini", ImageTokens::Openai),
            ("openai/gpt-4o-mini-2024", ImageTokens::Gpt4oMini),
            ("o4-mini", ImageTokens::Openai),
            ("anthropic/claude-opus-4-7", ImageTokens::Anthropic),
            ("gemini-3.6-flash", ImageTokens::Gemini),
            ("gpt-oss:20b", ImageTokens::Other),
            ("qwen3-vl:8b", ImageTokens::Qwen),
            ("Qwen/Qwen2.5-VL-7B-Instruct", ImageTokens::Qwen),
            ("gemma3", ImageTokens::Other),
        ] {
            assert_eq!(ImageTokens::of(model), tokens, "{model}");
        }
    }

    #[test]
    fn each_takes_the_formats_that_it_reads() {
        use MediaType::{Gif, Jpeg, Png, Webp};
        for (tokens, takes) in [
            (ImageTokens::Anthropic, vec![Png, Jpeg, Gif, Webp]),
            (ImageTokens::Openai, vec![Png, Jpeg, Gif, Webp]),
            (ImageTokens::Gpt4oMini, vec![Png, Jpeg, Gif, Webp]),
            (ImageTokens::Gemini, vec![Png, Jpeg, Webp]),
            (ImageTokens::Qwen, vec![Png, Jpeg]),
            (ImageTokens::Other, vec![Png, Jpeg]),
        ] {
            let shape = |media_type| ImageShape { media_type, width: 1, height: 1, is_animated: false, is_cut: false };
            let taken: Vec<_> = [Png, Jpeg, Gif, Webp].into_iter().filter(|kind| tokens.takes(shape(*kind))).collect();
            assert_eq!(taken, takes, "{tokens:?}");
        }
    }
}
