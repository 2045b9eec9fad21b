//! The keys that sign access tokens, as they are kept: sealed in the vault, one document. So tokens outlive a restart.
//!
//! Called when an engine starts, and when master keys are rotated, which replaces the signing key too. The one before still verifies
//! until its last token has expired.

use std::sync::Arc;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{NoRandom, SigningKey};
use crate::{
    api::Timestamp,
    journal::store::{Commit, DocKey, DocKind, Store, StoreError},
    vault::{Place, Sealed, Vault, VaultError},
};

/// No access token is good for longer, and clocks differ by less than the minute.
const OVERLAP: SignedDuration = SignedDuration::from_mins(61);

/// The keys as they are stored, the newest first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct StoredSigningKeys {
    keys: Vec<StoredSigningKey>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredSigningKey {
    /// Its name in tokens.
    id: String,
    sealed: Sealed,
    /// Until when it verifies; the newest has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_at: Option<Timestamp>,
}

impl StoredSigningKeys {
    /// Reads them.
    pub(crate) fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let Some(bytes) = store.read_doc(&address())? else { return Ok(Self::default()) };
        let damaged = |error| StoreError::Corrupt(format!("the keys that sign access tokens: {error}"));
        serde_json::from_slice(&bytes).map_err(damaged)
    }

    /// Opens those that open and still verify, the newest first.
    pub(crate) fn open(&self, vault: &Vault, now: Timestamp) -> Vec<SigningKey> {
        let good = self.keys.iter().filter(|key| key.ends_at.is_none_or(|ends_at| now < ends_at));
        good.filter_map(|StoredSigningKey { id, sealed, ends_at }| {
            let secret = vault.open(place_of(&[id]), sealed).ok()?;
            Some(SigningKey { id: id.clone(), secret, ends_at: *ends_at })
        })
        .collect()
    }

    /// Has a new key sign from now on.
    pub(crate) fn begin(&mut self, vault: &Vault, now: Timestamp) -> Result<(), VaultError> {
        let key = SigningKey::generate().map_err(|error| VaultError::NoRandom(error.to_string()))?;
        let sealed = vault.seal(place_of(&[&key.id]), &key.secret)?;
        self.keys.retain(|key| key.ends_at.is_none_or(|ends_at| now < ends_at));
        for before in self.keys.iter_mut().filter(|key| key.ends_at.is_none()) {
            before.ends_at = now.checked_add(OVERLAP).ok();
        }
        self.keys.insert(0, StoredSigningKey { id: key.id, sealed, ends_at: None });
        Ok(())
    }

    /// Seals them anew with the newest master key. Those that do not open are dropped, since what they signed is worth nothing without
    /// them.
    pub(crate) fn reseal(&mut self, vault: &Vault) {
        self.keys.retain_mut(|StoredSigningKey { id, sealed, .. }| {
            if Some(sealed.key()) == vault.newest() {
                return true;
            }
            let bound_to = [id.as_str()];
            let place = place_of(&bound_to);
            let anew = vault.open(place, sealed).and_then(|secret| vault.seal(place, &secret));
            anew.is_ok_and(|anew| {
                *sealed = anew;
                true
            })
        });
    }

    /// Returns the document that holds them.
    pub(crate) fn document(&self) -> (DocKey, bytes::Bytes) {
        let document = serde_json::to_vec(self).expect("sealed keys have string keys only");
        (address(), document.into())
    }
}

/// Finds the keys, the newest first, or makes one. Without a master key it is kept nowhere: tokens then end with the engine, and
/// sessions go on by their refresh tokens. Waits for the disk.
pub(crate) async fn ensure(
    store: &Arc<dyn Store>,
    vault: &Vault,
    now: Timestamp,
) -> Result<Vec<SigningKey>, EnsureError> {
    let mut stored = match StoredSigningKeys::read(store.as_ref()) {
        Err(StoreError::Corrupt(what)) => {
            tracing::warn!(what, "access tokens of before are worth nothing: a new key signs");
            StoredSigningKeys::default()
        }
        stored => stored?,
    };
    let opened = stored.open(vault, now);
    if opened.first().is_some_and(|key| key.ends_at.is_none()) {
        return Ok(opened);
    }
    if vault.newest().is_none() || stored.begin(vault, now).is_err() {
        return Ok(vec![SigningKey::generate()?]);
    }
    store.commit(Commit { puts: vec![stored.document()], ..Commit::default() }).await?;
    Ok(stored.open(vault, now))
}

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnsureError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

/// A key opens under its own name only.
fn place_of<'a>(bound_to: &'a [&'a str; 1]) -> Place<'a> {
    Place { owner: "installation", record: "signing_keys", field: "key", bound_to }
}

fn address() -> DocKey {
    DocKey::new(DocKind::Installation, "signing_keys")
}
