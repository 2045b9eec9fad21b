//! What a crash leaves must open, with every acknowledged commit in it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use super::{power::Power, *};
use crate::journal::calls::Calls;

/// The commit that each writer makes as its `n`-th: records of several sizes, a feed entry, a document, a blob, a count, an
/// entry for the audit log.
pub(super) fn commit(writer: u128, n: u64) -> Commit {
    let sizes = [20, 300, SPILL_BYTES as u64 + 1, 30_000];
    let records = [bytes(n, 40), bytes(n, sizes[n as usize % 4] as usize)];
    let mut commit = append(writer, n * 2 - 1, &records);
    commit.feed = vec![(user(writer), bytes(n, 30))];
    commit.puts = vec![(DocKey::new(DocKind::File, format!("{writer}-{n}")), bytes(n, 10))];
    commit.counts = vec![Count { row: writer.to_string(), add: vec![1, n as i64] }];
    commit.audit = vec![Bytes::from(format!("{writer} did {n}"))];
    commit.blobs = if n.is_multiple_of(5) { vec![bytes(n + 1000, 6000)] } else { vec![] };
    commit
}

/// Checks that a store holds the first `acknowledged` commits of a writer whole, and any later one whole or not at all, each with its
/// entry in the audit log.
pub(super) fn assert_holds(store: &dyn Store, writer: u128, acknowledged: u64) {
    let held = assert_kept(store, writer, acknowledged);
    let audited = assert_chained(store).into_iter().filter(|entry| entry.starts_with(format!("{writer} ").as_bytes()));
    let wanted: Vec<Bytes> = (1..=held).map(|n| Bytes::from(format!("{writer} did {n}"))).collect();
    assert_eq!(audited.collect::<Vec<_>>(), wanted, "each commit has its entry");
}

/// As [`assert_holds`], whatever became of the audit log. Returns how many commits there are.
pub(super) fn assert_kept(store: &dyn Store, writer: u128, acknowledged: u64) -> u64 {
    let log = store.read_log(task(writer), 1, usize::MAX).unwrap();
    assert_eq!(log.len() % 2, 0, "a commit was torn");
    let held = log.len() as u64 / 2;
    assert!(held >= acknowledged, "of {acknowledged} commits {held} were left");
    assert_eq!(store.read_feed(user(writer), 0, usize::MAX).unwrap().len() as u64, held);
    let row = store.read_doc(&DocKey::new(DocKind::Count, writer)).unwrap();
    let counted = row.map_or(Vec::new(), |row| counts::read(&row).unwrap());
    let wanted = if held == 0 { Vec::new() } else { vec![held as i64, (held * (held + 1) / 2) as i64] };
    assert_eq!(counted, wanted, "each commit is counted once");
    for n in 1..=held {
        let expected = commit(writer, n);
        let records = &expected.append.as_ref().unwrap().records;
        for (record, (seq, found)) in records.iter().zip(&log[(n as usize - 1) * 2..]) {
            assert_eq!(record, found, "record {seq}");
        }
        assert_eq!(store.read_doc(&expected.puts[0].0).unwrap().as_ref(), Some(&expected.puts[0].1));
        for blob in &expected.blobs {
            assert_eq!(fs::read(store.blob_path(hash_of(blob)).unwrap()).unwrap(), *blob);
        }
    }
    held
}

fn hasty(power: &Arc<Power>) -> DiskOptions {
    DiskOptions {
        checkpoint_interval: Duration::from_millis(2),
        segment_bytes: 40_000,
        renew_bytes: 100_000,
        calls: Calls::with(power.clone()),
        ..log_only()
    }
}

/// Waits until so many storage calls have been made, so that slow machines are cut as often as fast ones.
fn wait_for_calls(power: &Power, calls: u64) {
    while power.calls() < calls {
        thread::yield_now();
    }
}

#[test]
fn every_acknowledged_commit_survives_power_cuts_at_any_moment() {
    let (root, power) = (TempDir::new().unwrap(), Arc::<Power>::default());
    let directory = root.path().join("live");
    let store = open_chained(&directory, hasty(&power)).unwrap();
    let (acknowledged, enough): ([AtomicU64; 3], AtomicBool) = Default::default();
    let mut cuts = Vec::new();
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
        for n in 0..25 {
            wait_for_calls(&power, power.calls() + 1 + n * 7919 % 40);
            let before = acknowledged.each_ref().map(|count| count.load(Ordering::SeqCst));
            let left = root.path().join(n.to_string());
            power.cut(&directory, &left, n);
            cuts.push((left, before));
        }
        enough.store(true, Ordering::SeqCst);
    });
    wait(store.close()).unwrap();
    for (left, acknowledged) in cuts {
        // Once as it was left, and once more after a start that was itself cut off before its first checkpoint.
        let power = Arc::<Power>::default();
        let again = left.with_extension("again");
        let store = open_chained(&left, DiskOptions { calls: Calls::with(power.clone()), ..log_only() }).unwrap();
        power.cut(&left, &again, 1);
        for directory in [None, Some(&again)] {
            let reopened = directory.map(|directory| open_chained(directory, log_only()).unwrap());
            let store = reopened.as_ref().unwrap_or(&store);
            for (writer, acknowledged) in (0..).zip(acknowledged) {
                assert_holds(store, writer, acknowledged);
                let next = store.read_log(task(writer), 1, usize::MAX).unwrap().len() as u64 / 2 + 1;
                wait(store.commit(commit(writer, next))).unwrap();
                assert_holds(store, writer, next);
            }
        }
    }
}

#[test]
fn a_commit_whose_caller_has_gone_is_whole_or_not_there() {
    let root = TempDir::new().unwrap();
    let store = open_chained(root.path(), log_only()).unwrap();
    wait(async {
        let mut sent = store.commit(commit(0, 1));
        // Once polled it is with the writer, and dropping it takes nothing back.
        assert!(futures::poll!(&mut sent).is_pending());
        drop(sent);
        store.commit(commit(1, 1)).await.unwrap();
    });
    drop(store);
    let store = open_chained(root.path(), log_only()).unwrap();
    assert_holds(&store, 0, 1);
    assert_holds(&store, 1, 1);
}
