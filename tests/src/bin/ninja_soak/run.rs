//! The course of a run: storms, in which the daemon is ended again and again, and calms, in which one process works long
//! enough for what it leaks to be seen.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use ninja_tests::Random;
use tokio::time::{sleep, timeout};

use crate::{
    daemon::{Daemon, End},
    processes::ProcessId,
    report,
    sample::{self, Sample},
    soak::{HANG, LOOK, Soak},
    worker,
};

/// How often everything is looked at.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// How often the daemon is looked after.
const TICK: Duration = Duration::from_millis(500);
/// What work leaves behind for a moment is gone by then.
const SETTLE_MAX: Duration = Duration::from_secs(60);
/// Segments of the log that a daemon at rest keeps: the one that it would write to, and one that is being forgotten.
const SEGMENTS_MAX: u64 = 2;
/// What a process may hold more after its work than before: memory as a share and in bytes, for the allocator keeps some, and
/// what of the store's cache was not full yet; descriptors and threads for connections and sandboxes that are kept for
/// the next.
const MEMORY_SHARE_MAX: u64 = 6;
const MEMORY_BYTES_MAX: u64 = 16 << 20;
/// What the store's cache of 32 MiB comes to: sled does not count what is added to a leaf in a batch, nor what the allocator
/// takes for its many small pieces.
const CACHE_BYTES: u64 = 80 << 20;
const HANDLES_MAX: u64 = 8;
/// How long a process may take to let go of threads that have nothing to do: tokio keeps those for blocking work for ten seconds.
const IDLE_THREADS_KEPT: Duration = Duration::from_secs(20);

/// How long a part of the run lasts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// Until this moment.
    Time(Instant),
    /// Until so many tasks have ended in all.
    Ended(u64),
}

/// One process before and after it has worked.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    /// After it was warm, at rest.
    pub(crate) before: Sample,
    /// At rest again.
    pub(crate) after: Sample,
    /// Tasks that ended between.
    pub(crate) ended: u64,
}

/// The run.
pub(crate) struct Run {
    pub(crate) daemon: Daemon,
    pub(crate) soak: Arc<Soak>,
    pub(crate) random: Random,
    pub(crate) began: Instant,
    pub(crate) samples: Vec<Sample>,
    pub(crate) windows: Vec<Window>,
    /// What it held right after its first start, with nothing in its cache.
    pub(crate) idle_memory: u64,
}

impl Run {
    /// Ends and starts the daemon at random; `pause` says when next.
    pub(crate) async fn storm(&mut self, until: Until, mut pause: impl FnMut(&mut Random) -> Until) -> Result<()> {
        loop {
            let next = pause(&mut self.random);
            let next = match (until, next) {
                (Until::Time(end), Until::Time(next)) if end <= next => return self.wait(until).await,
                (Until::Ended(end), Until::Ended(next)) if end <= next => return self.wait(until).await,
                (_, next) => next,
            };
            self.wait(next).await?;
            let moment = self.random.millis(0, 300);
            sleep(moment).await;
            let how = if self.random.chance(15) { End::Terminate } else { End::Kill };
            self.restart(how).await?;
        }
    }

    /// Lets one process work, and compares what it holds before and after.
    pub(crate) async fn calm(&mut self, warm: Until, until: Until) -> Result<()> {
        self.wait(warm).await?;
        // Everything is read once: the store's cache fills by that, and what grows afterwards is something else.
        worker::read_backup(&self.soak, true).await;
        let before = self.settle().await?;
        let ended = self.ended();
        self.soak.open.send_replace(true);
        self.wait(until).await?;
        let after = self.settle().await?;
        let mut window = Window { before, after, ended: self.ended() - ended };
        let until = Instant::now() + IDLE_THREADS_KEPT;
        while !window.leaks(self.idle_memory).is_empty() && Instant::now() < until {
            self.tick(LOOK).await?;
            window.after = self.look();
        }
        for what in window.leaks(self.idle_memory) {
            self.soak.violation(what);
        }
        self.windows.push(window);
        Ok(())
    }

    /// Lets work go on.
    pub(crate) fn open(&self) {
        self.soak.open.send_replace(true);
    }

    /// Lets nothing new begin, waits until all is done and what it left is gone, and looks at what is held then.
    pub(crate) async fn settle(&mut self) -> Result<Sample> {
        self.soak.open.send_replace(false);
        let until = Instant::now() + HANG + SETTLE_MAX;
        while *self.soak.busy.borrow() > 0 {
            self.tick(TICK).await?;
            if Instant::now() > until {
                bail!("workers do not come to an end");
            }
        }
        let until = Instant::now() + SETTLE_MAX;
        loop {
            let sample = self.look();
            let unrest = sample.unrest();
            if unrest.is_empty() || Instant::now() > until {
                for what in unrest {
                    self.soak.violation(format!("at rest there is still {what}"));
                }
                self.samples.push(sample.clone());
                return Ok(sample);
            }
            self.tick(LOOK).await?;
        }
    }

    /// Ends the daemon, starts it again, and looks for what is lost or left.
    pub(crate) async fn restart(&mut self, how: End) -> Result<()> {
        let below = match self.daemon.end(how).await {
            Ok(below) => below,
            Err(error) => {
                self.soak.violation(format!("{error:#}"));
                BTreeSet::new()
            }
        };
        self.soak.ends.fetch_add(1, Ordering::SeqCst);
        self.soak.count(if how == End::Kill { "a kill" } else { "a termination" });
        self.daemon.start().await?;
        self.check_after_start(&below).await
    }

    async fn check_after_start(&mut self, below: &BTreeSet<ProcessId>) -> Result<()> {
        let acknowledged = self.soak.known();
        match self.soak.all_tasks().await {
            Ok(listed) => {
                let there: BTreeSet<_> = listed.iter().map(|task| task.id).collect();
                for (lost, _) in acknowledged.iter().filter(|(id, _)| !there.contains(id) && self.soak.knows(**id)) {
                    self.soak.violation(format!("{lost} was acknowledged and is not there after a restart"));
                }
                let now = self.soak.known();
                for task in listed {
                    let before = acknowledged.get(&task.id).copied().flatten();
                    // One that was tried again meanwhile is no longer what it was.
                    let is_settled = before.is_some() && now.get(&task.id).copied().flatten() == before;
                    if is_settled && before != Some(task.status) && task.status.is_terminal() {
                        self.soak
                            .violation(format!("{} was {before:?} before a restart and is {:?}", task.id, task.status));
                    }
                }
            }
            Err(error) => self.soak.violation(format!("tasks cannot be listed after a restart: {error}")),
        }
        let left = self.daemon.leftovers(below).await;
        if !left.is_empty() {
            self.soak.violation(format!("processes of an ended daemon are alive: {left:?}"));
        }
        Ok(())
    }

    /// Waits, and looks after the daemon meanwhile.
    pub(crate) async fn wait(&mut self, until: Until) -> Result<()> {
        loop {
            match until {
                Until::Time(end) => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(());
                    }
                    self.tick(left.min(TICK)).await?;
                }
                Until::Ended(count) => {
                    if self.ended() >= count {
                        return Ok(());
                    }
                    let mut ended = self.soak.ended.subscribe();
                    // It comes to no end of its own only where all workers are stuck, and they have limits.
                    timeout(TICK, ended.wait_for(|ended| *ended >= count)).await.ok();
                    self.tick(Duration::ZERO).await?;
                }
            }
        }
    }

    async fn tick(&mut self, time: Duration) -> Result<()> {
        sleep(time).await;
        if let Some(status) = self.daemon.ended_by_itself()? {
            self.soak.violation(format!("the daemon ended by itself with {status}"));
            self.restart(End::Kill).await?;
        }
        let last = self.samples.last().map_or(Duration::ZERO, |sample| sample.at);
        if self.began.elapsed() >= last + SAMPLE_EVERY {
            let sample = self.look();
            self.samples.push(sample);
            if let Some(row) = report::row_that_is_full(&self.samples) {
                eprintln!("{row}");
            }
        }
        Ok(())
    }

    fn look(&self) -> Sample {
        sample::take(&self.daemon, &self.soak, self.began.elapsed())
    }

    fn ended(&self) -> u64 {
        *self.soak.ended.borrow()
    }
}

impl Sample {
    /// Says what a daemon at rest does not have.
    fn unrest(&self) -> Vec<String> {
        let counts = [
            (self.processes, 0, "processes below the daemon"),
            (self.groups, 0, "control groups of former daemons"),
            (self.alive, 0, "tasks that have not ended"),
            (self.workspaces, 0, "folders of tasks at work"),
            (self.temporary.files, 0, "temporary files"),
            (self.segments.files, SEGMENTS_MAX, "segments of the log"),
        ];
        counts.iter().filter(|(is, most, _)| is > most).map(|(is, _, what)| format!("{is} {what}")).collect()
    }
}

impl Window {
    fn leaks(&self, idle_memory: u64) -> Vec<String> {
        let (before, after) = (&self.before, &self.after);
        let cached = before.memory.saturating_sub(idle_memory);
        let may_be_cached = CACHE_BYTES.saturating_sub(cached);
        let memory_max = before.memory + before.memory / MEMORY_SHARE_MAX + MEMORY_BYTES_MAX + may_be_cached;
        let counts = [
            (memory_max, after.memory, before.memory, "bytes of memory"),
            (before.descriptors + HANDLES_MAX, after.descriptors, before.descriptors, "descriptors"),
            (before.threads + HANDLES_MAX, after.threads, before.threads, "threads"),
        ];
        let beyond = counts.iter().filter(|(most, after, _, _)| after > most);
        beyond
            .map(|(_, after, before, what)| format!("{before} {what} became {after} while {} tasks ended", self.ended))
            .collect()
    }
}
