//! Development commands: `cargo xtask help` lists them. Each lives in the file of its name; what they share is
//! [`shell`] (running programs, saying so) and [`places`] (where things lie).

mod bench;
mod ci;
mod counterparts;
mod demo;
mod fix;
mod measure;
mod places;
mod rust_text;
mod setup;
mod shell;
mod soak;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Ninja's development commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the main job on real data, setting up what it needs
    Demo(demo::Args),
    /// Install what the tests need and is missing
    Setup,
    /// Set up, then run all tests; with arguments, only the Rust tests that they select
    Test(test::Args),
    /// Measure against the least program that does the same work
    Bench(bench::Args),
    /// Run mixed random tasks with random kills for hours, and look for what is lost or leaks
    Soak(soak::Args),
    /// Run what CI runs
    Ci,
    /// Format, apply what clippy can mend, and accept changed snapshots
    Fix,
    /// Print our column of the table that compares code bases
    Measure,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Setup => setup::run(),
        Command::Test(args) => test::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Soak(args) => soak::run(&args),
        Command::Ci => ci::run(),
        Command::Fix => fix::run(),
        Command::Measure => measure::run(),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
