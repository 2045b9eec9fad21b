//! `demo`: the main job on real data, with whatever model there is.

use std::{
    env,
    io::IsTerminal,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    counterparts, places,
    setup::{self, MAIN_JOB},
    shell,
};

const FILE: &str = "examples/penguins.csv";
const QUESTION: &str = "Which species has the highest average body mass?";

/// Any of these configures a model that is better than the small local one.
const PROVIDERS: &[&str] = &["OPENAI_API_KEY", "OPENAI_BASE_URL", "OLLAMA_HOST", "NINJA_CONFIG"];

/// Arguments of `demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Fetch the local model without asking
    #[arg(long)]
    yes: bool,
}

/// Runs the command; its exit code is that of `ninja run`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    setup::ensure(MAIN_JOB.iter())?;
    shell::run(shell::cargo(&["build", "--package", "ninja-daemon", "--bin", "ninja"]))?;
    let (ninja, data) = (places::ninja()?, places::target()?.join("demo"));
    if !has_provider() && !counterparts::has_model_in(&data.join("models"))? {
        install_model(&ninja, &data, args.yes)?;
    }
    let mut command = shell::command(&ninja, &["run", "--template", "data-analysis", "--file", FILE, QUESTION]);
    command.env("NINJA_DATA_DIR", &data);
    eprintln!("+ ninja run --template data-analysis --file {FILE} {QUESTION:?}");
    let status = command.status().context("failed to start ninja")?;
    if status.success() {
        tell_what_next(&ninja, &data);
    }
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// `ninja` and the demo's data lie below the target directory; what comes next must find both.
fn tell_what_next(ninja: &Path, data: &Path) {
    let folder = ninja.parent().unwrap_or(ninja);
    eprintln!("demo: to go on in this shell");
    eprintln!("  export PATH={}:$PATH NINJA_DATA_DIR={}", folder.display(), data.display());
    eprintln!("  ninja run --template data-analysis --file {FILE} \"How is flipper length related to body mass?\"");
    eprintln!("  ninja tasks");
}

fn has_provider() -> bool {
    let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let ollama = SocketAddr::from(([127, 0, 0, 1], 11434));
    PROVIDERS.iter().any(|name| is_set(name)) || TcpStream::connect_timeout(&ollama, Duration::from_millis(200)).is_ok()
}

/// The product's own command says what it fetches, from where and how large, and asks.
fn install_model(ninja: &Path, data: &Path, yes: bool) -> Result<()> {
    eprintln!("demo: no provider is configured, so the small local model answers");
    // It says what it fetches, from where and how large; where nobody can answer, running the demo is the answer.
    let agreed = yes || !std::io::stdin().is_terminal();
    let mut command = shell::command(ninja, &["model", "install"]);
    command.args(agreed.then_some("--yes")).env("NINJA_DATA_DIR", data);
    shell::run(command)
}
