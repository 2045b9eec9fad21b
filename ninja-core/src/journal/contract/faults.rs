//! Every storage call fails once: nothing is acknowledged that is not safe, and the failure stays.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::*;
use crate::journal::calls::{Calls, DiskCall, Faults};

/// Fails one call of one kind.
struct FailOnce {
    call: DiskCall,
    /// How many calls of the kind go well first.
    left: AtomicU64,
    failed: AtomicU64,
}

impl Faults for FailOnce {
    fn around(&self, call: DiskCall, _: &Path, run: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        if call == self.call && self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.failed.store(1, Ordering::SeqCst);
            return Err(io::Error::from_raw_os_error(5));
        }
        run()
    }
}

/// Commits, large values, blobs and files, over several segments; returns how many commits were acknowledged.
fn work(store: &DiskStore) -> u64 {
    let mut acknowledged = 0;
    for n in 1..=12 {
        let len = if n % 3 == 0 { 20_000 } else { 700 };
        let mut commit = append(1, acknowledged + 1, &[bytes(n, len)]);
        commit.blobs = vec![bytes(n + 100, 50)];
        match wait(store.commit(commit)) {
            Ok(_) => acknowledged += 1,
            Err(error) => assert_refusal(store, &error),
        }
        let file = store.scratch_dir().join(n.to_string());
        fs::write(&file, bytes(n + 200, 5000)).unwrap();
        if let Err(error) = store.put_blob_file(&file)
            && store.failure().is_some()
        {
            assert_refusal(store, &error);
        }
    }
    acknowledged
}

fn assert_refusal(store: &DiskStore, error: &StoreError) {
    assert!(matches!(error, StoreError::Io { .. } | StoreError::ReadOnly(_)), "{error}");
    assert!(store.failure().is_some(), "{error}");
    let later = wait(store.commit(put("later", bytes(0, 1)))).unwrap_err();
    assert!(matches!(later, StoreError::ReadOnly(_)), "{later}");
}

/// Checks that the acknowledged records are there, and at most the one whose outcome is unknown besides.
fn assert_records(store: &DiskStore, acknowledged: u64) {
    let log = store.read_log(task(1), 1, usize::MAX).unwrap();
    let held = log.len() as u64;
    assert!(held == acknowledged || held == acknowledged + 1, "{held} of {acknowledged}");
    for (seq, record) in log {
        assert_eq!(record, bytes(seq, record.len()));
    }
}

/// Runs with the `n`-th call of a kind failing. Returns whether there was such a call.
fn run_with(call: DiskCall, n: u64) -> bool {
    let root = TempDir::new().unwrap();
    let (live, left) = (root.path().join("live"), root.path().join("left"));
    let faults = Arc::new(FailOnce { call, left: AtomicU64::new(n), failed: AtomicU64::new(0) });
    let failed = || faults.failed.load(Ordering::SeqCst) == 1;
    let options = DiskOptions {
        checkpoint_interval: Duration::from_millis(1),
        segment_bytes: 3000,
        renew_bytes: 5000,
        calls: Calls::with(faults.clone()),
        ..log_only()
    };
    let acknowledged = match open_chained(&live, options) {
        Err(error) => {
            assert!(failed() && matches!(error, StoreError::Io { .. }), "{error}");
            0
        }
        Ok(store) => {
            let acknowledged = work(&store);
            assert_records(&store, acknowledged);
            // A blob's name that cannot be given is its caller's trouble alone; all else is the store's.
            let closed = wait(store.close());
            assert!(closed.is_ok() || failed(), "{closed:?}");
            acknowledged
        }
    };
    copy(&live, &left);
    let store = open_chained(&left, DiskOptions::default()).unwrap();
    assert_records(&store, acknowledged);
    failed()
}

#[test]
fn every_storage_call_fails_once_and_nothing_acknowledged_is_lost() {
    for call in [
        DiskCall::CreateSegment,
        DiskCall::WriteLog,
        DiskCall::SyncLog,
        DiskCall::RemoveSegment,
        DiskCall::WriteBlob,
        DiskCall::RenameBlob,
        DiskCall::SyncBlob,
        DiskCall::SyncDirectory,
        DiskCall::ApplyTree,
        DiskCall::FlushTree,
    ] {
        assert!(run_with(call, 0), "{call:?} is never called");
        for n in [1, 2, 4, 7, 11, 16] {
            run_with(call, n);
        }
    }
}

#[test]
fn a_failure_to_cut_a_torn_tail_is_reported_and_the_next_start_goes_well() {
    let root = TempDir::new().unwrap();
    let (live, left) = (root.path().join("live"), root.path().join("left"));
    let store = open_chained(&live, log_only()).unwrap();
    wait(store.commit(append(1, 1, &[bytes(1, 50)]))).unwrap();
    copy(&live, &left);
    let segment = fs::read_dir(left.join("log")).unwrap().next().unwrap().unwrap().path();
    let mut torn = fs::read(&segment).unwrap();
    torn.extend_from_slice(&[1, 2, 3]);
    fs::write(&segment, torn).unwrap();
    let faults = Arc::new(FailOnce { call: DiskCall::CutSegment, left: AtomicU64::new(0), failed: AtomicU64::new(0) });
    let options = DiskOptions { calls: Calls::with(faults), ..DiskOptions::default() };
    assert!(matches!(open_chained(&left, options), Err(StoreError::Io { .. })));
    assert_records(&open_chained(&left, DiskOptions::default()).unwrap(), 1);
}
