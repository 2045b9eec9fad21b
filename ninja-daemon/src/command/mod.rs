//! The one command line: the daemon's own commands, with those of the terminal flattened in.

mod audit;
mod backup;
mod db;
mod doctor;
mod keys;
mod log;
mod model;
mod restore;
mod serve;
mod signals;

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};
use ninja_tui::cli::{self, Exit, Failure, Output, Terminal};

use crate::{connect::Finder, surroundings::Surroundings};
use log::{LogTo, log};

/// Runs teams of AI agents as durable, supervised, sandboxed tasks on this machine.
#[derive(Debug, Parser)]
#[command(name = "ninja", version)]
pub struct CommandLine {
    /// Where everything is kept
    #[arg(long = "data", value_name = "DIR", env = "NINJA_DATA_DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// The configuration file
    #[arg(long = "config", value_name = "FILE", env = "NINJA_CONFIG", global = true)]
    config_file: Option<PathBuf>,
    /// The console where none is given and a person sits at the terminal.
    #[command(subcommand)]
    command: Option<Command>,
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
    /// Change the keys under which stored secrets are sealed
    #[command(subcommand)]
    Keys(keys::Keys),
    /// See who did what, and check that it is what was written
    #[command(subcommand)]
    Audit(audit::Audit),
}

impl CommandLine {
    /// Runs the command to its end and says how it went, with every message already written.
    pub async fn execute(self) -> Exit {
        let Some(command) = self.command.or_else(console_for_a_person) else {
            eprint!("{}", Self::command().render_help());
            return Exit::Usage;
        };
        let is_json = match &command {
            Command::Terminal(command) => command.is_json(),
            Command::Doctor(doctor) => doctor.json,
            Command::Model(model) => model.is_json(),
            Command::Backup(backup) => backup.json,
            Command::Restore(restore) => restore.json,
            Command::Db(db) => db.is_json(),
            Command::Keys(keys) => keys.is_json(),
            Command::Audit(audit) => audit.is_json(),
            Command::Serve(_) => false,
        };
        let terminal = |colour| Terminal::detect(colour);
        let surroundings = match Surroundings::read(self.data_dir, self.config_file) {
            Ok(surroundings) => surroundings,
            Err(failure) => return refused(&Output::new(terminal(false), is_json), &failure),
        };
        let output = Output::new(terminal(surroundings.colour), is_json);
        match &command {
            Command::Terminal(cli::Command::Console(_)) => log(&surroundings, "warn", LogTo::File),
            Command::Serve(_) => log(&surroundings, "info", LogTo::Stderr),
            _ => log(&surroundings, "warn", LogTo::Stderr),
        }
        let result = match command {
            Command::Serve(serve) => serve.execute(&surroundings, &output).await,
            Command::Doctor(doctor) => doctor.execute(surroundings, &output).await,
            Command::Model(model) => model.execute(&surroundings, &output).await,
            Command::Backup(backup) => backup.execute(&surroundings, &output).await,
            Command::Restore(restore) => restore.execute(&surroundings, &output).await,
            Command::Db(db) => db.execute(&surroundings, &output).await,
            Command::Audit(audit) => audit.execute(&surroundings, &output).await,
            Command::Keys(keys) => keys.execute(&surroundings, &output).await,
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

/// Returns the console where a person can see it and type.
fn console_for_a_person() -> Option<Command> {
    let terminal = Terminal::detect(false);
    (terminal.stdin && terminal.stdout).then(|| Command::Terminal(cli::Command::Console(cli::Console::or_start())))
}
