//! A place to run one sandbox at a time: a thread that spawns, and the cgroup it lives in.
//!
//! The thread is ours and lives as long as the slot, for two reasons. The kernel's "die with parent" means the *thread*
//! that spawned; a worker of the async runtime may end while its child goes on. And in cgroup v1 the thread sits in the
//! group for good, so that its children are born there and moving them costs nothing.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    os::fd::{AsRawFd, OwnedFd, RawFd},
    path::PathBuf,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    io::{FdFlags, fcntl_setfd},
    pipe::{PipeFlags, pipe_with},
};
use tokio::sync::oneshot;

use super::{
    super::SandboxLimits,
    args::{Arg, CommandLine, bytes_of, encode},
    cgroup::{self, Cgroups, Group},
    running::pid_handle,
};

/// Processes in a group that are not the sandbox's own: the spawning thread, the outer bubblewrap and its first
/// process.
const PIDS_OVERHEAD: u32 = 3;

/// Below this bubblewrap itself could not start.
const MEMORY_BYTES_MIN: u64 = 16 << 20;

/// Held while descriptors without close-on-exec are open, so that a sandbox never inherits those of another. The
/// descriptor table belongs to the process, so the lock does as well. Programs that other modules spawn at
/// the same moment could inherit some: sealed-off copies of a filter, made-up files and a command line.
static SPAWNING: Mutex<()> = Mutex::new(());

/// What to spawn.
#[derive(Debug)]
pub(super) struct Launch {
    /// The path of `bwrap`.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) line: CommandLine,
    /// What all of it may use.
    pub(super) limits: SandboxLimits,
}

/// What was spawned.
#[derive(Debug)]
pub(super) struct Spawned {
    /// A handle of the outer bubblewrap, which is our child.
    pub(super) outer: OwnedFd,
    /// How it ended, once it has.
    pub(super) exit: oneshot::Receiver<io::Result<ExitStatus>>,
    /// Its standard input.
    pub(super) stdin: Option<ChildStdin>,
    /// Its standard output.
    pub(super) stdout: Option<ChildStdout>,
    /// Its standard error.
    pub(super) stderr: Option<ChildStderr>,
    /// Where it says what happens, as lines of JSON.
    pub(super) status: OwnedFd,
    /// Where it waits for a byte, if its cgroup can only be joined from outside.
    pub(super) gate: Option<OwnedFd>,
}

type Job = (Launch, oneshot::Sender<io::Result<Spawned>>);

/// A slot. When dropped its thread ends, which kills what it spawned, and its group is emptied and removed.
pub(super) struct Slot {
    jobs: mpsc::Sender<Job>,
    group: Option<Arc<dyn Group>>,
}

impl Slot {
    /// Makes a slot, in a new group if there are cgroups.
    pub(super) async fn open(cgroups: Option<Arc<dyn Cgroups>>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let (ready, opened) = oneshot::channel();
        thread::Builder::new()
            .name("ninja-sandbox".to_owned())
            .spawn(move || serve(cgroups.as_deref(), ready, &queue))?;
        let group = opened.await.map_err(|_| io::Error::other("the spawning thread ended"))??;
        Ok(Self { jobs, group })
    }

    /// Returns the slot's group.
    pub(super) fn group(&self) -> Option<&Arc<dyn Group>> {
        self.group.as_ref()
    }

    /// Spawns in the slot.
    pub(super) async fn spawn(&self, launch: Launch) -> io::Result<Spawned> {
        let ended = || io::Error::other("the spawning thread ended");
        let (reply, answer) = oneshot::channel();
        self.jobs.send((launch, reply)).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

fn serve(
    cgroups: Option<&dyn Cgroups>,
    ready: oneshot::Sender<io::Result<Option<Arc<dyn Group>>>>,
    queue: &mpsc::Receiver<Job>,
) {
    let (group, inside) = match cgroups.map(join).transpose() {
        Ok(joined) => joined.map_or((None, false), |(group, inside)| (Some(group), inside)),
        Err(error) => {
            // Whoever asked may be gone; then there is nobody to tell.
            let _unheard = ready.send(Err(error));
            return;
        }
    };
    if ready.send(Ok(group.clone())).is_ok() {
        for (launch, reply) in queue {
            let gated = group.is_some() && !inside;
            let spawned = limit(group.as_deref(), &launch.limits).and_then(|()| spawn(&launch, gated));
            watch(spawned, reply);
        }
    }
    if let Some(group) = group {
        cgroup::empty(group.as_ref());
        if let Err(error) = group.leave_thread().and_then(|()| group.remove()) {
            tracing::warn!(%error, "could not remove a sandbox's cgroup; the next start does");
        }
    }
}

/// Hands out what was spawned and waits for its end.
fn watch(spawned: io::Result<(Child, Spawned)>, reply: oneshot::Sender<io::Result<Spawned>>) {
    let (mut child, mut spawned) = match spawned {
        Ok(spawned) => spawned,
        Err(error) => {
            // Whoever asked may be gone; then there is nobody to tell.
            let _unheard = reply.send(Err(error));
            return;
        }
    };
    let (exit, ended) = oneshot::channel();
    spawned.exit = ended;
    if reply.send(Ok(spawned)).is_err() {
        // Nobody holds it, so it must not go on.
        let _ended_by_itself = child.kill();
    }
    let _unheard = exit.send(child.wait());
}

fn join(cgroups: &dyn Cgroups) -> io::Result<(Arc<dyn Group>, bool)> {
    let group: Arc<dyn Group> = cgroups.create(&cgroup::fresh_name()?)?.into();
    match group.join_thread() {
        Ok(inside) => Ok((group, inside)),
        Err(error) => {
            group.leave_thread()?;
            group.remove()?;
            Err(error)
        }
    }
}

fn limit(group: Option<&dyn Group>, limits: &SandboxLimits) -> io::Result<()> {
    let memory_bytes = bytes_of(limits.memory_mib).max(MEMORY_BYTES_MIN);
    group.map_or(Ok(()), |group| group.set_limits(memory_bytes, limits.pids.saturating_add(PIDS_OVERHEAD)))
}

fn spawn(launch: &Launch, gated: bool) -> io::Result<(Child, Spawned)> {
    let (status, status_inside) = pipe_with(PipeFlags::CLOEXEC)?;
    let (gate_inside, gate) = pipe_with(PipeFlags::CLOEXEC)?;
    let mut line = launch.line.options.clone();
    if gated {
        line.splice(0..0, [Arg::Text("--block-fd".to_owned()), Arg::Gate]);
    }
    let mut files = Vec::new();
    for arg in &line {
        if let Arg::Data(bytes) = arg {
            files.push(memory_file(bytes)?);
        }
    }
    let mut numbers = files.iter().map(AsRawFd::as_raw_fd);
    let words = memory_file(&encode(&line, |arg| match arg {
        Arg::Data(_) => numbers.next().unwrap_or(-1),
        Arg::Status => status_inside.as_raw_fd(),
        Arg::Gate | Arg::Text(_) => gate_inside.as_raw_fd(),
    }))?;

    let number = words.as_raw_fd();
    let mut inherited: Vec<OwnedFd> = files.into_iter().chain([words]).map(OwnedFd::from).collect();
    inherited.push(status_inside);
    if gated {
        inherited.push(gate_inside);
    }
    let mut child = start(launch, number, inherited)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let outer = match pid_handle(i32::try_from(child.id()).unwrap_or(0)) {
        Ok(outer) => outer,
        Err(error) => {
            child.kill()?;
            child.wait()?;
            return Err(error);
        }
    };
    let (_replaced, exit) = oneshot::channel();
    let gate = gated.then_some(gate);
    Ok((child, Spawned { outer, exit, stdin, stdout, stderr, status, gate }))
}

/// Starts bubblewrap with the given descriptors and nothing of the daemon's environment: that of its first process is
/// readable inside.
fn start(launch: &Launch, words: RawFd, inherited: Vec<OwnedFd>) -> io::Result<Child> {
    let alone = SPAWNING.lock().unwrap_or_else(PoisonError::into_inner);
    let opened = inherited.iter().try_for_each(|descriptor| fcntl_setfd(descriptor, FdFlags::empty()));
    let child = opened.map_err(io::Error::from).and_then(|()| {
        let mut command = Command::new(&launch.program);
        command.arg("--args").arg(words.to_string()).arg("--").args(&launch.line.program);
        command.env_clear().current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    });
    // What could be inherited goes before the lock does.
    drop(inherited);
    drop(alone);
    child
}

fn memory_file(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("ninja", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}
