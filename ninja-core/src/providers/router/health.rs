//! What is known of a provider's state by how its last calls went: one in trouble is left alone for a while.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::providers::{Answer, ProviderError};

/// After so many failures in a row the next would fail too. More than one call has tries: a request that nobody can answer
/// must not keep the others away.
const FAILURES_MAX: u32 = 8;
/// How long a provider that keeps failing is left alone; then one call tries it.
const REST: Duration = Duration::from_secs(30);
/// Whatever a provider asks for, it is asked again after this: what it counts may have been changed meanwhile.
const WANTED_MAX: Duration = Duration::from_secs(60 * 60);

/// The state of one provider, shared by all calls.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// While it rests, no call is made.
    rests_until: Option<Instant>,
    /// Before this it wants no call: it said so to one, and means all.
    wanted_from: Option<Instant>,
}

impl Health {
    /// Returns how long to wait before a call, or why none is to be made. Of those that come after a rest the first one
    /// tries, and the others stay away until it knows.
    pub(super) fn admit(&self) -> Result<Duration, ProviderError> {
        let now = Instant::now();
        let mut state = self.state();
        if let Some(until) = state.rests_until {
            if until > now {
                let seconds = (until - now).as_secs() + 1;
                let why = format!("it failed {} times in a row and is left alone for {seconds} s", state.failures);
                return Err(ProviderError::Unavailable(why));
            }
            state.rests_until = Some(now + REST);
        }
        Ok(state.wanted_from.map_or(Duration::ZERO, |from| from.saturating_duration_since(now)))
    }

    /// Takes note of how a call went.
    pub(super) fn note(&self, result: &Result<Answer, ProviderError>) {
        let mut state = self.state();
        match result {
            // Whether it would have answered is not known.
            Err(ProviderError::Cancelled) => {}
            Err(error) if error.is_transient() => {
                let now = Instant::now();
                state.failures = state.failures.saturating_add(1);
                if state.failures >= FAILURES_MAX {
                    state.rests_until = Some(now + REST);
                }
                if let Some(ms) = error.retry_after_ms() {
                    state.wanted_from = Some(now + Duration::from_millis(ms).min(WANTED_MAX));
                }
            }
            // Whoever refuses a call is there.
            Ok(_) | Err(_) => *state = State::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Result<Answer, ProviderError> {
        Err(ProviderError::Truncated)
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_keeps_failing_is_left_alone_and_then_tried_by_one_call() {
        let health = Health::default();
        for _ in 1..FAILURES_MAX {
            health.note(&failed());
            assert_eq!(health.admit(), Ok(Duration::ZERO));
        }
        health.note(&failed());
        let refused = health.admit().unwrap_err().to_string();
        assert!(refused.contains("failed 8 times in a row and is left alone for 31 s"), "{refused}");
        tokio::time::advance(REST).await;
        assert_eq!(health.admit(), Ok(Duration::ZERO), "the first one after the rest");
        assert!(health.admit().is_err(), "the others wait for it");
        health.note(&Err(ProviderError::Cancelled));
        assert!(health.admit().is_err(), "nothing came of it");
        tokio::time::advance(REST).await;
        assert_eq!(health.admit(), Ok(Duration::ZERO));
        health.note(&Err(ProviderError::Rejected(String::new())));
        assert_eq!((health.admit(), health.admit()), (Ok(Duration::ZERO), Ok(Duration::ZERO)), "it is there");
    }

    #[tokio::test(start_paused = true)]
    async fn what_it_asks_of_one_call_holds_for_all() {
        let health = Health::default();
        health.note(&Err(ProviderError::RateLimited { retry_after_ms: Some(7_000) }));
        assert_eq!(health.admit(), Ok(Duration::from_secs(7)));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(health.admit(), Ok(Duration::from_secs(4)));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(health.admit(), Ok(Duration::ZERO));
        health.note(&Err(ProviderError::RateLimited { retry_after_ms: Some(u64::MAX) }));
        assert_eq!(health.admit(), Ok(WANTED_MAX));
    }
}
