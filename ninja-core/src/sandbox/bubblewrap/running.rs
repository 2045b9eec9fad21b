//! A sandbox that runs: how it is watched, and how it is made sure that nothing of it is left.
//!
//! Bubblewrap is two processes: the outer one, our child, and the first process of the pid namespace. When that first
//! one ends, the kernel kills everything in the namespace *before* it reports the end. So waiting on its pidfd is proof
//! that nothing is alive, whatever forked, called `setsid` or ignored signals.

use std::{fs, io, os::fd::OwnedFd, process::ExitStatus, sync::Arc, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use serde::Deserialize;
use tokio::{io::AsyncWriteExt, net::unix::pipe, sync::oneshot, task::spawn_blocking, time::timeout};

use super::cgroup::{self, Group};

/// How long the kernel may take to kill a namespace. More means that something hangs in the kernel.
const KILL_DEADLINE: Duration = Duration::from_secs(2);

/// How long the last words of a dead bubblewrap are waited for. More would mean that another module's program, spawned
/// at the same moment, holds the pipe open.
const STATUS_DEADLINE: Duration = Duration::from_secs(1);

/// The longest line of status that bubblewrap writes is some hundred bytes.
const STATUS_BYTES_MAX: usize = 16 * 1_024;

/// One line of `--json-status-fd`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct StatusLine {
    child_pid: Option<i32>,
    exit_code: Option<i32>,
}

/// A running sandbox. Dropped before [`Running::finish`] it is killed, without waiting.
#[derive(Debug)]
pub(super) struct Running {
    outer: OwnedFd,
    exit: oneshot::Receiver<io::Result<ExitStatus>>,
    exited: Option<ExitStatus>,
    first: Option<FirstProcess>,
    status: pipe::Receiver,
    status_text: Vec<u8>,
}

/// The first process of the pid namespace.
#[derive(Debug)]
struct FirstProcess {
    pid: i32,
    handle: Arc<OwnedFd>,
}

/// How a sandbox ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// The program's exit code as bubblewrap tells it: 128 and more stand for signals. `None` where the program never
    /// started, or nobody was left to tell.
    pub(super) code: Option<i32>,
    /// How the outer process ended.
    pub(super) outer: Option<ExitStatus>,
    /// Processes seen alive that had to be killed.
    pub(super) killed: u32,
}

impl Running {
    /// Takes over a spawned bubblewrap.
    pub(super) fn adopt(
        outer: OwnedFd,
        exit: oneshot::Receiver<io::Result<ExitStatus>>,
        status: OwnedFd,
    ) -> io::Result<Self> {
        let status = pipe::Receiver::from_owned_fd(status)?;
        Ok(Self { outer, exit, exited: None, first: None, status, status_text: Vec::new() })
    }

    /// Waits until there is a first process, moves it into a group that could not be joined before, and lets it go on.
    /// Returns `false` where bubblewrap failed before.
    pub(super) async fn begin(&mut self, gate: Option<OwnedFd>, group: Option<&dyn Group>) -> io::Result<bool> {
        let pid = loop {
            if let Some(pid) = self.status_lines().find_map(|line| line.child_pid) {
                break pid;
            }
            if !self.read_status().await? {
                return Ok(false);
            }
        };
        match pid_handle(pid) {
            Ok(handle) => self.first = Some(FirstProcess { pid, handle: Arc::new(handle) }),
            // It is collected already, so the namespace is empty and the outer process about to end.
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => return Ok(true),
            Err(error) => return Err(error),
        }
        if let (Some(gate), Some(group)) = (gate, group) {
            group.add(pid)?;
            pipe::Sender::from_owned_fd(gate)?.write_all(b"g").await?;
        }
        Ok(true)
    }

    /// Waits until the program has ended by itself. Cancel safe.
    pub(super) async fn ended(&mut self) -> io::Result<()> {
        if self.exited.is_none() {
            let status = (&mut self.exit).await.map_err(|_| io::Error::other("the spawning thread ended"))?;
            self.exited = Some(status?);
        }
        Ok(())
    }

    /// Kills what is left and returns when nothing is alive.
    ///
    /// # Errors
    ///
    /// Fails when something is still alive after two seconds.
    pub(super) async fn finish(mut self, group: Option<Arc<dyn Group>>) -> io::Result<Ended> {
        let mut killed = self.first.as_ref().map_or(0, |first| descendants(first.pid));
        self.kill();
        if let Some(first) = self.first.take() {
            spawn_blocking(move || wait_for_end(&first.handle)).await??;
        }
        timeout(KILL_DEADLINE, self.ended()).await.map_err(|_| still_alive())??;
        if let Some(group) = group {
            let rest = spawn_blocking(move || cgroup::empty(group.as_ref())).await?;
            killed += u32::try_from(rest).unwrap_or(u32::MAX);
        }
        // Whoever could write is dead, so what was written is there and then comes the end.
        while self.status_lines().all(|line| line.exit_code.is_none())
            && matches!(timeout(STATUS_DEADLINE, self.read_status()).await, Ok(Ok(true)))
        {}
        Ok(Ended { code: self.status_lines().find_map(|line| line.exit_code), outer: self.exited, killed })
    }

    /// Kills the first process, and with it all of the namespace; the outer one ends when it sees that.
    fn kill(&self) {
        let target = self.first.as_ref().map_or(&self.outer, |first| &first.handle);
        // It may have ended by itself.
        let _ended = pidfd_send_signal(target, Signal::KILL);
    }

    async fn read_status(&mut self) -> io::Result<bool> {
        self.status.readable().await?;
        match self.status.try_read_buf(&mut self.status_text) {
            Ok(count) => Ok(count > 0 && self.status_text.len() < STATUS_BYTES_MAX),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn status_lines(&self) -> impl Iterator<Item = StatusLine> {
        let complete = self.status_text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        complete.filter_map(|line| serde_json::from_slice(line).ok())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.exited.is_none() {
            // The runtime is going away, or taking it over failed. The spawning thread collects it.
            self.kill();
            let _ended = pidfd_send_signal(&self.outer, Signal::KILL);
        }
    }
}

/// Opens a handle that names a process even after its number is used again. Its owner must not have been collected yet.
pub(super) fn pid_handle(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("0 is not a process"))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Waits for the end of a killed process. Blocks, but not long.
fn wait_for_end(handle: &OwnedFd) -> io::Result<()> {
    let limit = Timespec::try_from(KILL_DEADLINE).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(handle, PollFlags::IN)], Some(&limit))? {
        0 => Err(still_alive()),
        _ => Ok(()),
    }
}

fn still_alive() -> io::Error {
    io::Error::other("a killed process is still alive after 2 s")
}

/// Counts the processes below one. While they live, all of a namespace's are below its first.
fn descendants(pid: i32) -> u32 {
    let (mut count, mut pending) = (0, vec![pid]);
    while let Some(pid) = pending.pop() {
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            let children = children.split_whitespace().filter_map(|child| child.parse::<i32>().ok());
            let before = pending.len();
            pending.extend(children);
            count += u32::try_from(pending.len() - before).unwrap_or(0);
        }
    }
    count
}
