//! The local owner: made at first start, with a key in a file that only its user can read.

use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::StartError;
use crate::{
    accounts::{ApiKey, StoredUser, directory},
    api::{ApiKeyId, Role, Scopes, UserId},
    clock::Clock,
    journal::store::{Commit, DocKey, DocKind, Store, StoreError},
};

/// The file in the data directory that holds the owner's key.
const KEY_FILE: &str = "owner.key";
const NAME: &str = "local owner";
const KEY_NAME: &str = "the key in the data directory";

#[derive(Serialize, Deserialize)]
struct LocalOwner {
    user: UserId,
    /// The key in the file. Versions before accounts gave the owner no other, and did not note it.
    #[serde(default)]
    key: Option<ApiKeyId>,
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
    let mut commit = Commit::default();
    if directory::read_user(store.as_ref(), user)?.is_none() {
        commit.puts.push(directory::user_doc(&account_of(user, clock)));
    }
    let path = key_file(data_dir);
    let key = match known.is_some() && path.exists() {
        true => None,
        false => Some(ApiKey::generate().map_err(|error| StartError::other("make the owner's key", error))?),
    };
    if let Some(key) = &key {
        let stored = key.stored(user, KEY_NAME.to_owned(), Scopes::ALL, clock.now());
        let owner = serde_json::json!(LocalOwner { user, key: Some(key.id()) }).to_string();
        commit.puts.extend([(at, owner.into_bytes().into()), directory::api_key_doc(&stored)]);
        // Whoever removed the file wants the key in it to be worth nothing.
        commit.deletes = keys_before(store, known)?;
    }
    if !commit.puts.is_empty() {
        store.commit(commit).await?;
    }
    if let Some(key) = key {
        write_key(&path, &key).map_err(|error| StartError::other("write the owner's key", error))?;
    }
    Ok(user)
}

fn account_of(user: UserId, clock: &dyn Clock) -> StoredUser {
    StoredUser {
        id: user,
        email: None,
        name: NAME.to_owned(),
        role: Role::Admin,
        disabled: false,
        is_leaving: false,
        password: None,
        created_at: clock.now(),
        last_login_at: None,
        revision: 1,
    }
}

fn keys_before(store: &Arc<dyn Store>, owner: Option<LocalOwner>) -> Result<Vec<DocKey>, StoreError> {
    match owner {
        None => Ok(Vec::new()),
        Some(LocalOwner { key: Some(key), .. }) => Ok(vec![directory::api_key_key(key)]),
        Some(LocalOwner { key: None, user }) => {
            let keys = directory::read_api_keys(store.as_ref(), user)?;
            Ok(keys.into_iter().map(|key| directory::api_key_key(key.id)).collect())
        }
    }
}

/// Writes the file whole or not at all, readable by its user alone from its first byte.
fn write_key(path: &Path, key: &ApiKey) -> std::io::Result<()> {
    let unfinished = path.with_extension("tmp");
    std::fs::remove_file(&unfinished).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    writeln!(file, "{}", key.reveal().expose())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}
