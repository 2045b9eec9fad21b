//! Running programs: each is printed before it runs, and none is given a shell line.

use std::{
    env,
    ffi::OsStr,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::places;

/// Makes a command that runs in the repository.
pub(crate) fn command(program: impl AsRef<OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(places::repository());
    command
}

/// Makes a cargo command.
pub(crate) fn cargo(args: &[&str]) -> Command {
    command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), args)
}

/// Runs a command and returns whether it succeeded.
pub(crate) fn succeeds(mut command: Command) -> Result<bool> {
    eprintln!("+ {}", line(&command));
    let status = command.status().with_context(|| format!("failed to start `{}`", line(&command)))?;
    Ok(status.success())
}

/// Runs a command that must succeed.
pub(crate) fn run(command: Command) -> Result<()> {
    let line = line(&command);
    match succeeds(command)? {
        true => Ok(()),
        false => bail!("`{line}` failed"),
    }
}

/// Runs a command that must succeed, silently, and returns what it prints.
pub(crate) fn output(mut command: Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("failed to start `{}`", line(&command)))?;
    if !output.status.success() {
        bail!("`{}` failed", line(&command));
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` did not print UTF-8", line(&command)))
}

/// Returns whether a command can be run and succeeds, without a sound.
pub(crate) fn works(mut command: Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn line(command: &Command) -> String {
    let program = command.get_program();
    let name = std::path::Path::new(program).file_name().unwrap_or(program);
    let words = std::iter::once(name).chain(command.get_args()).map(OsStr::to_string_lossy);
    words
        .map(|word| if word.contains(' ') { format!("{word:?}") } else { word.into_owned() })
        .collect::<Vec<_>>()
        .join(" ")
}
