//! One command from start to end: feeds it, collects what it says, and ends it when its time, its memory or the
//! caller's patience is over.

use std::{io, path::Path, time::Duration};

use rustix::fs::{CWD, Mode, OFlags, openat};
use tokio::{
    io::{AsyncRead, AsyncWriteExt},
    process::{ChildStderr, ChildStdin, ChildStdout},
    task::JoinHandle,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{OutputText, ProcessEnd, ProcessOutput, SandboxError, output},
    failed,
    running::{Ended, Running},
    slot::{Launch, Slot, Spawned},
};
use crate::workspace;

/// Signals are at most 64, and shells and bubblewrap tell them as 128 and more.
const SIGNAL_BASE: i32 = 128;
const SIGNAL_MAX: i32 = 64;

/// How a program ends that goes beyond a limit on file sizes, and one that fills its workspace.
const SIGXFSZ: i32 = 25;

/// How often the workspace is measured while a command runs. A disk takes some hundred MiB in this time.
const DISK_WATCH: Duration = Duration::from_millis(500);

/// Runs a command in a slot. When this returns, nothing of it is alive.
pub(super) async fn supervise(
    slot: &Slot,
    launch: Launch,
    stdin: Vec<u8>,
    workspace: &Path,
    cancel: CancellationToken,
) -> Result<ProcessOutput, SandboxError> {
    let limits = launch.limits;
    let oom_before = slot.group().map_or(0, |group| group.oom_kills());
    let mut spawned = slot.spawn(launch).await.map_err(|error| failed("start bubblewrap", &error))?;
    let streams = Streams::open(&mut spawned, stdin, limits.output_kib);
    let running = Running::adopt(spawned.outer, spawned.exit, spawned.status);
    let mut running = running.map_err(|error| failed("watch bubblewrap", &error))?;

    let begun = running.begin(spawned.gate, slot.group().map(AsRef::as_ref)).await;
    let cut_short = match begun {
        Ok(true) => tokio::select! {
            biased;
            ended = running.ended() => ended.map(|()| None),
            () = cancel.cancelled() => Ok(Some(ProcessEnd::Cancelled)),
            () = sleep(Duration::from_secs(limits.wall_seconds)) => Ok(Some(ProcessEnd::TimedOut)),
            () = disk_full(workspace) => Ok(Some(ProcessEnd::Signaled(SIGXFSZ))),
        },
        Ok(false) => Ok(None),
        Err(error) => Err(error),
    };
    let ended = running.finish(slot.group().cloned()).await.map_err(|error| failed("end a sandbox", &error))?;
    let (stdout, stderr) = streams.close().await;
    let cut_short = cut_short.map_err(|error| failed("watch a sandbox", &error))?;
    let out_of_memory = slot.group().map_or(0, |group| group.oom_kills()) > oom_before;
    let end = cut_short.map_or_else(|| own_end(&ended, out_of_memory, &stderr), Ok)?;
    Ok(ProcessOutput { end, stdout, stderr, killed: ended.killed })
}

/// The tasks that feed a process and read what it says, so that no pipe ever fills up.
struct Streams {
    feed: JoinHandle<()>,
    stdout: JoinHandle<OutputText>,
    stderr: JoinHandle<OutputText>,
}

impl Streams {
    fn open(spawned: &mut Spawned, stdin: Vec<u8>, output_kib: u32) -> Self {
        let cap = usize::try_from(output_kib).unwrap_or(usize::MAX).saturating_mul(1_024);
        let feed = tokio::spawn(feed(spawned.stdin.take(), stdin));
        let stdout = spawned.stdout.take().map(ChildStdout::from_std);
        let stderr = spawned.stderr.take().map(ChildStderr::from_std);
        Self { feed, stdout: tokio::spawn(collect(stdout, cap)), stderr: tokio::spawn(collect(stderr, cap)) }
    }

    /// Returns what was said. Every process that could say more is dead.
    async fn close(self) -> (OutputText, OutputText) {
        self.feed.abort();
        (self.stdout.await.unwrap_or_default(), self.stderr.await.unwrap_or_default())
    }
}

async fn feed(input: Option<std::process::ChildStdin>, bytes: Vec<u8>) {
    if let Some(Ok(mut input)) = input.map(ChildStdin::from_std) {
        // A program need not read what it is given.
        let _unread = input.write_all(&bytes).await;
    }
}

async fn collect(stream: Option<io::Result<impl AsyncRead + Unpin>>, cap: usize) -> OutputText {
    match stream {
        Some(Ok(stream)) => output::collect(stream, cap).await,
        Some(Err(_)) | None => OutputText::default(),
    }
}

/// Returns how the program ended by itself.
fn own_end(ended: &Ended, out_of_memory: bool, stderr: &OutputText) -> Result<ProcessEnd, SandboxError> {
    match ended.code {
        Some(0) => Ok(ProcessEnd::Exited(0)),
        _ if out_of_memory => Ok(ProcessEnd::OutOfMemory),
        Some(code) if (1..=SIGNAL_MAX).contains(&(code - SIGNAL_BASE)) => Ok(ProcessEnd::Signaled(code - SIGNAL_BASE)),
        Some(code) => Ok(ProcessEnd::Exited(code)),
        None => Err(SandboxError::Failed(match stderr.text.trim() {
            "" => format!("bubblewrap ended before the program did ({:?})", ended.outer),
            text => text.to_owned(),
        })),
    }
}

/// Waits until the workspace holds more than it may. Measuring takes at most a tenth of the time.
async fn disk_full(workspace: &Path) {
    let mut pause = DISK_WATCH;
    loop {
        sleep(pause).await;
        let path = workspace.to_owned();
        let started = std::time::Instant::now();
        let full = tokio::task::spawn_blocking(move || {
            let handle = openat(CWD, path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
            handle.is_ok_and(|handle| workspace::is_overfull(&handle))
        });
        if full.await.unwrap_or(false) {
            return;
        }
        pause = DISK_WATCH.max(started.elapsed() * 10);
    }
}
