//! Uploaded files and artifacts.

use std::{io, path::PathBuf, sync::Arc};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::io::AsyncWriteExt;

use super::{Engine, store_error};
use crate::{
    api::{ApiError, Artifact, ErrorCode, FILE_BYTES_MAX, File, FileId, Principal, TaskId, UserId},
    journal::store::{Commit, DocKey, DocKind},
};

/// The longest name that common file systems take.
const NAME_BYTES_MAX: usize = 255;

/// A file as it is stored, with whose it is.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct StoredFile {
    owner: UserId,
    pub(super) file: File,
}

impl Engine {
    /// Takes a file, streamed to disk. It is durable when this returns.
    ///
    /// # Errors
    ///
    /// Fails with `too_large` beyond [`FILE_BYTES_MAX`], `invalid_request` where the name is none or the stream breaks.
    pub async fn upload_file(
        &self,
        by: &Principal,
        name: &str,
        content: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<File, ApiError> {
        let name = clean_name(name)?;
        let services = &self.0.services;
        let id = FileId::from_uuid(services.clock.new_uuid());
        let unfinished = Unfinished(services.store.scratch_dir().join(id.to_string()));
        write_stream(&unfinished.0, content).await?;
        let store = Arc::clone(&services.store);
        let kept = tokio::task::spawn_blocking(move || store.put_blob_file(&unfinished.0)).await;
        let (sha256, bytes) =
            kept.map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?.map_err(store_error)?;
        let file = File { id, name, bytes, sha256, created_at: services.clock.now() };
        let document = serde_json::to_vec(&StoredFile { owner: by.user, file: file.clone() });
        let document = document.expect("a file has string keys only").into();
        let puts = vec![(DocKey::new(DocKind::File, id), document)];
        services.store.commit(Commit { puts, ..Commit::default() }).await.map_err(store_error)?;
        Ok(file)
    }

    /// Returns an uploaded file of the caller's.
    pub(super) fn file(&self, by: &Principal, id: FileId) -> Result<File, ApiError> {
        let missing = || ApiError::new(ErrorCode::NotFound, format!("there is no file {id}"));
        let bytes = self.store().read_doc(&DocKey::new(DocKind::File, id)).map_err(store_error)?.ok_or_else(missing)?;
        let stored: StoredFile = serde_json::from_slice(&bytes)
            .map_err(|error| ApiError::new(ErrorCode::Corrupt, format!("{id}: {error}")))?;
        match by.may_handle(stored.owner) {
            true => Ok(stored.file),
            false => Err(missing()),
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
        let (store, blob) = (Arc::clone(self.store()), artifact.sha256);
        let opened = tokio::task::spawn_blocking(move || store.open_blob(blob)).await;
        let opened = opened.map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
        let lost = || ApiError::new(ErrorCode::Corrupt, format!("the bytes of `{path}` are missing"));
        Ok((artifact, opened.map_err(store_error)?.ok_or_else(lost)?))
    }
}

/// A file that is being received. It is removed when that ends, also where the sender has just gone; by then a finished one
/// has moved on.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

async fn write_stream(
    path: &std::path::Path,
    content: impl Stream<Item = io::Result<Bytes>> + Send,
) -> Result<(), ApiError> {
    let disk = |error: io::Error| {
        let full = error.kind() == io::ErrorKind::StorageFull;
        ApiError::new(
            if full { ErrorCode::DiskFull } else { ErrorCode::Internal },
            format!("failed to write the file: {error}"),
        )
    };
    let mut file = tokio::fs::File::create_new(path).await.map_err(disk)?;
    let mut bytes = 0;
    let mut content = std::pin::pin!(content);
    while let Some(chunk) = content.next().await {
        let chunk = chunk
            .map_err(|error| ApiError::new(ErrorCode::InvalidRequest, format!("the upload broke off: {error}")))?;
        bytes += chunk.len() as u64;
        if bytes > FILE_BYTES_MAX {
            return Err(ApiError::new(ErrorCode::TooLarge, format!("a file has at most {FILE_BYTES_MAX} bytes")));
        }
        file.write_all(&chunk).await.map_err(disk)?;
    }
    file.flush().await.map_err(disk)
}

/// Keeps the last name of a path, without anything that a terminal or file system would trip over.
fn clean_name(name: &str) -> Result<String, ApiError> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let bad = |c: char| {
        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let clean: String = last.chars().filter(|c| !bad(*c)).collect();
    let clean = clean.trim().trim_matches('.').trim();
    if clean.is_empty() || clean.len() > NAME_BYTES_MAX {
        let detail = format!("a file name has 1 to {NAME_BYTES_MAX} bytes and is not only dots");
        return Err(ApiError::new(ErrorCode::InvalidRequest, detail));
    }
    Ok(clean.to_owned())
}

#[cfg(test)]
mod tests {
    use super::clean_name;

    #[test]
    fn a_name_is_one_plain_name() {
        for (given, kept) in [
            ("a.csv", "a.csv"),
            ("../../etc/passwd", "passwd"),
            ("C:\\data\\b.csv", "b.csv"),
            ("a\u{202e}gpj.exe", "agpj.exe"),
            ("x\0\r\ny", "xy"),
            ("  ümlaut table.csv ", "ümlaut table.csv"),
        ] {
            assert_eq!(clean_name(given).unwrap(), kept);
        }
        for bad in ["", "..", "/", "\u{200b}", &"x".repeat(256)] {
            assert!(clean_name(bad).is_err(), "{bad:?}");
        }
    }
}
