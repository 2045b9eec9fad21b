//! Backups: one moment of a store that is written to, whole or refused.

use std::{
    io::{self, Cursor},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use super::{
    crash::{assert_holds, commit},
    *,
};
use crate::{
    api::Timestamp,
    journal::{
        backup::{self, BackupError, Restored},
        item::Item,
    },
};

fn backup_of(store: &dyn Store) -> Vec<u8> {
    let mut out = Vec::new();
    backup::write(store, Timestamp::UNIX_EPOCH, &mut out).unwrap();
    out
}

fn restore(backup: &[u8], directory: &Path) -> Result<Restored, BackupError> {
    let reads = |store: Arc<dyn Store>, task| store.read_log(task, 1, usize::MAX).map(drop);
    backup::restore(&mut Cursor::new(backup), directory, &reads)
}

pub(super) fn items(store: &dyn Store) -> Vec<Item> {
    let mut items = Vec::new();
    let mut take = |item| {
        items.push(item);
        Ok(())
    };
    store.export(&mut take).unwrap();
    items
}

/// One of everything: values of all sizes, what is text and what is not, deletions, a task without records.
fn fill(store: &dyn Store) {
    for n in 1..4 {
        wait(store.commit(commit(1, n))).unwrap();
    }
    wait(store.commit(put("text \"\u{1}\n\u{1f980}", Bytes::from("plain")))).unwrap();
    wait(store.commit(put("gone", bytes(1, 5000)))).unwrap();
    let deletes = vec![DocKey::new(DocKind::User, "gone")];
    let puts = vec![(DocKey::new(DocKind::Provider, "openai"), bytes(7, 300))];
    wait(store.commit(Commit { puts, deletes, blobs: vec![Bytes::new()], ..append(9, 1, &[]) })).unwrap();
    let file = store.scratch_dir().join("file");
    fs::write(&file, bytes(8, 1_300_000)).unwrap();
    store.put_blob_file(&file).unwrap();
}

#[test]
fn a_backup_restores_to_the_same_from_each_store() {
    with_each(|store| {
        fill(store);
        let root = TempDir::new().unwrap();
        let directory = root.path().join("new/data");
        let backup = backup_of(store);
        let restored = restore(&backup, &directory).unwrap();
        let counts = restored.counts;
        assert_eq!((counts.tasks, counts.records, counts.entries, counts.audit), (2, 6, 3, 3));
        assert!(restored.unreadable.is_empty());
        let copy = open_chained(&directory, log_only()).unwrap();
        assert_eq!(items(&copy), items(store));
        assert_holds(&copy, 1, 3);
        assert_eq!(copy.list_unfinished(None, 9).unwrap().heads, store.list_unfinished(None, 9).unwrap().heads);
        assert_eq!(copy.list_heads(user(1), None, 9).unwrap().heads.len(), 2);
        wait(copy.commit(commit(1, 4))).unwrap();
        let names: HashSet<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!names.contains(std::ffi::OsStr::new("restoring")), "{names:?}");
    });
}

#[test]
fn a_backup_taken_while_writing_is_one_moment() {
    let root = TempDir::new().unwrap();
    let options = DiskOptions { segment_bytes: 100_000, ..DiskOptions::default() };
    let store = open_chained(&root.path().join("live"), options).unwrap();
    let (acknowledged, enough): ([AtomicU64; 3], AtomicBool) = Default::default();
    let mut backups = Vec::new();
    thread::scope(|scope| {
        for (writer, count) in (0..).zip(&acknowledged) {
            let (store, enough) = (&store, &enough);
            scope.spawn(move || {
                for n in (1..).take_while(|_| !enough.load(Ordering::SeqCst)) {
                    wait(store.commit(commit(writer, n))).unwrap();
                    count.store(n, Ordering::SeqCst);
                }
            });
        }
        for _ in 0..4 {
            let before = acknowledged.each_ref().map(|count| count.load(Ordering::SeqCst));
            let mut out = Behind { out: Vec::new(), waits: 8, writers: &acknowledged };
            backup::write(&store, Timestamp::UNIX_EPOCH, &mut out).unwrap();
            backups.push((out.out, before));
        }
        enough.store(true, Ordering::SeqCst);
    });
    for (n, (backup, acknowledged)) in backups.into_iter().enumerate() {
        let directory = root.path().join(n.to_string());
        restore(&backup, &directory).unwrap();
        let copy = open_chained(&directory, log_only()).unwrap();
        for (writer, acknowledged) in (0..).zip(acknowledged) {
            assert_holds(&copy, writer, acknowledged);
        }
    }
}

/// Takes its first lines only when every writer has made another commit, so that the store is ahead of the backup in the end.
struct Behind<'a> {
    out: Vec<u8>,
    /// How many lines are still to be waited with.
    waits: usize,
    writers: &'a [AtomicU64; 3],
}

impl io::Write for Behind<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        for writer in self.writers.iter().filter(|_| self.waits > 0) {
            let before = writer.load(Ordering::SeqCst);
            while writer.load(Ordering::SeqCst) == before {
                thread::yield_now();
            }
        }
        self.waits = self.waits.saturating_sub(1);
        self.out.extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_backup_that_is_cut_or_altered_anywhere_is_refused_and_leaves_nothing() {
    let root = TempDir::new().unwrap();
    let store = memory_chained(root.path()).unwrap();
    wait(store.commit(commit(1, 1))).unwrap();
    wait(store.commit(Commit { blobs: vec![bytes(1, 9)], ..Commit::default() })).unwrap();
    let whole = backup_of(&store);
    let verify = |bytes: &[u8]| backup::verify(&mut Cursor::new(bytes));
    verify(&whole).unwrap();
    for len in 0..whole.len() {
        let error = verify(&whole[..len]).unwrap_err();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap();
        match error {
            BackupError::Truncated { .. } => {}
            BackupError::NotOne(_) => assert!(len <= first, "cut at {len}"),
            error => panic!("cut at {len}: {error}"),
        }
    }
    for at in 0..whole.len() {
        let mut altered = whole.clone();
        altered[at] ^= 1 << (at % 7);
        assert!(verify(&altered).is_err(), "byte {at}");
    }
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    for missing in 0..lines.len() {
        let rest = lines.iter().enumerate().filter(|(n, _)| *n != missing).flat_map(|(_, line)| line.iter().copied());
        assert!(verify(&rest.collect::<Vec<u8>>()).is_err(), "line {missing}");
    }
    assert!(matches!(verify(&[&whole[..], b"\n"].concat()), Err(BackupError::Damaged { .. })));
    let newer = String::from_utf8(whole.clone()).unwrap().replacen("\"format\":2", "\"format\":3", 1);
    assert!(matches!(verify(newer.as_bytes()), Err(BackupError::Version { found: 3 })));
    let directory = root.path().join("data");
    assert!(matches!(restore(&whole[..whole.len() - 9], &directory), Err(BackupError::Truncated { .. })));
    assert!(!directory.exists());
}

#[test]
fn a_backup_goes_into_an_empty_directory_only_and_an_interrupted_restore_can_be_repeated() {
    let root = TempDir::new().unwrap();
    let store = memory_chained(&root.path().join("source")).unwrap();
    fill(&store);
    let (backup, directory) = (backup_of(&store), root.path().join("data"));
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("mine"), "").unwrap();
    assert!(matches!(restore(&backup, &directory), Err(BackupError::Occupied(_))));
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    fs::remove_file(directory.join("mine")).unwrap();
    // What a kill leaves: the mark, some of the parts moved.
    fs::write(directory.join("format"), "restoring\n").unwrap();
    fs::create_dir_all(directory.join("tree/left")).unwrap();
    fs::create_dir_all(directory.join("restoring/log")).unwrap();
    assert!(matches!(open_chained(&directory, log_only()), Err(StoreError::Corrupt(_))), "half restored");
    restore(&backup, &directory).unwrap();
    let copy = open_chained(&directory, log_only()).unwrap();
    assert_eq!(items(&copy), items(&store));
}

#[test]
fn a_store_with_damage_gives_no_backup_and_the_file_says_so() {
    let root = TempDir::new().unwrap();
    let store = open_chained(root.path(), log_only()).unwrap();
    fill(&store);
    fs::write(store.blob_path(hash_of(&bytes(8, 1_300_000))).unwrap(), b"other").unwrap();
    let mut out = Vec::new();
    let refused = backup::write(&store, Timestamp::UNIX_EPOCH, &mut out);
    assert!(matches!(refused, Err(BackupError::Store(StoreError::Corrupt(_)))), "{refused:?}");
    assert!(matches!(backup::verify(&mut Cursor::new(out)), Err(BackupError::Unfinished(_))));
    assert!(store.failure().is_none());
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = backup::write(&store, Timestamp::UNIX_EPOCH, &mut Full).unwrap_err();
    assert_eq!(error.to_api().code, crate::api::ErrorCode::DiskFull, "{error}");
}
