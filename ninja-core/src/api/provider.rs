//! What is said of providers: in the configuration, by an administrator, and back.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, SeqAccess, Visitor},
};

use super::{ModelClass, Secret};

/// What a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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

impl ProviderKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Openai, Self::OpenaiResponses, Self::Anthropic, Self::Gemini, Self::Deepseek, Self::Ollama];

    /// Returns the kind as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::OpenaiResponses => "openai_responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Deepseek => "deepseek",
            Self::Ollama => "ollama",
        }
    }
}

impl ProviderKind {
    /// Returns where it is if nothing else is said: at the vendor, or on this machine.
    pub fn usual_address(self) -> &'static str {
        match self {
            Self::Openai | Self::OpenaiResponses => "https://api.openai.com/v1/",
            Self::Anthropic => "https://api.anthropic.com/v1/",
            Self::Gemini => "https://generativelanguage.googleapis.com/v1beta/",
            Self::Deepseek => "https://api.deepseek.com/",
            Self::Ollama => "http://127.0.0.1:11434/",
        }
    }
}

impl FromStr for ProviderKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| format!("one of {}", known()))
    }
}

/// How long a provider's silence is borne, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Until it takes a connection. A slow answer has its own, longer limits.
    pub connect_ms: u64,
    /// Until the first of its answer: a large model behind a queue, or a small one reading a long prompt, takes its time.
    pub first_byte_ms: u64,
    /// Between two pieces of its answer. Those that think in silence send comments, which count.
    pub idle_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect_ms: 10_000, first_byte_ms: 120_000, idle_ms: 60_000 }
    }
}

impl Timeouts {
    /// Returns how long a connection may take.
    pub fn connect(self) -> Duration {
        Duration::from_millis(self.connect_ms)
    }

    /// Returns how long the first byte may take.
    pub fn first_byte(self) -> Duration {
        Duration::from_millis(self.first_byte_ms)
    }

    /// Returns how long a pause may be.
    pub fn idle(self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }
}

/// A price as a person writes it: in dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DollarPrice {
    /// Of the prompt.
    pub input: f64,
    /// Of what of the prompt the vendor had kept; as the rest of the prompt where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<f64>,
    /// Of the answer, thinking and all.
    pub output: f64,
}

/// Which models take images: all, none, or those that are named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum TakesImages {
    /// All of them, or none.
    All(bool),
    /// These.
    Only(Vec<String>),
}

impl TakesImages {
    /// Returns whether a model does.
    pub fn holds_for(&self, model: &str) -> bool {
        match self {
            Self::All(all) => *all,
            Self::Only(models) => models.iter().any(|name| name == model),
        }
    }
}

impl<'de> Deserialize<'de> for TakesImages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TakesImagesVisitor)
    }
}

struct TakesImagesVisitor;

impl<'de> Visitor<'de> for TakesImagesVisitor {
    type Value = TakesImages;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false or a list of models")
    }

    fn visit_bool<E: de::Error>(self, all: bool) -> Result<TakesImages, E> {
        Ok(TakesImages::All(all))
    }

    // What a variable of the environment says is text.
    fn visit_str<E: de::Error>(self, text: &str) -> Result<TakesImages, E> {
        text.parse().map(TakesImages::All).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<TakesImages, A::Error> {
        let mut models = Vec::new();
        while let Some(name) = names.next_element()? {
            models.push(name);
        }
        Ok(TakesImages::Only(models))
    }
}

/// A provider as an administrator gives it: `[providers.NAME]` of the configuration with the name among it, and without
/// `api_key_env`, since a request must not have variables of the daemon sent anywhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// Its name, as in `name/model`: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What it speaks.
    pub kind: ProviderKind,
    /// Where it is, if not at the vendor's own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Its key. It goes in and never comes out; where it is left out the one before stays.
    #[serde(default, skip_serializing)]
    pub api_key: Option<Secret>,
    /// The model to use when a task names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The models for agents of another class than the usual one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<ModelClass, String>,
    /// Which of its models take images, where that is not known of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes_images: Option<TakesImages>,
    /// The context window of its models in tokens, where the provider does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u32>,
    /// Whether answers come as they are produced.
    #[serde(default = "yes")]
    pub stream: bool,
    /// What its models cost, where they are not those of a vendor at the vendor's own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<DollarPrice>,
    /// The most calls at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
    /// The most calls in a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// The most tokens in a minute, in and out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u32>,
    /// How long its silence is borne.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub timeouts: Timeouts,
}

impl ProviderSettings {
    /// Returns settings that say nothing but the name and the kind.
    pub fn new(name: impl Into<String>, kind: ProviderKind) -> Self {
        Self {
            name: name.into(),
            kind,
            base_url: None,
            api_key: None,
            model: None,
            models: BTreeMap::new(),
            takes_images: None,
            context_window: None,
            stream: true,
            price: None,
            max_concurrency: None,
            requests_per_minute: None,
            tokens_per_minute: None,
            timeouts: Timeouts::default(),
        }
    }
}

fn yes() -> bool {
    true
}

fn is_usual(timeouts: &Timeouts) -> bool {
    *timeouts == Timeouts::default()
}

/// Where a provider is known from, in the order in which they count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProviderOrigin {
    /// The configuration, or the program that holds the engine.
    Configured,
    /// An administrator's settings, kept with the tasks.
    Stored,
    /// Variables of its vendor.
    Environment,
    /// It was looked for and found running.
    Found,
    /// It comes with Ninja: the local model.
    BuiltIn,
    /// Nowhere: it was looked for.
    Missing,
}

/// What is to be said of a provider. Holds no key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProviderInfo {
    /// Its name, as in `name/model`.
    pub name: String,
    /// Where it is known from.
    pub origin: ProviderOrigin,
    /// What it speaks, where it is reached over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ProviderKind>,
    /// Its default model, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Whether it answers when a task names no model.
    pub is_default: bool,
    /// Whether it can be asked.
    pub can_answer: bool,
    /// Why it is there, or why it cannot answer.
    pub reason: String,
    /// Whether it has a key.
    pub has_key: bool,
    /// How its key ends, where that says little: for people who have several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_end: Option<String>,
    /// The settings, where they are stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<ProviderSettings>,
}

/// What came of asking a provider whether it could answer now: the answer of `POST /admin/settings/ai-providers/{name}/test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProviderTest {
    /// Its name.
    pub name: String,
    /// Whether it could. Its key was taken, and it is there.
    pub can_answer: bool,
    /// What it said, or why not.
    pub detail: String,
    /// How long that took.
    pub took_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_written_as_it_is_read() {
        for kind in ProviderKind::ALL {
            assert_eq!((kind.as_str().parse(), serde_json::to_value(kind).unwrap()), (Ok(kind), kind.as_str().into()));
        }
        assert!("azure".parse::<ProviderKind>().unwrap_err().contains("openai, openai_responses, anthropic"));
    }

    #[test]
    fn a_key_goes_in_and_never_comes_out() {
        let text = r#"{"name":"mine","kind":"openai","api_key":"sk-canary","price":{"input":1.0,"output":2.0}}"#;
        let settings: ProviderSettings = serde_json::from_str(text).unwrap();
        assert_eq!(settings.api_key.as_ref().map(Secret::expose), Some("sk-canary"));
        for out in [serde_json::to_string(&settings).unwrap(), format!("{settings:?}")] {
            assert!(!out.contains("canary"), "{out}");
        }
        let read: ProviderSettings = serde_json::from_str(&serde_json::to_string(&settings).unwrap()).unwrap();
        assert_eq!(read, ProviderSettings { api_key: None, ..settings });
    }
}
