//! `master_keys`: where they come from. `rotate_keys`: another master key, and everything sealed anew with it.
//!
//! A new key is on the disk before anything is sealed with it, and an older one stays there until nothing is. So whenever it is
//! killed, the ring on the disk opens everything, and the next rotation finishes what this one began.

use super::{
    Engine, store_error,
    stored_form::StoredSettings,
    stored_providers::{self, administrators_only, vault_error},
    uninterrupted,
};
use crate::{
    accounts::signing_keys::StoredSigningKeys,
    api::{ApiError, AuditAction, KeysRotated, MasterKeys, Principal, RotateKeys},
    audit::{Audit, StoredKey, StoredKeys},
    journal::store::Commit,
    vault::{Vault, VaultError},
};

impl Engine {
    /// Says where the master keys come from.
    ///
    /// # Errors
    ///
    /// Fails with `forbidden` where the caller is no administrator.
    pub async fn master_keys(&self, by: &Principal) -> Result<MasterKeys, ApiError> {
        administrators_only(by)?;
        Ok(MasterKeys { source: self.0.vault.describe() })
    }

    /// Makes a new master key and seals everything anew with it. Where keys are given by the environment, which is not ours to
    /// change, it seals anew what the newest of them has not sealed.
    ///
    /// The older keys stay unless `drop_old` says otherwise: a backup that was made before is sealed with them, and nothing here
    /// knows whether somebody still keeps one.
    ///
    /// # Errors
    ///
    /// Fails with `conflict`, and says what a person has to do, where keys are given and there is nothing to seal anew.
    pub async fn rotate_keys(&self, by: &Principal, request: RotateKeys) -> Result<KeysRotated, ApiError> {
        administrators_only(by)?;
        let (engine, by) = (self.clone(), by.clone());
        uninterrupted(async move { engine.rotate(&by, request).await }).await
    }

    async fn rotate(&self, by: &Principal, RotateKeys { drop_old }: RotateKeys) -> Result<KeysRotated, ApiError> {
        let _changing = self.0.stored_settings.lock().await;
        let (vault, failpoints) = (&self.0.vault, &self.0.services.failpoints);
        let is_new = self.begin_rotation(by).await?;
        failpoints.visit("rotate: key added");
        let (mut resealed, mut unopened) = (0, Vec::new());
        for (name, stored) in stored_providers::read_all(self.store().as_ref()).map_err(store_error)? {
            match stored {
                Ok(stored) => match self.reseal(&name, stored).await? {
                    Resealed::Anew => resealed += 1,
                    Resealed::Already => {}
                    Resealed::Unopened => unopened.push(name),
                },
                Err(_) => unopened.push(name),
            }
            failpoints.visit("rotate: resealed");
        }
        let (anew, still_closed) = self.reseal_audit_keys().await?;
        resealed += anew;
        unopened.extend(still_closed);
        self.replace_signing_key().await?;
        let dropped = match drop_old && is_new && unopened.is_empty() {
            true => self.with_vault(Vault::drop_old_keys).await?,
            false => 0,
        };
        failpoints.visit("rotate: done");
        let key = vault.newest().map(|id| id.to_string()).unwrap_or_default();
        let keys = vault.key_count() as u64;
        Ok(KeysRotated { key, is_new, resealed, unopened, dropped: dropped as u64, keys })
    }

    /// Adds a key where that is ours to do. Otherwise there must be something to do with those that are given.
    async fn begin_rotation(&self, by: &Principal) -> Result<bool, ApiError> {
        let vault = &self.0.vault;
        let entry = Audit::of(by, AuditAction::RotateKeys, self.0.services.clock.now());
        let Err(not_ours) = vault.check_writable() else {
            self.check_first_key()?;
            // The keys are no document, so this comes before them: what is not noted is not done.
            self.commit_audit(&entry.saying("a new master key")).await.map_err(store_error)?;
            self.with_vault(Vault::add_key).await?;
            return Ok(true);
        };
        let stored = stored_providers::read_all(self.store().as_ref()).map_err(store_error)?;
        let is_older = |stored: &StoredSettings| {
            stored.api_key.as_ref().is_some_and(|sealed| Some(sealed.key()) != vault.newest())
        };
        let keys = StoredKeys::read(self.store().as_ref()).map_err(store_error)?.keys;
        // One that waits for a key that is not here keeps waiting: there is nothing to do for it.
        let is_older_key = |stored: &StoredKey| {
            let key = stored.sealed_with();
            Some(key) != vault.newest() && vault.knows(key)
        };
        if !stored.iter().any(|(_, stored)| stored.as_ref().is_ok_and(is_older)) && !keys.iter().any(is_older_key) {
            return Err(vault_error(&not_ours));
        }
        self.commit_audit(&entry.saying("the newest of the keys that are given")).await.map_err(store_error)?;
        Ok(false)
    }

    /// Seals the keys of the audit log anew, in one commit. Returns how many were, and those that do not open.
    async fn reseal_audit_keys(&self) -> Result<(u64, Vec<String>), ApiError> {
        let mut stored = StoredKeys::read(self.store().as_ref()).map_err(store_error)?;
        let newest = self.0.vault.newest();
        let (stored, resealed, unopened) = self
            .with_vault(move |vault| {
                let (mut resealed, mut unopened) = (0, Vec::new());
                for key in stored.keys.iter_mut().filter(|key| Some(key.sealed_with()) != newest) {
                    match key.reseal(vault) {
                        Ok(()) => resealed += 1,
                        Err(VaultError::UnknownKey { .. } | VaultError::Altered) => unopened.push(key.name()),
                        Err(error) => return Err(error),
                    }
                }
                Ok((stored, resealed, unopened))
            })
            .await?;
        if resealed > 0 {
            let commit = Commit { puts: vec![stored.document()], ..Commit::default() };
            self.store().commit(commit).await.map_err(store_error)?;
        }
        self.0.services.failpoints.visit("rotate: audit keys resealed");
        Ok((resealed, unopened))
    }

    /// Has a new key sign access tokens, in one commit with the ones before sealed anew.
    async fn replace_signing_key(&self) -> Result<(), ApiError> {
        let services = &self.0.services;
        let (mut stored, now) =
            (StoredSigningKeys::read(self.store().as_ref()).map_err(store_error)?, services.clock.now());
        let stored = self
            .with_vault(move |vault| {
                stored.reseal(vault);
                stored.begin(vault, now)?;
                Ok(stored)
            })
            .await?;
        self.store()
            .commit(Commit { puts: vec![stored.document()], ..Commit::default() })
            .await
            .map_err(store_error)?;
        services.accounts.tokens.replace(stored.open(&self.0.vault, now));
        services.failpoints.visit("rotate: signing key replaced");
        Ok(())
    }

    async fn reseal(&self, name: &str, mut stored: StoredSettings) -> Result<Resealed, ApiError> {
        let vault = &self.0.vault;
        if stored.api_key.as_ref().is_none_or(|sealed| Some(sealed.key()) == vault.newest()) {
            return Ok(Resealed::Already);
        }
        let Ok(Some(key)) = stored.open(vault, name) else { return Ok(Resealed::Unopened) };
        stored.api_key = Some(self.with_vault(stored.sealing(name, key)).await?);
        let commit = Commit { puts: vec![stored.document(name)], ..Commit::default() };
        self.store().commit(commit).await.map_err(store_error)?;
        Ok(Resealed::Anew)
    }
}

/// What became of one secret.
enum Resealed {
    /// It is sealed with the newest key now.
    Anew,
    /// It was before, or there is none.
    Already,
    /// It does not open, and stays as it is.
    Unopened,
}
