//! The documents of a file: what it is, and whose list it stands in. Files of earlier versions have the first alone, without a type.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::room::count;
use crate::{
    api::{BlobHash, File, FileId, Timestamp, UserId},
    files::Kind,
    journal::store::{Commit, DocKey, DocKind, Store, StoreError},
};

/// The type of what was stored before there were types, and has a name that says none.
const ANY_MEDIA_TYPE: &str = "application/octet-stream";
/// Files that are taken over in one commit.
const TAKEN_OVER_AT_ONCE: usize = 256;

/// A file as it is stored, with whose it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::engine) struct StoredFile {
    owner: UserId,
    file: StoredForm,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoredForm {
    id: FileId,
    name: String,
    bytes: u64,
    sha256: BlobHash,
    created_at: Timestamp,
    /// As it stands in the list of types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extension: Option<String>,
}

impl StoredFile {
    /// Makes what is stored of a new file.
    pub(super) fn new(
        owner: UserId,
        id: FileId,
        name: String,
        extension: &str,
        bytes: u64,
        sha256: BlobHash,
        created_at: Timestamp,
    ) -> Self {
        Self { owner, file: StoredForm { id, name, bytes, sha256, created_at, extension: Some(extension.to_owned()) } }
    }

    /// Returns whose it is.
    pub(super) fn owner(&self) -> UserId {
        self.owner
    }

    /// Returns its id.
    pub(super) fn id(&self) -> FileId {
        self.file.id
    }

    /// Returns the address of its content.
    pub(in crate::engine) fn sha256(&self) -> BlobHash {
        self.file.sha256
    }

    /// Returns whether this is its name on the server, or its id.
    pub(super) fn is_named(&self, name: &str) -> bool {
        name == self.file.id.to_string() || name == self.filename()
    }

    /// Returns its size and type, for the audit log.
    pub(super) fn describe(&self) -> String {
        format!("{} bytes, {}", self.file.bytes, self.media_type())
    }

    fn filename(&self) -> String {
        match &self.file.extension {
            Some(extension) => format!("{}.{extension}", self.file.id),
            None => self.file.id.to_string(),
        }
    }

    fn media_type(&self) -> &'static str {
        let kind = match &self.file.extension {
            Some(extension) => Kind::of_extension(extension),
            None => Kind::of_name(&self.file.name).ok().map(|(kind, _)| kind),
        };
        kind.map_or(ANY_MEDIA_TYPE, Kind::media_type)
    }

    /// Returns the file as the wire shows it.
    pub(super) fn into_file(self) -> File {
        let (filename, media_type) = (self.filename(), self.media_type().to_owned());
        let StoredForm { id, name, bytes, sha256, created_at, extension: _ } = self.file;
        File { id, name, filename, owner: self.owner, media_type, bytes, sha256, created_at }
    }

    /// Returns the change that stores it.
    pub(super) fn putting(&self) -> Commit {
        let document = serde_json::to_vec(self).expect("a file has string keys only").into();
        let mut commit = self.listing();
        commit.puts.push((DocKey::new(DocKind::File, self.file.id), document));
        commit
    }

    /// Returns the change that puts it into its owner's list and counts it.
    fn listing(&self) -> Commit {
        let puts = vec![(list_key(self.owner, self.file.id), bytes::Bytes::from_static(b"{}"))];
        Commit { puts, counts: vec![count(self.owner, signed(self.file.bytes), 1)], ..Commit::default() }
    }

    /// Returns the change that deletes it.
    pub(super) fn deleting(&self) -> Commit {
        let deletes = vec![DocKey::new(DocKind::File, self.file.id), list_key(self.owner, self.file.id)];
        Commit { deletes, counts: vec![count(self.owner, -signed(self.file.bytes), -1)], ..Commit::default() }
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn list_key(owner: UserId, id: FileId) -> DocKey {
    DocKey::new(DocKind::UserFile, format!("{owner}/{id}"))
}

/// Reads a file.
pub(super) fn read(store: &dyn Store, id: FileId) -> Result<Option<StoredFile>, StoreError> {
    let bytes = store.read_doc(&DocKey::new(DocKind::File, id))?;
    bytes.map(|bytes| decode(&id.to_string(), &bytes)).transpose()
}

fn decode(id: &str, bytes: &[u8]) -> Result<StoredFile, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Corrupt(format!("{id}: {error}")))
}

/// Returns the ids of a user's files, oldest first.
pub(super) fn ids_of(store: &dyn Store, user: UserId) -> Result<Vec<FileId>, StoreError> {
    let prefix = format!("{user}/");
    let listed = store.list_docs(DocKind::UserFile, &prefix)?;
    let read = |(id, _): (String, bytes::Bytes)| {
        let file = id.strip_prefix(&prefix).and_then(|file| file.parse().ok());
        file.ok_or_else(|| StoreError::Corrupt(format!("{id:?} stands in a list of files and is none")))
    };
    listed.into_iter().map(read).collect()
}

/// Lists and counts the files of earlier versions, once. Killed half way it goes on at the next start: what stands in a list was counted by
/// the commit that put it there.
pub(in crate::engine) async fn take_over(store: &Arc<dyn Store>) -> Result<(), StoreError> {
    let done = DocKey::new(DocKind::Installation, "files_listed");
    if store.read_doc(&done)?.is_some() {
        return Ok(());
    }
    let mut commit = Commit::default();
    for (id, bytes) in store.list_docs(DocKind::File, "")? {
        let stored = decode(&id, &bytes)?;
        if store.read_doc(&list_key(stored.owner, stored.file.id))?.is_some() {
            continue;
        }
        let Commit { puts, counts, .. } = stored.listing();
        commit.puts.extend(puts);
        commit.counts.extend(counts);
        if commit.puts.len() == TAKEN_OVER_AT_ONCE {
            store.commit(std::mem::take(&mut commit)).await?;
        }
    }
    commit.puts.push((done, bytes::Bytes::from_static(b"{}")));
    store.commit(commit).await.map(drop)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{super::room::used, *};
    use crate::journal::memory::MemoryStore;

    const OLD: &str = r#"{ "owner": "user_00000000000000000000000000000001", "file": { "id": "file_00000000000000000000000000000002",
        "name": "b.csv", "bytes": 7, "created_at": "2026-01-01T00:00:00Z",
        "sha256": "0000000000000000000000000000000000000000000000000000000000000000" } }"#;

    #[tokio::test]
    async fn files_of_earlier_versions_are_read_listed_and_counted_once() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(folder.path()).unwrap());
        let (user, id) = (UserId::from_uuid(Uuid::from_u128(1)), FileId::from_uuid(Uuid::from_u128(2)));
        let puts = vec![(DocKey::new(DocKind::File, id), OLD.into())];
        store.commit(Commit { puts, ..Commit::default() }).await.unwrap();
        for _ in 0..2 {
            take_over(&store).await.unwrap();
            assert_eq!(
                (ids_of(store.as_ref(), user).unwrap(), used(store.as_ref(), user).unwrap()),
                (vec![id], (7, 1))
            );
        }
        // As if the first start had been killed before it was done.
        let deletes = vec![DocKey::new(DocKind::Installation, "files_listed")];
        store.commit(Commit { deletes, ..Commit::default() }).await.unwrap();
        take_over(&store).await.unwrap();
        assert_eq!(used(store.as_ref(), user).unwrap(), (7, 1));

        let stored = read(store.as_ref(), id).unwrap().unwrap();
        assert!(stored.is_named("file_00000000000000000000000000000002"));
        assert!(!stored.is_named("file_00000000000000000000000000000002.csv"));
        assert_eq!(stored.clone().into_file().media_type, "text/csv");
        store.commit(stored.deleting()).await.unwrap();
        assert_eq!((ids_of(store.as_ref(), user).unwrap(), used(store.as_ref(), user).unwrap()), (vec![], (0, 0)));
    }
}
