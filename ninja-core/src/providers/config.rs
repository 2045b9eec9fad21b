//! What a person writes about a provider, as `[providers.NAME]`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Price;
use crate::api::{ModelClass, ProviderKind, ProviderSettings, Secret, TakesImages, Timeouts};

/// One provider of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// What it speaks.
    pub kind: ProviderKind,
    /// Where it is, if not at the vendor's own address. For `openai` up to and with `/v1`.
    #[serde(default)]
    pub base_url: Option<String>,
    /// Its key.
    #[serde(default)]
    pub api_key: Option<Secret>,
    /// The environment variable that holds its key; used when `api_key` is not given.
    #[serde(default)]
    pub api_key_env: Option<String>,
    /// The model to use when a task names none.
    #[serde(default)]
    pub model: Option<String>,
    /// The models for agents of another class than the usual one; `model` where a class is not named.
    #[serde(default)]
    pub models: BTreeMap<ModelClass, String>,
    /// Which of its models take images, where that is not known or known wrongly.
    #[serde(default)]
    pub takes_images: Option<TakesImages>,
    /// The context window of its models in tokens, where the provider does not tell.
    #[serde(default)]
    pub context_window: Option<u32>,
    /// Whether answers come as they are produced. Without it nothing is shown until an answer is whole.
    #[serde(default = "yes")]
    pub stream: bool,
    /// What its models cost, where they are not those of a vendor at the vendor's own address: in dollars for a million
    /// tokens.
    #[serde(default, deserialize_with = "super::prices::deserialize")]
    pub price: Option<Price>,
    /// The most calls at the same time.
    #[serde(default)]
    pub max_concurrency: Option<u32>,
    /// The most calls in a minute.
    #[serde(default)]
    pub requests_per_minute: Option<u32>,
    /// The most tokens in a minute, in and out.
    #[serde(default)]
    pub tokens_per_minute: Option<u32>,
    /// How long its silence is borne.
    #[serde(default)]
    pub timeouts: Timeouts,
}

impl ProviderConfig {
    /// Returns the configuration that says nothing but the kind.
    pub fn new(kind: ProviderKind) -> Self {
        Self {
            kind,
            base_url: None,
            api_key: None,
            api_key_env: None,
            model: None,
            models: BTreeMap::new(),
            takes_images: None,
            context_window: None,
            price: None,
            stream: true,
            max_concurrency: None,
            requests_per_minute: None,
            tokens_per_minute: None,
            timeouts: Timeouts::default(),
        }
    }
}

impl TryFrom<&ProviderSettings> for ProviderConfig {
    type Error = String;

    /// Takes what an administrator gave, the key included if there is one.
    fn try_from(settings: &ProviderSettings) -> Result<Self, String> {
        let settings = settings.clone();
        Ok(Self {
            kind: settings.kind,
            base_url: settings.base_url,
            api_key: settings.api_key,
            api_key_env: None,
            model: settings.model,
            models: settings.models,
            context_window: settings.context_window,
            stream: settings.stream,
            takes_images: settings.takes_images,
            price: settings.price.map(Price::try_from).transpose()?,
            max_concurrency: settings.max_concurrency,
            requests_per_minute: settings.requests_per_minute,
            tokens_per_minute: settings.tokens_per_minute,
            timeouts: settings.timeouts,
        })
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_read() {
        let config: ProviderConfig = toml::from_str(
            r#"
            kind = "openai"
            base_url = "http://127.0.0.1:8080/v1"
            api_key = "sk-1234"
            api_key_env = "KEY"
            model = "m"
            models = { fast = "s", best = "l" }
            takes_images = ["l"]
            context_window = 4096
            price = { input = 0.5, output = 2 }
            max_concurrency = 2
            requests_per_minute = 60
            tokens_per_minute = 10000
            timeouts = { idle_ms = 500 }
            "#,
        )
        .unwrap();
        assert_eq!(config.kind, ProviderKind::Openai);
        assert_eq!(config.api_key.as_ref().unwrap().expose(), "sk-1234");
        assert_eq!((config.context_window, config.max_concurrency), (Some(4096), Some(2)));
        assert_eq!((config.requests_per_minute, config.tokens_per_minute), (Some(60), Some(10_000)));
        assert_eq!(config.price, Some(Price { input: 500_000, cached_input: 500_000, output: 2_000_000 }));
        assert_eq!(config.models[&ModelClass::Best], "l");
        assert_eq!(config.timeouts, Timeouts { idle_ms: 500, ..Timeouts::default() });
        assert!(!format!("{config:?}").contains("sk-1234"));
        let takes_images = config.takes_images.unwrap();
        assert!(takes_images.holds_for("l") && !takes_images.holds_for("m"));
    }

    #[test]
    fn who_takes_images_is_all_none_or_a_list() {
        let read = |value: &str| {
            let config: Result<ProviderConfig, _> =
                toml::from_str(&format!("kind = \"openai\"\ntakes_images = {value}"));
            config.map(|config| config.takes_images.unwrap()).map_err(|error| error.to_string())
        };
        assert_eq!(read("true"), Ok(TakesImages::All(true)));
        assert_eq!(read("\"false\""), Ok(TakesImages::All(false)), "as the environment has it");
        assert_eq!(read("[]"), Ok(TakesImages::Only(Vec::new())));
        assert!(read("3").unwrap_err().contains("true, false or a list of models"));
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let error = toml::from_str::<ProviderConfig>("kind = \"ollama\"\nurl = \"x\"").unwrap_err();
        assert!(error.to_string().contains("unknown field `url`"), "{error}");
    }
}
