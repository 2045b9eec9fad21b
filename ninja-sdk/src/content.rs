//! Bytes on their way in (an upload) and out (an artifact), streamed rather than held in memory.

use std::{io, path::Path, pin::Pin, task};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream::BoxStream};
use ninja_core::api::{BlobHash, FILE_BYTES_MAX};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use crate::SdkError;

/// What to upload.
pub struct Content {
    pub(crate) stream: BoxStream<'static, io::Result<Bytes>>,
    /// Its size in bytes, where it is known beforehand.
    pub(crate) length: Option<u64>,
}

impl Content {
    /// Opens a file on this machine.
    ///
    /// # Errors
    ///
    /// [`SdkError::File`] when it cannot be opened or is not a regular file.
    pub async fn open(path: &Path) -> Result<Self, SdkError> {
        let error = |source| SdkError::File { detail: format!("{} cannot be read", path.display()), source };
        let refused = |why: String| error(io::Error::new(io::ErrorKind::InvalidInput, why));
        // Looked at before it is opened: opening a pipe waits for a writer that may never come.
        if !tokio::fs::metadata(path).await.map_err(error)?.is_file() {
            return Err(refused("it is not a regular file".to_owned()));
        }
        let file = tokio::fs::File::open(path).await.map_err(error)?;
        let metadata = file.metadata().await.map_err(error)?;
        if metadata.len() > FILE_BYTES_MAX {
            return Err(refused(format!("a file has at most {} MB", FILE_BYTES_MAX / (1024 * 1024))));
        }
        Ok(Self { stream: ReaderStream::new(file).boxed(), length: Some(metadata.len()) })
    }

    /// Takes bytes that are already in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let length = Some(bytes.len() as u64);
        Self { stream: futures::stream::iter([Ok(bytes)]).boxed(), length }
    }

    /// Takes a stream of unknown length.
    pub fn stream(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        Self { stream: stream.boxed(), length: None }
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("length", &self.length).finish_non_exhaustive()
    }
}

/// The content of an artifact or an uploaded file, arriving.
pub struct Download {
    /// Its size in bytes.
    pub bytes: u64,
    /// What its content hashes to.
    pub sha256: BlobHash,
    pub(crate) stream: BoxStream<'static, io::Result<Bytes>>,
}

impl Download {
    /// Writes the content to `path`, making its directories and replacing what is there. What arrived is compared
    /// with the size and hash announced before anything is replaced. Dropping the future leaves `path` untouched.
    ///
    /// # Errors
    ///
    /// [`SdkError::File`] when the content breaks off, differs from what was announced, or cannot be written.
    pub async fn save(self, path: &Path) -> Result<(), SdkError> {
        let detail = format!("{} cannot be written", path.display());
        self.write(path).await.map_err(|source| SdkError::File { detail, source })
    }

    async fn write(mut self, path: &Path) -> io::Result<()> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        tokio::fs::create_dir_all(directory).await?;
        let (partial, partial_path) = tempfile::Builder::new().prefix(".ninja-").tempfile_in(directory)?.into_parts();
        let mut file = tokio::fs::File::from_std(partial);
        let (mut hasher, mut bytes) = (Sha256::new(), 0);
        while let Some(piece) = self.stream.next().await {
            let piece = piece?;
            hasher.update(&piece);
            bytes += piece.len() as u64;
            file.write_all(&piece).await?;
        }
        file.flush().await?;
        let arrived = BlobHash::from_bytes(hasher.finalize().into());
        if bytes != self.bytes || arrived != self.sha256 {
            let what = format!("{bytes} bytes arrived, but {} of another content were announced", self.bytes);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        widen_permissions(&file).await?;
        partial_path.persist(path).map_err(|error| error.error)
    }
}

/// A temporary file is private; an artifact is as readable as any file its owner makes.
#[cfg(unix)]
async fn widen_permissions(file: &tokio::fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644)).await
}

#[cfg(not(unix))]
async fn widen_permissions(_file: &tokio::fs::File) -> io::Result<()> {
    Ok(())
}

impl Stream for Download {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, ctx: &mut task::Context<'_>) -> task::Poll<Option<Self::Item>> {
        self.stream.poll_next_unpin(ctx)
    }
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download").field("bytes", &self.bytes).field("sha256", &self.sha256).finish_non_exhaustive()
    }
}

/// A backup of everything a daemon holds, arriving. It is whole only if its last line says so.
pub struct Backup {
    pub(crate) stream: BoxStream<'static, io::Result<Bytes>>,
}

impl Stream for Backup {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, ctx: &mut task::Context<'_>) -> task::Poll<Option<Self::Item>> {
        self.stream.poll_next_unpin(ctx)
    }
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backup").finish_non_exhaustive()
    }
}

/// The audit log as text, arriving. One that breaks off ends with an error.
pub struct AuditExport {
    pub(crate) stream: BoxStream<'static, io::Result<Bytes>>,
}

impl Stream for AuditExport {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, ctx: &mut task::Context<'_>) -> task::Poll<Option<Self::Item>> {
        self.stream.poll_next_unpin(ctx)
    }
}

impl std::fmt::Debug for AuditExport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditExport").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn download(content: &'static [u8], announced: &[u8]) -> Download {
        let pieces = content.chunks(3).map(|piece| Ok(Bytes::from_static(piece)));
        Download {
            bytes: announced.len() as u64,
            sha256: BlobHash::from_bytes(Sha256::digest(announced).into()),
            stream: futures::stream::iter(pieces.collect::<Vec<_>>()).boxed(),
        }
    }

    #[tokio::test]
    async fn a_download_is_saved_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/report.md");
        download(b"# Report", b"# Report").save(&path).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"# Report");

        for announced in [&b"# Report, longer"[..], b"# Rapport"] {
            let error = download(b"# Repo..", announced).save(&path).await.unwrap_err();
            assert!(matches!(error, SdkError::File { .. }), "{error:?}");
            assert_eq!(std::fs::read(&path).unwrap(), b"# Report");
        }
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no partial file stays behind");
    }

    #[tokio::test]
    async fn only_regular_files_are_uploaded() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Content::open(directory.path()).await.is_err());
        assert!(Content::open(&directory.path().join("missing")).await.is_err());
    }
}
