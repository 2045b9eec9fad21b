//! The local owner: made at first start, with a key in a file that only its user can read.

use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{Engine, StartError};
use crate::{
    accounts::{ApiKey, StoredApiKey},
    api::{Credential, Origin, Principal, Role, Scopes, UserId},
    clock::Clock,
    journal::store::{Commit, DocKey, DocKind, Store, StoreError},
};

/// The file in the data directory that holds the owner's key.
const KEY_FILE: &str = "owner.key";

#[derive(Serialize, Deserialize)]
struct LocalOwner {
    user: UserId,
}

/// Returns the path of the file that holds the local owner's key.
pub fn key_file(data_dir: &Path) -> PathBuf {
    data_dir.join(KEY_FILE)
}

/// Finds the local owner, or makes it. A key file that was deleted is made anew with a new key.
pub(super) async fn ensure(store: &Arc<dyn Store>, clock: &dyn Clock, data_dir: &Path) -> Result<UserId, StartError> {
    let at = DocKey::new(DocKind::Installation, "local_owner");
    let known = store.read_doc(&at)?.map(|bytes| serde_json::from_slice::<LocalOwner>(&bytes)).transpose();
    let known = known.map_err(|error| StoreError::Corrupt(format!("the local owner: {error}")))?;
    let user = known.as_ref().map_or_else(|| UserId::from_uuid(clock.new_uuid()), |owner| owner.user);
    let path = key_file(data_dir);
    if known.is_some() && path.exists() {
        return Ok(user);
    }
    let key = ApiKey::generate().map_err(|error| StartError::other("make the owner's key", error))?;
    let stored = key.stored(user, Role::Admin, clock.now());
    let encode = |document: serde_json::Value| document.to_string().into_bytes().into();
    let puts = vec![
        (at, encode(serde_json::json!(LocalOwner { user }))),
        (DocKey::new(DocKind::ApiKey, key.id()), encode(serde_json::json!(stored))),
    ];
    // Whoever removed the file wants the key in it to be worth nothing.
    let deletes = keys_of(store, user)?;
    store.commit(Commit { puts, deletes, ..Commit::default() }).await?;
    write_key(&path, &key).map_err(|error| StartError::other("write the owner's key", error))?;
    Ok(user)
}

fn keys_of(store: &Arc<dyn Store>, user: UserId) -> Result<Vec<DocKey>, StoreError> {
    let keys = store.list_docs(DocKind::ApiKey, "")?.into_iter().map(|(id, bytes)| {
        let stored: StoredApiKey =
            serde_json::from_slice(&bytes).map_err(|error| StoreError::Corrupt(format!("API key {id}: {error}")))?;
        Ok((id, stored.user))
    });
    let keys: Vec<(String, UserId)> = keys.collect::<Result<_, StoreError>>()?;
    Ok(keys.into_iter().filter(|(_, of)| *of == user).map(|(id, _)| DocKey::new(DocKind::ApiKey, id)).collect())
}

/// Writes the file whole or not at all, readable by its user alone from its first byte.
fn write_key(path: &Path, key: &ApiKey) -> std::io::Result<()> {
    let unfinished = path.with_extension("tmp");
    std::fs::remove_file(&unfinished).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    writeln!(file, "{}", key.reveal())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}

impl Engine {
    /// Returns who holds an API key, if it is one.
    pub fn authenticate(&self, key: &str, origin: Origin) -> Option<Principal> {
        let key = ApiKey::parse(key.trim()).ok()?;
        let bytes = self.store().read_doc(&DocKey::new(DocKind::ApiKey, key.id())).ok()??;
        let stored: StoredApiKey = serde_json::from_slice(&bytes).ok()?;
        key.matches(&stored).then_some(Principal {
            user: stored.user,
            role: stored.role,
            credential: Credential::Key(key.id()),
            scopes: Scopes::ALL,
            origin,
        })
    }
}
