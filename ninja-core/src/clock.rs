//! Time and randomness, as parameters: core never asks the system by itself.

use std::time::Duration;

use uuid::Uuid;

use crate::api::Timestamp;

/// The time, and new ids.
pub trait Clock: Send + Sync + 'static {
    /// Returns the time, cut to milliseconds as the wire shows it.
    fn now(&self) -> Timestamp;

    /// Makes a UUIDv7.
    fn new_uuid(&self) -> Uuid;

    /// Returns how long it is until a time; nothing where it has passed.
    fn until(&self, time: Timestamp) -> Duration {
        Duration::try_from(time.duration_since(self.now())).unwrap_or_default()
    }
}

/// The system's clock and random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system for the time")]
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    fn new_uuid(&self) -> Uuid {
        Uuid::now_v7()
    }
}
