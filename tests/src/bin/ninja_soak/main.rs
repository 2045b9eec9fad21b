//! `ninja-soak`: hours of mixed tasks with random kills, and then nothing is lost, nothing happened twice, nothing leaked.
//! `cargo xtask soak` builds and runs it; a short form is one of the tests.
//!
//! It knows Ninja as a user does, by its binary and its HTTP API: [`worker`]s ask for [`jobs`], play the person and
//! [`check`] what comes of them; [`follow`]ers watch; [`run`] ends and starts the [`daemon`] and [`sample`]s what it holds;
//! the [`model`] does what is [`script`]ed in the prompts. Only the [`audit`] at the end opens the data directory.
//!
//! Everything that is asked follows from the seed; when it meets the kills does not.

mod audit;
mod check;
mod daemon;
mod delete;
mod follow;
mod jobs;
mod model;
mod processes;
mod report;
mod run;
mod sample;
mod script;
mod soak;
mod templates;
mod worker;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use clap::Parser;
use ninja_tests::Random;
use tempfile::TempDir;
use tokio::task::{JoinSet, LocalSet};

use self::{
    daemon::{Daemon, End},
    model::Model,
    report::Audit,
    run::{Run, Until},
    soak::Soak,
};

/// A storm and the calm after it.
const CYCLE: Duration = Duration::from_secs(20 * 60);
/// The share of a cycle that is storm, and the share of a calm in which the process gets warm; in percent.
const STORM_PERCENT: u32 = 60;
const WARM_PERCENT: u32 = 25;

/// Mixed random tasks with random kills.
#[derive(Debug, Parser)]
struct CommandLine {
    /// How long it lasts
    #[arg(long, default_value_t = 120, conflicts_with_all = ["kills", "tasks"])]
    minutes: u32,
    /// Instead: so many kills, then calm
    #[arg(long, requires = "tasks")]
    kills: Option<u64>,
    /// With --kills: so many tasks in all
    #[arg(long, requires = "kills")]
    tasks: Option<u64>,
    /// Repeats what an earlier run asked
    #[arg(long)]
    seed: Option<u64>,
    /// Users at a time
    #[arg(long, default_value_t = 8)]
    workers: u32,
    /// How long a user does nothing before the next task, in milliseconds on average; nobody rests with --kills
    #[arg(long, default_value_t = 500)]
    rest_ms: u64,
    /// The mean time between kills, in seconds
    #[arg(long, default_value_t = 20)]
    kill_every: u64,
    /// The `ninja` binary; the one beside this one where none is given
    #[arg(long, value_name = "FILE")]
    ninja: Option<PathBuf>,
    /// A new folder for everything, which is then kept; a temporary one where none is given
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Write the report to this file as well
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    // Workers share their thread with what ends the daemon: none of them has much to do but wait.
    match LocalSet::new().run_until(soak(CommandLine::parse())).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs, reports, and returns whether nothing was wrong.
async fn soak(line: CommandLine) -> Result<bool> {
    let seed = line.seed.unwrap_or_else(Random::fresh_seed);
    let title = format!("Seed {seed}, {}", line.describe());
    eprintln!("soak: {title}\n\n{}", report::HEADER);
    let temporary = TempDir::with_prefix("ninja-soak-")?;
    let folder = match &line.folder {
        Some(folder) => {
            ensure!(!folder.exists(), "{} is there already", folder.display());
            fs::create_dir_all(folder)?;
            folder.canonicalize()?
        }
        None => temporary.path().to_owned(),
    };
    let mut run = begin(&line, &folder, seed).await?;
    let mut workers = start_workers(&line, &run.soak, seed);
    let lasted = last(&line, &mut run).await;
    if let Err(error) = &lasted {
        run.soak.violation(format!("the run was cut short: {error:#}"));
    }
    workers.abort_all();
    while workers.join_next().await.is_some() {}
    let audit = end(&mut run).await?;
    let report = report::markdown(&run, &title, &audit);
    print!("{report}");
    if let Some(file) = &line.report {
        fs::write(file, &report)?;
    }
    Ok(run.soak.tally().violations.is_empty())
}

impl CommandLine {
    fn describe(&self) -> String {
        match (self.kills, self.tasks) {
            (Some(kills), Some(tasks)) => format!("{kills} kills, {tasks} tasks, {} users", self.workers),
            _ => format!("{} minutes, a kill every {} s, {} users", self.minutes, self.kill_every, self.workers),
        }
    }
}

async fn begin(line: &CommandLine, folder: &Path, seed: u64) -> Result<Run> {
    let beside = std::env::current_exe()?.with_file_name("ninja");
    let program = line.ninja.clone().unwrap_or(beside);
    let mut random = Random::new(seed);
    let model = Model::start().await?;
    let mut daemon = Daemon::new(&program, folder, &model, &mut random)?;
    daemon.start().await?;
    let (client, key) = daemon.client()?;
    let deletes = delete::is_offered(client.daemon(), &key).await?;
    let soak = Arc::new(Soak::new(client, key, model, daemon.serving(), deletes));
    let idle_memory = daemon.pid().map_or(0, |pid| processes::held(pid).memory);
    let (began, samples, windows) = (Instant::now(), Vec::new(), Vec::new());
    Ok(Run { daemon, soak, random, began, samples, windows, idle_memory })
}

fn start_workers(line: &CommandLine, soak: &Arc<Soak>, seed: u64) -> JoinSet<()> {
    let (mut workers, next) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
    let rest = Duration::from_millis(if line.kills.is_some() { 0 } else { line.rest_ms });
    for number in 0..line.workers {
        let random = Random::new(seed ^ u64::from(number + 1) << 32);
        workers.spawn_local(worker::work(Arc::clone(soak), random, Arc::clone(&next), rest));
    }
    let of_feed = Arc::clone(soak);
    workers.spawn_local(async move {
        let entries = AtomicU64::new(0);
        let followed = follow::feed(of_feed.client.clone(), |seq| entries.store(seq, Ordering::Relaxed)).await;
        if let Err(error) = followed {
            let seen = entries.load(Ordering::Relaxed);
            of_feed.violation(format!("the feed was cut off after {seen} entries: {error}"));
        }
    });
    workers
}

async fn last(line: &CommandLine, run: &mut Run) -> Result<()> {
    if let (Some(kills), Some(tasks)) = (line.kills, line.tasks) {
        let (storm, warm) = (tasks * u64::from(STORM_PERCENT) / 100, tasks * 75 / 100);
        let apart = (storm / (kills + 1)).max(1);
        let mut moments = (1..=kills).map(|number| apart * number).chain([u64::MAX]);
        run.storm(Until::Ended(storm + apart), |_| Until::Ended(moments.next().unwrap_or(u64::MAX))).await?;
        return run.calm(Until::Ended(warm), Until::Ended(tasks)).await;
    }
    let whole = Duration::from_secs(60) * line.minutes;
    let cycles = u32::try_from((whole.as_secs() / CYCLE.as_secs()).max(1))?;
    let (cycle, mean) = (whole / cycles, Duration::from_secs(line.kill_every));
    for number in 0..cycles {
        let storm = run.began + cycle * number + cycle * STORM_PERCENT / 100;
        let end = run.began + cycle * (number + 1);
        run.open();
        run.storm(Until::Time(storm), |random| Until::Time(Instant::now() + random.exponential(mean))).await?;
        // A process that has not served a storm.
        run.restart(End::Terminate).await?;
        let warm = storm + end.saturating_duration_since(storm) * WARM_PERCENT / 100;
        run.calm(Until::Time(warm), Until::Time(end)).await?;
        eprintln!("soak: {} of {cycles} cycles done", number + 1);
    }
    Ok(())
}

/// Deletes what can be deleted, ends the daemon, and looks at what it left.
async fn end(run: &mut Run) -> Result<Audit> {
    let soak = Arc::clone(&run.soak);
    if soak.deletes {
        for id in soak.known().into_keys() {
            if let Err(error) = delete::delete(&soak, id).await {
                soak.violation(error.to_string());
            }
        }
    }
    run.settle().await?;
    match run.daemon.end(End::Terminate).await {
        Ok(below) if below.is_empty() => {}
        Ok(below) => soak.violation(format!("at its end the daemon had processes: {below:?}")),
        Err(error) => soak.violation(format!("{error:#}")),
    }
    for panic in report::panics(&run.daemon.log()) {
        soak.violation(panic);
    }
    let (sound, said) = run.daemon.offline(&["db", "check"]).await?;
    if !sound {
        soak.violation(format!("`ninja db check`: {said}"));
    }
    let data = run.daemon.data();
    let mut audit = Audit { left: audit::blobs(&data)?, compacted: None };
    let (offered, _) = run.daemon.offline(&["db", "compact", "--help"]).await?;
    if offered {
        let (compacted, said) = run.daemon.offline(&["db", "compact"]).await?;
        let blobs = audit::blobs(&data)?;
        if !compacted || blobs.unnamed.files > 0 {
            soak.violation(format!(
                "{} blobs are named by nothing after `ninja db compact`: {said}",
                blobs.unnamed.files
            ));
        }
        audit.compacted = Some(blobs);
    }
    Ok(audit)
}
