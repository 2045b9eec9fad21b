//! What the daemon holds at a moment: in memory, in the system's tables, on the disk.

use std::{fs, path::Path, time::Duration};

use crate::{daemon::Daemon, processes, soak::Soak};

/// A moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    /// Since the run began.
    pub(crate) at: Duration,
    /// How often the daemon was started.
    pub(crate) starts: u64,
    /// Memory in bytes.
    pub(crate) memory: u64,
    /// Open descriptors.
    pub(crate) descriptors: u64,
    /// Threads.
    pub(crate) threads: u64,
    /// Processes below it, dead ones that nobody has fetched among them.
    pub(crate) processes: u64,
    /// Control groups of former daemons.
    pub(crate) groups: u64,
    /// Acknowledged tasks.
    pub(crate) tasks: u64,
    /// Those that have not ended.
    pub(crate) alive: u64,
    /// Blobs.
    pub(crate) blobs: Count,
    /// Segments of the log.
    pub(crate) segments: Count,
    /// Files of the tree.
    pub(crate) tree: Count,
    /// Snapshots.
    pub(crate) snapshots: Count,
    /// Folders of tasks at work.
    pub(crate) workspaces: u64,
    /// Files that are of use for a moment only.
    pub(crate) temporary: Count,
}

/// Files and their length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// How many.
    pub(crate) files: u64,
    /// Their length in all.
    pub(crate) bytes: u64,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

/// Looks at everything.
pub(crate) fn take(daemon: &Daemon, soak: &Soak, at: Duration) -> Sample {
    let held = daemon.pid().map(processes::held).unwrap_or_default();
    let data = daemon.data();
    let (tasks, alive) = soak.tasks();
    let former: Vec<u32> = daemon.pids.iter().copied().filter(|pid| Some(*pid) != daemon.pid()).collect();
    let mut temporary = Count::default();
    for folder in [data.join("scratch"), data.join("incoming"), daemon.temporary()] {
        temporary += count(&folder);
    }
    Sample {
        at,
        starts: daemon.pids.len() as u64,
        memory: held.memory,
        descriptors: held.descriptors,
        threads: held.threads,
        processes: daemon.pid().map_or(0, |pid| processes::below(pid).len() as u64),
        groups: processes::groups_of(&former) as u64,
        tasks,
        alive,
        blobs: count(&data.join("blobs")),
        segments: count(&data.join("log")),
        tree: count(&data.join("tree")),
        snapshots: count(&data.join("snapshots")),
        workspaces: entries(&data.join("work/files")) + entries(&data.join("work/requests")),
        temporary,
    }
}

/// Counts the files below a folder. Files come and go meanwhile.
pub(crate) fn count(folder: &Path) -> Count {
    let mut all = Count::default();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        match metadata.is_dir() {
            true => all += count(&entry.path()),
            false => all += Count { files: 1, bytes: metadata.len() },
        }
    }
    all
}

fn entries(folder: &Path) -> u64 {
    fs::read_dir(folder).map_or(0, |entries| entries.count() as u64)
}
