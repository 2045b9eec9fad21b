//! The contract suite: what every store must do, run against each, and what the one on disk must survive.

mod audit;
mod backup;
mod crash;
mod damage;
mod faults;
mod forget;
mod full;
mod model;
mod power;
mod repair;

use std::{collections::HashSet, fs, future::Future, path::Path};

use bytes::Bytes;
use tempfile::TempDir;
use uuid::Uuid;

use super::{
    audit::{AuditEnd, ChainKey, Mac},
    change::COMMIT_BYTES_MAX,
    counts,
    disk::{DiskOptions, DiskStore},
    memory::MemoryStore,
    store::{Append, Commit, Count, DocKey, DocKind, Forget, HeadUpdate, Store, StoreError},
    value::{SPILL_BYTES, hash_of},
};
use crate::api::{TaskId, UserId};

/// Waits for a future; the store needs no runtime of its own.
pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub(super) fn task(n: u128) -> TaskId {
    TaskId::from_uuid(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + n))
}

pub(super) fn user(n: u128) -> UserId {
    UserId::from_uuid(Uuid::from_u128(0x0191_0000_0000_7000_8000_0000_0000_0000 + n))
}

/// Bytes that are different for every `n`.
pub(super) fn bytes(n: u64, len: usize) -> Bytes {
    n.to_le_bytes().iter().copied().cycle().take(len).collect()
}

/// A commit of records to a task of user 1.
pub(super) fn append(n: u128, first_seq: u64, records: &[Bytes]) -> Commit {
    let head = HeadUpdate { owner: user(1), unfinished: true, bytes: Bytes::from(format!("head at {first_seq}")) };
    let append = Append { task: task(n), first_seq, records: records.to_vec(), head };
    Commit { append: Some(append), ..Commit::default() }
}

pub(super) fn put(id: &str, bytes: Bytes) -> Commit {
    Commit { puts: vec![(DocKey::new(DocKind::User, id), bytes)], ..Commit::default() }
}

/// Options under which nothing is checkpointed unless asked.
pub(super) fn log_only() -> DiskOptions {
    DiskOptions { checkpoint_interval: std::time::Duration::MAX, reserve_bytes: 0, ..DiskOptions::default() }
}

/// The key of every chain in the suite.
const CHAIN_KEY: [u8; 32] = [9; 32];

/// Opens a store on disk that takes entries for the audit log.
fn open_chained(directory: &Path, options: DiskOptions) -> Result<DiskStore, StoreError> {
    let store = DiskStore::open(directory, options)?;
    store.chain_audit(ChainKey::new(CHAIN_KEY));
    Ok(store)
}

/// Opens a store in memory that takes entries for the audit log.
fn memory_chained(directory: &Path) -> Result<MemoryStore, StoreError> {
    let store = MemoryStore::open(directory)?;
    store.chain_audit(ChainKey::new(CHAIN_KEY));
    Ok(store)
}

/// Checks that the audit log has no gap, that every link is the one that its key makes, and that the end is the end. Returns the
/// entries.
fn assert_chained(store: &dyn Store) -> Vec<Bytes> {
    let (key, mut mac, mut entries) = (ChainKey::new(CHAIN_KEY), Mac::NONE, Vec::new());
    for (seq, row) in (1..).zip(store.read_audit(1, usize::MAX).unwrap()) {
        mac = key.link(&mac, seq, &row.entry);
        assert_eq!((row.seq, row.mac), (seq, mac));
        entries.push(row.entry);
    }
    let seq = entries.len() as u64;
    let end = (seq > 0).then(|| AuditEnd { seq, mac, end_mac: key.end(seq, &mac) });
    assert_eq!(store.audit_end().unwrap(), end);
    entries
}

/// Makes a directory in memory where that can be had, for tests that open hundreds of stores: each syncs many times.
fn in_memory() -> TempDir {
    TempDir::with_prefix_in("ninja-store-", "/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

/// Copies a directory tree, as a crash would leave it. sled tidies up in a thread of its own; what it removes
/// meanwhile is no longer needed by what it leaves, so the copy is begun anew.
pub(super) fn copy(from: &Path, to: &Path) {
    while let Err(error) = try_copy(from, to) {
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        fs::remove_dir_all(to).unwrap();
    }
}

fn try_copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name() == "ballast" {
            continue;
        }
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => try_copy(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}

/// Runs a check against each store.
fn with_each(check: impl Fn(&dyn Store)) {
    let directory = TempDir::new().unwrap();
    check(&memory_chained(directory.path()).unwrap());
    let directory = TempDir::new().unwrap();
    let store = open_chained(directory.path(), DiskOptions::default()).unwrap();
    check(&store);
    assert!(store.failure().is_none());
    wait(store.close()).unwrap();
}

#[test]
fn an_append_follows_the_log_or_is_refused_whole() {
    with_each(|store| {
        let records = [bytes(1, 10), bytes(2, SPILL_BYTES + 1), bytes(3, 0)];
        wait(store.commit(append(7, 1, &records))).unwrap();
        for first_seq in [0, 1, 3, 5, u64::MAX] {
            let mut commit = append(7, first_seq, &records);
            commit.puts = put("refused", bytes(0, 1)).puts;
            match wait(store.commit(commit)).unwrap_err() {
                StoreError::Conflict { task: of, expected, found } => {
                    assert_eq!((of, expected, found), (task(7), first_seq, 4));
                }
                error => panic!("{error}"),
            }
        }
        assert_eq!(store.read_doc(&DocKey::new(DocKind::User, "refused")).unwrap(), None);
        wait(store.commit(append(7, 4, &[bytes(4, 4)]))).unwrap();
        let log: Vec<(u64, Bytes)> = (1..).zip(records.iter().cloned().chain([bytes(4, 4)])).collect();
        assert_eq!(store.read_log(task(7), 0, usize::MAX).unwrap(), log);
        assert_eq!(store.read_log(task(7), 2, 2).unwrap(), log[1..3]);
        assert_eq!(store.read_log(task(7), 5, 9).unwrap(), []);
        assert_eq!(store.read_log(task(8), 1, 9).unwrap(), []);
        assert_eq!(store.read_head(task(7)).unwrap(), Some(Bytes::from("head at 4")));
        assert_eq!(store.read_head(task(8)).unwrap(), None);
    });
}

#[test]
fn heads_are_listed_by_owner_newest_first_and_unfinished_oldest_first() {
    with_each(|store| {
        for n in 0..7 {
            let mut commit = append(n, 1, &[]);
            let head = &mut commit.append.as_mut().unwrap().head;
            head.owner = user(n % 2);
            head.unfinished = n != 2;
            wait(store.commit(commit)).unwrap();
        }
        let page = store.list_heads(user(0), None, 3).unwrap();
        assert_eq!(page.heads.iter().map(|head| head.0).collect::<Vec<_>>(), [task(6), task(4), task(2)]);
        assert_eq!(page.next, Some(task(2)));
        let page = store.list_heads(user(0), page.next, 3).unwrap();
        assert_eq!((page.heads.len(), page.next), (1, None));
        assert!(store.list_heads(user(9), None, 3).unwrap().heads.is_empty());
        let page = store.list_unfinished(Some(task(0)), 9).unwrap();
        let unfinished: Vec<_> = page.heads.iter().map(|head| head.0).collect();
        assert_eq!(unfinished, [task(1), task(3), task(4), task(5), task(6)]);
        // A task that ends leaves one list, and one that changes hands changes lists.
        let mut commit = append(4, 1, &[bytes(1, 1)]);
        let head = &mut commit.append.as_mut().unwrap().head;
        (head.owner, head.unfinished) = (user(9), false);
        wait(store.commit(commit)).unwrap();
        assert_eq!(store.list_unfinished(None, 9).unwrap().heads.len(), 5);
        assert_eq!(store.list_heads(user(0), None, 9).unwrap().heads.len(), 3);
        assert_eq!(store.list_heads(user(9), None, 9).unwrap().heads, [(task(4), Bytes::from("head at 1"))]);
    });
}

#[test]
fn feeds_are_numbered_per_user_and_documents_come_and_go() {
    with_each(|store| {
        let feed = vec![(user(1), bytes(1, 5)), (user(2), bytes(2, 5)), (user(1), bytes(3, 9000))];
        let commit = Commit { feed: feed.clone(), ..put("b", bytes(1, 5000)) };
        assert_eq!(wait(store.commit(commit)).unwrap().feed_seqs, [1, 1, 2]);
        assert_eq!(wait(store.commit(Commit { feed, ..put("a", bytes(2, 5)) })).unwrap().feed_seqs, [3, 2, 4]);
        assert_eq!(store.read_feed(user(1), 1, 2).unwrap(), [(2, bytes(3, 9000)), (3, bytes(1, 5))]);
        assert_eq!(store.read_feed(user(1), 4, 2).unwrap(), []);
        assert_eq!(store.read_feed(user(1), u64::MAX, 2).unwrap(), []);
        let docs = store.list_docs(DocKind::User, "").unwrap();
        assert_eq!(docs, [("a".to_owned(), bytes(2, 5)), ("b".to_owned(), bytes(1, 5000))]);
        assert_eq!(store.list_docs(DocKind::File, "").unwrap(), []);
        let deletes = vec![DocKey::new(DocKind::User, "b"), DocKey::new(DocKind::User, "c")];
        wait(store.commit(Commit { deletes, ..put("c", bytes(3, 1)) })).unwrap();
        assert_eq!(store.list_docs(DocKind::User, "").unwrap().len(), 1);
        assert_eq!(store.read_doc(&DocKey::new(DocKind::User, "b")).unwrap(), None);
    });
}

#[test]
fn rows_are_added_to_and_are_documents() {
    with_each(|store| {
        let count = |row: &str, add: &[i64]| Count { row: row.to_owned(), add: add.to_vec() };
        let key = |row: &str| DocKey::new(DocKind::Count, row);
        let row = |row: &str| store.read_doc(&key(row)).unwrap().map(|bytes| counts::read(&bytes).unwrap());
        let counts = vec![count("a/1", &[1, -2]), count("a/2", &[i64::MAX]), count("a/1", &[10, 20, 30])];
        wait(store.commit(Commit { counts, ..Commit::default() })).unwrap();
        wait(store.commit(Commit { counts: vec![count("a/2", &[1, 5])], ..Commit::default() })).unwrap();
        assert_eq!((row("a/1"), row("a/2")), (Some(vec![11, 18, 30]), Some(vec![i64::MAX, 5])));
        let ids = |prefix| store.list_docs(DocKind::Count, prefix).unwrap().into_iter().map(|doc| doc.0);
        assert_eq!(ids("a/").collect::<Vec<_>>(), ["a/1", "a/2"]);
        assert_eq!(ids("a/2").count(), 1);
        assert_eq!(ids("b").count(), 0);

        // A commit that is refused counts nothing.
        let refused = Commit { counts: vec![count("a/1", &[1])], ..append(7, 5, &[]) };
        wait(store.commit(refused)).unwrap_err();
        assert_eq!(row("a/1"), Some(vec![11, 18, 30]));
        // Documents come first.
        let puts = vec![(key("a/1"), Bytes::copy_from_slice(&7_i64.to_be_bytes()))];
        let counts = vec![count("a/1", &[1]), count("a/2", &[1])];
        wait(store.commit(Commit { puts, deletes: vec![key("a/2")], counts, ..Commit::default() })).unwrap();
        assert_eq!((row("a/1"), row("a/2")), (Some(vec![8]), Some(vec![1])));
    });
}

#[test]
fn blobs_are_found_by_what_they_hold() {
    with_each(|store| {
        let blobs = vec![bytes(1, 3), bytes(2, 300_000)];
        wait(store.commit(Commit { blobs: blobs.clone(), ..Commit::default() })).unwrap();
        let file = store.scratch_dir().join("made");
        fs::write(&file, bytes(3, 700_000)).unwrap();
        let put = store.put_blob_file(&file).unwrap();
        assert_eq!(put, (hash_of(&bytes(3, 700_000)), 700_000));
        assert!(!file.exists());
        for blob in blobs.into_iter().chain([bytes(3, 700_000)]) {
            assert_eq!(fs::read(store.blob_path(hash_of(&blob)).unwrap()).unwrap(), blob);
            assert!(store.open_blob(hash_of(&blob)).unwrap().is_some());
        }
        assert!(store.open_blob(hash_of(b"other")).unwrap().is_none());
        assert!(matches!(store.put_blob_file(store.scratch_dir()), Err(StoreError::Io { .. })), "no plain file");
        assert!(store.failure().is_none());
    });
}

#[test]
fn a_snapshot_is_kept_until_the_next_and_a_damaged_one_is_none() {
    with_each(|store| {
        for n in 1..3 {
            wait(store.commit(append(n, 1, &[bytes(1, 1)]))).unwrap();
        }
        assert_eq!(store.read_snapshot(task(1)), None);
        store.keep_snapshot(task(1), 256, bytes(1, 100));
        store.keep_snapshot(task(2), 1, bytes(2, 0));
        store.keep_snapshot(task(1), 512, bytes(3, 70_000));
        assert_eq!(store.read_snapshot(task(1)), Some((512, bytes(3, 70_000))));
        assert_eq!(store.read_snapshot(task(2)), Some((1, bytes(2, 0))));
        let path = snapshot_file(store, task(1));
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[60_000] ^= 4;
        for damaged in [&flipped[..], &whole[..30], b""] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(store.read_snapshot(task(1)), None);
            assert!(!path.exists());
        }
        store.keep_snapshot(task(1), 513, bytes(4, 5));
        assert_eq!(store.read_snapshot(task(1)), Some((513, bytes(4, 5))));
        assert!(store.failure().is_none());
    });
}

/// Returns the file that holds a task's snapshot.
fn snapshot_file(store: &dyn Store, of: TaskId) -> std::path::PathBuf {
    let name = of.uuid().simple().to_string();
    store.scratch_dir().with_file_name("snapshots").join(&name[30..]).join(name)
}

#[test]
fn a_commit_that_is_too_large_is_refused() {
    with_each(|store| {
        let refused = wait(store.commit(put("large", bytes(0, COMMIT_BYTES_MAX as usize)))).unwrap_err();
        assert!(matches!(refused, StoreError::TooLarge { limit: COMMIT_BYTES_MAX, .. }));
        wait(store.commit(put("large", bytes(0, COMMIT_BYTES_MAX as usize - 1000)))).unwrap();
    });
}

#[test]
fn a_closed_store_takes_no_commit() {
    with_each(|store| {
        wait(store.close()).unwrap();
        wait(store.close()).unwrap();
        assert!(matches!(wait(store.commit(put("late", bytes(0, 1)))), Err(StoreError::ReadOnly(_))));
        store.keep_snapshot(task(1), 1, bytes(1, 1));
        assert_eq!(store.read_snapshot(task(1)), None);
    });
}

#[test]
fn many_at_once_are_whole_and_conflicts_harm_nobody_else() {
    with_each(|store| {
        let mut commits = Vec::new();
        for n in 0..40 {
            commits.extend([append(n, 1, &[bytes(1, 9)]), append(n, 2, &[bytes(2, 9)]), append(n, 2, &[bytes(3, 9)])]);
        }
        let answers = wait(futures::future::join_all(commits.into_iter().map(|commit| store.commit(commit))));
        for (n, answers) in answers.chunks(3).enumerate() {
            assert!(matches!(answers, [Ok(_), Ok(_), Err(StoreError::Conflict { found: 3, .. })]), "{answers:?}");
            let log = store.read_log(task(n as u128), 1, 9).unwrap();
            assert_eq!(log, [(1, bytes(1, 9)), (2, bytes(2, 9))]);
        }
    });
}

#[test]
fn more_than_the_queue_holds_waits_for_room() {
    with_each(|store| {
        let commits = (0..12).map(|n| put(&n.to_string(), bytes(n, 12_000_000)));
        let answers = wait(futures::future::join_all(commits.map(|commit| store.commit(commit))));
        assert!(answers.iter().all(Result::is_ok));
        let ids: HashSet<String> = store.list_docs(DocKind::User, "").unwrap().into_iter().map(|doc| doc.0).collect();
        assert_eq!(ids.len(), 12);
    });
}
