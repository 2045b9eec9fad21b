//! A disk whose power can be cut: it knows what has been synced, and leaves the rest torn.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
};

use super::copy;
use crate::journal::calls::{DiskCall, Faults};

/// Stands around storage calls, one at a time, so that a copy made between them is what a crash would leave.
#[derive(Debug, Default)]
pub(super) struct Power {
    disk: Mutex<Disk>,
}

#[derive(Debug, Default)]
struct Disk {
    /// How much of each log segment is synced.
    synced: HashMap<PathBuf, u64>,
    /// Blobs that are not.
    unsynced: HashSet<PathBuf>,
    calls: u64,
}

impl Power {
    /// Returns how many calls were made.
    pub(super) fn calls(&self) -> u64 {
        self.disk().calls
    }

    /// Copies a directory as a power cut may leave it: what was synced whole, the rest torn in one of several ways.
    pub(super) fn cut(&self, from: &Path, to: &Path, seed: u64) {
        let disk = self.disk();
        copy(from, to);
        for (path, synced) in &disk.synced {
            let Ok(left) = path.strip_prefix(from) else {
                continue;
            };
            let Ok(mut bytes) = fs::read(to.join(left)) else {
                continue;
            };
            tear(&mut bytes, *synced as usize, seed);
            fs::write(to.join(left), bytes).unwrap();
        }
        for (n, path) in (seed..).zip(&disk.unsynced) {
            let Ok(left) = path.strip_prefix(from) else {
                continue;
            };
            match n % 3 {
                0 => fs::remove_file(to.join(left)).unwrap(),
                1 => fs::write(to.join(left), b"").unwrap(),
                _ => fs::write(to.join(left), vec![0; fs::metadata(path).unwrap().len() as usize]).unwrap(),
            }
        }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap()
    }
}

/// Drops, shortens or scrambles what comes after the synced part.
fn tear(bytes: &mut Vec<u8>, synced: usize, seed: u64) {
    let rest = bytes.len() - synced.min(bytes.len());
    let kept = synced + rest * (seed % 5) as usize / 4;
    bytes.truncate(kept);
    if seed % 2 == 1 {
        bytes.iter_mut().skip(synced).step_by(7).for_each(|byte| *byte = 0);
    }
}

impl Faults for Power {
    fn around(&self, call: DiskCall, path: &Path, run: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        let mut disk = self.disk();
        run()?;
        disk.calls += 1;
        match call {
            DiskCall::CreateSegment | DiskCall::SyncLog | DiskCall::CutSegment => {
                disk.synced.insert(path.to_owned(), fs::metadata(path)?.len());
            }
            DiskCall::RenameBlob => drop(disk.unsynced.insert(path.to_owned())),
            DiskCall::SyncBlob => drop(disk.unsynced.remove(path)),
            _ => {}
        }
        Ok(())
    }
}
