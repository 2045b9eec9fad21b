//! Tasks that work: Ninja and the floor in turns, on the same model, in the same minute.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use hyper::Method;
use ninja_tests::Process;
use tokio::sync::Mutex;

use crate::{
    client::{self, Connection},
    report::{Bar, Figure, Report, Samples},
    start::megabytes,
    stub,
    targets::{self, Targets},
};

/// The share of the floor's throughput that is asked for.
const SHARE_MIN: f64 = 0.4;
/// The longest that a step may take alone, in milliseconds.
const ALONE_MS_MAX: f64 = 0.6;
/// Steps of the sequence.
const STEPS: usize = 5;
/// Steps side by side.
const WIDTH: usize = 64;

/// A load that both programs are put under.
struct Load {
    part: &'static str,
    task: Bytes,
    steps: usize,
    in_flight: usize,
    /// Tasks of one round.
    tasks: usize,
}

/// A program under load.
struct Side {
    process: Process,
    pool: Vec<Arc<Mutex<Connection>>>,
    figures: Figures,
}

/// What its rounds came to.
#[derive(Default)]
struct Figures {
    steps_per_second: Samples,
    step_ms: Samples,
    task_p50_ms: Samples,
    task_p99_ms: Samples,
    cpu_us: Samples,
}

/// Measures both loads, or one of them.
pub(crate) async fn measure(targets: &Targets, quick: bool, w: bool, fan: bool, report: &mut Report) -> Result<()> {
    let model = targets.stub().await?;
    let ninja = targets.ninja("work", &model).await?;
    let ninja_at = targets.target("work", &ninja)?;
    Connection::open(&ninja_at).await?.run_task(&targets::sequence(STEPS)).await?;
    let floor = targets.floor(&model).await?;
    let floor_at = client::Target { address: floor.address, key: None };
    let in_flight = 256;
    let mut ninja =
        Side { process: ninja, pool: client::pool(&ninja_at, in_flight).await?, figures: Figures::default() };
    let mut floor =
        Side { process: floor, pool: client::pool(&floor_at, in_flight).await?, figures: Figures::default() };
    let (rounds, share) = if quick { (3, 4) } else { (7, 1) };
    let sequence =
        |in_flight, tasks| Load { part: "W", task: targets::sequence(STEPS), steps: STEPS, in_flight, tasks };
    let wide = |in_flight, tasks| Load { part: "W-fan", task: targets::fan(WIDTH), steps: WIDTH + 2, in_flight, tasks };
    let mut loads = Vec::new();
    if w {
        loads.extend([sequence(1, 200 / share), sequence(in_flight, 2048 / share)]);
    }
    if fan {
        loads.extend([wide(1, 16 / share), wide(16, 96 / share)]);
    }
    for load in loads {
        eprintln!("bench: {} with {} in flight", load.part, load.in_flight);
        (ninja.figures, floor.figures) = (Figures::default(), Figures::default());
        // Caches, connections and the allocator settle; not counted.
        for side in [&mut ninja, &mut floor] {
            side.round(&load, false).await?;
        }
        for round in 0..rounds {
            let order = if round % 2 == 0 { [&mut ninja, &mut floor] } else { [&mut floor, &mut ninja] };
            for side in order {
                side.round(&load, true).await?;
            }
        }
        tell(&load, &ninja.figures, &floor.figures, report);
    }
    let memory = Samples::one(megabytes(ninja.process.memory()?));
    report.add(Figure::alone("memory of the daemon after these loads", "MB", memory));
    let stub_at = client::Target { address: model.address, key: None };
    let (_, opened) = Connection::open(&stub_at).await?.ask(Method::GET, stub::CONNECTIONS, Bytes::new()).await?;
    let opened = std::str::from_utf8(&opened)?.parse()?;
    report.add(Figure::alone("connections to the model, all rounds and both programs", "", Samples::one(opened)));
    Ok(())
}

impl Side {
    async fn round(&mut self, load: &Load, counts: bool) -> Result<()> {
        let before = self.process.cpu()?;
        let pool = self.pool.get(..load.in_flight).unwrap_or(&self.pool);
        let done = client::run_tasks(pool, &load.task, load.tasks, load.steps).await?;
        let cpu = self.process.cpu()?.saturating_sub(before);
        if !counts {
            return Ok(());
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of a bench are far below 2^52")]
        let steps = (load.tasks * load.steps) as f64;
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let quantile = |share: usize| done.each.get((done.each.len() * share / 100).min(done.each.len() - 1)).copied();
        let figures = &mut self.figures;
        figures.steps_per_second.push(steps / done.took.as_secs_f64());
        figures.step_ms.push(ms(done.took) / steps);
        figures.task_p50_ms.push(ms(quantile(50).unwrap_or_default()));
        figures.task_p99_ms.push(ms(quantile(99).unwrap_or_default()));
        figures.cpu_us.push(cpu.as_secs_f64() * 1e6 / steps);
        Ok(())
    }
}

fn tell(load: &Load, ninja: &Figures, floor: &Figures, report: &mut Report) {
    let is_alone = load.in_flight == 1;
    let name = |what: &str| format!("{}, {} in flight: {what}", load.part, load.in_flight);
    report.add(
        Figure::ratio(name("steps/s"), "1/s", &ninja.steps_per_second, &floor.steps_per_second)
            .with_bar(Bar::RatioAtLeast(SHARE_MIN)),
    );
    let step = Figure::ratio(name("a step"), "ms", &ninja.step_ms, &floor.step_ms);
    let bar = (is_alone && load.part == "W").then_some(Bar::AtMost(ALONE_MS_MAX));
    report.add(bar.map_or(step.clone(), |bar| step.with_bar(bar)));
    report.add(Figure::ratio(name("processor time a step"), "µs", &ninja.cpu_us, &floor.cpu_us));
    report.add(Figure::ratio(name("a task, median"), "ms", &ninja.task_p50_ms, &floor.task_p50_ms));
    report.add(Figure::ratio(name("a task, p99"), "ms", &ninja.task_p99_ms, &floor.task_p99_ms));
}
