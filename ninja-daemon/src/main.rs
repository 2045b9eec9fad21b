//! The one binary, `ninja`.

use std::process::ExitCode;

use clap::Parser;
use ninja_daemon::CommandLine;

fn main() -> ExitCode {
    let command = CommandLine::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no threads can be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let exit = runtime.block_on(command.execute());
    // A question on the terminal that nobody answered must not keep the process.
    runtime.shutdown_background();
    ExitCode::from(exit.code())
}
