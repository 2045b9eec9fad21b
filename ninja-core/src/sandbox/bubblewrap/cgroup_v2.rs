//! Version 2: one folder in the unified hierarchy. **Untested**: the development machines have version 1 only.
//!
//! A v2 group takes whole processes, so a sandbox is spawned outside, held at bubblewrap's `--block-fd` gate and moved
//! in before it is let go. A group with processes of its own cannot have limited subgroups: the daemon must run in a
//! leaf, with its parent delegated. Under systemd that is `Delegate=memory pids` and `DelegateSubgroup=main`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::cgroup::{Cgroups, Group, our_names, own_directory, parse_members};

#[derive(Debug)]
struct Hierarchy {
    base: PathBuf,
}

/// Finds a place in the hierarchy where groups with limits can be made, or says why there is none.
pub(super) fn detect(mounts: &str, own: &str) -> Result<Box<dyn Cgroups>, String> {
    let own = own_directory(mounts, own, None).ok_or("no cgroup v2")?;
    let places = [Some(own.as_path()), own.parent()];
    let usable = places.into_iter().flatten().find(|place| is_usable(place));
    let base = usable.ok_or_else(|| {
        format!(
            "no cgroup v2 with delegated `memory` and `pids` at {} (systemd: Delegate=memory pids, DelegateSubgroup=main)",
            own.display()
        )
    })?;
    Ok(Box::new(Hierarchy { base: base.to_owned() }))
}

/// Enables both controllers for subgroups and tries to make one.
fn is_usable(base: &Path) -> bool {
    let control = base.join("cgroup.subtree_control");
    let has =
        |controller| fs::read_to_string(&control).is_ok_and(|text| text.split_whitespace().any(|c| c == controller));
    if !(has("memory") && has("pids")) && fs::write(&control, "+memory +pids").is_err() {
        return false;
    }
    let hierarchy = Hierarchy { base: base.to_owned() };
    super::cgroup::fresh_name().and_then(|name| hierarchy.create(&name)?.remove()).is_ok()
}

impl Cgroups for Hierarchy {
    fn describe(&self) -> String {
        "cgroup v2 (memory, pids; untested)".to_owned()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Group>> {
        let directory = self.base.join(name);
        fs::create_dir(&directory)?;
        Ok(Box::new(GroupV2 { directory }))
    }

    fn leftovers(&self) -> Vec<(String, Box<dyn Group>)> {
        let open = |name: String| {
            let group: Box<dyn Group> = Box::new(GroupV2 { directory: self.base.join(&name) });
            (name, group)
        };
        our_names(&self.base).into_iter().map(open).collect()
    }
}

#[derive(Debug)]
struct GroupV2 {
    directory: PathBuf,
}

impl GroupV2 {
    fn write(&self, file: &str, value: &str) -> io::Result<()> {
        fs::write(self.directory.join(file), value)
    }
}

impl Group for GroupV2 {
    fn set_limits(&self, memory_bytes: u64, pids: u32) -> io::Result<()> {
        self.write("memory.max", &memory_bytes.to_string())?;
        // Kernels without swap lack the file.
        if let Err(error) = self.write("memory.swap.max", "0") {
            tracing::debug!(%error, "could not forbid swap");
        }
        self.write("pids.max", &pids.to_string())
    }

    fn join_thread(&self) -> io::Result<bool> {
        Ok(false)
    }

    fn leave_thread(&self) -> io::Result<()> {
        Ok(())
    }

    fn add(&self, pid: i32) -> io::Result<()> {
        self.write("cgroup.procs", &pid.to_string())
    }

    fn oom_kills(&self) -> u64 {
        let text = fs::read_to_string(self.directory.join("memory.events")).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
    }

    fn members(&self) -> Vec<i32> {
        parse_members(&fs::read_to_string(self.directory.join("cgroup.procs")).unwrap_or_default())
    }

    fn forbid_forks(&self) {
        if let Err(error) = self.write("pids.max", "0") {
            tracing::debug!(%error, "could not forbid forks");
        }
    }

    fn remove(&self) -> io::Result<()> {
        fs::remove_dir(&self.directory)
    }
}
