//! How long to wait before another try, and when there is none.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{
    Jitter,
    gate::{Gate, WAIT_MAX as RETRY_AFTER_MAX},
    or_cancelled,
};
use crate::providers::{Answer, ProviderError};

/// With the waits below five tries span about ten seconds: what lasts longer is better waited for durably.
const TRIES_MAX: u32 = 5;
/// A hiccup is over by then.
const WAIT_FIRST: Duration = Duration::from_millis(500);
/// Doubling stops here.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Calls until there is an answer, an error that will not pass, no try left, or the gate is closed. A try may use up to
/// `tokens`.
pub(super) async fn with_retries<F>(
    jitter: &Jitter,
    gate: &Gate,
    tokens: u64,
    cancel: &CancellationToken,
    mut call: impl FnMut() -> F,
) -> Result<Answer, ProviderError>
where
    F: Future<Output = Result<Answer, ProviderError>>,
{
    let mut tries = 0;
    loop {
        tries += 1;
        let passed = or_cancelled(cancel, gate.pass(tokens)).await??;
        let result = or_cancelled(cancel, call()).await?;
        passed.note(&result);
        let error = match result {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let Some(wait) = wait_before_next(&error, tries, jitter()) else { return Err(error) };
        tracing::debug!(%error, tries, wait_ms = wait.as_millis(), "provider call failed, trying again");
        or_cancelled(cancel, tokio::time::sleep(wait)).await?;
        gate.note_retry();
    }
}

/// Returns how long to wait after `tries` tries, or nothing if another is of no use. Half of the wait is certain,
/// `jitter` spreads the other half; what the provider asks for is waited for in full, and spread by a tenth.
fn wait_before_next(error: &ProviderError, tries: u32, jitter: f64) -> Option<Duration> {
    if !error.is_transient() || tries >= TRIES_MAX {
        return None;
    }
    let jitter = jitter.clamp(0.0, 1.0);
    if let Some(ms) = error.retry_after_ms() {
        let asked = Duration::from_millis(ms);
        return (asked <= RETRY_AFTER_MAX).then(|| asked.max(WAIT_FIRST).mul_f64(1.0 + jitter / 10.0));
    }
    let doubled = WAIT_FIRST.saturating_mul(2_u32.saturating_pow(tries - 1)).min(WAIT_MAX);
    Some(doubled.mul_f64(0.5 + jitter / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> ProviderError {
        ProviderError::Unavailable(String::new())
    }

    fn limited(ms: u64) -> ProviderError {
        ProviderError::RateLimited { retry_after_ms: Some(ms) }
    }

    #[test]
    fn waits_double_and_spread() {
        let waits = |jitter| -> Vec<_> {
            (1..=5).map(|tries| wait_before_next(&away(), tries, jitter).map(|wait| wait.as_millis())).collect()
        };
        assert_eq!(waits(0.0), [Some(250), Some(500), Some(1_000), Some(2_000), None]);
        assert_eq!(waits(1.0), [Some(500), Some(1_000), Some(2_000), Some(4_000), None]);
    }

    #[test]
    fn the_provider_is_given_the_time_it_asks_for() {
        assert_eq!(wait_before_next(&limited(7_000), 1, 0.0), Some(Duration::from_secs(7)));
        assert_eq!(wait_before_next(&limited(0), 1, 0.0), Some(WAIT_FIRST));
        assert_eq!(wait_before_next(&limited(60_001), 1, 0.0), None);
        assert_eq!(wait_before_next(&limited(u64::MAX), 1, 0.0), None);
    }

    #[test]
    fn what_will_not_pass_is_not_tried_again() {
        for error in [
            ProviderError::Unauthorized(String::new()),
            ProviderError::Rejected(String::new()),
            ProviderError::PromptTooLarge { tokens: 2, window: 1 },
            ProviderError::Cancelled,
        ] {
            assert_eq!(wait_before_next(&error, 1, 0.0), None, "{error}");
        }
    }
}
