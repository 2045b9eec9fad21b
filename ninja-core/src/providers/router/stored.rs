//! Providers that an administrator gave: they come, change and go while calls are under way. A set is never changed: another takes
//! its place, and shares with it all that stayed the same, so that limits and troubles are not forgotten.

use std::sync::{Arc, PoisonError, RwLock};

use super::{Entry, Providers, discover};
use crate::{
    api::ProviderOrigin,
    providers::{HttpProvider, ProviderConfig, ProviderError, Secret},
};

/// Why such a provider is there.
const REASON: &str = "stored";

/// A provider as it was read out of the store.
pub(crate) struct StoredProvider {
    /// Its name.
    pub(crate) name: String,
    /// What it is, with its key opened; or why that is not known.
    pub(crate) config: Result<ProviderConfig, String>,
    /// Whether a key is stored, be it one that does not open.
    pub(crate) has_key: bool,
}

impl StoredProvider {
    /// Says what is wrong with settings, before they are stored. They may have a key that is not at hand.
    pub(crate) fn check(config: &ProviderConfig, has_key: bool) -> Result<(), ProviderError> {
        let provider = HttpProvider::new(config, config.api_key.clone())?;
        provider.check_stored(has_key)?;
        match provider.is_vendor() && !has_key {
            true => Err(ProviderError::Rejected("the vendor's own address wants an api_key".into())),
            false => Ok(()),
        }
    }

    fn entry(self) -> Entry {
        let Self { name, config, has_key } = self;
        match config {
            Ok(config) => discover::entry(&name, &config, config.api_key.clone(), ProviderOrigin::Stored, REASON),
            Err(trouble) => Entry { has_key, ..discover::broken(&name, ProviderOrigin::Stored, REASON, trouble) },
        }
    }
}

impl Providers {
    /// Returns the set that has these stored providers instead of the ones that this one has. They come after what is
    /// configured and before all that was found.
    pub(crate) fn with_stored(&self, stored: impl IntoIterator<Item = StoredProvider>) -> Self {
        let of = |is_wanted: fn(ProviderOrigin) -> bool| {
            self.entries.iter().filter(move |entry| is_wanted(entry.origin)).map(Arc::clone)
        };
        let made = stored.into_iter().map(|stored| match self.unchanged(&stored) {
            Some(entry) => Arc::clone(entry),
            None => Arc::new(stored.entry()),
        });
        let before = of(|origin| origin < ProviderOrigin::Stored);
        let after = of(|origin| origin > ProviderOrigin::Stored);
        Self {
            entries: before.chain(made).chain(after).collect(),
            absent: self.absent.clone(),
            preferred: self.preferred.clone(),
            fallback: self.fallback.clone(),
            prices: self.prices.clone(),
            jitter: Arc::clone(&self.jitter),
        }
    }

    /// Asks the stored providers that are servers of one's own for their models, all of them or the one of this name.
    pub(crate) async fn ask_stored(&self, name: Option<&str>) {
        let is_meant =
            |entry: &&Arc<Entry>| entry.origin == ProviderOrigin::Stored && name.is_none_or(|name| entry.name == name);
        let asked = self.entries.iter().filter(is_meant).map(|entry| entry.find_default_model());
        futures::future::join_all(asked).await;
    }

    fn unchanged(&self, stored: &StoredProvider) -> Option<&Arc<Entry>> {
        let config = stored.config.as_ref().ok()?;
        let is_same = |entry: &&Arc<Entry>| {
            entry.origin == ProviderOrigin::Stored && entry.name == stored.name && entry.config.as_ref() == Some(config)
        };
        self.entries.iter().find(is_same)
    }

    /// Returns the keys of the stored providers, for those who take them out of texts.
    pub(crate) fn stored_secrets(stored: &[StoredProvider]) -> impl Iterator<Item = Secret> {
        stored.iter().filter_map(|stored| stored.config.as_ref().ok()?.api_key.clone())
    }
}

/// The providers of this moment. Whoever makes a call takes them once and keeps them to its end.
pub(crate) struct CurrentProviders(RwLock<Arc<Providers>>);

impl CurrentProviders {
    /// Begins with these.
    pub(crate) fn new(providers: Providers) -> Self {
        Self(RwLock::new(Arc::new(providers)))
    }

    /// Returns those of now.
    pub(crate) fn now(&self) -> Arc<Providers> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts others in their place, for the calls that begin from now on.
    pub(crate) fn replace(&self, providers: Providers) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(providers);
    }
}
