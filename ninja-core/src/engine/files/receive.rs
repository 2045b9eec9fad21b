//! How an upload reaches the disk: piece by piece, up to what it may be, and gone again unless it moves on.

use std::{
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::io::AsyncWriteExt;

use super::room::Room;
use crate::api::{ApiError, ErrorCode, FILE_BYTES_MAX};

/// A file that is being received. It is removed when that ends, also where the sender has just gone; by then a finished one
/// has moved on.
pub(super) struct Unfinished(pub(super) PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// Refuses a file that is larger than any may be.
pub(super) fn check_size(bytes: u64) -> Result<(), ApiError> {
    match bytes <= FILE_BYTES_MAX {
        true => Ok(()),
        false => Err(ApiError::new(ErrorCode::TooLarge, format!("a file has at most {FILE_BYTES_MAX} bytes"))),
    }
}

/// Writes what comes to a new file and returns its size. It ends as soon as more comes than there is room for.
pub(super) async fn write_stream(
    path: &Path,
    content: impl Stream<Item = io::Result<Bytes>> + Send,
    room: Room,
) -> Result<u64, ApiError> {
    let disk = |error: io::Error| {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        ApiError::new(
            if full { ErrorCode::DiskFull } else { ErrorCode::Internal },
            format!("failed to write the file: {error}"),
        )
    };
    let mut file =
        tokio::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).await.map_err(disk)?;
    let mut bytes = 0;
    let mut content = std::pin::pin!(content);
    while let Some(chunk) = content.next().await {
        let chunk = chunk
            .map_err(|error| ApiError::new(ErrorCode::InvalidRequest, format!("the upload broke off: {error}")))?;
        bytes += chunk.len() as u64;
        check_size(bytes)?;
        room.check(bytes)?;
        file.write_all(&chunk).await.map_err(disk)?;
    }
    file.flush().await.map_err(disk)?;
    Ok(bytes)
}
