//! Which providers there are: those that are configured, then a key in the environment, then a running Ollama.
//! The model in this process is added by whoever has it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use super::{CONCURRENCY, Entry, Jitter, Pricing, Providers, gate::Gate};
use crate::{
    api::ProviderOrigin,
    config::Config,
    providers::{
        HttpProvider, Prices, Provider, ProviderConfig, ProviderError, ProviderKind, Secret,
        http::{ServedModel, find_ollama, ollama_url},
    },
};

/// Ollama serves one call at a time unless told otherwise and lets the others wait, which would count as its silence.
const OLLAMA_CONCURRENCY: usize = 1;

/// A vendor as its own library finds it: the variables that hold its key, its address and its model.
struct Vendor {
    name: &'static str,
    kind: ProviderKind,
    key: &'static str,
    base_url: &'static str,
    model: &'static str,
}

/// The vendors that are found by their variables, in order of choice.
const VENDORS: [Vendor; 4] = [
    Vendor {
        name: "openai",
        kind: ProviderKind::Openai,
        key: "OPENAI_API_KEY",
        base_url: "OPENAI_BASE_URL",
        model: "OPENAI_MODEL",
    },
    Vendor {
        name: "anthropic",
        kind: ProviderKind::Anthropic,
        key: "ANTHROPIC_API_KEY",
        base_url: "ANTHROPIC_BASE_URL",
        model: "ANTHROPIC_MODEL",
    },
    Vendor {
        name: "gemini",
        kind: ProviderKind::Gemini,
        key: "GEMINI_API_KEY",
        base_url: "GOOGLE_GEMINI_BASE_URL",
        model: "GEMINI_MODEL",
    },
    Vendor {
        name: "deepseek",
        kind: ProviderKind::Deepseek,
        key: "DEEPSEEK_API_KEY",
        base_url: "DEEPSEEK_BASE_URL",
        model: "DEEPSEEK_MODEL",
    },
];

/// Where providers are looked for.
pub struct Sources<'a> {
    /// `[providers.NAME]` of the configuration.
    pub configs: &'a BTreeMap<String, ProviderConfig>,
    /// What answers when a task names nothing, as [`Providers::choose`] takes it; else the first configured provider.
    pub preferred: Option<&'a str>,
    /// What answers where that fails and a task names none.
    pub fallback: &'a [String],
    /// What models cost.
    pub prices: &'a Prices,
    /// The environment. Read: the variables of each vendor, `OLLAMA_HOST`, and each `api_key_env`.
    pub env: &'a (dyn Fn(&str) -> Option<String> + Send + Sync),
}

impl<'a> Sources<'a> {
    /// Takes what a configuration says.
    pub fn of(config: &'a Config, prices: &'a Prices, env: &'a (dyn Fn(&str) -> Option<String> + Send + Sync)) -> Self {
        let preferred = config.default_provider.as_deref();
        Self { configs: &config.providers, preferred, fallback: &config.fallback, prices, env }
    }
}

impl Providers {
    /// Looks for providers. Asks those whose model or window is not configured, for at most some seconds each and all
    /// at once; one that does not answer is kept and asked again by [`Providers::refresh`].
    pub async fn discover(sources: &Sources<'_>, jitter: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        let jitter: Jitter = Arc::new(jitter);
        let preferred = sources.preferred.map(str::to_owned);
        let fallback = sources.fallback.to_vec();
        let prices = sources.prices.clone();
        let mut providers = Self { entries: Vec::new(), absent: Vec::new(), preferred, fallback, prices, jitter };
        for (name, config) in sources.configs {
            providers.entries.push(Arc::new(configured(name, config, sources)));
        }
        for vendor in &VENDORS {
            providers.add_from_env(sources, vendor);
        }
        let ((), ollama) = futures::join!(providers.refresh(), look_for_ollama(sources));
        match ollama {
            Ok(entry) => providers.entries.push(Arc::new(entry)),
            Err(reason) => providers.absent.push(("ollama".to_owned(), reason)),
        }
        providers
    }

    fn add_from_env(&mut self, sources: &Sources<'_>, vendor: &Vendor) {
        let Vendor { name, kind, key, base_url, model } = *vendor;
        if self.entry(name).is_some() {
            return;
        }
        let env = |name: &str| (sources.env)(name).filter(|value| !value.trim().is_empty());
        let (found, address) = (env(key), env(base_url));
        // A server of one's own often needs no key.
        if found.is_none() && address.is_none() {
            return self.absent.push((name.to_owned(), format!("{key} is not set")));
        }
        let reason = format!("{} is set", if found.is_some() { key } else { base_url });
        let config = ProviderConfig { base_url: address, model: env(model), ..ProviderConfig::new(kind) };
        let found = found.map(|key| Secret::new(key.trim()));
        self.entries.push(Arc::new(entry(name, &config, found, ProviderOrigin::Environment, &reason)));
    }
}

/// Returns the first model that is made to converse.
pub(super) fn first_chat_model(models: &[ServedModel]) -> Option<String> {
    models.iter().map(|model| &model.name).find(|name| !name.contains("embed")).cloned()
}

fn configured(name: &str, config: &ProviderConfig, sources: &Sources<'_>) -> Entry {
    const REASON: &str = "configured";
    let key = match (&config.api_key, &config.api_key_env) {
        (Some(key), _) => Some(key.clone()),
        (None, None) => None,
        (None, Some(variable)) => match (sources.env)(variable).filter(|key| !key.trim().is_empty()) {
            Some(key) => Some(Secret::new(key.trim())),
            None => return broken(name, ProviderOrigin::Configured, REASON, format!("{variable} is not set")),
        },
    };
    entry(name, config, key, ProviderOrigin::Configured, REASON)
}

/// Makes the entry of a configuration, with its key already looked up.
pub(super) fn entry(
    name: &str,
    config: &ProviderConfig,
    key: Option<Secret>,
    origin: ProviderOrigin,
    reason: &str,
) -> Entry {
    let has_key = key.is_some();
    let broken = |trouble| Entry { has_key, config: Some(config.clone()), ..broken(name, origin, reason, trouble) };
    let provider = match HttpProvider::new(config, key.clone()) {
        Ok(provider) if provider.is_vendor() && !has_key => return broken("it has no key".into()),
        Ok(provider) => Arc::new(provider),
        Err(error) => return broken(error.to_string()),
    };
    if provider.shows_its_key() {
        tracing::warn!(provider = name, "the key goes over http, where others can read it");
    }
    let model = config.model.clone().or_else(|| provider.vendor_model().map(str::to_owned));
    let pricing = match (config.price, config.kind) {
        (Some(price), _) => Pricing::Is(price),
        (None, ProviderKind::Ollama) => Pricing::Of("ollama"),
        (None, kind) if provider.is_vendor() => Pricing::Of(vendor(kind)),
        (None, _) => Pricing::Unknown,
    };
    // A vendor's list tells neither windows nor which model to take.
    let asked = (!provider.is_vendor()).then(|| provider.clone());
    let concurrency =
        config.max_concurrency.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(match config.kind {
            ProviderKind::Ollama => OLLAMA_CONCURRENCY,
            ProviderKind::Openai
            | ProviderKind::OpenaiResponses
            | ProviderKind::Anthropic
            | ProviderKind::Gemini
            | ProviderKind::Deepseek => CONCURRENCY,
        });
    Entry {
        name: name.to_owned(),
        origin,
        reason: reason.to_owned(),
        provider: Ok(provider as Arc<dyn Provider>),
        asked,
        asked_at: tokio::sync::Mutex::default(),
        default_model: Mutex::new(model.ok_or_else(|| "it was not asked for its models yet".into())),
        models: config.models.clone(),
        pricing,
        gate: Gate::new(concurrency).with_rates(config),
        key,
        has_key,
        config: Some(config.clone()),
    }
}

/// Returns the name under which the prices of a kind stand.
fn vendor(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::Openai | ProviderKind::OpenaiResponses => "openai",
        ProviderKind::Anthropic => "anthropic",
        ProviderKind::Gemini => "gemini",
        ProviderKind::Deepseek => "deepseek",
        ProviderKind::Ollama => "ollama",
    }
}

/// Makes the entry of a provider that cannot answer.
pub(super) fn broken(name: &str, origin: ProviderOrigin, reason: &str, trouble: String) -> Entry {
    Entry {
        name: name.to_owned(),
        origin,
        reason: reason.to_owned(),
        provider: Err(trouble.clone()),
        asked: None,
        asked_at: tokio::sync::Mutex::default(),
        default_model: Mutex::new(Err(trouble)),
        models: BTreeMap::new(),
        pricing: Pricing::Unknown,
        gate: Gate::new(1),
        key: None,
        has_key: false,
        config: None,
    }
}

async fn look_for_ollama(sources: &Sources<'_>) -> Result<Entry, String> {
    const NAME: &str = "ollama";
    let is_configured =
        |(name, config): (&String, &ProviderConfig)| name == NAME || config.kind == ProviderKind::Ollama;
    if sources.configs.iter().any(is_configured) {
        return Err("not looked for, since one is configured".into());
    }
    let host = (sources.env)("OLLAMA_HOST");
    let (provider, models) = find_ollama(&ollama_url(host.as_deref())).await.map_err(reason_of)?;
    let model = first_chat_model(&models).ok_or("it runs, but has no chat model: `ollama pull` one")?;
    let provider = Arc::new(provider);
    Ok(Entry {
        name: NAME.to_owned(),
        origin: ProviderOrigin::Found,
        reason: "it runs".to_owned(),
        asked: Some(provider.clone()),
        provider: Ok(provider),
        asked_at: tokio::sync::Mutex::default(),
        default_model: Mutex::new(Ok(model)),
        models: BTreeMap::new(),
        pricing: Pricing::Of("ollama"),
        gate: Gate::new(OLLAMA_CONCURRENCY),
        key: None,
        has_key: false,
        config: Some(ProviderConfig::new(ProviderKind::Ollama)),
    })
}

fn reason_of(error: ProviderError) -> String {
    format!("not running: {error}")
}
