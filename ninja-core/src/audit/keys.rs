//! The keys of the audit log: made by itself, sealed in the vault, kept as one document. Called when an engine starts, when master
//! keys are rotated and by whoever verifies.
//!
//! A log has one key, as long as that opens and the end of the log is the one that was written. Where that is not so, the log goes on
//! in a new stretch with a key of its own, whose first entry says why; the document names the stretches, and what closed each.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Audit;
use crate::{
    api::{AuditAction, Origin, Secret, Timestamp},
    journal::{
        audit::{AuditEnd, ChainKey, Mac},
        store::{Commit, DocKey, DocKind, Store, StoreError},
    },
    vault::{KeyId, Place, Sealed, Vault, VaultError},
};

/// How many entries are read at a time.
const PAGE: usize = 256;

/// The keys as they are stored, the newest last.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct StoredKeys {
    pub(crate) keys: Vec<StoredKey>,
}

/// The key of one stretch.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredKey {
    /// The number of the first entry that is linked with it.
    from: u64,
    sealed: Sealed,
    /// What stood for the end of the stretch before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closed_by: Option<String>,
}

/// A stretch of the log, for whoever verifies it.
pub(crate) struct Stretch {
    /// The number of its first entry.
    pub(crate) from: u64,
    /// Its key, or why that cannot be had.
    pub(crate) key: Result<ChainKey, String>,
    /// What stood for the end of the stretch before.
    pub(crate) closed_by: Option<Mac>,
}

/// What an engine writes the log with.
pub(crate) enum AuditKey {
    /// This.
    Known(ChainKey),
    /// Nothing: why, and what to do.
    Missing(String),
}

impl StoredKeys {
    /// Reads them.
    pub(crate) fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let Some(bytes) = store.read_doc(&address())? else { return Ok(Self::default()) };
        let damaged = |error| StoreError::Corrupt(format!("the keys of the audit log: {error}"));
        serde_json::from_slice(&bytes).map_err(damaged)
    }

    /// Returns the document that holds them.
    pub(crate) fn document(&self) -> (DocKey, bytes::Bytes) {
        let document = serde_json::to_vec(self).expect("sealed keys have string keys only");
        (address(), document.into())
    }

    /// Opens what opens.
    pub(crate) fn stretches(&self, vault: &Vault) -> Vec<Stretch> {
        let open = |stored: &StoredKey| Stretch {
            from: stored.from,
            key: stored.open(vault).map_err(|error| format!("its key cannot be used: {error}")),
            closed_by: stored.closed_by.as_ref().and_then(|mac| mac.parse().ok()),
        };
        self.keys.iter().map(open).collect()
    }
}

impl StoredKey {
    /// Returns which master key sealed it.
    pub(crate) fn sealed_with(&self) -> KeyId {
        self.sealed.key()
    }

    /// Says which it is, to a person.
    pub(crate) fn name(&self) -> String {
        format!("the key of the audit log from entry {} on", self.from)
    }

    /// Seals it anew with the newest master key.
    pub(crate) fn reseal(&mut self, vault: &Vault) -> Result<(), VaultError> {
        self.sealed = within_place(self.from, |place| vault.seal(place, &vault.open(place, &self.sealed)?))?;
        Ok(())
    }

    fn open(&self, vault: &Vault) -> Result<ChainKey, VaultError> {
        let secret = within_place(self.from, |place| vault.open(place, &self.sealed))?;
        let key: Mac = secret.expose().parse().map_err(|_| VaultError::Altered)?;
        Ok(ChainKey::new(*key.as_bytes()))
    }
}

/// Finds the key, and gives it to the store. Makes one for a log that has none, and for one that cannot go on with the one it had, as
/// after a restore to which nobody brought the master keys; unless that would make the first master key where `waits` says that
/// something else that is stored waits for one that is not here. Waits for the disk.
pub(crate) async fn ensure(
    store: &Arc<dyn Store>,
    vault: &Vault,
    waits: Option<String>,
    now: Timestamp,
) -> Result<AuditKey, StoreError> {
    let stored = match StoredKeys::read(store.as_ref()).and_then(|stored| Ok((stored, store.audit_end()?))) {
        Ok((stored, end)) => stored.check(store.as_ref(), vault, end)?,
        Err(StoreError::Corrupt(what)) => return Ok(AuditKey::Missing(what)),
        Err(error) => return Err(error),
    };
    let (stored, why) = match stored {
        Checked::GoesOn(key) => {
            store.chain_audit(key.clone());
            return Ok(AuditKey::Known(key));
        }
        Checked::NotBegun(stored) => (stored, None),
        Checked::Broken(stored, why) => (stored, Some(why)),
    };
    if let Some(why) = &why {
        tracing::error!(target: "ninja::audit", why, "the audit log cannot go on as before; a new stretch of it begins");
    }
    match waits.filter(|_| vault.newest().is_none()) {
        Some(waits) => Ok(AuditKey::Missing(waits)),
        None => begin(store, vault, stored, why, now).await,
    }
}

/// How a log is found.
enum Checked {
    /// As it was left.
    GoesOn(ChainKey),
    /// New.
    NotBegun(StoredKeys),
    /// Otherwise than it was left, or without its key.
    Broken(StoredKeys, String),
}

impl StoredKeys {
    fn check(self, store: &dyn Store, vault: &Vault, end: Option<AuditEnd>) -> Result<Checked, StoreError> {
        let Some(newest) = self.keys.last() else {
            return Ok(match last_seq(store, end)? {
                0 => Checked::NotBegun(self),
                last => Checked::Broken(self, format!("the key of the entries up to {last} is not there")),
            });
        };
        let key = match newest.open(vault) {
            Ok(key) => key,
            Err(error) => {
                let why = format!("{} cannot be used: {error}", newest.name());
                return Ok(Checked::Broken(self, why));
            }
        };
        Ok(match check_end(store, &key, end)? {
            None => Checked::GoesOn(key),
            Some(why) => Checked::Broken(self, why),
        })
    }
}

/// Says what is wrong with the end of the log, as far as a look at the last entry tells.
fn check_end(store: &dyn Store, key: &ChainKey, end: Option<AuditEnd>) -> Result<Option<String>, StoreError> {
    let Some(end) = end else { return Ok(Some("the end of the log is missing".to_owned())) };
    if end.end_mac != key.end(end.seq, &end.mac) {
        return Ok(Some(format!("the end of the log, at entry {}, is not one that was written", end.seq)));
    }
    let rows = match store.read_audit(end.seq, 2) {
        Ok(rows) => rows,
        Err(StoreError::Corrupt(what)) => {
            return Ok(Some(format!("entry {}, the last, does not read: {what}", end.seq)));
        }
        Err(error) => return Err(error),
    };
    Ok(match rows.as_slice() {
        [last] if last.seq == end.seq && last.mac == end.mac => None,
        [last, _] if last.seq == end.seq => Some(format!("entries stand after entry {}, where the log ends", end.seq)),
        _ => Some(format!("entry {}, the last, is not the one that was written", end.seq)),
    })
}

/// Begins a stretch: its key, and the entry that says so, are one commit.
async fn begin(
    store: &Arc<dyn Store>,
    vault: &Vault,
    mut stored: StoredKeys,
    why: Option<String>,
    now: Timestamp,
) -> Result<AuditKey, StoreError> {
    let end = store.audit_end()?;
    let from = last_seq(store.as_ref(), end)? + 1;
    let (key, sealed) = match make(vault, from) {
        Ok(made) => made,
        Err(error) => return Ok(AuditKey::Missing(format!("no key for the audit log can be made: {error}"))),
    };
    let closed_by = end.filter(|end| end.seq + 1 == from).map(|end| end.end_mac.to_string());
    stored.keys.push(StoredKey { from, sealed, closed_by });
    let entry = Audit::of_nobody(&Origin::default(), AuditAction::BeginAudit, now);
    let entry = why.into_iter().fold(entry, Audit::saying);
    store.chain_audit(key.clone());
    let commit = Commit { puts: vec![stored.document()], audit: vec![entry.encode()], ..Commit::default() };
    // Where this fails the engine does not start, so nothing is ever linked with a key that nobody keeps.
    store.commit(commit).await?;
    Ok(AuditKey::Known(key))
}

fn make(vault: &Vault, from: u64) -> Result<(ChainKey, Sealed), VaultError> {
    let mut bytes = zeroize::Zeroizing::new([0; Mac::BYTES]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|error| VaultError::NoRandom(error.to_string()))?;
    let secret = Secret::new(Mac::from_bytes(*bytes).to_string());
    let sealed = within_place(from, |place| vault.seal(place, &secret))?;
    Ok((ChainKey::new(*bytes), sealed))
}

/// Returns the number of the last entry there is, whatever the end of the log says.
fn last_seq(store: &dyn Store, end: Option<AuditEnd>) -> Result<u64, StoreError> {
    let mut last = end.map_or(0, |end| end.seq);
    loop {
        match store.read_audit(last + 1, PAGE)?.last() {
            Some(row) => last = row.seq,
            None => return Ok(last),
        }
    }
}

/// The log belongs to the installation. A key is for the stretch that it was made for: where another number stands beside it, it
/// does not open.
fn within_place<T>(from: u64, work: impl FnOnce(Place<'_>) -> T) -> T {
    let from = from.to_string();
    work(Place { owner: "installation", record: "audit_key", field: "key", bound_to: &[&from] })
}

fn address() -> DocKey {
    DocKey::new(DocKind::Installation, "audit_key")
}

#[cfg(test)]
mod tests;
