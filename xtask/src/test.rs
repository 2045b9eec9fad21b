//! `test`: all tests, against the real counterparts.

use std::{
    env,
    process::{Command, ExitCode},
};

use anyhow::{Result, bail};

use crate::{
    counterparts::{self, Counterpart, Server},
    places,
    setup::{self, PYTHON},
    shell,
};

/// Where the templates are; the folder `tests` of each holds the tests of its scripts.
const TEMPLATES: &str = "config/templates";

/// Arguments of `test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Install nothing: tests whose counterpart is missing are skipped
    #[arg(long)]
    no_setup: bool,
    /// Given to the test runner: names of tests and its own options
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    selection: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if !args.no_setup {
        setup::for_tests()?;
    }
    // Builds the binary that tests run, and the tests themselves, in one pass with one set of features.
    shell::run(shell::cargo(&["build", "--workspace", "--all-targets"]))?;
    if !args.no_setup && !counterparts::has_model()? {
        counterparts::install_model(&places::ninja()?)?;
    }
    let servers = start_servers()?;
    let passed = run_suites(&args.selection, &servers)?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts the servers that tests run against, without those that the caller has named.
fn start_servers() -> Result<Vec<(Counterpart, Server)>> {
    let mut servers = Vec::new();
    for counterpart in Counterpart::ALL {
        if env::var_os(counterpart.variable()).is_some() {
            continue;
        }
        match counterpart.start() {
            Ok(server) => servers.push((counterpart, server)),
            Err(error) if env::var_os("CI").is_some() => return Err(error),
            Err(error) => eprintln!("test: tests that need {} are skipped: {error:#}", counterpart.name()),
        }
    }
    Ok(servers)
}

/// Runs every suite, even after one has failed. The largest comes last, so that its summary closes the output.
fn run_suites(selection: &[String], servers: &[(Counterpart, Server)]) -> Result<bool> {
    let mut failed = Vec::new();
    if selection.is_empty() {
        for folder in template_tests()? {
            let scripts = shell::command(PYTHON, &["-m", "unittest", "discover", "--start-directory", &folder]);
            if !shell::succeeds(scripts)? {
                failed.push(folder);
            }
        }
        let examples = shell::cargo(&["test", "--workspace", "--doc", "--quiet"]);
        if !shell::succeeds(with_counterparts(examples, servers)?)? {
            failed.push("doc tests".to_owned());
        }
    }
    if !failed.is_empty() {
        eprintln!("test: failed so far: {}", failed.join(", "));
    }
    if !shell::succeeds(with_counterparts(rust_tests(selection), servers)?)? {
        failed.push("Rust tests".to_owned());
    }
    match failed.as_slice() {
        [] => Ok(true),
        _ => bail!("failed: {}", failed.join(", ")),
    }
}

/// The folders with tests of templates' scripts, by name.
fn template_tests() -> Result<Vec<String>> {
    let mut folders = Vec::new();
    for entry in places::repository().join(TEMPLATES).read_dir()? {
        let tests = entry?.path().join("tests");
        if tests.is_dir() {
            folders.push(tests.display().to_string());
        }
    }
    folders.sort();
    Ok(folders)
}

fn rust_tests(selection: &[String]) -> Command {
    let mut command = match setup::has_nextest() {
        true => shell::cargo(&["nextest", "run", "--workspace"]),
        false => shell::cargo(&["test", "--workspace", "--all-targets", "--no-fail-fast"]),
    };
    if env::var_os("CI").is_some() && setup::has_nextest() {
        command.args(["--profile", "ci"]);
    }
    command.args(selection);
    command
}

fn with_counterparts(mut command: Command, servers: &[(Counterpart, Server)]) -> Result<Command> {
    command.env("NINJA_TEST_MODELS_DIR", counterparts::models()?);
    if let Some(python) = counterparts::python()? {
        command.env("NINJA_TEST_PYTHON", python);
    }
    for (counterpart, server) in servers {
        command.env(counterpart.variable(), &server.base_url);
    }
    Ok(command)
}
