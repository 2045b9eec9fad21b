//! Where accounts are kept: their documents, read and written as values, and what of them is in memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    AccessTokens, Attempts, EmailAddress, OneTimeToken, Passwords, SigningKey, StoredApiKey, StoredSession,
    StoredToken, StoredUser,
};
use crate::{
    api::{ApiKeyId, LiveSettings, Quotas, RoleQuotas, SessionId, Timestamp, UserId},
    journal::store::{DocKey, DocKind, Store, StoreError},
};

/// The id of the document of the live settings.
const SETTINGS: &str = "live";

/// What an engine holds of accounts beside the store.
pub(crate) struct Accounts {
    /// Makes and compares hashes.
    pub passwords: Passwords,
    /// Signs and verifies access tokens.
    pub tokens: AccessTokens,
    /// Who failed to log in.
    pub attempts: Arc<Attempts>,
    /// Held by whoever changes accounts, sessions, keys or settings, from what is read to what is committed.
    pub changing: tokio::sync::Mutex<()>,
    settings: RwLock<Arc<LiveSettings>>,
    key_uses: Mutex<HashMap<ApiKeyId, Timestamp>>,
}

impl Accounts {
    /// Begins with the keys that sign access tokens and what is stored of the settings.
    ///
    /// # Errors
    ///
    /// Fails where the settings cannot be read.
    pub(crate) fn open(store: &dyn Store, keys: Vec<SigningKey>) -> Result<Self, StoreError> {
        let stored: Option<LiveSettings> = read(store, &settings_key())?;
        Ok(Self {
            passwords: Passwords::default(),
            tokens: AccessTokens::new(keys),
            attempts: Arc::default(),
            changing: tokio::sync::Mutex::default(),
            settings: RwLock::new(Arc::new(stored.unwrap_or_else(default_settings))),
            key_uses: Mutex::default(),
        })
    }

    /// Returns the settings that count now.
    pub(crate) fn settings(&self) -> Arc<LiveSettings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has these settings count, once they are committed.
    pub(crate) fn take_up(&self, settings: LiveSettings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// Takes note that a key was used.
    pub(crate) fn note_use(&self, key: ApiKeyId, now: Timestamp) {
        self.key_uses.lock().unwrap_or_else(PoisonError::into_inner).insert(key, now);
    }

    /// Returns which keys were used since this was last asked, and when last.
    pub(crate) fn take_uses(&self) -> HashMap<ApiKeyId, Timestamp> {
        std::mem::take(&mut *self.key_uses.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What counts until an administrator says otherwise.
fn default_settings() -> LiveSettings {
    const GIB: u64 = 1024 * 1024 * 1024;
    let of = |tasks, file_bytes, files, requests_per_minute, api_keys| Quotas {
        tasks: Some(tasks),
        file_bytes: Some(file_bytes),
        files: Some(files),
        requests_per_minute: Some(requests_per_minute),
        api_keys: Some(api_keys),
        ..Quotas::default()
    };
    LiveSettings {
        registration_open: false,
        access_token_minutes: 30,
        session_idle_days: 7,
        session_days: 30,
        quotas: RoleQuotas {
            user: of(20, GIB, 10_000, 600, 25),
            premium: of(200, 10 * GIB, 100_000, 3_000, 100),
            admin: Quotas::default(),
        },
        revision: 1,
    }
}

fn settings_key() -> DocKey {
    DocKey::new(DocKind::Setting, SETTINGS)
}

/// Returns the document of the live settings.
pub(crate) fn settings_doc(settings: &LiveSettings) -> (DocKey, Bytes) {
    (settings_key(), encode(settings))
}

/// Reads an account.
pub(crate) fn read_user(store: &dyn Store, id: UserId) -> Result<Option<StoredUser>, StoreError> {
    read(store, &user_key(id))
}

/// Reads all accounts, the newest first.
pub(crate) fn read_users(store: &dyn Store) -> Result<Vec<StoredUser>, StoreError> {
    let mut users: Vec<StoredUser> = read_all(store, DocKind::User, "")?;
    users.sort_by_key(|user| std::cmp::Reverse(user.id));
    Ok(users)
}

/// Returns the document of an account.
pub(crate) fn user_doc(user: &StoredUser) -> (DocKey, Bytes) {
    (user_key(user.id), encode(user))
}

/// Returns where an account is kept.
pub(crate) fn user_key(id: UserId) -> DocKey {
    DocKey::new(DocKind::User, id)
}

/// Finds out whose an address is.
pub(crate) fn read_email(store: &dyn Store, email: &EmailAddress) -> Result<Option<UserId>, StoreError> {
    read(store, &email_key(email))
}

/// Returns the document that says whose an address is.
pub(crate) fn email_doc(email: &EmailAddress, user: UserId) -> (DocKey, Bytes) {
    (email_key(email), encode(&user))
}

/// Returns where it is kept whose an address is.
pub(crate) fn email_key(email: &EmailAddress) -> DocKey {
    DocKey::new(DocKind::Email, email)
}

/// Reads a session of a user's.
pub(crate) fn read_session(
    store: &dyn Store,
    user: UserId,
    session: SessionId,
) -> Result<Option<StoredSession>, StoreError> {
    read(store, &session_key(user, session))
}

/// Reads the session that is kept at a place.
pub(crate) fn read_session_at(store: &dyn Store, key: &DocKey) -> Result<Option<StoredSession>, StoreError> {
    read(store, key)
}

/// Reads all sessions of a user's, the oldest first.
pub(crate) fn read_sessions(store: &dyn Store, user: UserId) -> Result<Vec<StoredSession>, StoreError> {
    read_all(store, DocKind::Session, &StoredSession::doc_prefix(user))
}

/// Reads all sessions of everybody.
pub(crate) fn read_all_sessions(store: &dyn Store) -> Result<Vec<StoredSession>, StoreError> {
    read_all(store, DocKind::Session, "")
}

/// Returns the document of a session.
pub(crate) fn session_doc(session: &StoredSession) -> (DocKey, Bytes) {
    (session_key(session.user, session.id), encode(session))
}

/// Returns where a session is kept.
pub(crate) fn session_key(user: UserId, session: SessionId) -> DocKey {
    DocKey::new(DocKind::Session, StoredSession::doc_id(user, session))
}

/// Reads an API key.
pub(crate) fn read_api_key(store: &dyn Store, id: ApiKeyId) -> Result<Option<StoredApiKey>, StoreError> {
    read(store, &api_key_key(id))
}

/// Reads all API keys of a user's, the newest first.
pub(crate) fn read_api_keys(store: &dyn Store, user: UserId) -> Result<Vec<StoredApiKey>, StoreError> {
    let mut keys: Vec<StoredApiKey> = read_all(store, DocKind::ApiKey, "")?;
    keys.retain(|key| key.user == user);
    keys.sort_by_key(|key| std::cmp::Reverse((key.created_at, key.id)));
    Ok(keys)
}

/// Returns the document of an API key.
pub(crate) fn api_key_doc(key: &StoredApiKey) -> (DocKey, Bytes) {
    (api_key_key(key.id), encode(key))
}

/// Returns where an API key is kept.
pub(crate) fn api_key_key(id: ApiKeyId) -> DocKey {
    DocKey::new(DocKind::ApiKey, id)
}

/// Reads what is kept of a token.
pub(crate) fn read_token(store: &dyn Store, token: &OneTimeToken) -> Result<Option<StoredToken>, StoreError> {
    read(store, &DocKey::new(DocKind::Token, token.doc_id()))
}

/// Reads where the tokens are kept of which `of` holds.
pub(crate) fn find_tokens(store: &dyn Store, of: impl Fn(&StoredToken) -> bool) -> Result<Vec<DocKey>, StoreError> {
    let mut found = Vec::new();
    for (id, bytes) in store.list_docs(DocKind::Token, "")? {
        if of(&decode(DocKind::Token, &id, &bytes)?) {
            found.push(DocKey::new(DocKind::Token, id));
        }
    }
    Ok(found)
}

/// Returns the document of a token.
pub(crate) fn token_doc(token: &OneTimeToken, stored: &StoredToken) -> (DocKey, Bytes) {
    (DocKey::new(DocKind::Token, token.doc_id()), encode(stored))
}

fn read<T: DeserializeOwned>(store: &dyn Store, key: &DocKey) -> Result<Option<T>, StoreError> {
    store.read_doc(key)?.map(|bytes| decode(key.kind, &key.id, &bytes)).transpose()
}

fn read_all<T: DeserializeOwned>(store: &dyn Store, kind: DocKind, prefix: &str) -> Result<Vec<T>, StoreError> {
    store.list_docs(kind, prefix)?.iter().map(|(id, bytes)| decode(kind, id, bytes)).collect()
}

fn decode<T: DeserializeOwned>(kind: DocKind, id: &str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Corrupt(format!("{kind:?} {id}: {error}")))
}

fn encode<T: Serialize>(document: &T) -> Bytes {
    serde_json::to_vec(document).expect("what is stored of accounts has string keys only").into()
}
