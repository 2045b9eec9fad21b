//! `soak`: builds the daemon and the soak with the tests' profile, then lets them run. What is done and what is held to be
//! true stands in `tests/src/bin/ninja_soak/main.rs`.

use std::process::ExitCode;

use anyhow::Result;

use crate::{places, shell};

/// Arguments of `soak`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Given to the soak: --minutes N (120), --seed N, --workers N, --kill-every SECONDS, --folder DIR, --report FILE
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    given: Vec<String>,
}

/// Runs the command. The soak is a program of its own, so that `xtask` itself stays quick to build.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    shell::run(shell::cargo(&["build", "--workspace", "--all-targets"]))?;
    let program = places::target()?.join("debug").join("ninja-soak");
    let given: Vec<&str> = args.given.iter().map(String::as_str).collect();
    let held = shell::succeeds(shell::command(program, &given))?;
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
