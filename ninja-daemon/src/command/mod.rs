//! The one command line: the daemon's own commands, with those of the terminal flattened in.

mod backup;
mod db;
mod doctor;
mod model;
mod restore;
mod serve;
mod signals;

use std::{io::IsTerminal, path::PathBuf};

use clap::{Parser, Subcommand};
use ninja_tui::cli::{self, Exit, Failure, Output, Terminal};
use tracing_subscriber::EnvFilter;

use crate::{connect::Finder, surroundings::Surroundings};

/// Runs teams of AI agents as durable, supervised, sandboxed tasks on this machine.
#[derive(Debug, Parser)]
#[command(name = "ninja", version, arg_required_else_help = true)]
pub struct CommandLine {
    /// Where everything is kept
    #[arg(long = "data", value_name = "DIR", env = "NINJA_DATA_DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// The configuration file
    #[arg(long = "config", value_name = "FILE", env = "NINJA_CONFIG", global = true)]
    config_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Terminal(cli::Command),
    /// Run the daemon
    Serve(serve::Serve),
    /// Say what works on this machine and what does not
    Doctor(doctor::Doctor),
    /// Install or list local models
    #[command(subcommand)]
    Model(model::Model),
    /// Write everything to one file, also while the daemon works
    Backup(backup::Backup),
    /// Make a new data directory of a backup
    Restore(restore::Restore),
    /// Look for damage in the data directory, and mend it
    #[command(subcommand)]
    Db(db::Db),
}

impl CommandLine {
    /// Runs the command to its end and says how it went, with every message already written.
    pub async fn execute(self) -> Exit {
        let is_json = match &self.command {
            Command::Terminal(command) => command.is_json(),
            Command::Doctor(doctor) => doctor.json,
            Command::Model(model) => model.is_json(),
            Command::Backup(backup) => backup.json,
            Command::Restore(restore) => restore.json,
            Command::Db(db) => db.is_json(),
            Command::Serve(_) => false,
        };
        let terminal = |colour| Terminal::detect(colour);
        let surroundings = match Surroundings::read(self.data_dir, self.config_file) {
            Ok(surroundings) => surroundings,
            Err(failure) => return refused(&Output::new(terminal(false), is_json), &failure),
        };
        let output = Output::new(terminal(surroundings.colour), is_json);
        log(&surroundings, matches!(self.command, Command::Serve(_)));
        let result = match self.command {
            Command::Serve(serve) => serve.execute(&surroundings, &output).await,
            Command::Doctor(doctor) => doctor.execute(surroundings, &output).await,
            Command::Model(model) => model.execute(&surroundings, &output).await,
            Command::Backup(backup) => backup.execute(&surroundings, &output).await,
            Command::Restore(restore) => restore.execute(&surroundings, &output).await,
            Command::Db(db) => db.execute(&surroundings, &output).await,
            Command::Terminal(command) => return terminal_command(command, surroundings, &output).await,
        };
        result.unwrap_or_else(|failure| refused(&output, &failure))
    }
}

async fn terminal_command(command: cli::Command, surroundings: Surroundings, output: &Output) -> Exit {
    let terminal = Terminal::detect(surroundings.colour);
    if let cli::Command::Run(run) = &command
        && let Err(failure) = model::offer(run, &surroundings, output).await
    {
        return refused(output, &failure);
    }
    command.execute(&Finder::new(surroundings), terminal).await
}

fn refused(output: &Output, failure: &Failure) -> Exit {
    output.failure(failure);
    failure.exit()
}

/// Logs to stderr: a daemon tells what it does, a command only what went wrong.
fn log(surroundings: &Surroundings, is_daemon: bool) {
    let usual = if is_daemon { "info" } else { "warn" };
    let wanted = surroundings.log.as_deref().unwrap_or(usual);
    // genai logs whole error bodies of providers, which can echo a request.
    let quiet = |filter: &str| format!("{filter},genai=off");
    let filter = EnvFilter::try_new(quiet(wanted)).unwrap_or_else(|_| EnvFilter::new(quiet(usual)));
    let colour = surroundings.colour && std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour).with_writer(std::io::stderr);
    // Somebody who embeds this has set up logging already, and theirs stays.
    log.try_init().ok();
}
