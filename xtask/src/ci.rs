//! `ci`: the very script that CI runs, so that there is one list of what must pass.

use std::process::ExitCode;

use anyhow::Result;

use crate::shell;

/// Runs the command.
pub(crate) fn run() -> Result<ExitCode> {
    let mut script = shell::command("bash", &[".ci/run"]);
    script.env("CI", "true");
    Ok(if shell::succeeds(script)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
