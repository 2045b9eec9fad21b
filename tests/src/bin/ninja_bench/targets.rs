//! The programs under test: where they are, what they are given, and tasks for them.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hyper::Method;
use ninja_tests::Process;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    client::{Connection, Target},
    stub,
};

/// Where the programs are, and a folder for what they keep.
pub(crate) struct Targets {
    ninja: PathBuf,
    own: PathBuf,
    scratch: TempDir,
}

impl Targets {
    /// Finds the programs: `ninja` lies beside this one where nobody says otherwise.
    pub(crate) fn new(ninja: Option<PathBuf>, scratch: Option<PathBuf>) -> Result<Self> {
        let own = std::env::current_exe()?;
        let ninja = ninja.unwrap_or_else(|| own.with_file_name("ninja"));
        ensure!(ninja.exists(), "there is no {}; `cargo xtask bench` builds it", ninja.display());
        let scratch = match scratch {
            Some(folder) => TempDir::with_prefix_in("ninja-bench-", folder)?,
            None => TempDir::with_prefix("ninja-bench-")?,
        };
        Ok(Self { ninja: std::path::absolute(ninja)?, own, scratch })
    }

    /// Returns the folder that everything is kept in.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Starts the model that answers at once.
    pub(crate) async fn stub(&self) -> Result<Process> {
        Process::start(&self.own, &["stub".as_ref()], self.scratch()).await
    }

    /// Starts a bare axum handler with one answer.
    pub(crate) async fn bare(&self, answer: &str) -> Result<Process> {
        Process::start(&self.own, &["bare".as_ref(), "--answer".as_ref(), answer.as_ref()], self.scratch()).await
    }

    /// Starts Ninja's daemon on a data directory, with the stub as its model.
    pub(crate) async fn ninja(&self, data: &str, stub: &Process) -> Result<Process> {
        let config = self.scratch().join("ninja.toml");
        let address = stub.address;
        let text = format!(
            "default_provider = \"stub\"\n[limits]\ntasks_at_work = 512\nsubmissions = 512\n[providers.stub]\nkind = \"openai\"\n\
             base_url = \"http://{address}/v1\"\nmodel = \"stub\"\ncontext_window = 32768\nmax_concurrency = 512\n\
             [http.requests_per_minute]\nanonymous = 1000000\nsign_in = 1000000\nrefused = 1000000\n"
        );
        fs::write(&config, text)?;
        let data = self.data(data);
        let args: [&OsStr; 7] = [
            "--data".as_ref(),
            data.as_os_str(),
            "--config".as_ref(),
            config.as_os_str(),
            "serve".as_ref(),
            "--listen".as_ref(),
            "127.0.0.1:0".as_ref(),
        ];
        Process::start(&self.ninja, &args, self.scratch()).await
    }

    /// Returns where a daemon on this data directory is reached, and as whom.
    pub(crate) fn target(&self, data: &str, daemon: &Process) -> Result<Target> {
        let key = fs::read_to_string(self.data(data).join("owner.key")).context("failed to read the owner's key")?;
        Ok(Target { address: daemon.address, key: Some(key.trim().into()) })
    }

    /// Starts the least program. It sends the stub what Ninja sent it last.
    pub(crate) async fn floor(&self, stub: &Process) -> Result<Process> {
        let mut connection = Connection::open(&Target { address: stub.address, key: None }).await?;
        let (_, prompt) = connection.ask(Method::GET, stub::LAST, Bytes::new()).await?;
        ensure!(!prompt.is_empty(), "the stub was not called yet");
        let (file, log) = (self.scratch().join("prompt.json"), self.scratch().join("floor.log"));
        fs::write(&file, prompt)?;
        let stub = stub.address.to_string();
        let args: [&OsStr; 7] = [
            "floor".as_ref(),
            "--stub".as_ref(),
            stub.as_ref(),
            "--log".as_ref(),
            log.as_os_str(),
            "--prompt".as_ref(),
            file.as_os_str(),
        ];
        Process::start(&self.own, &args, self.scratch()).await
    }

    fn data(&self, name: &str) -> PathBuf {
        self.scratch().join(name)
    }
}

/// A task whose agent steps follow one another.
pub(crate) fn sequence(steps: usize) -> Bytes {
    let name = |number: usize| format!("step_{number}");
    let after = |number: usize| if number == 1 { Vec::new() } else { vec![name(number - 1)] };
    plan((1..=steps).map(|number| agent(&name(number), &after(number))).collect())
}

/// A task of one agent step, `width` side by side after it, and one after all of them.
pub(crate) fn fan(width: usize) -> Bytes {
    let names: Vec<String> = (1..=width).map(|number| format!("side_{number}")).collect();
    let mut steps = vec![agent("root", &[])];
    steps.extend(names.iter().map(|name| agent(name, &["root".to_owned()])));
    steps.push(agent("join", &names));
    plan(steps)
}

/// A task of one agent step, for which a model other than the usual one answers.
pub(crate) fn with_model(model: &str) -> Bytes {
    let steps = vec![agent("step_1", &[])];
    json!({ "goal": "Measure what a step costs.", "plan": { "steps": steps }, "model": model }).to_string().into()
}

/// A task that waits for a person and calls no model.
pub(crate) fn approval() -> Bytes {
    plan(vec![json!({ "id": "ask", "kind": "approval", "prompt": "May this go on?" })])
}

fn agent(id: &str, after: &[String]) -> Value {
    json!({ "id": id, "kind": "agent", "prompt": "Say something about the task.", "after": after })
}

fn plan(steps: Vec<Value>) -> Bytes {
    json!({ "goal": "Measure what a step costs.", "plan": { "steps": steps } }).to_string().into()
}
