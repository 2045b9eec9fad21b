//! The independent software that tests run against, and the local model: installing, starting, stopping.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{places, setup::PYTHON, shell};

/// Python packages, pinned.
const REQUIREMENTS: &str = "xtask/counterparts/requirements.txt";

/// Returns the folder of the models that tests use.
///
/// Tests get it in `NINJA_TEST_MODELS_DIR`. It is `models` in a data directory of its own, so that `ninja model install` fills
/// it the way it fills a user's.
pub(crate) fn models() -> Result<PathBuf> {
    Ok(data()?.join("models"))
}

fn data() -> Result<PathBuf> {
    Ok(places::cache()?.join("test-data"))
}

fn environment() -> Result<PathBuf> {
    Ok(places::cache()?.join("counterparts"))
}

/// Installs the Python packages into an environment of their own, unless just these are there.
pub(crate) fn install() -> Result<()> {
    let wanted = fs::read_to_string(places::repository().join(REQUIREMENTS))?;
    let environment = environment()?;
    let stamp = environment.join("installed-requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    eprintln!("setup: installing the Python packages of {REQUIREMENTS} into {}", environment.display());
    let mut create = shell::command(PYTHON, &["-m", "venv", "--clear"]);
    create.arg(&environment);
    shell::run(create)?;
    let python = environment.join("bin/python");
    shell::run(shell::command(
        &python,
        &["-m", "pip", "install", "--quiet", "--no-deps", "--requirement", REQUIREMENTS],
    ))?;
    fs::write(&stamp, wanted).with_context(|| format!("failed to write {}", stamp.display()))
}

/// Returns whether a model is installed for tests: its sidecar is written last.
pub(crate) fn has_model() -> Result<bool> {
    has_model_in(&models()?)
}

/// Returns whether a model is installed in a folder.
pub(crate) fn has_model_in(models: &Path) -> Result<bool> {
    let Ok(files) = fs::read_dir(models) else { return Ok(false) };
    Ok(files.flatten().any(|file| file.path().extension().is_some_and(|extension| extension == "json")))
}

/// Installs the local model for tests with the product's own command, which says what it fetches.
pub(crate) fn install_model(ninja: &Path) -> Result<()> {
    let mut command = shell::command(ninja, &["model", "install", "--yes"]);
    command.env("NINJA_DATA_DIR", data()?);
    shell::run(command)?;
    match has_model()? {
        true => Ok(()),
        false => bail!("`ninja model install` succeeded but left no model in {}", models()?.display()),
    }
}

/// llama.cpp's server, running until dropped.
pub(crate) struct LlamaServer {
    process: Child,
    /// The base URL of its OpenAI API.
    pub(crate) base_url: String,
}

impl LlamaServer {
    /// Starts it on a free loopback port and returns once it answers.
    pub(crate) fn start() -> Result<Self> {
        let log = places::target()?.join("llama-server.log");
        let mut command = shell::command(environment()?.join("bin/python"), &["xtask/counterparts/llama_server.py"]);
        // Its input is a pipe that closes with this process, however that ends, and then it stops by itself.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(fs::File::create(&log)?);
        let mut process = command.spawn().context("failed to start llama.cpp's server")?;
        let mut said = String::new();
        let output = process.stdout.take().context("the server has no output")?;
        let heard = BufReader::new(output).read_line(&mut said);
        let mut server = Self { process, base_url: String::new() };
        heard.context("failed to read from llama.cpp's server")?;
        let first: Value = serde_json::from_str(&said)
            .with_context(|| format!("llama.cpp's server did not start; {} tells why", log.display()))?;
        server.base_url = first.get("base_url").and_then(Value::as_str).context("the server named no URL")?.to_owned();
        Ok(server)
    }
}

impl Drop for LlamaServer {
    fn drop(&mut self) {
        // Both fail only where the process has ended already, which is what is wanted.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
