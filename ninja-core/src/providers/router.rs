//! The providers there are, in order of choice.
//!
//! - [`discover`]: which there are: configured, by a key in the environment, a running Ollama.
//! - [`stored`]: those that an administrator gave, which come and go while others are at work.
//! - [`gate`]: what stands before one: its limits ([`pace`]) and whether it is in trouble ([`health`]).
//! - [`retry`]: how long to wait before another try, and when there is none.
//!
//! [`Providers::line_up`] says who answers, and who does in its place where it fails; [`Providers::chat`] lets one answer.
//! Whether a call may be made, and what is done when it failed for good, is the caller's business: there it is recorded.

mod discover;
mod gate;
mod health;
mod pace;
mod retry;
mod stored;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::discover::Sources;
use self::gate::Gate;
pub(crate) use self::gate::GateNumbers;
pub(crate) use self::stored::{CurrentProviders, StoredProvider};
use super::{
    Answer, ChatRequest, DeltaSink, HttpProvider, ModelInfo, Price, Prices, Provider, ProviderConfig, ProviderError,
    Secret,
};
use crate::api::{ModelClass, ModelRef, ProviderInfo, ProviderOrigin};

/// A vendor serves this many at once to a new account, and a server of one's own can be told another limit.
const CONCURRENCY: usize = 8;

/// What is said of a name in `fallback` that no provider has.
const NO_SUCH_FALLBACK: &str = "named in `fallback`, but there is no such provider";

/// How long a server that told no models is left alone by those who submit tasks: little to somebody who waits for it to come up.
const ASK_PAUSE: Duration = Duration::from_secs(5);

/// Returns numbers evenly spread over `0.0..1.0`, so that those who wait together do not return together.
type Jitter = Arc<dyn Fn() -> f64 + Send + Sync>;

/// How many characters of a key people may see.
const KEY_END_CHARACTERS: usize = 4;
/// What is shorter says too much by its end.
const KEY_CHARACTERS_MIN: usize = 17;

/// The providers, in order of choice: the first is the default. Cheap to use from many tasks at once.
pub struct Providers {
    /// Of those with the same name the first counts. Shared with the set that takes this one's place.
    entries: Vec<Arc<Entry>>,
    /// Those that were looked for and not found, with the reason.
    absent: Vec<(String, String)>,
    preferred: Option<String>,
    /// What answers where the first choice fails and a task names none: providers, or models as [`Providers::choose`] takes
    /// them.
    fallback: Vec<String>,
    prices: Prices,
    jitter: Jitter,
}

/// A model that may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Which.
    pub model: ModelRef,
    /// What is known of it.
    pub info: ModelInfo,
    /// What it costs, where that is known.
    pub price: Option<Price>,
}

/// The models that may answer for an agent of each class, the first choice first. Never empty.
pub type Lineup = BTreeMap<ModelClass, Vec<Choice>>;

/// One provider and what is known of it.
struct Entry {
    name: String,
    origin: ProviderOrigin,
    /// Why it is here.
    reason: String,
    provider: Result<Arc<dyn Provider>, String>,
    /// The same provider, if it can be asked for a model when none is configured.
    asked: Option<Arc<HttpProvider>>,
    /// When it was last asked. Held while it is.
    asked_at: tokio::sync::Mutex<Option<Instant>>,
    /// The model if a task names none, or why there is none yet.
    default_model: Mutex<Result<String, String>>,
    /// The models for other classes of agents.
    models: BTreeMap<ModelClass, String>,
    pricing: Pricing,
    gate: Gate,
    key: Option<Secret>,
    /// Whether it has a key, which may be one that cannot be read.
    has_key: bool,
    /// What it was made of, where that was a configuration.
    config: Option<ProviderConfig>,
}

/// Where the price of a provider's models stands.
#[derive(Debug, Clone, Copy)]
enum Pricing {
    /// All of them cost this.
    Is(Price),
    /// Under this vendor among the prices.
    Of(&'static str),
    /// Nowhere.
    Unknown,
}

/// Why nobody can answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChooseError {
    /// There is no provider at all.
    #[error("no model: configure a provider, set OPENAI_API_KEY, start Ollama, or install the local model")]
    NoProvider,
    /// The provider that was meant cannot be used.
    #[error("the provider {provider} cannot answer: {reason}")]
    Unusable {
        /// Its name.
        provider: String,
        /// Why.
        reason: String,
    },
}

impl Providers {
    /// Returns an empty set. `jitter` gives numbers in `0.0..1.0`.
    pub fn new(jitter: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        let jitter: Jitter = Arc::new(jitter);
        Self {
            entries: Vec::new(),
            absent: Vec::new(),
            preferred: None,
            fallback: Vec::new(),
            prices: Prices::default(),
            jitter,
        }
    }

    /// Adds a provider after those there are, with several calls at a time.
    pub fn add(&mut self, name: &str, provider: Arc<dyn Provider>, default_model: &str) {
        self.add_limited(name, provider, default_model, CONCURRENCY);
    }

    /// Adds a provider that takes at most `max_concurrency` calls at a time: one, for a model in this process.
    pub fn add_limited(
        &mut self,
        name: &str,
        provider: Arc<dyn Provider>,
        default_model: &str,
        max_concurrency: usize,
    ) {
        self.entries.push(Arc::new(Entry {
            name: name.to_owned(),
            origin: ProviderOrigin::Configured,
            reason: "built in".into(),
            provider: Ok(provider),
            asked: None,
            asked_at: tokio::sync::Mutex::default(),
            default_model: Mutex::new(Ok(default_model.to_owned())),
            models: BTreeMap::new(),
            pricing: Pricing::Unknown,
            gate: Gate::new(max_concurrency),
            key: None,
            has_key: false,
            config: None,
        }));
    }

    /// Says what the models of the provider that was added last cost.
    pub fn set_price(&mut self, price: Price) {
        if let Some(entry) = self.last_added() {
            entry.pricing = Pricing::Is(price);
        }
    }

    /// Says that the provider that was added last comes with Ninja, and so after all that are known otherwise.
    #[cfg(feature = "local-model")]
    pub(crate) fn set_built_in(&mut self) {
        if let Some(entry) = self.last_added() {
            entry.origin = ProviderOrigin::BuiltIn;
        }
    }

    /// Nothing else has it yet.
    fn last_added(&mut self) -> Option<&mut Entry> {
        self.entries.last_mut().and_then(Arc::get_mut)
    }

    /// Says what answers where the first choice fails and a task names none: providers, or models as `provider/name`.
    pub fn set_fallback(&mut self, fallback: Vec<String>) {
        self.fallback = fallback;
    }

    /// Chooses who answers. `wanted` is `provider/model`, a provider, or a model of the default provider; nothing is
    /// the default model of the default provider. The part before the first `/` is a provider only if one has that
    /// name, since models have slashes too.
    ///
    /// # Errors
    /// [`ChooseError`] if there is no provider, or the one that is meant has no key or no model. Another is not put
    /// in its place: where a prompt goes is not to be guessed.
    pub fn choose(&self, wanted: Option<&str>) -> Result<Choice, ChooseError> {
        self.choose_for(named(wanted), ModelClass::Balanced)
    }

    /// Chooses who answers for each class of agents, and who does where that one fails. A model that is named answers
    /// alone, and so does a provider: whoever names one may have reasons that no other knows.
    ///
    /// # Errors
    /// Those of [`Self::choose`]. What cannot stand in is left out.
    pub fn line_up(&self, wanted: Option<&str>) -> Result<Lineup, ChooseError> {
        let wanted = named(wanted);
        let fallback = if wanted.is_some() { &[] } else { self.fallback.as_slice() };
        let line_up = |class| {
            let mut choices = vec![self.choose_for(wanted, class)?];
            let named = fallback.iter().filter(|name| self.names_provider(name));
            for choice in named.filter_map(|name| self.choose_for(Some(name), class).ok()) {
                if !choices.iter().any(|earlier| earlier.model == choice.model) {
                    choices.push(choice);
                }
            }
            Ok((class, choices))
        };
        [ModelClass::Fast, ModelClass::Balanced, ModelClass::Best].into_iter().map(line_up).collect()
    }

    fn choose_for(&self, wanted: Option<&str>, class: ModelClass) -> Result<Choice, ChooseError> {
        let (entry, model) = self.split(wanted.or(self.preferred.as_deref())).ok_or(ChooseError::NoProvider)?;
        let unusable = |reason| ChooseError::Unusable { provider: entry.name.clone(), reason };
        let provider = entry.provider.as_ref().map_err(|reason| unusable(reason.clone()))?;
        let model = match model.or(entry.models.get(&class).map(String::as_str)) {
            Some(model) => model.to_owned(),
            None => entry.default_model().map_err(unusable)?,
        };
        let info = provider.model_info(&model);
        let price = match entry.pricing {
            Pricing::Is(price) => Some(price),
            Pricing::Of(vendor) => self.prices.of(vendor, &model),
            Pricing::Unknown => None,
        };
        Ok(Choice { model: ModelRef { provider: entry.name.clone(), model }, info, price })
    }

    /// Asks the servers of one's own again which models they have, and with what window. Call it when
    /// [`Self::choose`] failed because a model server was not up.
    pub async fn refresh(&self) {
        futures::future::join_all(self.entries.iter().map(|entry| entry.find_default_model())).await;
    }

    /// Asks those again that [`Self::line_up`] would take and cannot, since their server told no models so far: it may be up by
    /// now. One that was asked within the last seconds is not.
    pub async fn ask_again(&self, wanted: Option<&str>) {
        let wanted = named(wanted);
        let fallback = if wanted.is_some() { &[] } else { self.fallback.as_slice() };
        let first = wanted.or(self.preferred.as_deref());
        let names = std::iter::once(first).chain(fallback.iter().map(|name| Some(name.as_str())));
        let meant = names.filter_map(|name| self.split(name)).filter(|(_, model)| model.is_none());
        let asked = meant.map(|(entry, _)| entry.find_missing_model());
        futures::future::join_all(asked).await;
    }

    /// Makes one call, waiting for its turn at the provider and trying again what may succeed later. `request.model`
    /// is replaced by the model's name. After a try that was cut off the deltas begin again from the start.
    ///
    /// # Errors
    /// The last try's error. [`ProviderError::Cancelled`] at once when `cancel` fires, whatever is being waited for.
    /// Dropping the future ends the call too.
    pub async fn chat(
        &self,
        model: &ModelRef,
        request: ChatRequest,
        deltas: DeltaSink,
        cancel: CancellationToken,
    ) -> Result<Answer, ProviderError> {
        let entry = self.entry(&model.provider).ok_or_else(|| {
            ProviderError::Rejected(format!("there is no provider named {} any more", model.provider))
        })?;
        let provider = entry.provider.as_ref().map_err(|reason| ProviderError::Rejected(reason.clone()))?;
        let request = ChatRequest { model: model.model.clone(), ..request };
        let gate = &entry.gate;
        let _place = or_cancelled(&cancel, gate.calls.acquire())
            .await?
            .map_err(|_| ProviderError::Unavailable("the provider was closed".into()))?;
        let tokens = gate.tokens_of(&request);
        let call = || provider.chat(request.clone(), deltas.clone(), cancel.clone());
        retry::with_retries(&self.jitter, gate, tokens, &cancel, call).await
    }

    /// Tells of each provider why it is there or why it cannot answer, in order of choice; at the end those that are not there.
    pub fn describe(&self) -> Vec<ProviderInfo> {
        let default = self.split(self.preferred.as_deref()).map(|(entry, _)| entry);
        let infos = self.entries.iter().map(|entry| {
            let counts = self.entry(&entry.name).filter(|first| !std::ptr::eq(*first, entry.as_ref()));
            entry.info(default.is_some_and(|default| std::ptr::eq(default, entry.as_ref())), counts)
        });
        let unknown = self.fallback.iter().map(|name| (name.clone(), NO_SUCH_FALLBACK.to_owned()));
        let absent = self.absent.iter().cloned().chain(unknown).filter(|(name, _)| !self.names_provider(name));
        infos.chain(absent.map(|(name, reason)| missing(name, reason))).collect()
    }

    /// Says what a person should know of a model, if anything.
    pub fn note(&self, model: &ModelRef) -> Option<String> {
        self.get(&model.provider)?.note(&model.model)
    }

    /// Returns the keys, for those who take them out of texts.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = Secret> {
        self.entries.iter().filter_map(|entry| entry.key.clone())
    }

    /// Returns a provider by its name, for example to check it.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Provider>> {
        self.entry(name)?.provider.as_ref().ok()
    }

    /// Returns what is counted of the calls to each provider that can be called.
    pub(crate) fn numbers(&self) -> Vec<(&str, GateNumbers)> {
        let counts =
            |entry: &&Arc<Entry>| self.entry(&entry.name).is_some_and(|first| std::ptr::eq(first, entry.as_ref()));
        self.entries.iter().filter(counts).map(|entry| (entry.name.as_str(), entry.gate.numbers())).collect()
    }

    /// Returns whether a model is named in the settings of its provider, or is the one that it answers with by itself.
    pub(crate) fn is_configured(&self, model: &ModelRef) -> bool {
        self.entry(&model.provider).is_some_and(|entry| {
            entry.default_model().is_ok_and(|name| name == model.model)
                || entry.models.values().any(|name| *name == model.model)
        })
    }

    /// Returns whether `wanted` begins with a provider: alone it could be a model of the default one.
    fn names_provider(&self, wanted: &str) -> bool {
        let name = wanted.split_once('/').map_or(wanted, |(name, _)| name);
        self.entry(wanted).or_else(|| self.entry(name)).is_some()
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name).map(Arc::as_ref)
    }

    /// Returns the provider that `wanted` means, and the model if it names one.
    fn split<'a>(&self, wanted: Option<&'a str>) -> Option<(&Entry, Option<&'a str>)> {
        let Some(wanted) = wanted else { return Some((self.entries.first()?, None)) };
        if let Some(entry) = self.entry(wanted) {
            return Some((entry, None));
        }
        if let Some((name, model)) = wanted.split_once('/')
            && let Some(entry) = self.entry(name)
        {
            return Some((entry, (!model.is_empty()).then_some(model)));
        }
        let preferred = self.preferred.as_deref().filter(|preferred| *preferred != wanted);
        Some((self.split(preferred)?.0, Some(wanted)))
    }
}

impl Entry {
    fn default_model(&self) -> Result<String, String> {
        self.default_model.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn find_default_model(&self) {
        let mut asked_at = self.asked_at.lock().await;
        self.ask(&mut asked_at).await;
    }

    async fn find_missing_model(&self) {
        let mut asked_at = self.asked_at.lock().await;
        let is_recent = asked_at.is_some_and(|at| at.elapsed() < ASK_PAUSE);
        if self.default_model().is_err() && !is_recent {
            self.ask(&mut asked_at).await;
        }
    }

    async fn ask(&self, asked_at: &mut Option<Instant>) {
        let Some(provider) = &self.asked else { return };
        // Asked even if a model is configured: the answer also tells the models' windows.
        let found = match provider.list_models().await {
            Ok(models) => discover::first_chat_model(&models).ok_or_else(|| "it serves no chat model".into()),
            Err(error) => Err(error.to_string()),
        };
        *asked_at = Some(Instant::now());
        let mut model = self.default_model.lock().unwrap_or_else(PoisonError::into_inner);
        if model.is_err() {
            *model = found;
        }
    }

    /// Tells of it; `first` is another one of its name that counts in its stead.
    fn info(&self, is_default: bool, first: Option<&Self>) -> ProviderInfo {
        let model = self.default_model();
        let hidden = first.map(|first| format!("another one of this name comes first: {}", first.reason));
        let trouble = hidden.as_ref().or(self.provider.as_ref().err()).or(model.as_ref().err());
        let reason = trouble.map_or_else(|| self.reason.clone(), |trouble| format!("{}, but {trouble}", self.reason));
        ProviderInfo {
            name: self.name.clone(),
            origin: self.origin,
            kind: self.config.as_ref().map(|config| config.kind),
            is_default,
            can_answer: trouble.is_none(),
            reason,
            has_key: self.has_key,
            key_end: self.key.as_ref().and_then(key_end),
            model: model.ok(),
            settings: None,
        }
    }
}

/// Returns how a key ends, if it is long enough that this says little.
fn key_end(key: &Secret) -> Option<String> {
    let characters: Vec<char> = key.expose().chars().collect();
    let end = characters.len().checked_sub(KEY_END_CHARACTERS)?;
    (characters.len() >= KEY_CHARACTERS_MIN).then(|| characters.iter().skip(end).collect())
}

/// What is said of a provider that is not there.
fn missing(name: String, reason: String) -> ProviderInfo {
    ProviderInfo {
        name,
        origin: ProviderOrigin::Missing,
        kind: None,
        model: None,
        is_default: false,
        can_answer: false,
        reason,
        has_key: false,
        key_end: None,
        settings: None,
    }
}

/// Returns what a request names, if it names anything.
fn named(wanted: Option<&str>) -> Option<&str> {
    wanted.map(str::trim).filter(|wanted| !wanted.is_empty())
}

/// Waits for `future`, but not beyond `cancel`.
async fn or_cancelled<T>(cancel: &CancellationToken, future: impl Future<Output = T>) -> Result<T, ProviderError> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(ProviderError::Cancelled),
        output = future => Ok(output),
    }
}
