//! What models cost: `config/prices.toml`, and an operator's own file before it.
//!
//! Prices are those of the vendors' own addresses. A call to anybody else has a price only where its provider is
//! configured with one; what is not known is said to be unknown, never free.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::api::{DollarPrice, Usage};

/// The prices that come with this version.
const BUILT_IN: &str = include_str!("../../../config/prices.toml");
/// Prices are by the million tokens.
const TOKENS: u128 = 1_000_000;

/// What a million tokens of a model cost, in millionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Of the prompt.
    pub input: u64,
    /// Of what of the prompt the vendor had kept.
    pub cached_input: u64,
    /// Of the answer, thinking and all.
    pub output: u64,
}

impl Price {
    /// Of what costs nothing, such as a model on a machine of one's own.
    pub const FREE: Self = Self { input: 0, cached_input: 0, output: 0 };

    /// Returns what these tokens cost, rounded up to a millionth of a dollar.
    pub fn cost_micro_usd(&self, usage: &Usage) -> u64 {
        let fresh = usage.input_tokens.saturating_sub(usage.cached_input_tokens);
        let parts =
            [(fresh, self.input), (usage.cached_input_tokens, self.cached_input), (usage.output_tokens, self.output)];
        let sum: u128 = parts.map(|(tokens, price)| u128::from(tokens) * u128::from(price)).into_iter().sum();
        u64::try_from(sum.div_ceil(TOKENS)).unwrap_or(u64::MAX)
    }
}

/// The prices of models by vendor.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prices {
    /// What was read first counts first.
    layers: Vec<BTreeMap<String, Price>>,
}

/// A price that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the prices: {0}")]
pub struct PricesError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PricesFile {
    /// For people: when somebody looked.
    #[serde(rename = "dated")]
    _dated: toml::value::Datetime,
    prices: BTreeMap<String, DollarPrice>,
}

impl Prices {
    /// Reads the built-in prices, and an operator's own before them.
    ///
    /// # Errors
    ///
    /// Fails where the file cannot be read or a price is none; says which.
    pub fn load(own: Option<&Path>) -> Result<Self, PricesError> {
        let mut layers = Vec::new();
        if let Some(path) = own {
            let at = |error: String| PricesError(format!("{}: {error}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|error| at(error.to_string()))?;
            layers.push(read(&text).map_err(at)?);
        }
        layers.push(read(BUILT_IN).map_err(PricesError)?);
        Ok(Self { layers })
    }

    /// Returns the price of a vendor's model: that of the longest key that fits.
    pub fn of(&self, vendor: &str, model: &str) -> Option<Price> {
        let name = format!("{vendor}/{model}");
        let fits = |key: &str| match key.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == key,
        };
        let longest = |layer: &BTreeMap<String, Price>| {
            let fitting = layer.iter().filter(|(key, _)| fits(key));
            fitting.max_by_key(|(key, _)| key.len()).map(|(_, price)| *price)
        };
        self.layers.iter().find_map(longest)
    }
}

impl TryFrom<DollarPrice> for Price {
    type Error = String;

    fn try_from(config: DollarPrice) -> Result<Self, String> {
        let micros = |dollars: f64| match dollars {
            // No vendor asks a million dollars for a million tokens.
            0.0..1e6 => Ok((dollars * 1e6).round() as u64),
            _ => Err(format!("{dollars} is no price in dollars")),
        };
        let input = micros(config.input)?;
        Ok(Self { input, cached_input: config.cached_input.map_or(Ok(input), micros)?, output: micros(config.output)? })
    }
}

/// Reads a price as a person writes it.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Price>, D::Error> {
    DollarPrice::deserialize(deserializer)?.try_into().map(Some).map_err(D::Error::custom)
}

fn read(text: &str) -> Result<BTreeMap<String, Price>, String> {
    let file: PricesFile = toml::from_str(text).map_err(|error| error.to_string())?;
    let price = |(key, config): (String, DollarPrice)| match Price::try_from(config) {
        Ok(price) => Ok((key, price)),
        Err(error) => Err(format!("{key}: {error}")),
    };
    file.prices.into_iter().map(price).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::{HttpProvider, ProviderConfig, ProviderKind};

    fn own(text: &str) -> Result<Prices, PricesError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prices.toml");
        std::fs::write(&path, text).unwrap();
        Prices::load(Some(&path))
    }

    #[test]
    fn the_longest_key_counts_and_ones_own_come_first() {
        let prices = own("dated = 2026-01-01\n[prices]\n\"openai/gpt-5.4*\" = { input = 1, output = 2.5 }").unwrap();
        let gpt = Price { input: 1_000_000, cached_input: 1_000_000, output: 2_500_000 };
        assert_eq!(prices.of("openai", "gpt-5.4-mini"), Some(gpt), "one's own, whatever stands after it");
        let built_in = Prices::load(None).unwrap();
        let mini = Price { input: 750_000, cached_input: 75_000, output: 4_500_000 };
        assert_eq!(built_in.of("openai", "gpt-5.4-mini-2026-03-01"), Some(mini));
        assert_eq!(built_in.of("openai", "gpt-5-2025-08-07"), None, "no star, no rest");
        assert_eq!(built_in.of("nobody", "gpt-5.4"), None);
        assert_eq!(built_in.of("ollama", "org/any:7b").map(|price| price.output), Some(0));
    }

    #[test]
    fn what_answers_unasked_has_a_price() {
        let prices = Prices::load(None).unwrap();
        for (vendor, kind) in [
            ("openai", ProviderKind::Openai),
            ("anthropic", ProviderKind::Anthropic),
            ("gemini", ProviderKind::Gemini),
            ("deepseek", ProviderKind::Deepseek),
        ] {
            let model = HttpProvider::new(&ProviderConfig::new(kind), None).unwrap().vendor_model().unwrap();
            assert!(prices.of(vendor, model).is_some(), "{vendor}/{model}");
        }
    }

    #[test]
    fn what_is_no_price_is_refused_by_name() {
        for (text, wanted) in [
            ("prices = {}", "dated"),
            ("dated = 2026-01-01\n[prices]\nx = { input = -1, output = 1 }", "x: -1 is no price"),
            ("dated = 2026-01-01\n[prices]\nx = { input = nan, output = 1 }", "x: NaN is no price"),
            ("dated = 2026-01-01\n[prices]\nx = { input = 1 }", "output"),
            ("dated = 2026-01-01\n[prices]\nx = { input = 1, output = 1, free = true }", "free"),
        ] {
            let error = own(text).unwrap_err().to_string();
            assert!(error.contains(wanted) && error.contains("prices.toml"), "{error}");
        }
        assert!(Prices::load(Some(Path::new("/nowhere"))).is_err());
    }

    #[test]
    fn a_cost_is_rounded_up_and_a_cache_is_cheaper() {
        let price = Price { input: 750_000, cached_input: 75_000, output: 4_500_000 };
        let cost = |input_tokens, cached_input_tokens, output_tokens| {
            price.cost_micro_usd(&Usage { input_tokens, cached_input_tokens, output_tokens, ..Usage::default() })
        };
        assert_eq!(cost(1_000_000, 0, 1_000_000), 5_250_000);
        assert_eq!(cost(1_000, 1_000, 0), 75);
        assert_eq!((cost(0, 0, 0), cost(1, 0, 0)), (0, 1));
        assert_eq!(cost(u64::MAX, 0, u64::MAX), u64::MAX);
    }
}
