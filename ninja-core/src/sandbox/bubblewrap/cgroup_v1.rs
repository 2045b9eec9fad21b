//! Version 1: one folder in the memory hierarchy and one in that of pids.
//!
//! A v1 group can hold a single thread, and children are born where the spawning thread is. So a spawning thread joins
//! once and each sandbox is inside from its first instruction: no process can be left outside when the daemon dies at a
//! bad moment, and joining (5 ms: it waits for all processors) is not paid for each command.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::cgroup::{Cgroups, Group, our_names, own_directory, parse_members};

/// The controllers used; the group of memory comes first.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];

#[derive(Debug)]
struct Hierarchies {
    memory: PathBuf,
    pids: PathBuf,
}

/// Finds both hierarchies, or says what is missing.
pub(super) fn detect(mounts: &str, own: &str) -> Result<Box<dyn Cgroups>, String> {
    let [memory, pids] = CONTROLLERS.map(|controller| {
        let directory = own_directory(mounts, own, Some(controller));
        directory.ok_or_else(|| format!("no cgroup v1 controller `{controller}`"))
    });
    let found = Hierarchies { memory: memory?, pids: pids? };
    let trial = super::cgroup::fresh_name().and_then(|name| found.create(&name)?.remove());
    trial.map_err(|error| format!("no right to make cgroups v1: {error}"))?;
    Ok(Box::new(found))
}

impl Hierarchies {
    fn group(&self, name: &str) -> GroupV1 {
        GroupV1 {
            memory: self.memory.join(name),
            pids: self.pids.join(name),
            home: [self.memory.clone(), self.pids.clone()],
        }
    }
}

impl Cgroups for Hierarchies {
    fn describe(&self) -> String {
        "cgroup v1 (memory, pids)".to_owned()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Group>> {
        let group = self.group(name);
        fs::create_dir(&group.memory)?;
        if let Err(error) = fs::create_dir(&group.pids) {
            fs::remove_dir(&group.memory)?;
            return Err(error);
        }
        Ok(Box::new(group))
    }

    fn leftovers(&self) -> Vec<(String, Box<dyn Group>)> {
        let mut names = our_names(&self.memory);
        names.extend(our_names(&self.pids));
        names.sort();
        names.dedup();
        let open = |name: String| {
            let group: Box<dyn Group> = Box::new(self.group(&name));
            (name, group)
        };
        names.into_iter().map(open).collect()
    }
}

#[derive(Debug)]
struct GroupV1 {
    memory: PathBuf,
    pids: PathBuf,
    home: [PathBuf; 2],
}

impl Group for GroupV1 {
    fn set_limits(&self, memory_bytes: u64, pids: u32) -> io::Result<()> {
        let swap = self.memory.join("memory.memsw.limit_in_bytes");
        // Memory with swap may never be less than memory alone, so it steps aside first. Kernels without swap
        // accounting lack the file.
        let counts_swap = fs::write(&swap, "-1").is_ok();
        fs::write(self.memory.join("memory.limit_in_bytes"), memory_bytes.to_string())?;
        if counts_swap {
            fs::write(&swap, memory_bytes.to_string())?;
        }
        fs::write(self.pids.join("pids.max"), pids.to_string())
    }

    fn join_thread(&self) -> io::Result<bool> {
        move_thread(&self.memory)?;
        move_thread(&self.pids)?;
        Ok(true)
    }

    fn leave_thread(&self) -> io::Result<()> {
        self.home.iter().try_for_each(|directory| move_thread(directory))
    }

    fn add(&self, pid: i32) -> io::Result<()> {
        fs::write(self.memory.join("cgroup.procs"), pid.to_string())?;
        fs::write(self.pids.join("cgroup.procs"), pid.to_string())
    }

    fn oom_kills(&self) -> u64 {
        let text = fs::read_to_string(self.memory.join("memory.oom_control")).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
    }

    fn members(&self) -> Vec<i32> {
        let lists = [&self.memory, &self.pids].map(|directory| directory.join("cgroup.procs"));
        let mut pids: Vec<i32> =
            lists.iter().flat_map(|list| parse_members(&fs::read_to_string(list).unwrap_or_default())).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    fn forbid_forks(&self) {
        if let Err(error) = fs::write(self.pids.join("pids.max"), "0") {
            tracing::debug!(%error, "could not forbid forks");
        }
    }

    fn remove(&self) -> io::Result<()> {
        [&self.memory, &self.pids].iter().try_for_each(|directory| match fs::remove_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        })
    }
}

fn move_thread(directory: &Path) -> io::Result<()> {
    fs::write(directory.join("tasks"), rustix::thread::gettid().as_raw_nonzero().to_string())
}
