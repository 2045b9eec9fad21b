//! What the system says of processes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// A process: its number and its start, which name it for good.
pub(crate) type ProcessId = (u32, u64);

/// What a process holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    /// Memory in bytes.
    pub(crate) memory: u64,
    /// Open descriptors.
    pub(crate) descriptors: u64,
    /// Threads.
    pub(crate) threads: u64,
}

/// Returns what a process holds; nothing where it has ended.
pub(crate) fn held(pid: u32) -> Held {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0)
    };
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |open| open.count() as u64);
    Held { memory: number("VmRSS:") * 1024, descriptors, threads: number("Threads:") }
}

/// Returns all processes below one, the dead that nobody has fetched among them.
pub(crate) fn below(pid: u32) -> BTreeSet<ProcessId> {
    let mut children: BTreeMap<u32, Vec<ProcessId>> = BTreeMap::new();
    for (id, parent) in all() {
        children.entry(parent).or_default().push(id);
    }
    let (mut found, mut open) = (BTreeSet::new(), vec![pid]);
    while let Some(next) = open.pop() {
        for id in children.remove(&next).unwrap_or_default() {
            open.push(id.0);
            found.insert(id);
        }
    }
    found
}

/// Returns whether a process is there and has not ended.
pub(crate) fn is_alive(id: &ProcessId) -> bool {
    read_stat(id.0).is_some_and(|stat| stat.start == id.1 && stat.state != "Z")
}

/// Returns the processes in sandboxes whose workspace is in a data directory, whoever started them.
pub(crate) fn in_sandboxes_of(data: &Path) -> BTreeSet<ProcessId> {
    // A mount tells its place in its own file system only, so the end of the path has to do.
    let names: Vec<_> = data.components().rev().take(2).map(|name| name.as_os_str().to_string_lossy()).collect();
    let place = names.iter().rev().fold(String::new(), |path, name| format!("{path}/{name}")) + "/work/";
    let is_inside = |pid: u32| {
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        mounts.lines().any(|line| line.contains(" /workspace ") && line.contains(&place))
    };
    all().into_iter().map(|(id, _)| id).filter(|id| is_inside(id.0)).collect()
}

/// Returns the control groups of sandboxes that processes left behind which are gone.
pub(crate) fn groups_of(pids: &[u32]) -> usize {
    let folder = |controller: &str| {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let line = own.lines().find(|line| line.split(':').nth(1).is_some_and(|name| name == controller));
        let place = line.and_then(|line| line.splitn(3, ':').nth(2)).unwrap_or("/").to_owned();
        format!("/sys/fs/cgroup/{controller}{place}")
    };
    let is_theirs = |name: &str| {
        let pid = name.strip_prefix("ninja-").and_then(|rest| rest.split('-').nth(1)).and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    let entries = fs::read_dir(folder("pids")).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_str().is_some_and(is_theirs)).count()
}

/// Returns every process with its parent.
fn all() -> Vec<(ProcessId, u32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| read_stat(pid).map(|stat| ((pid, stat.start), stat.parent))).collect()
}

struct Stat {
    state: String,
    parent: u32,
    start: u64,
}

fn read_stat(pid: u32) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything but ends at the last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let parent = u32::try_from(number(1)?).ok()?;
    Some(Stat { state: (*fields.first()?).to_owned(), parent, start: number(19)? })
}
