//! The [`Sandbox`] trait and what goes in and out of it.

use std::path::PathBuf;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

/// What one process tree in the sandbox may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxLimits {
    /// Wall time in seconds; then everything in the sandbox is killed.
    pub wall_seconds: u64,
    /// Memory in MiB, over all its processes.
    pub memory_mib: u64,
    /// Processes and threads at a time.
    pub pids: u32,
    /// Bytes kept of each output stream, in KiB: half from its head, half from its tail.
    pub output_kib: u32,
    /// The largest file it may write, in MiB.
    pub file_mib: u64,
}

impl Default for SandboxLimits {
    fn default() -> Self {
        Self { wall_seconds: 600, memory_mib: 1_024, pids: 128, output_kib: 64, file_mib: 256 }
    }
}

/// A read-only file or folder placed into the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is on the host.
    pub host: PathBuf,
    /// Its absolute path inside, such as `/workspace/inputs/data.csv`.
    pub inside: PathBuf,
}

/// One process to run.
#[derive(Debug, Clone)]
pub struct ProcessSpec {
    /// Program and arguments, looked up inside the sandbox.
    pub argv: Vec<String>,
    /// Environment; nothing else is inherited.
    pub env: Vec<(String, String)>,
    /// Fed to standard input, then closed.
    pub stdin: Vec<u8>,
    /// The host folder that is `/workspace`, readable and writable.
    pub workspace: PathBuf,
    /// Read-only additions.
    pub mounts: Vec<Mount>,
    /// Limits.
    pub limits: SandboxLimits,
}

/// An output stream, capped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputText {
    /// Its text, invalid UTF-8 replaced; where it was cut a line says how many bytes are missing.
    pub text: String,
    /// Whether it was cut.
    pub truncated: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessEnd {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
    /// It used more memory than allowed.
    OutOfMemory,
    /// It ran longer than allowed.
    TimedOut,
    /// The call was cancelled.
    Cancelled,
}

/// What came of a process. When this is returned, nothing of its process tree is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessOutput {
    /// How it ended.
    pub end: ProcessEnd,
    /// What it wrote to standard output.
    pub stdout: OutputText,
    /// What it wrote to standard error.
    pub stderr: OutputText,
    /// Processes that had to be killed at its end.
    pub killed: u32,
}

/// Why a process could not be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SandboxError {
    /// There is no isolation on this machine; the text says how to get it.
    #[error("no sandbox: {0}")]
    Unavailable(String),
    /// What ran it ended under it; nothing of it is alive. The call may be made again where its effect class allows.
    #[error("the sandbox ended under the process")]
    Interrupted {
        /// Whether this very process was being taken on when the sandbox ended, rather than running beside.
        blamed: bool,
    },
    /// The sandbox itself failed.
    #[error("failed to run in the sandbox: {0}")]
    Failed(String),
}

/// Runs processes in isolation: no network, no host files but the workspace and the system's read-only programs.
pub trait Sandbox: Send + Sync + 'static {
    /// Returns its name, such as `bubblewrap`.
    fn name(&self) -> &'static str;

    /// Tries it out with a real process, and says what works and what is weaker than it should be.
    fn check(&self) -> BoxFuture<'_, Result<String, SandboxError>>;

    /// Runs one process to its end. When `cancel` fires, or the future is dropped, the whole process tree is killed;
    /// on `cancel` the future returns only when nothing is left alive.
    fn run<'a>(
        &'a self,
        spec: ProcessSpec,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<ProcessOutput, SandboxError>>;
}
