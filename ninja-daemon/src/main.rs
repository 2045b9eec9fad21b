//! The one binary, `ninja`.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use ninja_daemon::{CommandLine, forbid_core_dumps};

/// What a task is made of is made on one thread and dropped on another, and much of it is larger than a kilobyte: the
/// system's allocator spends a third of a busy daemon's processor time on that.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    forbid_core_dumps();
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
