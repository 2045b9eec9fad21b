//! Measures the journal: commits per second and how long one waits, with 1 and with 64 waiting.
//!
//! ```text
//! cargo run --release -p ninja-core --example journal_speed [seconds]
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use ninja_core::{
    api::{TaskId, UserId},
    journal::{
        disk::{DiskOptions, DiskStore},
        store::{Append, Commit, HeadUpdate, Store},
    },
};
use uuid::Uuid;

/// How many bytes a record has.
const RECORD_BYTES: usize = 500;

/// How many tasks each waiter writes to in turn.
const TASKS: u64 = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds = std::env::args().nth(1).map_or(Ok(3), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    for waiting in [1, 64] {
        let directory = tempfile::tempdir_in(".")?;
        let store = Arc::new(DiskStore::open(directory.path(), DiskOptions::default())?);
        let cpu = cpu_time()?;
        let begun = Instant::now();
        let mut waits = runtime.block_on(run(Arc::clone(&store), waiting, Duration::from_secs(seconds)))?;
        let (taken, cpu) = (begun.elapsed(), cpu_time()? - cpu);
        waits.sort_unstable();
        let at = |part: f64| waits.get((waits.len() as f64 * part) as usize).copied().unwrap_or_default();
        println!(
            "{waiting:>3} waiting: {:>8.0} commits/s, p50 {:?}, p99 {:?}, longest {:?}, {:?} CPU each",
            waits.len() as f64 / taken.as_secs_f64(),
            at(0.5),
            at(0.99),
            waits.last().copied().unwrap_or_default(),
            cpu / u32::try_from(waits.len().max(1))?,
        );
        let begun = Instant::now();
        let read = store.read_log(task(0, 0), 1, 10_000)?.len();
        println!("             read {read} records of one log in {:?}", begun.elapsed());
        let begun = Instant::now();
        runtime.block_on(store.close())?;
        println!("             closed in {:?}", begun.elapsed());
    }
    Ok(())
}

async fn run(store: Arc<DiskStore>, waiting: u64, time: Duration) -> Result<Vec<Duration>, tokio::task::JoinError> {
    let enough = Arc::new(AtomicBool::new(false));
    let waiters: Vec<_> = (0..waiting)
        .map(|waiter| tokio::spawn(commit_until(Arc::clone(&store), Arc::clone(&enough), waiter)))
        .collect();
    tokio::time::sleep(time).await;
    enough.store(true, Ordering::Relaxed);
    let mut waits = Vec::new();
    for waiter in waiters {
        waits.extend(waiter.await?);
    }
    Ok(waits)
}

async fn commit_until(store: Arc<DiskStore>, enough: Arc<AtomicBool>, waiter: u64) -> Vec<Duration> {
    let mut waits = Vec::new();
    for n in 0.. {
        if enough.load(Ordering::Relaxed) {
            break;
        }
        let append = Append {
            task: task(waiter, n % TASKS),
            first_seq: n / TASKS + 1,
            records: vec![record(waiter, n)],
            head: HeadUpdate {
                owner: UserId::from_uuid(Uuid::from_u128(waiter.into())),
                unfinished: true,
                bytes: Bytes::from_static(&[7; 100]),
            },
        };
        let begun = Instant::now();
        if let Err(error) = store.commit(Commit { append: Some(append), ..Commit::default() }).await {
            eprintln!("failed to commit: {error}");
            break;
        }
        waits.push(begun.elapsed());
    }
    waits
}

/// Returns a task's id; those of one waiter are scattered among those of the others.
fn task(waiter: u64, n: u64) -> TaskId {
    let scattered = (n << 32 | waiter).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    TaskId::from_uuid(Uuid::from_u64_pair(scattered, waiter << 32 | n))
}

/// Returns a record that does not compress.
fn record(waiter: u64, n: u64) -> Bytes {
    let mut state = (waiter << 40 | n).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    });
    bytes.take(RECORD_BYTES).collect()
}

/// Returns the processor time of this process so far.
fn cpu_time() -> Result<Duration, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks: u64 = fields.iter().skip(11).take(2).map(|field| field.parse::<u64>()).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}
