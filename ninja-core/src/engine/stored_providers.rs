//! `providers`, `put_provider`, `remove_provider`, `test_provider`: what an administrator says of providers, kept in the store with the keys sealed.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Engine, store_error, stored_form::StoredSettings, uninterrupted};
use crate::{
    api::{
        ApiError, AuditAction, ErrorCode, Principal, ProviderInfo, ProviderOrigin, ProviderSettings, ProviderTest,
        Secret,
    },
    audit::Audit,
    journal::store::{Commit, DocKey, DocKind, Store, StoreError},
    providers::{CurrentProviders, ProviderConfig, ProviderError, Providers, StoredProvider},
    redaction::Redaction,
    vault::{Place, Sealed, Vault, VaultError},
};

/// A name stands before the `/` of a model and in paths.
const NAME_BYTES_MAX: usize = 64;
/// A person waits for it.
const TEST_MAX: Duration = Duration::from_secs(15);
/// No vendor's key is as long; a header takes no more.
const KEY_BYTES_MAX: usize = 4_096;

/// What was read of the settings of a provider, or why that cannot be.
type ReadSettings = Result<StoredSettings, String>;

impl Engine {
    /// Lists the providers in the order of choice, each with where it is known from, and those that were looked for in vain.
    ///
    /// # Errors
    ///
    /// Fails with `forbidden` where the caller is no administrator.
    pub async fn providers(&self, by: &Principal) -> Result<Vec<ProviderInfo>, ApiError> {
        administrators_only(by)?;
        let mut infos = self.0.services.providers.now().describe();
        for info in infos.iter_mut().filter(|info| info.origin == ProviderOrigin::Stored) {
            // One that cannot be read says so by its reason.
            let stored = read(self.store().as_ref(), &info.name).map_err(store_error)?;
            info.settings = stored.and_then(Result::ok).map(|stored| stored.settings);
        }
        Ok(infos)
    }

    /// Keeps settings of a provider, in place of those of that name. They count for every call that begins after this returns.
    ///
    /// # Errors
    ///
    /// Fails with `invalid_request` where they make no provider, or its address changes and its key is not given again: whoever
    /// may change an address must not have the key sent there.
    pub async fn put_provider(&self, by: &Principal, settings: ProviderSettings) -> Result<ProviderInfo, ApiError> {
        administrators_only(by)?;
        let (engine, by) = (self.clone(), by.clone());
        uninterrupted(async move { engine.put(&by, settings).await }).await
    }

    /// Forgets the settings of a provider. Calls under way go on with them.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where none of that name are stored.
    pub async fn remove_provider(&self, by: &Principal, name: &str) -> Result<(), ApiError> {
        administrators_only(by)?;
        let (engine, by, name) = (self.clone(), by.clone(), name.to_owned());
        uninterrupted(async move { engine.remove(&by, &name).await }).await
    }

    /// Asks a provider whether it could answer now, as far as that costs nothing.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where there is none of that name. That it cannot answer is no error but the answer.
    pub async fn test_provider(&self, by: &Principal, name: &str) -> Result<ProviderTest, ApiError> {
        administrators_only(by)?;
        let services = &self.0.services;
        let providers = services.providers.now();
        let provider = providers.get(name).ok_or_else(|| {
            let what = format!("there is no provider named `{name}`; `ninja providers` lists them");
            ApiError::new(ErrorCode::NotFound, what)
        })?;
        let audit = Audit::of(by, AuditAction::TestProvider, services.clock.now()).to(name);
        self.commit_audit(&audit).await.map_err(store_error)?;
        let started = Instant::now();
        let said = timeout(TEST_MAX, provider.check()).await;
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (can_answer, mut detail) = match said {
            Ok(Ok(said)) => (true, said),
            Ok(Err(error)) => (false, error.to_string()),
            Err(_) => (false, format!("it has not answered within {} seconds", TEST_MAX.as_secs())),
        };
        // Some vendors repeat the key in what they say of it.
        services.redaction.replace(&mut detail);
        Ok(ProviderTest { name: name.to_owned(), can_answer, detail, took_ms })
    }

    async fn put(&self, by: &Principal, mut settings: ProviderSettings) -> Result<ProviderInfo, ApiError> {
        check_name(&settings.name)?;
        let key = settings.api_key.take().map(|key| clean_key(&key)).transpose()?;
        let name = settings.name.clone();
        let _changing = self.0.stored_settings.lock().await;
        let before = match read(self.store().as_ref(), &name).map_err(store_error)? {
            Some(Err(reason)) if key.is_none() => return Err(unreadable(&name, &reason)),
            before => before.and_then(Result::ok),
        };
        let kept = before.filter(|_| key.is_none()).and_then(|before| Some((before.api_key?, before.settings)));
        let is_elsewhere = |kept: &ProviderSettings| (kept.kind, &kept.base_url) != (settings.kind, &settings.base_url);
        if kept.as_ref().is_some_and(|(_, before)| is_elsewhere(before)) {
            return Err(invalid("the provider is another one now, so its api_key has to be given again"));
        }
        check(&settings, key.clone(), key.is_some() || kept.is_some())?;
        let api_key = match key {
            Some(key) => {
                self.check_first_key()?;
                // Before anything can come of it. What is refused is no key of anybody, but may be a word that texts have.
                self.0.services.redaction.learn([key.clone()]);
                let (name, settings) = (name.clone(), settings.clone());
                let seal = move |vault: &Vault| within_place(&name, &settings, |place| vault.seal(place, &key));
                Some(self.with_vault(seal).await?)
            }
            None => kept.map(|(sealed, _)| sealed),
        };
        let stored = StoredSettings { settings, api_key, changed_at: self.0.services.clock.now() };
        let audit = Audit::of(by, AuditAction::PutProvider, stored.changed_at).to(&name).saying(stored.describe());
        let commit = Commit { puts: vec![stored.document(&name)], audit: vec![audit.encode()], ..Commit::default() };
        self.store().commit(commit).await.map_err(store_error)?;
        self.take_up_stored(Some(&name)).await?;
        let info = self.0.services.providers.now().describe().into_iter().find(|info| is_stored(info, &name));
        let info = info.expect("what was stored just now is among the providers");
        Ok(ProviderInfo { settings: Some(stored.settings), ..info })
    }

    async fn remove(&self, by: &Principal, name: &str) -> Result<(), ApiError> {
        let _changing = self.0.stored_settings.lock().await;
        let key = DocKey::new(DocKind::Provider, name);
        if self.store().read_doc(&key).map_err(store_error)?.is_none() {
            let what = format!("no settings of a provider named `{name}` are stored");
            return Err(ApiError::new(ErrorCode::NotFound, what));
        }
        let audit = Audit::of(by, AuditAction::RemoveProvider, self.0.services.clock.now()).to(name);
        let commit = Commit { deletes: vec![key], audit: vec![audit.encode()], ..Commit::default() };
        self.store().commit(commit).await.map_err(store_error)?;
        self.take_up_stored(None).await
    }

    /// Has keys read or written where that keeps nobody waiting: the disk may take its time, and so may another process.
    pub(super) async fn with_vault<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Vault) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let engine = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&engine.0.vault)).await;
        let broke_off = |error| ApiError::new(ErrorCode::Internal, format!("the keys were not changed: {error}"));
        done.map_err(broke_off)?.map_err(|error| vault_error(&error))
    }

    /// Refuses to begin with another key where there were keys before. Whoever forgot to hand them in would else have everything
    /// sealed from then on with a key that lies beside the data.
    pub(super) fn check_first_key(&self) -> Result<(), ApiError> {
        let vault = &self.0.vault;
        if vault.newest().is_some() {
            return Ok(());
        }
        let waits = waits(self.store().as_ref(), vault).map_err(store_error)?;
        waits.map_or(Ok(()), |what| Err(ApiError::new(ErrorCode::Conflict, what)))
    }

    /// Has the calls that begin from now on go by what is stored. The provider that was `changed` is asked for its models before
    /// that: until it answers, or is known not to, the ones before it do.
    async fn take_up_stored(&self, changed: Option<&str>) -> Result<(), ApiError> {
        let services = &self.0.services;
        let stored = open_all(self.store().as_ref(), &self.0.vault).map_err(store_error)?;
        services.redaction.learn(Providers::stored_secrets(&stored));
        let next = services.providers.now().with_stored(stored);
        if changed.is_some() {
            next.ask_stored(changed).await;
        }
        services.providers.replace(next);
        Ok(())
    }
}

/// Says which provider's key waits for a master key that is not here, and what to do, if one does. The key of the audit log is no
/// reason to wait: without it the log begins anew, and says so.
pub(super) fn waits(store: &dyn Store, vault: &Vault) -> Result<Option<String>, StoreError> {
    let of_provider = |(name, stored): (String, ReadSettings)| {
        let key = stored.ok()?.api_key?.key();
        (!vault.knows(key)).then_some((name, key))
    };
    let describe = |(name, key)| {
        format!(
            "the key of the provider {name} is sealed with the master key {key}, which is not here, and no other one is begun in its \
             stead: hand that key in as before (NINJA_MASTER_KEY, the credential, master_key_file), or put the saved lines into {}, and \
             start the daemon again; or give up what it sealed and hand in another one, such as `openssl rand -base64 32` makes it",
            vault.place()
        )
    };
    Ok(read_all(store)?.into_iter().find_map(of_provider).map(describe))
}

impl StoredSettings {
    /// Says for the audit log what was stored, without the key.
    fn describe(&self) -> String {
        let ProviderSettings { kind, base_url, .. } = &self.settings;
        let at = base_url.as_deref().map(|url| format!(" at {url}")).unwrap_or_default();
        let key = if self.api_key.is_some() { "with a key" } else { "without a key" };
        format!("{}{at}, {key}", kind.as_str())
    }

    /// Returns the document that holds it.
    pub(super) fn document(&self, name: &str) -> (DocKey, bytes::Bytes) {
        let document = serde_json::to_vec(self).expect("settings have string keys only");
        (DocKey::new(DocKind::Provider, name), document.into())
    }

    /// Opens the key, if there is one.
    pub(super) fn open(&self, vault: &Vault, name: &str) -> Result<Option<Secret>, VaultError> {
        let open = |sealed| within_place(name, &self.settings, |place| vault.open(place, sealed));
        self.api_key.as_ref().map(open).transpose()
    }

    /// Returns what has to be done to seal a key in the place of the one there is.
    pub(super) fn sealing(&self, name: &str, key: Secret) -> impl FnOnce(&Vault) -> Result<Sealed, VaultError> + use<> {
        let (name, settings) = (name.to_owned(), self.settings.clone());
        move |vault| within_place(&name, &settings, |place| vault.seal(place, &key))
    }
}

/// Adds what is stored to the providers that were found, and begins to keep their keys out of texts.
pub(super) async fn join(
    store: &dyn Store,
    vault: &Vault,
    found: Providers,
) -> Result<(CurrentProviders, Redaction), StoreError> {
    let stored = open_all(store, vault)?;
    let redaction = Redaction::of(found.secrets().chain(Providers::stored_secrets(&stored)));
    let providers = found.with_stored(stored);
    providers.ask_stored(None).await;
    Ok((CurrentProviders::new(providers), redaction))
}

/// Reads all that is stored, by name. What cannot be read is there with the reason.
pub(super) fn read_all(store: &dyn Store) -> Result<Vec<(String, ReadSettings)>, StoreError> {
    let docs = store.list_docs(DocKind::Provider, "")?;
    Ok(docs.into_iter().map(|(name, bytes)| (name, decode(&bytes))).collect())
}

fn open_all(store: &dyn Store, vault: &Vault) -> Result<Vec<StoredProvider>, StoreError> {
    let open = |(name, stored): (String, ReadSettings)| {
        let has_key = stored.as_ref().is_ok_and(|stored| stored.api_key.is_some());
        let config = stored.and_then(|stored| {
            let api_key = stored.open(vault, &name).map_err(|error| format!("its key cannot be used: {error}"))?;
            ProviderConfig::try_from(&ProviderSettings { api_key, ..stored.settings })
        });
        StoredProvider { name, config, has_key }
    };
    Ok(read_all(store)?.into_iter().map(open).collect())
}

fn read(store: &dyn Store, name: &str) -> Result<Option<ReadSettings>, StoreError> {
    Ok(store.read_doc(&DocKey::new(DocKind::Provider, name))?.map(|bytes| decode(&bytes)))
}

fn decode(bytes: &[u8]) -> ReadSettings {
    serde_json::from_slice(bytes).map_err(|error| format!("its settings cannot be read: {error}"))
}

/// Providers belong to the installation, not to one of its users. A key is for what it was given for: where another address stands
/// in the record, it does not open.
fn within_place<T>(name: &str, settings: &ProviderSettings, work: impl FnOnce(Place<'_>) -> T) -> T {
    let record = format!("provider/{name}");
    let bound_to = [settings.kind.as_str(), settings.base_url.as_deref().unwrap_or_default()];
    work(Place { owner: "installation", record: &record, field: "api_key", bound_to: &bound_to })
}

fn is_stored(info: &ProviderInfo, name: &str) -> bool {
    info.origin == ProviderOrigin::Stored && info.name == name
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_fine) && !name.starts_with('.') {
        true => Ok(()),
        false => Err(invalid("a provider's name is made of up to 64 letters, digits, `-`, `_` and `.`")),
    }
}

fn clean_key(key: &Secret) -> Result<Secret, ApiError> {
    match key.expose().trim() {
        "" => Err(invalid("the api_key is empty; leave it out to keep the one there is")),
        key if key.len() > KEY_BYTES_MAX => Err(invalid("the api_key is longer than any key")),
        key => Ok(Secret::new(key)),
    }
}

/// Checks that the settings make a provider.
fn check(settings: &ProviderSettings, api_key: Option<Secret>, has_key: bool) -> Result<(), ApiError> {
    let settings = ProviderSettings { api_key, ..settings.clone() };
    let config = ProviderConfig::try_from(&settings).map_err(|error| invalid(&error))?;
    StoredProvider::check(&config, has_key).map_err(|error| match error {
        ProviderError::Rejected(what) => invalid(&what),
        error => invalid(&error.to_string()),
    })
}

fn unreadable(name: &str, reason: &str) -> ApiError {
    let what = format!(
        "what is stored of {name} cannot be read, and a key may be in it, so it is not replaced without one: give the api_key, or \
         remove it first ({reason})"
    );
    ApiError::new(ErrorCode::Conflict, what)
}

fn invalid(what: &str) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, what)
}

pub(super) fn vault_error(error: &VaultError) -> ApiError {
    ApiError::new(error.code(), error.to_string())
}

pub(super) fn administrators_only(by: &Principal) -> Result<(), ApiError> {
    match by.is_admin() {
        true => Ok(()),
        false => Err(ApiError::new(ErrorCode::Forbidden, "this is for administrators")),
    }
}
