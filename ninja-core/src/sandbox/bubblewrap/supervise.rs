//! One command from start to end: feeds it, collects what it says, and ends it when its time, its memory or the caller's patience is
//! over.

use std::{path::Path, time::Duration};

use rustix::fs::{CWD, Mode, OFlags, openat};
use tokio::{
    io::AsyncWriteExt,
    process::{ChildStderr, ChildStdin, ChildStdout},
    task::JoinHandle,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{OutputText, ProcessEnd, ProcessOutput, SandboxError, output},
    failed,
    running::{Ended, Running},
    slot::{Launch, Slot},
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
    let spawned = slot.spawn(launch).await.map_err(|error| failed("start bubblewrap", &error))?;
    let (input, stdout, stderr) = (spawned.stdin, spawned.stdout, spawned.stderr);
    let running = Running::adopt(spawned.outer, spawned.exit, spawned.status);
    let mut running = running.map_err(|error| failed("watch bubblewrap", &error))?;

    let cap = usize::try_from(limits.output_kib).unwrap_or(usize::MAX).saturating_mul(1_024);
    let feed = tokio::spawn(feed(input, stdin));
    let stdout = tokio::spawn(async move {
        match stdout.map(ChildStdout::from_std) {
            Some(Ok(stream)) => output::collect(stream, cap).await,
            Some(Err(_)) | None => OutputText::default(),
        }
    });
    let stderr = tokio::spawn(async move {
        match stderr.map(ChildStderr::from_std) {
            Some(Ok(stream)) => output::collect(stream, cap).await,
            Some(Err(_)) | None => OutputText::default(),
        }
    });

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
    feed.abort();
    let (stdout, stderr) = (text(stdout).await, text(stderr).await);
    let cut_short = cut_short.map_err(|error| failed("watch a sandbox", &error))?;
    let killed = ended.killed;
    let end = match cut_short {
        Some(end) => end,
        None => {
            let out_of_memory = slot.group().map_or(0, |group| group.oom_kills()) > oom_before;
            own_end(&ended, out_of_memory, &stderr)?
        }
    };
    Ok(ProcessOutput { end, stdout, stderr, killed })
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

async fn feed(input: Option<std::process::ChildStdin>, bytes: Vec<u8>) {
    if let Some(Ok(mut input)) = input.map(ChildStdin::from_std) {
        // A program need not read what it is given.
        let _unread = input.write_all(&bytes).await;
    }
}

async fn text(task: JoinHandle<OutputText>) -> OutputText {
    task.await.unwrap_or_default()
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
