//! Uploaded files: `upload_file`, `list_files`, `file`, `open_file`, `delete_file`; and `artifact`, a file that a task made.
//!
//! What of a file is taken, `crate::files` decides; `stored.rs` knows the documents of a file, `room.rs` what a user may still store, and
//! `receive.rs` how an upload reaches the disk. Bytes are blobs of the journal, which tasks name by hash: a task that was given a file keeps
//! its bytes when the file is deleted.

use std::{io, path::Path, sync::Arc};

use bytes::Bytes;
use futures::Stream;

use self::receive::Unfinished;
pub(super) use self::{
    room::{Rooms, counted},
    stored::{StoredFile, take_over},
};
use super::{Engine, store_error, uninterrupted};
use crate::{
    api::{
        ApiError, Artifact, AuditAction, BlobHash, ErrorCode, File, FileId, ListFiles, Page, Principal, TaskId, UserId,
    },
    audit::Audit,
    files::{Kind, Refused, clean_name},
    journal::store::Commit,
};

mod receive;
mod room;
mod stored;
#[cfg(test)]
mod tests;

/// Files on one page of a list.
const LIST_MAX: u32 = 200;
/// Files on one page where nothing is said.
const LIST_DEFAULT: u32 = 50;

impl Engine {
    /// Says whether a file of at least so many bytes would be taken now, before any of them is sent.
    ///
    /// # Errors
    ///
    /// Fails with `too_large` beyond what a file may have, `quota_exceeded` beyond what the caller may still store.
    pub fn check_upload(&self, by: &Principal, bytes_min: u64) -> Result<(), ApiError> {
        let room = self.room_for_files(by)?;
        receive::check_size(bytes_min)?;
        room.check(bytes_min)
    }

    /// Takes a file, streamed to disk and looked through there. It is durable when this returns; where it is refused nothing of it stays.
    ///
    /// # Errors
    ///
    /// Fails with `too_large` beyond [`FILE_BYTES_MAX`](crate::api::FILE_BYTES_MAX) or where an archive or image holds too much,
    /// `unsupported_media_type` where the content is not what the name says or nothing that is taken, `quota_exceeded` where the caller
    /// may store no more, `too_many_requests` where too many uploads arrive, `invalid_request` where the name is none or the stream
    /// breaks.
    pub async fn upload_file(
        &self,
        by: &Principal,
        name: &str,
        content: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<File, ApiError> {
        let name = clean_name(name).map_err(refused)?;
        let (kind, extension) = Kind::of_name(&name).map_err(refused)?;
        let place = self.0.rooms.enter()?;
        let room = self.room_for_files(by)?;
        room.check(0)?;
        let services = &self.0.services;
        let id = FileId::from_uuid(services.clock.new_uuid());
        let unfinished = Unfinished(services.store.scratch_dir().join(id.to_string()));
        let bytes = receive::write_stream(&unfinished.0, content, room).await?;
        let (engine, by) = (self.clone(), by.clone());
        uninterrupted(async move {
            // It goes along: the file is on the disk as long, whoever waits for it.
            let _place = place;
            engine.look_through(&unfinished.0, kind).await?;
            engine.keep(&by, &unfinished, NewFile { id, name, extension, bytes }).await
        })
        .await
    }

    /// Looks a received file through, few at a time: it takes a processor and some memory.
    async fn look_through(&self, path: &Path, kind: &'static Kind) -> Result<(), ApiError> {
        let _turn = self.0.rooms.look_through().await?;
        let path = path.to_owned();
        blocking(move || {
            let mut file = std::fs::File::open(path).map_err(|error| refused(Refused::Disk(error)))?;
            kind.check(&mut file).map_err(refused)
        })
        .await
    }

    /// Keeps a file that was found good, where there is room for it. Whoever else stores for this user waits, so two never take the same
    /// room.
    async fn keep(&self, by: &Principal, unfinished: &Unfinished, new: NewFile) -> Result<File, ApiError> {
        let services = &self.0.services;
        let _turn = self.0.rooms.change(by.user).await;
        self.check_stands(by)?;
        self.room_for_files(by)?.check(new.bytes)?;
        let (store, path) = (Arc::clone(&services.store), unfinished.0.clone());
        let (sha256, bytes) = blocking(move || store.put_blob_file(&path).map_err(store_error)).await?;
        let NewFile { id, name, extension, bytes: _ } = new;
        let stored = StoredFile::new(by.user, id, name, extension, bytes, sha256, services.clock.now());
        let audit = Audit::of(by, AuditAction::UploadFile, services.clock.now()).to(id).saying(stored.describe());
        let commit = Commit { audit: vec![audit.encode()], ..stored.putting() };
        services.store.commit(commit).await.map_err(store_error)?;
        Ok(stored.into_file())
    }

    /// Lists the caller's files, newest first.
    ///
    /// # Errors
    ///
    /// Fails with `invalid_request` where the cursor is not one.
    pub async fn list_files(&self, by: &Principal, query: ListFiles) -> Result<Page<File>, ApiError> {
        let ListFiles { cursor, limit } = query;
        let before = cursor.map(|cursor| cursor.parse::<FileId>()).transpose().map_err(|_| {
            ApiError::new(ErrorCode::InvalidRequest, "the cursor is not one that a list of files returned")
        })?;
        let limit = limit.unwrap_or(LIST_DEFAULT).clamp(1, LIST_MAX) as usize;
        let mut ids = stored::ids_of(self.store().as_ref(), by.user).map_err(store_error)?;
        ids.retain(|id| before.is_none_or(|before| *id < before));
        let is_last = ids.len() <= limit;
        ids.drain(..ids.len().saturating_sub(limit));
        let next_cursor = ids.first().filter(|_| !is_last).map(FileId::to_string);
        let mut items = Vec::new();
        for id in ids.into_iter().rev() {
            // One that is being deleted may be gone.
            if let Some(stored) = stored::read(self.store().as_ref(), id).map_err(store_error)? {
                items.push(stored.into_file());
            }
        }
        Ok(Page { items, next_cursor })
    }

    /// Returns a file by the name that the server gave it, or by its id.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where there is none of the caller's.
    pub async fn file(&self, by: &Principal, name: &str) -> Result<File, ApiError> {
        self.named(by, name).map(StoredFile::into_file)
    }

    /// Opens a file of `owner`'s for reading.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where there is none that the caller may read.
    pub async fn open_file(
        &self,
        by: &Principal,
        owner: UserId,
        name: &str,
    ) -> Result<(File, std::fs::File), ApiError> {
        let stored = self.named(by, name)?;
        if stored.owner() != owner {
            return Err(no_file(name));
        }
        let file = stored.into_file();
        let content = self.open_content(file.sha256, &file.filename).await?;
        Ok((file, content))
    }

    /// Deletes a file and gives its room back. Tasks that were given it keep its bytes; those that nothing names are removed by `ninja db
    /// compact`.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where there is none of the caller's.
    pub async fn delete_file(&self, by: &Principal, name: &str) -> Result<(), ApiError> {
        let (engine, by, name) = (self.clone(), by.clone(), name.to_owned());
        uninterrupted(async move {
            let _turn = engine.0.rooms.change(engine.named(&by, &name)?.owner()).await;
            // Whoever was before has deleted it, perhaps.
            let stored = engine.named(&by, &name)?;
            let now = engine.0.services.clock.now();
            let audit = Audit::of(&by, AuditAction::DeleteFile, now).to(stored.id()).saying(stored.describe());
            let commit = Commit { audit: vec![audit.encode()], ..stored.deleting() };
            engine.store().commit(commit).await.map(drop).map_err(store_error)
        })
        .await
    }

    /// Returns a file by its id.
    pub(super) fn file_of_id(&self, by: &Principal, id: FileId) -> Result<File, ApiError> {
        self.named(by, &id.to_string()).map(StoredFile::into_file)
    }

    /// Somebody else's file is as good as none.
    fn named(&self, by: &Principal, name: &str) -> Result<StoredFile, ApiError> {
        let id = name.split('.').next().unwrap_or_default().parse().map_err(|_| no_file(name))?;
        let stored = stored::read(self.store().as_ref(), id).map_err(store_error)?.ok_or_else(|| no_file(name))?;
        match by.may_handle(stored.owner()) && stored.is_named(name) {
            true => Ok(stored),
            false => Err(no_file(name)),
        }
    }

    /// Opens a file that a task made.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where the task or the path is not there.
    pub async fn artifact(
        &self,
        by: &Principal,
        task: TaskId,
        path: &str,
    ) -> Result<(Artifact, std::fs::File), ApiError> {
        let state = self.load(by, task)?;
        let missing = || ApiError::new(ErrorCode::NotFound, format!("{task} has made no `{path}`"));
        let artifact =
            crate::machine::artifacts(&state).into_iter().find(|artifact| artifact.path == path).ok_or_else(missing)?;
        let content = self.open_content(artifact.sha256, path).await?;
        Ok((artifact, content))
    }

    async fn open_content(&self, blob: BlobHash, name: &str) -> Result<std::fs::File, ApiError> {
        let store = Arc::clone(self.store());
        let opened = blocking(move || store.open_blob(blob).map_err(store_error)).await?;
        opened.ok_or_else(|| ApiError::new(ErrorCode::Corrupt, format!("the bytes of `{name}` are missing")))
    }
}

/// A file before its bytes are kept.
struct NewFile {
    id: FileId,
    name: String,
    extension: &'static str,
    bytes: u64,
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let broke_off = |error: tokio::task::JoinError| ApiError::new(ErrorCode::Internal, error.to_string());
    tokio::task::spawn_blocking(work).await.map_err(broke_off)?
}

fn no_file(name: &str) -> ApiError {
    let name: String = name.chars().take(80).collect();
    ApiError::new(ErrorCode::NotFound, format!("there is no file {name:?}"))
}

#[expect(clippy::needless_pass_by_value, reason = "it is the argument of `map_err`")]
fn refused(refused: Refused) -> ApiError {
    let code = match refused {
        Refused::Name(_) => ErrorCode::InvalidRequest,
        Refused::Type(_) => ErrorCode::UnsupportedMediaType,
        Refused::TooLarge(_) => ErrorCode::TooLarge,
        Refused::Disk(_) => ErrorCode::Internal,
    };
    ApiError::new(code, refused.to_string())
}
