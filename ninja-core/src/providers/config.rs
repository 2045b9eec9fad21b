//! What a person writes about a provider, as `[providers.NAME]`.

use serde::Deserialize;

use super::Secret;

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
    /// The context window of its models in tokens, where the provider does not tell.
    #[serde(default)]
    pub context_window: Option<u32>,
    /// Whether answers come as they are produced. Without it nothing is shown until an answer is whole.
    #[serde(default = "yes")]
    pub stream: bool,
    /// The most calls at the same time.
    #[serde(default)]
    pub max_concurrency: Option<u32>,
}

/// What a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// OpenAI's chat completions: OpenAI itself and whatever is compatible with it.
    Openai,
    /// OpenAI's responses.
    OpenaiResponses,
    /// Anthropic's messages.
    Anthropic,
    /// Google's Gemini.
    Gemini,
    /// DeepSeek.
    Deepseek,
    /// A running Ollama.
    Ollama,
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
            context_window: None,
            stream: true,
            max_concurrency: None,
        }
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
            context_window = 4096
            max_concurrency = 2
            "#,
        )
        .unwrap();
        assert_eq!(config.kind, ProviderKind::Openai);
        assert_eq!(config.api_key.as_ref().unwrap().expose(), "sk-1234");
        assert_eq!((config.context_window, config.max_concurrency), (Some(4096), Some(2)));
        assert!(!format!("{config:?}").contains("sk-1234"));
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let error = toml::from_str::<ProviderConfig>("kind = \"ollama\"\nurl = \"x\"").unwrap_err();
        assert!(error.to_string().contains("unknown field `url`"), "{error}");
    }
}
