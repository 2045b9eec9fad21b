//! Who was refused for want of a role or a scope: noted, but not so often that noting it becomes the attack.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::super::Engine;
use crate::{
    api::{AuditAction, Credential, Principal, UserId},
    audit::Audit,
};

/// How many entries one caller makes in a window: enough to see what was tried.
const NOTED_MAX: u64 = 10;
const WINDOW: Duration = Duration::from_mins(1);
/// The longest path that is noted whole.
const WHAT_CHARS_MAX: usize = 256;

/// The refusals of the windows that are open.
#[derive(Default)]
pub(in crate::engine) struct Denials(Mutex<HashMap<(UserId, Credential), Window>>);

struct Window {
    /// Whom the entry of those left out names.
    by: Principal,
    denied: u64,
}

/// What becomes of a refusal.
enum Note {
    /// An entry; the first one opens the window.
    Entry { is_first: bool },
    /// It is counted.
    LeftOut,
}

impl Denials {
    fn count(&self, by: &Principal) -> Note {
        let mut windows = self.windows();
        let window = windows.entry((by.user, by.credential)).or_insert_with(|| Window { by: by.clone(), denied: 0 });
        window.denied += 1;
        match window.denied {
            1..=NOTED_MAX => Note::Entry { is_first: window.denied == 1 },
            _ => Note::LeftOut,
        }
    }

    /// Closes the window of one caller, and returns what was left out of it.
    fn close(&self, who: (UserId, Credential)) -> Option<(Principal, u64)> {
        let Window { by, denied } = self.windows().remove(&who)?;
        (denied > NOTED_MAX).then_some((by, denied - NOTED_MAX))
    }

    /// Closes every window.
    fn close_all(&self) -> Vec<(Principal, u64)> {
        let callers: Vec<_> = self.windows().keys().copied().collect();
        callers.into_iter().filter_map(|who| self.close(who)).collect()
    }

    fn windows(&self) -> MutexGuard<'_, HashMap<(UserId, Credential), Window>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Notes that somebody was refused for want of a role or a scope: `what` is what was asked for. One caller makes ten entries in
    /// a minute at most, and then one that says how many were left out.
    ///
    /// That an entry cannot be written is logged and changes nothing: the caller is refused either way.
    pub async fn note_denied(&self, by: &Principal, what: &str) {
        match self.0.audit.denials.count(by) {
            Note::LeftOut => {}
            Note::Entry { is_first } => {
                if is_first {
                    self.close_later((by.user, by.credential));
                }
                let what: String = what.chars().take(WHAT_CHARS_MAX).collect();
                self.commit_denial(Audit::of(by, AuditAction::Denied, self.0.services.clock.now()).to(what)).await;
            }
        }
    }

    /// Writes what was left out so far; called when the engine stops.
    pub(in crate::engine) async fn note_left_out(&self) {
        for (by, left_out) in self.0.audit.denials.close_all() {
            self.commit_left_out(&by, left_out).await;
        }
    }

    fn close_later(&self, who: (UserId, Credential)) {
        // A window must not keep an engine alive that nobody holds any more.
        let engine = std::sync::Arc::downgrade(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(WINDOW).await;
            let Some(engine) = engine.upgrade().map(Self) else { return };
            if let Some((by, left_out)) = engine.0.audit.denials.close(who) {
                engine.commit_left_out(&by, left_out).await;
            }
        });
    }

    async fn commit_left_out(&self, by: &Principal, left_out: u64) {
        let entry = Audit::of(by, AuditAction::Denied, self.0.services.clock.now());
        self.commit_denial(entry.saying(format!("{left_out} more within a minute, which are not listed"))).await;
    }

    async fn commit_denial(&self, entry: Audit) {
        if let Err(error) = self.commit_audit(&entry.refused()).await {
            tracing::error!(target: "ninja::audit", %error, "failed to note that somebody was refused");
        }
    }
}
