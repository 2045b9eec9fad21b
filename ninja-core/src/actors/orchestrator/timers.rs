//! The times that parked tasks wait for. One message is on its way for the earliest; a hundred thousand waiting tasks cost
//! an entry each.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use crate::api::{TaskId, Timestamp};

/// Times by when they come. Kept as instants: a wall clock that is set moves none of them.
#[derive(Default)]
pub(super) struct Timers {
    times: BTreeSet<(Instant, TaskId, Timestamp)>,
    /// When each comes, so that none comes twice.
    known: HashMap<(TaskId, Timestamp), Instant>,
}

impl Timers {
    /// Notes a time, and returns whether it is now the earliest.
    pub(super) fn set(&mut self, task: TaskId, due: Timestamp, at: Instant) -> bool {
        if let Some(before) = self.known.insert((task, due), at) {
            self.times.remove(&(before, task, due));
        }
        self.times.insert((at, task, due));
        self.times.first().is_some_and(|(first, ..)| *first == at)
    }

    /// Takes out what is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(TaskId, Timestamp)> {
        let mut due = Vec::new();
        while let Some((at, task, time)) = self.times.pop_first() {
            if at > now {
                self.times.insert((at, task, time));
                break;
            }
            self.known.remove(&(task, time));
            due.push((task, time));
        }
        due
    }

    /// Returns how long it is to the earliest.
    pub(super) fn next_wait(&self, now: Instant) -> Option<Duration> {
        self.times.first().map(|(at, ..)| at.saturating_duration_since(now))
    }
}
