//! Failed logins: who tries too often waits, longer each time. Sessions that are there are not touched by it.
//!
//! Counted for each account and address together, so that nobody locks somebody else out, and loosely for each account from
//! anywhere, against a guess from many places. Unknown accounts are counted like known ones: the answer tells nothing. It all
//! stands in memory; a restart forgives.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{api::Timestamp, clock::Clock};

/// Mistakes that anybody makes.
const FREE: u32 = 5;
/// Mistakes of everybody who tries one account, from wherever.
const FREE_FROM_ANYWHERE: u32 = 100;
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(15 * 60);
/// So long at most somebody's own login is held up by others who guess.
const WAIT_MAX_FROM_ANYWHERE: Duration = Duration::from_secs(5);
/// After so long without a failure it is forgotten.
const FORGET: Duration = Duration::from_secs(60 * 60);
/// What is remembered at most: a few megabytes.
const REMEMBERED_MAX: usize = 50_000;

/// The failures of an engine's logins.
#[derive(Default)]
pub(crate) struct Attempts {
    failures: Mutex<HashMap<Who, Failures>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Who {
    account: String,
    from: Option<IpAddr>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
    open_at: Timestamp,
}

impl Attempts {
    /// Returns how long it is until the account may be tried again from there; nothing where it may be now.
    pub(crate) fn wait(&self, account: &str, from: Option<IpAddr>, now: Timestamp) -> Option<Duration> {
        let failures = self.failures();
        let open_at = [of(account, from), of_anywhere(account)]
            .iter()
            .filter_map(|who| failures.get(who))
            .map(|failures| failures.open_at)
            .max()?;
        Duration::try_from(open_at.duration_since(now)).ok().filter(|wait| !wait.is_zero())
    }

    /// Takes note of a failure.
    pub(crate) fn note_failure(&self, account: &str, from: Option<IpAddr>, now: Timestamp) {
        let mut failures = self.failures();
        if failures.len() >= REMEMBERED_MAX {
            failures.retain(|_, failures| failures.last + FORGET > now);
        }
        if failures.len() >= REMEMBERED_MAX {
            // Somebody fills it on purpose; what is lost is a count of mistakes.
            failures.clear();
        }
        note(&mut failures, of(account, from), (FREE, WAIT_MAX), now);
        note(&mut failures, of_anywhere(account), (FREE_FROM_ANYWHERE, WAIT_MAX_FROM_ANYWHERE), now);
    }

    /// Forgets the failures of an account from an address: its owner got in.
    pub(crate) fn forgive(&self, account: &str, from: Option<IpAddr>) {
        self.failures().remove(&of(account, from));
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, HashMap<Who, Failures>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A password that somebody tries. It is counted in its turn: of many that were sent together, those behind a few mistakes are not
/// compared any more.
pub(crate) struct Attempt {
    pub(crate) attempts: Arc<Attempts>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Whose password it is said to be.
    pub(crate) account: String,
    pub(crate) from: Option<IpAddr>,
}

impl Attempt {
    /// Returns how long it is until it may be made; nothing where it may be now.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.attempts.wait(&self.account, self.from, self.clock.now())
    }

    /// Takes note of how it ended.
    pub(super) fn end(&self, matches: bool) {
        match matches {
            true => self.attempts.forgive(&self.account, self.from),
            false => self.attempts.note_failure(&self.account, self.from, self.clock.now()),
        }
    }
}

fn note(failures: &mut HashMap<Who, Failures>, who: Who, (free, wait_max): (u32, Duration), now: Timestamp) {
    let fresh = Failures { count: 0, last: now, open_at: now };
    let known = failures.entry(who).or_insert(fresh);
    if known.last + FORGET <= now {
        *known = fresh;
    }
    known.count = known.count.saturating_add(1);
    known.last = now;
    if let Some(over) = known.count.checked_sub(free) {
        known.open_at = now + (WAIT_MIN * 2_u32.saturating_pow(over.min(20))).min(wait_max);
    }
}

fn of(account: &str, from: Option<IpAddr>) -> Who {
    // Whoever has one IPv6 address has the 2^64 beside it.
    let from = from.map(|ip| match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & !u128::from(u64::MAX)).into()),
    });
    Who { account: account.to_owned(), from: Some(from.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))) }
}

fn of_anywhere(account: &str) -> Who {
    Who { account: account.to_owned(), from: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
    const THERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)));
    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn waits_double_after_a_few_mistakes_and_end_with_success() {
        let attempts = Attempts::default();
        let mut waits = Vec::new();
        for _ in 0..18 {
            attempts.note_failure("a", HERE, NOW);
            waits.push(attempts.wait("a", HERE, NOW).map_or(0, |wait| wait.as_secs()));
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900]);
        assert_eq!(attempts.wait("a", THERE, NOW), None, "from elsewhere its owner gets in");
        assert_eq!(attempts.wait("a", HERE, NOW + Duration::from_secs(900)), None);
        attempts.forgive("a", HERE);
        assert_eq!(attempts.wait("a", HERE, NOW), None);
    }

    #[test]
    fn a_guess_from_many_places_is_slowed_down_a_little() {
        let attempts = Attempts::default();
        for n in 0..1_000_u32 {
            attempts.note_failure("a", Some(IpAddr::V4(n.into())), NOW);
        }
        assert_eq!(attempts.wait("a", HERE, NOW), Some(WAIT_MAX_FROM_ANYWHERE));
        assert_eq!(attempts.wait("b", HERE, NOW), None);
    }

    #[test]
    fn neighbours_in_one_network_are_one_and_what_is_remembered_is_bounded() {
        let attempts = Attempts::default();
        for n in 0..10_u32 {
            attempts.note_failure("a", Some(format!("2001:db8::{n}").parse().unwrap()), NOW);
        }
        assert!(attempts.wait("a", Some("2001:db8::ffff".parse().unwrap()), NOW).is_some());
        for n in 0..60_000 {
            attempts.note_failure(&n.to_string(), HERE, NOW);
        }
        assert!(attempts.failures().len() <= REMEMBERED_MAX + 1);
    }
}
