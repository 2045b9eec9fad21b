//! Control groups: caps on memory and processes over a whole sandbox, and the list of what is alive in it.
//!
//! Version 1 ([`super::cgroup_v1`]) is what the development machines have and what is tested; version 2
//! ([`super::cgroup_v2`]) stands behind the same trait and is **untested**. Without either, limits are weaker; see
//! [`super::args`].

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{cgroup_v1, cgroup_v2};

/// How long killing may take before it counts as failed. `SIGKILL` takes effect in milliseconds unless a disk hangs.
const KILL_DEADLINE: Duration = Duration::from_secs(2);

/// The hierarchies in which groups are made.
pub(super) trait Cgroups: Send + Sync {
    /// Says which they are, in a few words for people.
    fn describe(&self) -> String;

    /// Makes a group.
    fn create(&self, name: &str) -> io::Result<Box<dyn Group>>;

    /// Opens every group that has a name of ours, for reaping.
    fn leftovers(&self) -> Vec<(String, Box<dyn Group>)>;
}

/// One group, for one sandbox at a time.
pub(super) trait Group: Send + Sync {
    /// Sets what its processes may use together. Settings of a former run are overwritten.
    fn set_limits(&self, memory_bytes: u64, pids: u32) -> io::Result<()>;

    /// Moves the calling thread in for good, so that what it spawns is born inside.
    /// Returns `false` where the kernel cannot; [`Group::add`] does it then.
    fn join_thread(&self) -> io::Result<bool>;

    /// Moves the calling thread out again, so that the group can be removed.
    fn leave_thread(&self) -> io::Result<()>;

    /// Moves a process in.
    fn add(&self, pid: i32) -> io::Result<()>;

    /// Returns how many processes were killed for want of memory since the group was made.
    fn oom_kills(&self) -> u64;

    /// Returns the processes in it, without this one.
    fn members(&self) -> Vec<i32>;

    /// Forbids new processes, so that killing comes to an end. The next [`Group::set_limits`] allows them again.
    fn forbid_forks(&self);

    /// Removes the empty group.
    fn remove(&self) -> io::Result<()>;
}

/// Finds hierarchies that can be written; otherwise says why there are none.
pub(super) fn detect() -> Result<Box<dyn Cgroups>, String> {
    let mounts = read("/proc/self/mountinfo")?;
    let own = read("/proc/self/cgroup")?;
    let version_1 = match cgroup_v1::detect(&mounts, &own) {
        Ok(groups) => return Ok(groups),
        Err(reason) => reason,
    };
    cgroup_v2::detect(&mounts, &own).map_err(|version_2| format!("{version_1}; {version_2}"))
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path} is not readable: {error}"))
}

/// Finds where a hierarchy is mounted and this process' place in it. `controller` is a v1 controller; `None` means v2.
pub(super) fn own_directory(mounts: &str, own: &str, controller: Option<&str>) -> Option<PathBuf> {
    let place = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (names, path) = (fields.next()?, fields.next()?);
        let found = match controller {
            Some(controller) => names.split(',').any(|name| name == controller),
            None => names.is_empty(),
        };
        found.then(|| path.to_owned())
    })?;
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, at) = (left.next()?, left.next()?);
        let mut right = right.split(' ');
        let (kind, options) = (right.next()?, right.nth(1)?);
        let found = match controller {
            Some(controller) => kind == "cgroup" && options.split(',').any(|option| option == controller),
            None => kind == "cgroup2",
        };
        let relative = Path::new(&place).strip_prefix(root).unwrap_or(Path::new(""));
        found.then(|| Path::new(at).join(relative))
    })
}

/// Names a group after the process that owns it: `ninja-<pid namespace>-<pid>-<start of the process>-<number>`.
pub(super) fn fresh_name() -> io::Result<String> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let pid = std::process::id();
    let start = start_of(pid).ok_or_else(|| io::Error::other("the start of this process is unknown"))?;
    Ok(format!("ninja-{}-{pid}-{start}-{}", pid_namespace()?, NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Returns whether a group's name says that its owner is gone. A name from another pid namespace says nothing: its
/// processes cannot be seen from here.
fn is_orphan(name: &str) -> bool {
    let mut fields = name.split('-').skip(1);
    let mut next = || fields.next()?.parse::<u64>().ok();
    let (Some(namespace), Some(pid), Some(start)) = (next(), next(), next()) else { return false };
    let Ok(pid) = u32::try_from(pid) else { return false };
    pid_namespace().is_ok_and(|own| own == namespace) && start_of(pid) != Some(start)
}

fn pid_namespace() -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(fs::metadata("/proc/self/ns/pid")?.ino())
}

/// Returns when a process started, in ticks since boot: with its pid that names it for good.
fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain anything; what follows the last one is regular, from field 3 on.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Kills and removes the groups of processes that are gone. Returns how many processes had to be killed.
pub(super) fn reap(groups: &dyn Cgroups) -> usize {
    let orphans = groups.leftovers().into_iter().filter(|(name, _)| is_orphan(name));
    orphans
        .map(|(name, group)| {
            let killed = empty(group.as_ref());
            if let Err(error) = group.remove() {
                tracing::warn!(group = name, %error, "left a group of a former process behind");
            }
            killed
        })
        .sum()
}

/// Kills until nothing is left or the deadline passes. Returns how many different processes were killed. Blocks.
pub(super) fn empty(group: &dyn Group) -> usize {
    let deadline = Instant::now() + KILL_DEADLINE;
    let mut killed = std::collections::BTreeSet::new();
    loop {
        let members = group.members();
        if members.is_empty() || Instant::now() > deadline {
            return killed.len();
        }
        group.forbid_forks();
        for pid in members {
            if let Some(target) = Pid::from_raw(pid) {
                // A process that ended by itself meanwhile is what was wanted.
                let _gone = kill_process(target, Signal::KILL);
                killed.insert(pid);
            }
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Parses one pid a line, leaving out this process: in v1 its spawning threads are members.
pub(super) fn parse_members(text: &str) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid != own && *pid > 0).collect()
}

/// Lists the folders whose names are ours.
pub(super) fn our_names(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with("ninja-")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
25 20 0:22 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
26 20 0:23 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
27 20 0:24 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
28 20 0:25 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct";

    #[test]
    fn the_own_place_is_found_in_every_kind_of_hierarchy() {
        let own = "8:pids:/docker/abc/x\n4:memory:/a b/c\n3:cpu,cpuacct:/\n0::/user.slice/me";
        let at = |controller| own_directory(MOUNTS, own, controller);
        assert_eq!(at(Some("memory")), Some("/sys/fs/cgroup/memory/a b/c".into()));
        assert_eq!(at(Some("pids")), Some("/sys/fs/cgroup/pids/x".into()));
        assert_eq!(at(Some("cpuacct")), Some("/sys/fs/cgroup/cpu".into()));
        assert_eq!(at(None), Some("/sys/fs/cgroup/unified/user.slice/me".into()));
        assert_eq!(at(Some("freezer")), None);
    }

    #[test]
    fn only_names_of_gone_processes_are_orphans() {
        let own = fresh_name().unwrap();
        assert!(!is_orphan(&own), "{own}");
        let (namespace, start) = (pid_namespace().unwrap(), start_of(std::process::id()).unwrap());
        let me = std::process::id();
        assert!(is_orphan(&format!("ninja-{namespace}-{me}-{}-0", start + 1)), "a recycled pid");
        assert!(is_orphan(&format!("ninja-{namespace}-4194999-1-0")));
        for other in [&format!("ninja-{}-4194999-1-0", namespace + 1), "ninja-x", "ninja-1-2", "ninja-"] {
            assert!(!is_orphan(other), "{other}");
        }
    }

    #[test]
    fn this_process_is_never_a_member() {
        assert_eq!(parse_members(&format!("1\n{}\n\nx\n0\n-1\n7\n", std::process::id())), [1, 7]);
    }
}
