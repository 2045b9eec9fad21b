//! `bench`: builds the daemon and the bench as they ship, then measures. What is measured, and the figures of
//! the day, stand in docs/guide/performance.md.

use std::process::ExitCode;

use anyhow::Result;

use crate::{places, shell};

/// Arguments of `bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Given to the bench: the parts to measure (w, fan, syncs, start, streams, waiting), --quick, --json FILE
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    given: Vec<String>,
}

/// Runs the command. The bench is a program of its own, so that `xtask` itself stays quick to build.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    shell::run(shell::cargo(&[
        "build",
        "--release",
        "--package",
        "ninja-daemon",
        "--package",
        "ninja-tests",
        "--bin",
        "ninja",
        "--bin",
        "ninja-bench",
    ]))?;
    let program = places::target()?.join("release").join("ninja-bench");
    let given: Vec<&str> = args.given.iter().map(String::as_str).collect();
    let measured = shell::succeeds(shell::command(program, &given))?;
    Ok(if measured { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
