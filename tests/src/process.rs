//! A program under test in a process of its own, and what the system says of it.

use std::{
    ffi::OsStr,
    fs,
    net::SocketAddr,
    path::Path,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// How long a program may take to listen, or to end. Not a figure: only a hang reaches it.
const HANG: Duration = Duration::from_secs(120);
/// The kernel counts processor time for programs in hundredths of a second, whatever its own clock does.
const TICK: Duration = Duration::from_millis(10);

/// A process that listens on a port of this machine. Killed when it is dropped.
pub struct Process {
    child: Child,
    /// Its number.
    pub pid: u32,
    /// Where it listens.
    pub address: SocketAddr,
    /// From its start to the line that says where it listens.
    pub listened_after: Duration,
}

impl Process {
    /// Starts a program with next to nothing in its environment, and waits until it listens.
    ///
    /// # Errors
    ///
    /// Fails where it does not start, or ends before it listens.
    pub async fn start(program: &Path, args: &[&OsStr], home: &Path) -> Result<Self> {
        Self::run(bare_command(program, args, home)).await
    }

    /// Starts a program as a command says, and waits until it listens.
    ///
    /// # Errors
    ///
    /// Fails where it does not start, or ends before it listens.
    pub async fn run(mut command: Command) -> Result<Self> {
        let started = Instant::now();
        let program = command.as_std().get_program().to_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to start {}", Path::new(&program).display()))?;
        let pid = child.id().context("it has ended already")?;
        let mut lines = BufReader::new(child.stdout.take().context("it has no output")?).lines();
        let listens = async {
            while let Some(line) = lines.next_line().await? {
                if let Some((_, address)) = line.split_once("listening on http://") {
                    return Ok(address.trim().parse()?);
                }
            }
            bail!("{} ended before it listened", Path::new(&program).display())
        };
        let address = timeout(HANG, listens).await.context("it never listened")??;
        let listened_after = started.elapsed();
        // What it says later is read, so that its output never fills up.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, pid, address, listened_after })
    }

    /// Returns the processor time that it has used, in the kernel and out of it.
    ///
    /// # Errors
    ///
    /// Fails where it has ended.
    pub fn cpu(&self) -> Result<Duration> {
        cpu_of(&self.pid.to_string())
    }

    /// Returns the memory that it holds, in bytes.
    ///
    /// # Errors
    ///
    /// Fails where it has ended.
    pub fn memory(&self) -> Result<u64> {
        memory_of(self.pid)
    }

    /// Ends it with SIGKILL.
    ///
    /// # Errors
    ///
    /// Fails where the system says no.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Asks it to end with SIGTERM, and returns how it did.
    ///
    /// # Errors
    ///
    /// Fails where it does not end.
    pub async fn terminate(mut self) -> Result<ExitStatus> {
        let sent = Command::new("kill").arg(self.pid.to_string()).status().await?;
        ensure!(sent.success(), "process {} cannot be signalled", self.pid);
        timeout(HANG, self.child.wait()).await.context("it did not end")?.map_err(Into::into)
    }

    /// Returns how it ended, if it has by itself.
    ///
    /// # Errors
    ///
    /// Fails where the system says no.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }
}

/// Returns how many bytes of memory a process holds.
///
/// # Errors
///
/// Fails where there is none.
pub fn memory_of(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("it has no memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// Returns the processor time that a process has used, in the kernel and out of it: of one by its number, or of this one, `self`.
///
/// # Errors
///
/// Fails where there is none.
pub fn cpu_of(process: &str) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name may hold anything but ends at the last parenthesis.
    let (_, fields) = stat.rsplit_once(')').context("its line in /proc does not read")?;
    let ticks: Vec<u32> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(TICK * ticks.iter().sum::<u32>())
}

/// Makes a command with nothing in its environment but a home, a plain path and how much is logged.
pub fn bare_command(program: &Path, args: &[&OsStr], home: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("NINJA_LOG", "warn");
    command
}

/// Returns what the test runner started or fetched, by the variable that tells where it is. Where it is not there a test
/// says so and has nothing to do.
///
/// # Panics
///
/// In CI, where everything must be there.
pub fn counterpart(variable: &str, what: &str) -> Option<String> {
    match std::env::var(variable) {
        Ok(value) => Some(value),
        Err(_) if std::env::var_os("CI").is_some() => panic!("{variable} is not set: {what} is needed"),
        Err(_) => {
            println!("skipped: needs {what}");
            None
        }
    }
}
