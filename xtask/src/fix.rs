//! `fix`: formats, lets clippy mend what it can, and accepts the snapshots that the tests make now.

use std::process::ExitCode;

use anyhow::Result;

use crate::shell;

/// Runs the command.
pub(crate) fn run() -> Result<ExitCode> {
    let clippy = ["clippy", "--fix", "--allow-dirty", "--allow-staged", "--workspace", "--all-targets"];
    shell::run(shell::cargo(&clippy))?;
    shell::run(shell::cargo(&["fmt"]))?;
    let mut test = shell::cargo(&["xtask", "test"]);
    test.env("INSTA_UPDATE", "always");
    let passed = shell::succeeds(test)?;
    eprintln!("fix: read the changed snapshots before you commit them: git diff -- '*.snap'");
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
