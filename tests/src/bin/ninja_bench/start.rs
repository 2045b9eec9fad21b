//! A daemon that has nothing to do: how soon it serves, and what it holds.

use std::time::Duration;

use anyhow::Result;

use crate::{
    report::{Bar, Figure, Report, Samples},
    targets::Targets,
};

/// The goals: from the start of the process to serving, and memory once idle.
const START_MS_MAX: f64 = 100.0;
const IDLE_MB_MAX: f64 = 40.0;
/// What a start leaves behind in memory is returned by then.
const SETTLE: Duration = Duration::from_millis(500);

/// Starts it several times on the same data directory.
pub(crate) async fn measure(targets: &Targets, quick: bool, report: &mut Report) -> Result<()> {
    eprintln!("bench: start");
    let stub = targets.stub().await?;
    let (mut first, mut start, mut memory) = (Samples::default(), Samples::default(), Samples::default());
    for round in 0..if quick { 3 } else { 9 } {
        let ninja = targets.ninja("start", &stub).await?;
        let samples = if round == 0 { &mut first } else { &mut start };
        samples.push(ninja.listened_after.as_secs_f64() * 1e3);
        tokio::time::sleep(SETTLE).await;
        memory.push(megabytes(ninja.memory()?));
        ninja.kill().await?;
    }
    report.add(Figure::alone("first start to serving", "ms", first));
    report.add(Figure::alone("start to serving", "ms", start).with_bar(Bar::AtMost(START_MS_MAX)));
    report.add(Figure::alone("idle memory", "MB", memory).with_bar(Bar::AtMost(IDLE_MB_MAX)));
    Ok(())
}

/// Returns bytes as megabytes.
#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 bytes")]
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
