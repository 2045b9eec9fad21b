//! The sandbox made with bubblewrap: namespaces, seccomp, cgroups and an empty environment.
//!
//! Code in it sees `/usr` read-only, its workspace, what is mounted for it, and no network. [`args`] says what it looks
//! like, [`seccomp`] what the kernel refuses, [`cgroup`] what it may use, [`slot`] where it is spawned, [`running`] how
//! it ends.

mod args;
mod cgroup;
mod cgroup_v1;
mod cgroup_v2;
mod detect;
#[cfg(test)]
mod probes;

mod running;
mod seccomp;
mod slot;
mod supervise;
mod syscalls;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::BoxFuture;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, mkdirat, openat, statat, unlinkat};
use tokio_util::sync::CancellationToken;

use self::{
    args::Features,
    cgroup::Cgroups,
    slot::{Launch, Slot},
};
use super::{ProcessOutput, ProcessSpec, Sandbox, SandboxError};

/// Slots kept for the next command. Opening one costs about 6 ms, keeping one a thread and a group.
const IDLE_SLOTS_MAX: usize = 8;

/// Isolation by bubblewrap. Cheap to clone.
#[derive(Clone)]
pub struct Bubblewrap {
    inner: Arc<Inner>,
}

struct Inner {
    program: PathBuf,
    version: String,
    features: Features,
    cgroups: Option<Arc<dyn Cgroups>>,
    /// What is weaker here than it should be, as sentences for people.
    weaker: Vec<String>,
    idle: Mutex<Vec<Slot>>,
}

impl std::fmt::Debug for Bubblewrap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bubblewrap").field("program", &self.inner.program).field("weaker", &self.inner.weaker).finish()
    }
}

impl Bubblewrap {
    fn describe(&self) -> String {
        let inner = &self.inner;
        let mut text = format!("{}: namespaces", inner.version);
        if inner.features.seccomp.is_some() {
            text.push_str(", seccomp");
        }
        if let Some(cgroups) = &inner.cgroups {
            text.push_str(&format!(", {}", cgroups.describe()));
        }
        if !inner.weaker.is_empty() {
            text.push_str(&format!("; weaker: {}", inner.weaker.join("; ")));
        }
        text
    }
}

impl Sandbox for Bubblewrap {
    fn name(&self) -> &'static str {
        "bubblewrap"
    }

    fn check(&self) -> BoxFuture<'_, Result<String, SandboxError>> {
        Box::pin(async {
            self.trial().await?;
            Ok(self.describe())
        })
    }

    fn run<'a>(
        &'a self,
        spec: ProcessSpec,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<ProcessOutput, SandboxError>> {
        Box::pin(async move {
            // The work goes on in a task of its own when this future is dropped: it sees the token and kills.
            let cancel = cancel.child_token();
            let work = tokio::spawn(self.inner.clone().run(spec, cancel.clone()));
            let _dropped = cancel.drop_guard();
            work.await.map_err(|error| SandboxError::Failed(error.to_string()))?
        })
    }
}

impl Inner {
    async fn run(self: Arc<Self>, spec: ProcessSpec, cancel: CancellationToken) -> Result<ProcessOutput, SandboxError> {
        let line = args::command_line(&spec, &self.features)?;
        let folders = args::top_folders(&spec.mounts)?;
        make_folders(&spec.workspace, &folders).map_err(|error| failed("prepare the workspace", &error))?;
        let slot = self.take_slot().await.map_err(|error| failed("make a cgroup", &error))?;
        let launch = Launch { program: self.program.clone(), line, limits: spec.limits };
        let output = supervise::supervise(&slot, launch, spec.stdin, &spec.workspace, cancel).await;
        // A slot in which something failed may hold what could not be killed; it is not used again.
        if output.is_ok() {
            self.give_back(slot);
        }
        output
    }

    async fn take_slot(&self) -> io::Result<Slot> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(slot) => Ok(slot),
            None => Slot::open(self.cgroups.clone()).await,
        }
    }

    fn give_back(&self, slot: Slot) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_SLOTS_MAX {
            idle.push(slot);
        }
    }
}

/// Makes real folders at the top of the workspace. Code that ran before may have left a link there, which would lead
/// bubblewrap to make mount points elsewhere on the host.
fn make_folders(workspace: &Path, folders: &[String]) -> io::Result<()> {
    let directory = openat(CWD, workspace, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    for folder in folders {
        match statat(&directory, folder.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if FileType::from_raw_mode(found.st_mode).is_dir() => continue,
            Ok(_) => unlinkat(&directory, folder.as_str(), AtFlags::empty())?,
            Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        mkdirat(&directory, folder.as_str(), Mode::RWXU)?;
    }
    Ok(())
}

fn failed(doing: &str, error: &io::Error) -> SandboxError {
    SandboxError::Failed(format!("{doing}: {error}"))
}
