//! A limit by the minute: how soon the next call may begin.
//!
//! What is owed is paid by waiting: a call begins when nothing is owed, and then owes its own cost. So one that costs more
//! than a minute's worth is possible, and those after it wait the longer.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);
/// What may be saved up: vendors count by the minute, and some of them by the second.
const SAVED_MAX: Duration = Duration::from_secs(1);

/// A limit, shared by all calls of a provider.
#[derive(Debug)]
pub(super) struct Pace {
    per_minute: u32,
    /// When nothing is owed any more.
    paid_at: Mutex<Option<Instant>>,
}

impl Pace {
    /// Makes a limit of so many units a minute.
    pub(super) fn new(per_minute: u32) -> Self {
        Self { per_minute: per_minute.max(1), paid_at: Mutex::default() }
    }

    /// Takes a place for a call of this cost, and returns how long to wait for it. The places of several calls follow one
    /// another.
    pub(super) fn take(&self, cost: u64) -> Duration {
        let now = Instant::now();
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        let saved = now.checked_sub(SAVED_MAX).unwrap_or(now);
        let begins_at = paid_at.map_or(saved, |paid_at| paid_at.max(saved));
        *paid_at = Some(begins_at + self.time_of(cost));
        begins_at.saturating_duration_since(now)
    }

    /// Gives back what a call did not use of its cost.
    pub(super) fn give_back(&self, cost: u64) {
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        *paid_at = paid_at.and_then(|paid_at| paid_at.checked_sub(self.time_of(cost)));
    }

    fn time_of(&self, cost: u64) -> Duration {
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        MINUTE * cost / self.per_minute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_are_spread_over_the_minute() {
        // A call every two seconds; one second is saved up.
        let pace = Pace::new(30);
        let waits: Vec<_> = (0..4).map(|_| pace.take(1).as_secs()).collect();
        assert_eq!(waits, [0, 1, 3, 5]);
        tokio::time::advance(MINUTE).await;
        assert_eq!(pace.take(1), Duration::ZERO, "a pause saves up a second and no more");
        assert_eq!(pace.take(1), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_dear_is_paid_afterwards_and_what_was_not_used_comes_back() {
        let pace = Pace::new(6_000);
        assert_eq!(pace.take(12_000), Duration::ZERO, "more than a minute's worth");
        assert_eq!(pace.take(100), Duration::from_secs(119));
        pace.give_back(11_000);
        assert_eq!(pace.take(100), Duration::from_secs(10));
        pace.give_back(u64::MAX);
        assert_eq!(pace.take(u64::MAX), Duration::ZERO);
    }
}
