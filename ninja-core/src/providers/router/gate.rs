//! What stands before a provider: how many calls it takes at a time and in a minute, and whether it takes any now.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::sync::Semaphore;

use super::{health::Health, pace::Pace};
use crate::providers::{Answer, ChatRequest, ProviderConfig, ProviderError, http::answer::prompt_tokens};

/// What has to be waited for longer is no matter of one call: it belongs into the journal, not into memory.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(60);

/// The limits of one provider, shared by all calls.
pub(super) struct Gate {
    /// Places for calls at the same time. A call keeps its place between its tries: a provider in trouble gets fewer calls,
    /// not others in their stead.
    pub(super) calls: Semaphore,
    health: Health,
    requests: Option<Pace>,
    tokens: Option<Pace>,
    retries: AtomicU64,
    waits: AtomicU64,
    waited_ms: AtomicU64,
}

/// What is counted of the calls to one provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GateNumbers {
    /// Tries after a call's first.
    pub(crate) retries: u64,
    /// Tries that waited for a limit.
    pub(crate) waits: u64,
    /// How long they waited in all, in milliseconds.
    pub(crate) waited_ms: u64,
}

impl Gate {
    /// Makes one that lets so many calls through at a time.
    pub(super) fn new(max_concurrency: usize) -> Self {
        let calls = Semaphore::new(max_concurrency.clamp(1, Semaphore::MAX_PERMITS));
        Self {
            calls,
            health: Health::default(),
            requests: None,
            tokens: None,
            retries: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            waited_ms: AtomicU64::new(0),
        }
    }

    /// Adds the limits by the minute that are configured.
    pub(super) fn with_rates(self, config: &ProviderConfig) -> Self {
        Self {
            requests: config.requests_per_minute.map(Pace::new),
            tokens: config.tokens_per_minute.map(Pace::new),
            ..self
        }
    }

    /// Returns how many tokens a call may use; estimated, and only where that limits it.
    pub(super) fn tokens_of(&self, request: &ChatRequest) -> u64 {
        self.tokens.as_ref().map_or(0, |_| prompt_tokens(request) + u64::from(request.max_output_tokens))
    }

    /// Counts a try after a call's first.
    pub(super) fn note_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns what was counted.
    pub(super) fn numbers(&self) -> GateNumbers {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        GateNumbers { retries: read(&self.retries), waits: read(&self.waits), waited_ms: read(&self.waited_ms) }
    }

    /// Waits until a try that may use so many tokens can be made.
    ///
    /// # Errors
    ///
    /// Fails where the provider is left alone, or wants no call for longer than a call waits.
    pub(super) async fn pass(&self, tokens: u64) -> Result<Passed<'_>, ProviderError> {
        let wanted = self.health.admit()?;
        let by_requests = self.requests.as_ref().map_or(Duration::ZERO, |pace| pace.take(1));
        let by_tokens = self.tokens.as_ref().map_or(Duration::ZERO, |pace| pace.take(tokens));
        let passed = Passed { gate: self, tokens };
        let wait = wanted.max(by_requests).max(by_tokens);
        if wait > WAIT_MAX {
            let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            return Err(ProviderError::RateLimited { retry_after_ms: Some(ms) });
        }
        if !wait.is_zero() {
            self.waits.fetch_add(1, Ordering::Relaxed);
            self.waited_ms.fetch_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
            tokio::time::sleep(wait).await;
        }
        Ok(passed)
    }
}

/// A try that was let through. Dropped without a word, or after a failure, it gives its tokens back.
pub(super) struct Passed<'a> {
    gate: &'a Gate,
    tokens: u64,
}

impl Passed<'_> {
    /// Takes note of how the try went.
    pub(super) fn note(mut self, result: &Result<Answer, ProviderError>) {
        self.gate.health.note(result);
        if let Ok(answer) = result {
            self.tokens = self.tokens.saturating_sub(answer.usage.tokens());
        }
    }
}

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        if let Some(pace) = &self.gate.tokens {
            pace.give_back(self.tokens);
        }
    }
}
