//! The vault of one engine.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use super::{
    KeyId, Place, Sealed, VaultError, file,
    key::MasterKey,
    ring::KeyRing,
    source::{KeySource, old_keys},
};
use crate::api::Secret;

/// Seals secrets and opens them. A directory of data has one vault, and a file of keys is for one directory.
#[derive(Debug)]
pub struct Vault {
    source: KeySource,
    ring: RwLock<KeyRing>,
    /// Keys that only open.
    old: KeyRing,
    /// Held by whoever goes by the file, so that those who open need not wait for the disk. Whether what was found in it is known
    /// to be on the disk.
    is_synced: Mutex<bool>,
}

impl Vault {
    /// Finds the keys. Makes none: where there are none yet, the first secret to be sealed does.
    ///
    /// # Errors
    ///
    /// Fails where keys are given and cannot be used; says which, and what to do.
    pub fn find(
        env: &BTreeMap<String, String>,
        configured: Option<&Path>,
        data_dir: &Path,
    ) -> Result<Self, VaultError> {
        let source = KeySource::find(env, configured, data_dir)?;
        let ring = RwLock::new(source.read(env)?);
        Ok(Self { source, ring, old: old_keys(env)?, is_synced: Mutex::default() })
    }

    /// Seals a secret for its place, with the newest key. The very first time it makes one. Waits for the disk.
    ///
    /// # Errors
    ///
    /// Fails where a first key cannot be made and kept, or the file of keys cannot be read.
    pub fn seal(&self, place: Place<'_>, secret: &Secret) -> Result<Sealed, VaultError> {
        if let Ok(path) = self.source.writable() {
            self.take_up(path)?;
        }
        let newest = self.read().newest().cloned().expect("a ring that was read holds a key");
        Sealed::new(&newest, place, secret)
    }

    /// Sees to it that the key that seals is in the file and on the disk. Another process may have dropped it since the file was
    /// read, and a person may have written the file just now.
    fn take_up(&self, path: &Path) -> Result<(), VaultError> {
        let mut is_synced = self.lock();
        let on_disk = match self.newest() {
            None => file::ensure(path)?.0,
            Some(_) => file::read(path)?,
        };
        if self.newest().is_none_or(|newest| on_disk.find(newest).is_none()) {
            *self.write() = on_disk;
            *is_synced = false;
        }
        if !*is_synced {
            file::sync(path)?;
            *is_synced = true;
        }
        Ok(())
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    ///
    /// Fails where its key is gone, or it was altered or moved.
    pub fn open(&self, place: Place<'_>, sealed: &Sealed) -> Result<Secret, VaultError> {
        let ring = self.read();
        let key = ring.find(sealed.key()).or_else(|| self.old.find(sealed.key()));
        let unknown = || VaultError::UnknownKey { key: sealed.key(), place: self.source.to_string() };
        sealed.open(key.ok_or_else(unknown)?, place)
    }

    /// Returns the key that seals, if there is one yet.
    pub fn newest(&self) -> Option<KeyId> {
        self.read().newest().map(MasterKey::id)
    }

    /// Returns whether a key is among those that open.
    pub fn knows(&self, key: KeyId) -> bool {
        self.read().find(key).is_some() || self.old.find(key).is_some()
    }

    /// Returns how many keys open what is sealed.
    pub fn key_count(&self) -> usize {
        self.read().len() + self.old.len()
    }

    /// Returns the name of the variable or the path of the file that holds the keys.
    pub fn place(&self) -> String {
        self.source.to_string()
    }

    /// Says where the keys come from, to a person.
    pub fn describe(&self) -> String {
        self.source.describe(self.newest().is_some())
    }

    /// Returns whether keys can be added here.
    ///
    /// # Errors
    ///
    /// Says what a person has to do where they cannot.
    pub fn check_writable(&self) -> Result<(), VaultError> {
        self.source.writable().map(|_| ())
    }

    /// Adds a new key, which seals from now on. It is on the disk when this returns: nothing is sealed with a key that a crash
    /// could take away.
    ///
    /// # Errors
    ///
    /// Fails where the keys are not ours to change, or the file cannot be written; the ring is then as it was.
    pub fn add_key(&self) -> Result<KeyId, VaultError> {
        let path = self.source.writable()?;
        let _is_synced = self.lock();
        let made = match self.newest() {
            None => Some(file::ensure(path)?).filter(|(_, is_new)| *is_new),
            Some(_) => None,
        };
        let ring = match made {
            Some((ring, _)) => ring,
            None => file::change(path, |ring| MasterKey::generate().map(|key| ring.push(key)))?,
        };
        let newest = ring.newest().expect("a file of keys that was written holds one").id();
        *self.write() = ring;
        Ok(newest)
    }

    /// Drops all keys but the newest. Returns how many. Whoever calls knows that nothing is sealed with them.
    ///
    /// # Errors
    ///
    /// As [`Self::add_key`].
    pub fn drop_old_keys(&self) -> Result<usize, VaultError> {
        let path = self.source.writable()?;
        let _is_synced = self.lock();
        let (ring, mut dropped) = (self.read().clone(), 0);
        // Another process may have added one meanwhile: what goes is what was old here.
        let is_old = |id| ring.find(id).is_some() && ring.newest().map(MasterKey::id) != Some(id);
        let kept = file::change(path, |on_disk| {
            dropped = on_disk.keep(|id| !is_old(id));
            Ok(())
        })?;
        *self.write() = kept;
        Ok(dropped)
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_synced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, KeyRing> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, KeyRing> {
        self.ring.write().unwrap_or_else(PoisonError::into_inner)
    }
}
