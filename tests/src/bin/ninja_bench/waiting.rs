//! Tasks that wait for a person: what they hold, how soon they are found again, and whether they are in anyone's way.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use ninja_tests::Process;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::{
    client::{self, Connection, Target},
    report::{Bar, Figure, Report, Samples},
    start::megabytes,
    targets::{self, Targets},
};

const RECOVERY_S_MAX: f64 = 3.0;
const TASK_KB_MAX: f64 = 20.0;
const CONNECTIONS: usize = 64;
const DATA: &str = "waiting";
/// What was written last is checkpointed and let go by then.
const SETTLE: Duration = Duration::from_secs(3);
const STEPS: usize = 5;

/// Submits them, kills the daemon, and starts it again.
pub(crate) async fn measure(targets: &Targets, quick: bool, report: &mut Report) -> Result<()> {
    let count = if quick { 5_000 } else { 100_000 };
    eprintln!("bench: {count} waiting tasks");
    let stub = targets.stub().await?;
    let ninja = targets.ninja(DATA, &stub).await?;
    let target = targets.target(DATA, &ninja)?;
    // The first task brings up what every task shares.
    let alone = latency(&target).await?;
    let before = ninja.memory()?;
    let started = Instant::now();
    submit(&target, count).await?;
    let took = started.elapsed().as_secs_f64();
    let busy = latency(&target).await?;
    tokio::time::sleep(SETTLE).await;
    let held = ninja.memory()?.saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench are far below 2^52")]
    let count_f = count as f64;
    let kilobytes = |bytes| Samples::one(megabytes(bytes) * 1e3 / count_f);
    report.add(Figure::alone(format!("submitting {count} tasks that wait"), "1/s", Samples::one(count_f / took)));
    report.add(Figure::alone("memory of a waiting task", "KB", kilobytes(held)).with_bar(Bar::AtMost(TASK_KB_MAX)));
    report.add(Figure::alone("a new task of 5 steps: alone", "ms", alone));
    report.add(Figure::alone(format!("a new task of 5 steps: beside {count} waiting"), "ms", busy));
    recover(targets, ninja, &stub, count, report).await
}

/// Kills the daemon and measures how it comes back.
async fn recover(targets: &Targets, ninja: Process, stub: &Process, count: usize, report: &mut Report) -> Result<()> {
    ninja.kill().await?;
    let started = Instant::now();
    let ninja = targets.ninja(DATA, stub).await?;
    let target = targets.target(DATA, &ninja)?;
    let mut connection = Connection::open(&target).await?;
    let (status, _) = connection.ask(Method::GET, "/ready", Bytes::new()).await?;
    ensure!(status == StatusCode::OK, "it listens but is not ready");
    let ready = started.elapsed();
    // The orchestrator takes up a new task only after it has swept the unfinished ones.
    let done = connection.run_task(&targets::sequence(STEPS)).await?;
    ensure!(done == STEPS, "the first task after the recovery ended after {done} steps");
    let swept = started.elapsed();
    let found = list_waiting(&mut connection).await?;
    ensure!(found == count, "{found} of {count} waiting tasks were found");
    let listed = started.elapsed();
    tokio::time::sleep(SETTLE).await;
    let seconds = |time: Duration| Samples::one(time.as_secs_f64());
    let bar = Bar::AtMost(RECOVERY_S_MAX);
    report.add(Figure::alone(format!("kill -9 with {count} waiting, to ready"), "s", seconds(ready)).with_bar(bar));
    report.add(Figure::alone("… to all swept and a new task done", "s", seconds(swept)).with_bar(bar));
    report.add(Figure::alone("… to every one listed over HTTP", "s", seconds(listed)));
    report.add(Figure::alone("memory after the recovery", "MB", Samples::one(megabytes(ninja.memory()?))));
    report.add(Figure::alone("a new task of 5 steps: after the recovery", "ms", latency(&target).await?));
    Ok(())
}

/// Measures tasks of five steps, one after the other.
async fn latency(target: &Target) -> Result<Samples> {
    let (mut connection, mut samples) = (Connection::open(target).await?, Samples::default());
    for _ in 0..21 {
        let started = Instant::now();
        connection.run_task(&targets::sequence(STEPS)).await?;
        samples.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(samples)
}

async fn submit(target: &Target, count: usize) -> Result<()> {
    let mut workers = JoinSet::new();
    for (index, connection) in client::pool(target, CONNECTIONS).await?.into_iter().enumerate() {
        let share = count / CONNECTIONS + usize::from(index < count % CONNECTIONS);
        workers.spawn(async move {
            let mut connection = Arc::clone(&connection).lock_owned().await;
            for _ in 0..share {
                connection.submit(&targets::approval()).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = workers.join_next().await {
        done??;
    }
    Ok(())
}

/// Counts the waiting tasks as a client sees them.
async fn list_waiting(connection: &mut Connection) -> Result<usize> {
    let (mut count, mut cursor) = (0, String::new());
    loop {
        let path = format!("/api/v1/tasks?status=waiting&limit=200{cursor}");
        let (_, body) = connection.ask(Method::GET, &path, Bytes::new()).await?;
        let page: Value = serde_json::from_slice(&body)?;
        count += page.get("items").and_then(Value::as_array).context("a list has no items")?.len();
        match page.get("next_cursor").and_then(Value::as_str) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(count),
        }
    }
}
