//! What is forgotten is nowhere, at once, and what is left of it goes bit by bit, whatever comes between.

use std::{sync::Arc, thread};

use super::{backup::items, power::Power, *};
use crate::journal::{calls::Calls, examine, item::Item, references::References};

const MANY: u64 = 3_500;

fn forget(n: u128, last_seq: u64) -> Commit {
    Commit { forget: vec![Forget { task: task(n), last_seq }], ..Commit::default() }
}

/// Makes a task with many records.
fn fill(store: &dyn Store, n: u128) {
    let records: Vec<Bytes> = (0..MANY).map(|seq| bytes(seq, 60)).collect();
    wait(store.commit(append(n, 1, &records))).unwrap();
}

/// Waits until the tree has nothing left of a task.
fn wait_until_gone(store: &DiskStore, n: u128) {
    while store.records_in_tree(task(n)) > 0 {
        assert!(store.failure().is_none());
        thread::yield_now();
    }
}

fn assert_nowhere(store: &dyn Store, n: u128) {
    assert_eq!(store.read_head(task(n)).unwrap(), None);
    assert_eq!(store.read_log(task(n), 1, 9).unwrap(), []);
    assert_eq!(store.read_snapshot(task(n)), None);
    for page in [
        store.list_heads(user(1), None, 9).unwrap(),
        store.list_unfinished(None, 9).unwrap(),
        store.list_tasks(None, 9).unwrap(),
    ] {
        assert!(page.heads.iter().all(|(listed, _)| *listed != task(n)));
    }
    assert!(!items(store).iter().any(|item| matches!(item, Item::Task { task: of, .. } if *of == task(n))));
}

fn nothing_named() -> References {
    References { of_item: |_| Ok(Vec::new()), of_list: |_| Ok(Vec::new()) }
}

#[test]
fn a_forgotten_task_is_nowhere_and_may_begin_anew() {
    with_each(|store| {
        for n in 1..4 {
            wait(store.commit(append(n, 1, &[bytes(1, 10), bytes(2, SPILL_BYTES + 1)]))).unwrap();
            store.keep_snapshot(task(n), 2, bytes(3, 50));
        }
        let mut commit = forget(2, 2);
        commit.feed = vec![(user(1), bytes(4, 4))];
        commit.puts = put("told", bytes(5, 5)).puts;
        assert_eq!(wait(store.commit(commit)).unwrap().feed_seqs, [1]);
        assert_nowhere(store, 2);
        // One that was made while its task was forgotten comes too late.
        store.keep_snapshot(task(2), 2, bytes(3, 50));
        assert_nowhere(store, 2);
        assert_eq!(store.read_doc(&DocKey::new(DocKind::User, "told")).unwrap(), Some(bytes(5, 5)));
        let page = store.list_heads(user(1), Some(task(2)), 9).unwrap();
        assert_eq!(page.heads.iter().map(|head| head.0).collect::<Vec<_>>(), [task(1)], "lists go on after it");
        assert_eq!(store.read_log(task(1), 1, 9).unwrap().len(), 2);

        wait(store.commit(append(2, 1, &[bytes(9, 9)]))).unwrap();
        wait(store.commit(put("later", bytes(0, 1)))).unwrap();
        assert_eq!(store.read_log(task(2), 1, 9).unwrap(), [(1, bytes(9, 9))]);
        assert_eq!(store.list_unfinished(None, 9).unwrap().heads.len(), 3);
    });
}

#[test]
fn a_task_is_forgotten_only_as_it_was_last_seen() {
    with_each(|store| {
        wait(store.commit(append(1, 1, &[bytes(1, 1), bytes(2, 1)]))).unwrap();
        for (n, last_seq) in [(1, 1), (1, 3), (2, 0), (2, 1)] {
            let mut commit = forget(n, last_seq);
            commit.puts = put("refused", bytes(0, 1)).puts;
            let refused = wait(store.commit(commit)).unwrap_err();
            assert!(matches!(refused, StoreError::Conflict { task: of, .. } if of == task(n)), "{refused}");
        }
        let both = Commit { forget: forget(1, 3).forget, ..append(1, 3, &[bytes(3, 1)]) };
        assert!(matches!(wait(store.commit(both)), Err(StoreError::Conflict { .. })), "not what it appends to");
        assert_eq!(store.read_doc(&DocKey::new(DocKind::User, "refused")).unwrap(), None);
        assert_eq!(store.read_log(task(1), 1, 9).unwrap().len(), 2);

        // Of a word that comes twice at once, and of an append beside it, one is taken.
        let commits = [forget(1, 2), forget(1, 2), append(1, 3, &[bytes(3, 1)])];
        let answers = wait(futures::future::join_all(commits.into_iter().map(|commit| store.commit(commit))));
        assert!(matches!(&answers[..], [Ok(_), Err(_), Err(_)]), "{answers:?}");
        assert_nowhere(store, 1);
    });
}

#[test]
fn a_long_task_goes_bit_by_bit_and_a_crash_does_not_stop_that() {
    let (root, power) = (in_memory(), Arc::<Power>::default());
    let live = root.path().join("live");
    let options = DiskOptions { calls: Calls::with(power.clone()), ..log_only() };
    let store = DiskStore::open(&live, options).unwrap();
    fill(&store, 1);
    fill(&store, 2);
    wait(store.commit(forget(1, MANY))).unwrap();
    // The tree of what is left has none of it, so the log alone says what was forgotten.
    let left = root.path().join("left");
    power.cut(&live, &left, 3);
    let examined = examine::check(&left, nothing_named()).unwrap();
    assert!(examined.is_sound(), "{examined:?}");
    assert_eq!((examined.counts.tasks, examined.counts.records), (1, MANY));
    let copy = DiskStore::open(&left, DiskOptions { reserve_bytes: 0, ..DiskOptions::default() }).unwrap();
    for store in [&store, &copy] {
        assert_nowhere(store, 1);
        wait_until_gone(store, 1);
        assert_eq!(store.records_in_tree(task(2)) as u64, MANY);
    }
    wait(copy.close()).unwrap();
    let examined = examine::check(&left, nothing_named()).unwrap();
    assert!(examined.is_sound() && examined.counts.records == MANY, "{examined:?}");
    drop((store, copy));
}

/// A stop between the batches leaves the rest to the next start: the tree says what is left to do.
#[test]
fn what_a_stop_leaves_of_a_task_goes_at_the_next_start() {
    let root = TempDir::new().unwrap();
    let store = DiskStore::open(root.path(), log_only()).unwrap();
    fill(&store, 1);
    // Nothing goes while somebody reads what it was.
    let mut commits = vec![forget(1, MANY)];
    store
        .export(&mut |_| {
            commits.pop().map_or(Ok(()), |commit| wait(store.commit(commit)).map(drop))?;
            assert_eq!(store.records_in_tree(task(1)) as u64, MANY);
            Ok(())
        })
        .unwrap();
    drop(store);
    let store = DiskStore::open(root.path(), log_only()).unwrap();
    assert_nowhere(&store, 1);
    wait_until_gone(&store, 1);
}

#[test]
fn a_backup_has_what_was_forgotten_while_it_was_made() {
    let root = TempDir::new().unwrap();
    let store = DiskStore::open(root.path(), log_only()).unwrap();
    fill(&store, 1);
    let (mut commits, mut records) = (vec![forget(1, MANY)], 0);
    let mut take = |item| {
        if let Item::Record { seq, bytes: found, .. } = item {
            records += 1;
            assert_eq!((seq, found), (records, bytes(records - 1, 60)));
        } else if let Some(commit) = commits.pop() {
            wait(store.commit(commit)).unwrap();
            for n in 0..20 {
                wait(store.commit(put(&n.to_string(), bytes(n, 9)))).unwrap();
            }
        }
        Ok(())
    };
    store.export(&mut take).unwrap();
    assert_eq!(records, MANY);
    assert_nowhere(&store, 1);
    wait_until_gone(&store, 1);
}

#[test]
fn who_reads_a_task_while_it_is_forgotten_finds_it_or_none() {
    let root = in_memory();
    let store = DiskStore::open(root.path(), log_only()).unwrap();
    for n in 0..30 {
        wait(store.commit(append(n, 1, &(0..300).map(|seq| bytes(seq, 40)).collect::<Vec<_>>()))).unwrap();
    }
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !store.list_heads(user(1), None, 100).unwrap().heads.is_empty() {
                store.list_unfinished(None, 100).unwrap();
                for n in 0..30 {
                    let log = store.read_log(task(n), 1, usize::MAX).unwrap();
                    assert!(matches!(log.len(), 0 | 300), "{}", log.len());
                }
            }
        });
        for n in 0..30 {
            wait(store.commit(forget(n, 300))).unwrap();
        }
        reader.join().unwrap();
    });
}
