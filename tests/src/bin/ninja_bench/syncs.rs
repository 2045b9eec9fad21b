//! Commits and syncs a step, counted from outside: strace watches the daemon's calls, so nothing is taken on its word.
//!
//! With one task in flight each commit waits for a sync of its own, so syncs of the log are commits. With many, they are
//! what is left of the commits after the writer has gathered them.

use std::{path::Path, process::Stdio};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::{
    client,
    report::{Figure, Report, Samples},
    targets::{self, Targets},
};

const STEPS: usize = 5;
/// A task of as many steps commits when it is submitted, when it is taken up, and at the end of each step.
const COMMITS_A_TASK: usize = STEPS + 2;

/// Counts with one task and with 256 in flight.
pub(crate) async fn measure(targets: &Targets, report: &mut Report) -> Result<()> {
    let (stub, data) = (targets.stub().await?, "syncs");
    let ninja = targets.ninja(data, &stub).await?;
    let pool = client::pool(&targets.target(data, &ninja)?, 256).await?;
    for (in_flight, tasks) in [(1, 40), (256, 1024)] {
        eprintln!("bench: syncs with {in_flight} in flight");
        let trace = targets.scratch().join(format!("syncs-{in_flight}.txt"));
        let Some(mut strace) = attach(ninja.pid, &trace).await? else {
            eprintln!("bench: syncs are not counted: strace is missing or may not watch");
            return Ok(());
        };
        let load = pool.get(..in_flight).unwrap_or(&pool);
        client::run_tasks(load, &targets::sequence(STEPS), tasks, STEPS).await?;
        let pid = strace.id().context("strace has ended before")?;
        // It lets go and writes the rest when it is interrupted.
        Command::new("kill").args(["-INT", &pid.to_string()]).status().await?;
        strace.wait().await?;
        let seen = std::fs::read_to_string(&trace)?;
        let calls =
            |call: &str, place: &str| seen.lines().filter(|line| line.contains(call) && line.contains(place)).count();
        // Frames are synced with `fdatasync`, and nothing else is; a new segment of the log with `fsync`.
        let (log, all) = (calls("fdatasync(", "/log/"), calls("sync(", ""));
        #[expect(clippy::cast_precision_loss, reason = "counts of a bench are far below 2^52")]
        let a_task = |count: usize| Samples::one(count as f64 / tasks as f64);
        let name = |what: &str| format!("W, {in_flight} in flight: {what}");
        report.add(Figure::alone(name("syncs of the log a task"), "", a_task(log)));
        report.add(Figure::alone(name("other syncs a task (checkpoints)"), "", a_task(all - log)));
        if in_flight == 1 && log != tasks * COMMITS_A_TASK {
            bail!("{tasks} tasks synced the log {log} times; {COMMITS_A_TASK} a task are promised");
        }
    }
    Ok(())
}

/// Watches a process; `None` where that is not possible here.
async fn attach(pid: u32, trace: &Path) -> Result<Option<tokio::process::Child>> {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-e", "trace=fsync,fdatasync,sync_file_range,msync", "-o"]).arg(trace);
    command.args(["-p", &pid.to_string()]).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let Ok(mut strace) = command.spawn() else { return Ok(None) };
    let status = format!("/proc/{pid}/status");
    loop {
        // Attached when the kernel says that the process is traced.
        let is_traced = std::fs::read_to_string(&status)?
            .lines()
            .any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"));
        match (is_traced, strace.try_wait()?) {
            (true, _) => return Ok(Some(strace)),
            (false, Some(_)) => return Ok(None),
            (false, None) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
}
