//! Restart policy, here and nowhere else: one for one, with back-off, a limit per window, then escalation.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How often a child may fail, and how long to wait before it is started again.
#[derive(Debug, Clone, Copy)]
pub(super) struct RestartPolicy {
    /// Failures within the window that are answered with a restart; the next one escalates.
    pub restarts_max: usize,
    /// The window.
    pub window: Duration,
    /// The first wait; it doubles with each failure in the window.
    pub backoff: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
}

impl RestartPolicy {
    /// For the engine's own actors: an engine that loses one of them ten times in a minute has a defect that restarts do
    /// not mend.
    pub(super) const ENGINE: Self = Self {
        restarts_max: 10,
        window: Duration::from_secs(60),
        backoff: Duration::from_millis(10),
        backoff_max: Duration::from_secs(2),
    };
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Start it again after this time.
    Restart(Duration),
    /// It failed too often: the supervisor gives up.
    Escalate,
}

/// One child's failures.
#[derive(Debug, Default)]
pub(super) struct Failures(VecDeque<Instant>);

impl Failures {
    /// Takes note of a failure and says what follows.
    pub(super) fn note(&mut self, now: Instant, policy: &RestartPolicy) -> Verdict {
        while self.0.front().is_some_and(|first| now.duration_since(*first) > policy.window) {
            self.0.pop_front();
        }
        let before = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.push_back(now);
        if self.0.len() > policy.restarts_max {
            return Verdict::Escalate;
        }
        Verdict::Restart(policy.backoff.saturating_mul(2_u32.saturating_pow(before)).min(policy.backoff_max))
    }

    /// Returns how many there were in the window.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RestartPolicy = RestartPolicy {
        restarts_max: 3,
        window: Duration::from_secs(10),
        backoff: Duration::from_secs(1),
        backoff_max: Duration::from_secs(3),
    };

    #[test]
    fn waits_double_up_to_a_limit_then_it_escalates() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        let verdicts: Vec<_> = (0..4).map(|_| failures.note(start, &POLICY)).collect();
        let waits = [1, 2, 3].map(|seconds| Verdict::Restart(Duration::from_secs(seconds)));
        assert_eq!(verdicts, [waits[0], waits[1], waits[2], Verdict::Escalate]);
    }

    #[test]
    fn failures_outside_the_window_are_forgotten() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        for at in 0..20 {
            let verdict = failures.note(start + Duration::from_secs(at * 11), &POLICY);
            assert_eq!(verdict, Verdict::Restart(Duration::from_secs(1)));
        }
    }
}
