//! The daemon under test: started again and again on one data directory and one port, ended by signals.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use ninja_sdk::Client;
use ninja_tests::{Process, Random, bare_command};
use tokio::sync::watch;

use crate::{
    model::Model,
    processes::{self, ProcessId},
};

/// Ports that the system does not give to those who connect: nobody else takes them while the daemon is away, and a client
/// that connects to nobody does not meet itself.
const PORTS: std::ops::Range<u64> = 12_000..30_000;
/// What a killed daemon leaves running is gone by then.
const LEFTOVERS_MAX: Duration = Duration::from_secs(10);

/// How the daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With SIGKILL, whatever it does.
    Kill,
    /// With SIGTERM, which lets it drain.
    Terminate,
}

/// The daemon.
pub(crate) struct Daemon {
    program: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
    process: Option<Process>,
    serving: watch::Sender<Option<u32>>,
    /// Every process that it was.
    pub(crate) pids: Vec<u32>,
    /// How long each start took until it served.
    pub(crate) starts: Vec<Duration>,
    /// How long the longest termination took.
    pub(crate) longest_drain: Duration,
}

impl Daemon {
    /// Prepares one in a folder; nothing runs yet.
    pub(crate) fn new(program: &Path, folder: &Path, model: &Model, random: &mut Random) -> Result<Self> {
        ensure!(program.exists(), "there is no {}", program.display());
        for name in ["home", "tmp"] {
            fs::create_dir_all(folder.join(name))?;
        }
        let served = model.address;
        let config = format!(
            "default_provider = \"stub\"\n[limits]\ntasks_at_work = 6\nsandboxes = 3\n[egress]\nallow = [\"{served}\"]\n\
             [providers.stub]\nkind = \"openai\"\nbase_url = \"http://{served}/v1\"\nmodel = \"stub\"\ncontext_window = 32768\n"
        );
        fs::write(folder.join("ninja.toml"), config)?;
        let program = std::path::absolute(program)?;
        let (serving, _) = watch::channel(None);
        let address = free_address(random)?;
        let folder = folder.to_owned();
        Ok(Self {
            program,
            folder,
            address,
            process: None,
            serving,
            pids: Vec::new(),
            starts: Vec::new(),
            longest_drain: Duration::ZERO,
        })
    }

    /// Returns where its data is.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Returns where temporary files of its own would be.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    /// Returns where what it logs is written.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("daemon.log")
    }

    /// Returns its process, where it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.pid)
    }

    /// Returns a word on when it serves, and as which process.
    pub(crate) fn serving(&self) -> watch::Receiver<Option<u32>> {
        self.serving.subscribe()
    }

    /// Starts it and waits until it serves.
    pub(crate) async fn start(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let listen = self.address.to_string();
        let mut command = self.command(&["serve".as_ref(), "--listen".as_ref(), listen.as_ref()]);
        command.env("TMPDIR", self.temporary()).stderr(log);
        let process = Process::run(command).await.context("the daemon does not start")?;
        self.pids.push(process.pid);
        self.starts.push(process.listened_after);
        self.serving.send_replace(Some(process.pid));
        self.process = Some(process);
        Ok(())
    }

    /// Ends it. Returns what had to be seen: how a termination went, and what was alive below it.
    pub(crate) async fn end(&mut self, how: End) -> Result<BTreeSet<ProcessId>> {
        let process = self.process.take().context("it does not run")?;
        let below = processes::below(process.pid);
        self.serving.send_replace(None);
        match how {
            End::Kill => process.kill().await?,
            End::Terminate => {
                let asked = Instant::now();
                let status = process.terminate().await?;
                self.longest_drain = self.longest_drain.max(asked.elapsed());
                ensure!(status.success(), "it was terminated and ended with {status}");
            }
        }
        Ok(below)
    }

    /// Waits until nothing of an ended daemon is alive; what still is, is returned.
    pub(crate) async fn leftovers(&self, below: &BTreeSet<ProcessId>) -> BTreeSet<ProcessId> {
        let until = Instant::now() + LEFTOVERS_MAX;
        loop {
            let own = self.pid().map(processes::below).unwrap_or_default();
            let mut left: BTreeSet<ProcessId> = below.iter().filter(|id| processes::is_alive(id)).copied().collect();
            left.extend(processes::in_sandboxes_of(&self.data()).difference(&own));
            if left.is_empty() || Instant::now() >= until {
                return left;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns how it ended, if it did so by itself.
    pub(crate) fn ended_by_itself(&mut self) -> Result<Option<String>> {
        let Some(process) = &mut self.process else { return Ok(None) };
        Ok(process.ended()?.map(|status| status.to_string()))
    }

    /// Makes a client, which stays good over restarts, and returns the key that it shows.
    pub(crate) fn client(&self) -> Result<(Client, String)> {
        let key = fs::read_to_string(self.data().join("owner.key")).context("failed to read the owner's key")?;
        let client = Client::builder().url(format!("http://{}", self.address)).key(key.trim()).build()?;
        Ok((client, key.trim().to_owned()))
    }

    /// Runs a command of `ninja` on the data directory at rest, and returns whether it succeeded and what it said.
    pub(crate) async fn offline(&self, args: &[&str]) -> Result<(bool, String)> {
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        let output = self.command(&args).stdin(Stdio::null()).output().await?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    }

    fn command(&self, args: &[&OsStr]) -> tokio::process::Command {
        let (data, config) = (self.data(), self.folder.join("ninja.toml"));
        let options: [&OsStr; 4] = ["--data".as_ref(), data.as_ref(), "--config".as_ref(), config.as_ref()];
        let all: Vec<&OsStr> = options.into_iter().chain(args.iter().copied()).collect();
        bare_command(&self.program, &all, &self.folder.join("home"))
    }
}

fn free_address(random: &mut Random) -> Result<SocketAddr> {
    for _ in 0..100 {
        let port = u16::try_from(PORTS.start + random.below(PORTS.end - PORTS.start))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port is free")
}
