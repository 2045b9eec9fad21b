//! A full disk: what did not fit was never there, everything else is, and writing goes on when there is room.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{power::Power, *};
use crate::{
    api::ErrorCode,
    journal::calls::{Calls, DiskCall, Faults},
};

/// Has no room for one kind of call while it is full: half of what was to be written is, then the disk says no.
struct Full {
    call: DiskCall,
    full: AtomicBool,
    refused: AtomicU64,
}

impl Full {
    fn of(call: DiskCall) -> Arc<Self> {
        Arc::new(Self { call, full: AtomicBool::new(false), refused: AtomicU64::new(0) })
    }
}

impl Faults for Full {
    fn around(&self, call: DiskCall, path: &Path, run: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        if call != self.call || !self.full.load(Ordering::SeqCst) {
            return run();
        }
        self.refused.fetch_add(1, Ordering::SeqCst);
        if call == DiskCall::WriteLog {
            let before = fs::metadata(path)?.len();
            run()?;
            let after = fs::metadata(path)?.len();
            fs::OpenOptions::new().write(true).open(path)?.set_len(before + (after - before) / 2)?;
        }
        Err(io::ErrorKind::StorageFull.into())
    }
}

fn options(faults: Arc<dyn Faults>) -> DiskOptions {
    DiskOptions { reserve_bytes: 5000, calls: Calls::with(faults), ..log_only() }
}

#[test]
fn a_log_without_room_refuses_and_goes_on_when_there_is_some() {
    let (root, faults) = (TempDir::new().unwrap(), Full::of(DiskCall::WriteLog));
    let (live, left) = (root.path().join("live"), root.path().join("left"));
    let store = open_chained(&live, options(faults.clone())).unwrap();
    wait(store.commit(append(1, 1, &[bytes(1, 50)]))).unwrap();
    faults.full.store(true, Ordering::SeqCst);
    // The room that comes and goes by itself is not there: the reserve cannot be made again.
    let blocked = live.join("ballast");
    for n in 0..3 {
        let mut commit = append(1, 2, &[bytes(2, 5000)]);
        commit.feed = vec![(user(1), bytes(9, 9))];
        let error = wait(store.commit(commit)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::DiskFull, "{error}");
        assert!(!blocked.is_dir() || n > 0);
        fs::create_dir_all(&blocked).unwrap();
        assert_eq!(store.failure().unwrap().code(), ErrorCode::DiskFull);
        assert_eq!(store.read_log(task(1), 1, 9).unwrap().len(), 1, "reads go on");
    }
    assert_eq!(faults.refused.load(Ordering::SeqCst), 1, "once full, nothing is tried");
    copy(&live, &left);
    faults.full.store(false, Ordering::SeqCst);
    fs::remove_dir(&blocked).unwrap();
    let mut commit = append(1, 2, &[bytes(3, 5000)]);
    commit.feed = vec![(user(1), bytes(8, 9))];
    assert_eq!(wait(store.commit(commit)).unwrap().feed_seqs, [1], "what was refused took no number");
    assert!(store.failure().is_none());
    wait(store.close()).unwrap();
    for (directory, held) in [(&left, 1), (&live, 2)] {
        let store = open_chained(directory, log_only()).unwrap();
        let log = store.read_log(task(1), 1, 9).unwrap();
        assert_eq!(log, [(1, bytes(1, 50)), (2, bytes(3, 5000))][..held]);
        assert_eq!(store.read_feed(user(1), 0, 9).unwrap().len(), held - 1);
    }
}

#[test]
fn a_blob_without_room_takes_the_reserve_because_its_frame_is_synced() {
    let (root, faults) = (TempDir::new().unwrap(), Arc::new(UntilReserveIsGone(root_of())));
    let directory = root.path().join("data");
    *faults.0.lock().unwrap() = directory.join("ballast");
    let store = open_chained(&directory, options(faults)).unwrap();
    wait(store.commit(append(1, 1, &[bytes(1, 20_000)]))).unwrap();
    wait(store.commit(append(1, 2, &[bytes(2, 20_000)]))).unwrap();
    assert_eq!(store.read_log(task(1), 1, 9).unwrap(), [(1, bytes(1, 20_000)), (2, bytes(2, 20_000))]);
}

fn root_of() -> std::sync::Mutex<std::path::PathBuf> {
    std::sync::Mutex::default()
}

/// Has no room for blobs before the reserve is given up.
struct UntilReserveIsGone(std::sync::Mutex<std::path::PathBuf>);

impl Faults for UntilReserveIsGone {
    fn around(&self, call: DiskCall, _: &Path, run: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        if call == DiskCall::WriteBlob && self.0.lock().unwrap().exists() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        run()
    }
}

#[test]
fn a_new_segment_without_room_leaves_the_old_one_in_use() {
    let (root, faults) = (TempDir::new().unwrap(), Full::of(DiskCall::CreateSegment));
    let (live, left) = (root.path().join("live"), root.path().join("left"));
    let options = DiskOptions { segment_bytes: 400, checkpoint_interval: Duration::MAX, ..options(faults.clone()) };
    let store = open_chained(&live, options).unwrap();
    faults.full.store(true, Ordering::SeqCst);
    for n in 1..8 {
        wait(store.commit(append(1, n, &[bytes(n, 300)]))).unwrap();
    }
    assert!(faults.refused.load(Ordering::SeqCst) > 2);
    assert_eq!(fs::read_dir(live.join("log")).unwrap().count(), 1);
    faults.full.store(false, Ordering::SeqCst);
    wait(store.commit(append(1, 8, &[bytes(8, 300)]))).unwrap();
    copy(&live, &left);
    wait(store.close()).unwrap();
    for directory in [&left, &live] {
        let store = open_chained(directory, log_only()).unwrap();
        assert_eq!(store.read_log(task(1), 1, 99).unwrap().len(), 8);
    }
}

#[test]
fn a_power_cut_after_a_refusal_brings_nothing_of_it_back() {
    /// Fails a write to the log and cuts the power right after it was undone.
    struct Cut {
        power: Arc<Power>,
        armed: AtomicBool,
    }
    impl Faults for Cut {
        fn around(&self, call: DiskCall, path: &Path, run: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
            self.power.around(call, path, run)?;
            match call == DiskCall::WriteLog && self.armed.load(Ordering::SeqCst) {
                true => Err(io::ErrorKind::StorageFull.into()),
                false => Ok(()),
            }
        }
    }
    for seed in 0..6 {
        let (root, power) = (TempDir::new().unwrap(), Arc::<Power>::default());
        let (live, left) = (root.path().join("live"), root.path().join("left"));
        let faults = Arc::new(Cut { power: power.clone(), armed: AtomicBool::new(false) });
        let store = open_chained(&live, options(faults.clone())).unwrap();
        wait(store.commit(append(1, 1, &[bytes(1, 5000)]))).unwrap();
        faults.armed.store(true, Ordering::SeqCst);
        wait(store.commit(append(1, 2, &[bytes(2, 6000)]))).unwrap_err();
        faults.armed.store(false, Ordering::SeqCst);
        wait(store.commit(append(1, 2, &[bytes(3, 7000)]))).unwrap();
        power.cut(&live, &left, seed);
        let store = open_chained(&left, log_only()).unwrap();
        assert_eq!(store.read_log(task(1), 1, 9).unwrap(), [(1, bytes(1, 5000)), (2, bytes(3, 7000))]);
    }
}

#[test]
fn the_reserve_is_kept_and_given_up_to_open_a_full_disk() {
    let root = TempDir::new().unwrap();
    let reserve = |bytes| DiskOptions { reserve_bytes: bytes, ..log_only() };
    drop(open_chained(root.path(), reserve(70_000)).unwrap());
    let ballast = root.path().join("ballast");
    assert_eq!(fs::metadata(&ballast).unwrap().len(), 70_000);
    let faults = Arc::new(UntilReserveIsGoneForLog(ballast.clone()));
    let store = open_chained(root.path(), options(faults)).unwrap();
    wait(store.commit(append(1, 1, &[bytes(1, 50)]))).unwrap();
}

/// Has no room for a segment before the reserve of the directory is given up.
struct UntilReserveIsGoneForLog(std::path::PathBuf);

impl Faults for UntilReserveIsGoneForLog {
    fn around(&self, call: DiskCall, _: &Path, run: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        match call == DiskCall::CreateSegment && self.0.exists() {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => run(),
        }
    }
}
