//! Who was refused for want of a role, a scope or a credential that is good: noted, but not so often that noting it becomes the attack.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::super::Engine;
use crate::{
    api::{AuditAction, Credential, Origin, Principal, UserId},
    audit::Audit,
};

/// How many entries one caller makes in a window: enough to see what was tried.
const NOTED_MAX: u64 = 10;
const WINDOW: Duration = Duration::from_mins(1);
/// From so many addresses at once, all further ones count as one: an attacker can have more of them than there is memory.
const WINDOWS_MAX: usize = 1_000;
/// The longest path that is noted whole.
const WHAT_CHARS_MAX: usize = 256;

/// Whose refusals are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    Known(UserId, Credential),
    /// Nobody known, from this address.
    Stranger(Option<IpAddr>),
}

/// The refusals of the windows that are open.
#[derive(Default)]
pub(in crate::engine) struct Denials(Mutex<HashMap<Who, Window>>);

struct Window {
    /// The entry that those left out get in the end.
    rest: Audit,
    denied: u64,
}

/// What becomes of a refusal.
#[derive(Debug, PartialEq, Eq)]
enum Note {
    /// An entry.
    Entry,
    /// An entry, and the first of this window.
    First(Who),
    /// It is counted.
    LeftOut,
}

impl Denials {
    fn count(&self, who: Who, rest: Audit) -> Note {
        let mut windows = self.windows();
        let is_full = windows.len() >= WINDOWS_MAX && !windows.contains_key(&who);
        // What is left out of the shared window is nobody's in particular.
        let (who, rest) = if is_full { (Who::Stranger(None), rest.by_nobody()) } else { (who, rest) };
        let window = windows.entry(who).or_insert(Window { rest, denied: 0 });
        window.denied += 1;
        match window.denied {
            1 => Note::First(who),
            2..=NOTED_MAX => Note::Entry,
            _ => Note::LeftOut,
        }
    }

    /// Closes the window of one caller, and returns what was left out of it.
    fn close(&self, who: Who) -> Option<(Audit, u64)> {
        let Window { rest, denied } = self.windows().remove(&who)?;
        denied.checked_sub(NOTED_MAX).filter(|left_out| *left_out > 0).map(|left_out| (rest, left_out))
    }

    /// Closes every window.
    fn close_all(&self) -> Vec<(Audit, u64)> {
        let callers: Vec<_> = self.windows().keys().copied().collect();
        callers.into_iter().filter_map(|who| self.close(who)).collect()
    }

    fn windows(&self) -> MutexGuard<'_, HashMap<Who, Window>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Notes that somebody was refused for want of a role or a scope: `what` is what was asked for. One caller makes ten entries in
    /// a minute at most, and then one that says how many were left out.
    ///
    /// That an entry cannot be written is logged and changes nothing: the caller is refused either way.
    pub async fn note_denied(&self, by: &Principal, what: &str) {
        let rest = Audit::of(by, AuditAction::Denied, self.0.services.clock.now());
        let what: String = what.chars().take(WHAT_CHARS_MAX).collect();
        self.note_refusal(Who::Known(by.user, by.credential), rest.clone(), rest.to(what)).await;
    }

    /// Notes that somebody showed a credential that is not good. One address makes ten entries in a minute at most, as above. An
    /// access token that has merely expired is no sign of anything, and is not noted.
    pub async fn note_unknown(&self, origin: &Origin, credential: &str, what: &str) {
        if self.has_expired(credential) {
            return;
        }
        let what: String = what.chars().take(WHAT_CHARS_MAX).collect();
        let entry = self.of_stranger(origin, AuditAction::Denied).to(what);
        self.note_stranger(origin, entry.saying("the credential is not valid")).await;
    }

    /// Notes that somebody whom nobody knows tried something and was refused.
    pub(in crate::engine) async fn note_refused(&self, origin: &Origin, action: AuditAction) {
        self.note_stranger(origin, self.of_stranger(origin, action)).await;
    }

    /// Writes what was left out so far; called when the engine stops.
    pub(in crate::engine) async fn note_left_out(&self) {
        for (rest, left_out) in self.0.audit.denials.close_all() {
            self.commit_left_out(rest, left_out).await;
        }
    }

    fn of_stranger(&self, origin: &Origin, action: AuditAction) -> Audit {
        Audit::of_nobody(origin, action, self.0.services.clock.now())
    }

    async fn note_stranger(&self, origin: &Origin, entry: Audit) {
        let rest = self.of_stranger(origin, AuditAction::Denied);
        self.note_refusal(Who::Stranger(origin.ip), rest, entry).await;
    }

    async fn note_refusal(&self, who: Who, rest: Audit, entry: Audit) {
        match self.0.audit.denials.count(who, rest) {
            Note::LeftOut => return,
            Note::Entry => {}
            Note::First(who) => self.close_later(who),
        }
        self.commit_denial(entry).await;
    }

    fn close_later(&self, who: Who) {
        // A window must not keep an engine alive that nobody holds any more.
        let engine = std::sync::Arc::downgrade(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(WINDOW).await;
            let Some(engine) = engine.upgrade().map(Self) else { return };
            if let Some((rest, left_out)) = engine.0.audit.denials.close(who) {
                engine.commit_left_out(rest, left_out).await;
            }
        });
    }

    async fn commit_left_out(&self, rest: Audit, left_out: u64) {
        let entry = rest.at(self.0.services.clock.now());
        self.commit_denial(entry.saying(format!("{left_out} more within a minute, which are not listed"))).await;
    }

    async fn commit_denial(&self, entry: Audit) {
        if let Err(error) = self.commit_audit(&entry.refused()).await {
            tracing::error!(target: "ninja::audit", %error, "failed to note that somebody was refused");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Timestamp;

    fn rest() -> Audit {
        Audit::of_nobody(&Origin::default(), AuditAction::Denied, Timestamp::UNIX_EPOCH)
    }

    fn stranger(n: u32) -> Who {
        Who::Stranger(Some(IpAddr::from(n.to_be_bytes())))
    }

    #[test]
    fn ten_are_noted_and_the_rest_is_counted_until_the_window_closes() {
        let denials = Denials::default();
        let notes = |n: usize| (0..n).map(|_| denials.count(stranger(1), rest())).collect::<Vec<_>>();
        let noted = notes(13);
        assert_eq!(noted.iter().filter(|note| **note != Note::LeftOut).count() as u64, NOTED_MAX);
        assert_eq!((&noted[0], &noted[1], &noted[12]), (&Note::First(stranger(1)), &Note::Entry, &Note::LeftOut));
        assert_eq!(denials.count(stranger(2), rest()), Note::First(stranger(2)), "another one has its own");
        assert_eq!(denials.close(stranger(1)).map(|(_, left_out)| left_out), Some(3));
        assert_eq!(notes(1), [Note::First(stranger(1))]);
        assert!(denials.close(stranger(1)).is_none(), "nothing was left out");
    }

    #[test]
    fn more_addresses_than_there_is_room_for_count_as_one() {
        let denials = Denials::default();
        let shared = (0..3_000).filter(|n| denials.count(stranger(*n), rest()) != Note::First(stranger(*n))).count();
        assert_eq!(shared, 3_000 - WINDOWS_MAX);
        assert_eq!(denials.windows().len(), WINDOWS_MAX + 1);
        assert_eq!(denials.close_all().into_iter().map(|(_, left_out)| left_out).sum::<u64>(), 2_000 - NOTED_MAX);
    }
}
