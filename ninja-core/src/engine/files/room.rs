//! What a user may still store, and how many uploads there are at a time.
//!
//! How much is stored is a row of counters, changed by the same commit as the documents of a file. Whoever changes it holds the user's turn
//! from the look at the row to the end of the commit: what two of them find room for, there is room for.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use tokio::sync::{Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::super::{Engine, store_error};
use crate::{
    api::{ApiError, ErrorCode, FileCounts, Principal, Quotas, UserId},
    config::FileQuota,
    journal::{
        counts,
        store::{Count, DocKey, DocKind, Store, StoreError},
    },
};

/// Uploads that arrive at a time; each has at most one unfinished file on the disk.
const UPLOADS_MAX: usize = 64;
/// Files that are looked through at a time: each takes a processor, and up to a nested archive of memory.
const LOOKS_MAX: usize = 2;
/// Users share turns rather than having a lock each, which would have to be forgotten again.
const TURNS: usize = 64;

/// What the ids of the rows begin with.
const PREFIX: &str = "files/";

/// Who is storing files.
pub(in crate::engine) struct Rooms {
    uploads: Arc<Semaphore>,
    looks: Semaphore,
    turns: Vec<Mutex<()>>,
}

impl Default for Rooms {
    fn default() -> Self {
        let turns = (0..TURNS).map(|_| Mutex::default()).collect();
        Self { uploads: Arc::new(Semaphore::new(UPLOADS_MAX)), looks: Semaphore::new(LOOKS_MAX), turns }
    }
}

impl Rooms {
    /// Begins an upload.
    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.uploads).try_acquire_owned().map_err(|_| {
            ApiError::new(ErrorCode::TooManyRequests, "too many uploads are arriving; try again in a few seconds")
        })
    }

    /// Waits for the turn to look a file through.
    pub(super) async fn look_through(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        self.looks.acquire().await.map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))
    }

    /// Waits for the turn to change what a user stores.
    pub(super) async fn change(&self, user: UserId) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        user.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % TURNS as u64).unwrap_or_default();
        self.turns.get(index).expect("there are as many turns as hashes").lock().await
    }
}

/// What a user may still store, as it was when it was looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    quota: FileQuota,
    bytes: u64,
    files: u64,
}

impl Room {
    /// Refuses another file of so many bytes where there is no room for it.
    pub(super) fn check(&self, bytes: u64) -> Result<(), ApiError> {
        let FileQuota { bytes_max, files_max } = self.quota;
        let refuse = |detail: String| Err(ApiError::new(ErrorCode::QuotaExceeded, detail));
        if self.files >= files_max {
            return refuse(format!("an account stores at most {files_max} files; delete some that are not needed"));
        }
        if self.bytes.saturating_add(bytes) > bytes_max {
            let left = bytes_max.saturating_sub(self.bytes);
            return refuse(format!(
                "an account stores at most {bytes_max} bytes, and {left} of them are left; delete some files"
            ));
        }
        Ok(())
    }
}

impl Engine {
    /// Returns what an account may store: the smaller of what the configuration and the quotas of its role say.
    fn quota_of(&self, by: &Principal) -> FileQuota {
        let FileQuota { bytes_max, files_max } = self.0.config.files;
        let settings = self.0.services.accounts.settings();
        let Quotas { file_bytes, files, .. } = settings.quotas.of(by.role);
        FileQuota {
            bytes_max: file_bytes.map_or(bytes_max, |most| most.min(bytes_max)),
            files_max: files.map_or(files_max, |most| most.min(files_max)),
        }
    }

    /// Looks at what the caller may still store.
    pub(super) fn room_for_files(&self, by: &Principal) -> Result<Room, ApiError> {
        let (bytes, files) = used(self.store().as_ref(), by.user).map_err(store_error)?;
        Ok(Room { quota: self.quota_of(by), bytes, files })
    }
}

/// Returns what is added to the row of a user by so many files.
pub(super) fn count(user: UserId, bytes: i64, files: i64) -> Count {
    Count { row: row(user), add: vec![bytes, files] }
}

fn row(user: UserId) -> String {
    format!("{PREFIX}{user}")
}

/// Returns how many bytes a user stores, in how many files.
pub(super) fn used(store: &dyn Store, user: UserId) -> Result<(u64, u64), StoreError> {
    let Some(bytes) = store.read_doc(&DocKey::new(DocKind::Count, row(user)))? else { return Ok((0, 0)) };
    read_row(&bytes)
}

/// Returns how much all users store.
pub(in crate::engine) fn counted(store: &dyn Store) -> Result<FileCounts, StoreError> {
    let mut all = FileCounts::default();
    for (_, bytes) in store.list_docs(DocKind::Count, PREFIX)? {
        let (bytes, files) = read_row(&bytes)?;
        all.count += files;
        all.bytes += bytes;
    }
    Ok(all)
}

fn read_row(bytes: &[u8]) -> Result<(u64, u64), StoreError> {
    let numbers = counts::read(bytes)?;
    let number = |index: usize| numbers.get(index).map_or(0, |number| u64::try_from(*number).unwrap_or(0));
    Ok((number(0), number(1)))
}
