//! `ninja-bench`: what durability costs. `cargo xtask bench` builds and runs it; docs/guide/performance.md explains the figures.
//!
//! Three programs in one binary, so that each runs in a process of its own: the driver, which measures ([`work`],
//! [`streams`], [`waiting`], [`start`], [`crowd`]) and prints ([`report`]); the [`stub`], a model that answers at once; and the [`floor`], the least
//! program that does the same work in the world. It knows Ninja only by its binary and its HTTP API.

mod client;
mod crowd;
mod floor;
mod floor_log;
mod machine;
mod report;
mod start;
mod streams;
mod stub;
mod syncs;
mod targets;
mod waiting;
mod work;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};

use self::{report::Report, targets::Targets};

/// Measures Ninja against the least program that does the same work.
#[derive(Debug, Parser)]
struct CommandLine {
    /// What to measure; all parts where none is named
    parts: Vec<Part>,
    /// A few seconds for each part instead of minutes
    #[arg(long)]
    quick: bool,
    /// Write every figure to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The `ninja` binary to measure
    #[arg(long, value_name = "FILE")]
    ninja: Option<PathBuf>,
    /// Where data directories are made; the system's temporary folder where none is given
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Five agent steps one after the other, one task and 256 tasks at a time
    W,
    /// One step, many side by side, one step
    Fan,
    /// Commits and syncs a step, counted from outside with strace
    Syncs,
    /// Tasks that wait for a person: memory, recovery, latency beside them
    Waiting,
    /// Start to serving, and idle memory
    Start,
    /// Many at once: 1,000 connections at a steady pace, 2,000 WebSockets, 500 logins
    Crowd,
    /// Streamed model calls: what is added to bare `reqwest`, and memory while 200 are held
    Streams,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Be the model that answers at once
    #[command(hide = true)]
    Stub,
    /// Be a bare axum handler
    #[command(hide = true)]
    Bare {
        /// What it answers
        #[arg(long)]
        answer: String,
    },
    /// Be the least program
    #[command(hide = true)]
    Floor {
        /// The stub's address
        #[arg(long)]
        stub: SocketAddr,
        /// The log to append to
        #[arg(long)]
        log: PathBuf,
        /// The body of each model call
        #[arg(long)]
        prompt: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let line = CommandLine::parse();
    let done = match line.role {
        Some(Role::Stub) => stub::run().await,
        Some(Role::Bare { answer }) => crowd::serve_bare(answer).await,
        Some(Role::Floor { stub, log, prompt }) => floor::run(stub, &log, &prompt).await,
        None => measure(line).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(line: CommandLine) -> anyhow::Result<()> {
    let wants = |part| line.parts.is_empty() || line.parts.contains(&part);
    let targets = Targets::new(line.ninja, line.scratch)?;
    let mut report = Report::new(machine::facts(targets.scratch()), line.quick);
    if wants(Part::W) || wants(Part::Fan) {
        work::measure(&targets, line.quick, wants(Part::W), wants(Part::Fan), &mut report).await?;
    }
    if wants(Part::Syncs) {
        syncs::measure(&targets, &mut report).await?;
    }
    if wants(Part::Start) {
        start::measure(&targets, line.quick, &mut report).await?;
    }
    if wants(Part::Crowd) {
        crowd::measure(&targets, line.quick, &mut report).await?;
    }
    if wants(Part::Streams) {
        streams::measure(&targets, line.quick, &mut report).await?;
    }
    if wants(Part::Waiting) {
        waiting::measure(&targets, line.quick, &mut report).await?;
    }
    print!("{}", report.markdown());
    if let Some(file) = line.json {
        std::fs::write(file, format!("{:#}\n", report.json()))?;
    }
    Ok(())
}
