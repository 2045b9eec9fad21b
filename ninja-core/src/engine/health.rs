//! `health`: each component, honestly; `ready`: whether requests are to be sent here.
//!
//! Looking at a component can start a process, and anybody may ask. So what was found is kept for a while, and of those who
//! ask at the same time one looks.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::time::{Instant, timeout};

use super::Engine;
use crate::{
    api::{Access, ComponentHealth, ComponentState, Health, Principal, Readiness, Scope, Timestamp, Unready},
    audit::AuditKey,
    providers::{Choice, ChooseError},
    sandbox::SandboxError,
};

/// How long what was found holds: little to a person who watches, and much to a thousand probes a second.
const FRESH: Duration = Duration::from_secs(1);
/// The same of what starts a process to find out.
const FRESH_SANDBOX: Duration = Duration::from_secs(30);
/// A component that has said nothing by then does not work.
const CHECK_MAX: Duration = Duration::from_secs(5);
/// Less room on the disk than this is soon none.
const ROOM_LOW_BYTES: u64 = 256 * 1024 * 1024;

/// What was found of the components, and since when.
#[derive(Default)]
pub(super) struct Findings {
    kept: Mutex<Vec<Finding>>,
    /// Held by the one who looks.
    looking: Arc<tokio::sync::Mutex<()>>,
}

/// What was found of one component.
#[derive(Clone)]
struct Finding {
    part: Part,
    state: ComponentState,
    detail: String,
    since: Timestamp,
    checked_at: Timestamp,
    holds_until: Instant,
}

/// A component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Store,
    Journal,
    Disk,
    Sandbox,
    Providers,
    Actors,
}

impl Part {
    const ALL: [Self; 6] = [Self::Store, Self::Journal, Self::Disk, Self::Sandbox, Self::Providers, Self::Actors];

    fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Journal => "journal",
            Self::Disk => "disk",
            Self::Sandbox => "sandbox",
            Self::Providers => "providers",
            Self::Actors => "actors",
        }
    }

    /// Says what a state means, to those who may not know more.
    fn meaning(self, state: ComponentState) -> &'static str {
        use ComponentState::{Degraded, Down, Ok};
        match (self, state) {
            (Self::Store, Ok) => "writes and reads",
            (Self::Store, Degraded) => "takes no writes that have to stand in the audit log",
            (Self::Store, Down) => "takes no writes",
            (Self::Journal, Ok) => "keeps up",
            (Self::Journal, Degraded | Down) => "more is written than the disk takes",
            (Self::Disk, Ok) => "has room",
            (Self::Disk, Degraded | Down) => "has little room left",
            (Self::Sandbox, Ok) => "isolates what tasks run",
            (Self::Sandbox, Degraded | Down) => "does not work: tasks run no code",
            (Self::Providers, Ok) => "a model can answer",
            (Self::Providers, Degraded | Down) => "no model can answer",
            (Self::Actors, Ok) => "work",
            (Self::Actors, Degraded) => "are being started again",
            (Self::Actors, Down) => "failed too often; restart the engine",
        }
    }

    /// Returns how the engine is where this is so: it serves what it can without a sandbox or a provider.
    fn weighs(self, state: ComponentState) -> ComponentState {
        match self {
            Self::Sandbox | Self::Providers => state.min(ComponentState::Degraded),
            Self::Store | Self::Journal | Self::Disk | Self::Actors => state,
        }
    }

    fn holds_for(self) -> Duration {
        match self {
            Self::Sandbox => FRESH_SANDBOX,
            Self::Store | Self::Journal | Self::Disk | Self::Providers | Self::Actors => FRESH,
        }
    }
}

impl Findings {
    fn kept(&self) -> MutexGuard<'_, Vec<Finding>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the components whose findings no longer hold.
    fn stale(&self) -> Vec<Part> {
        let (kept, now) = (self.kept(), Instant::now());
        let holds = |part: &Part| kept.iter().any(|found| found.part == *part && now < found.holds_until);
        Part::ALL.into_iter().filter(|part| !holds(part)).collect()
    }

    /// Returns how each component was when it was last looked at.
    pub(super) fn states(&self) -> Vec<(&'static str, ComponentState)> {
        self.kept().iter().map(|found| (found.part.name(), found.state)).collect()
    }

    fn note(&self, part: Part, (state, detail): (ComponentState, String), now: Timestamp) {
        let holds_until = Instant::now() + part.holds_for();
        let mut kept = self.kept();
        match kept.iter_mut().find(|found| found.part == part) {
            Some(found) => {
                let since = if found.state == state { found.since } else { now };
                *found = Finding { part, state, detail, since, checked_at: now, holds_until };
            }
            None => kept.push(Finding { part, state, detail, since: now, checked_at: now, holds_until }),
        }
    }
}

impl Engine {
    /// Says how each component is, or was within the last seconds. Details are for administrators.
    pub async fn health(&self, by: Option<&Principal>) -> Health {
        self.look().await;
        let sees_details = by.is_some_and(|by| by.check(Access::Admin(Scope::AdminRead)).is_ok());
        let kept = self.0.findings.kept();
        let found = || Part::ALL.into_iter().filter_map(|part| kept.iter().find(|found| found.part == part));
        let state = found().map(|found| found.part.weighs(found.state)).max().unwrap_or(ComponentState::Down);
        let told = found().map(|found| ComponentHealth {
            name: found.part.name().to_owned(),
            state: found.state,
            detail: if sees_details { found.detail.clone() } else { found.part.meaning(found.state).to_owned() },
            since: Some(found.since),
            checked_at: Some(found.checked_at),
        });
        Health { state, version: env!("CARGO_PKG_VERSION").to_owned(), components: told.collect() }
    }

    /// Says whether requests are to be sent here.
    pub fn ready(&self) -> Readiness {
        let because = if self.0.stopping.is_cancelled() {
            Some(Unready::Stopping)
        } else if self.store().failure().is_some() {
            Some(Unready::ReadOnly)
        } else if self.0.tree.gave_up() {
            Some(Unready::GaveUp)
        } else if !self.0.tree.has_swept() {
            Some(Unready::Recovering)
        } else {
            None
        };
        Readiness { ready: because.is_none(), because }
    }

    /// Looks at the components whose findings no longer hold. Of those who come together one looks; the others take what was
    /// found before, or wait where nothing was.
    async fn look(&self) {
        let findings = &self.0.findings;
        if findings.stale().is_empty() {
            return;
        }
        let was_never = findings.kept().len() < Part::ALL.len();
        let looking = match Arc::clone(&findings.looking).try_lock_owned() {
            Ok(looking) => looking,
            Err(_) if was_never => Arc::clone(&findings.looking).lock_owned().await,
            Err(_) => return,
        };
        // It goes on where whoever asked has gone: the next one would only begin again.
        let engine = self.clone();
        let looked = tokio::spawn(async move {
            let stale = engine.0.findings.stale();
            futures::future::join_all(stale.into_iter().map(|part| engine.look_at(part))).await;
            drop(looking);
        });
        // A check that panics has found nothing.
        looked.await.ok();
    }

    async fn look_at(&self, part: Part) {
        let found: BoxFuture<'_, (ComponentState, String)> = match part {
            Part::Store => Box::pin(async { self.look_at_store() }),
            Part::Journal => Box::pin(async { self.look_at_journal() }),
            Part::Disk => Box::pin(async { self.look_at_disk() }),
            Part::Sandbox => Box::pin(self.look_at_sandbox()),
            Part::Providers => Box::pin(async { self.look_at_providers() }),
            Part::Actors => Box::pin(self.look_at_actors()),
        };
        let silent = || (ComponentState::Down, format!("has not answered within {} s", CHECK_MAX.as_secs()));
        let found = timeout(CHECK_MAX, found).await.unwrap_or_else(|_| silent());
        self.0.findings.note(part, found, self.0.services.clock.now());
    }

    fn look_at_store(&self) -> (ComponentState, String) {
        match self.store().failure() {
            None if matches!(self.0.audit.key, AuditKey::Missing(_)) => {
                let what = "writes and reads, but the audit log cannot be written, and nothing is done that has to stand in it; \
                            `ninja audit verify` says why";
                (ComponentState::Degraded, what.to_owned())
            }
            None => (ComponentState::Ok, "writes and reads".to_owned()),
            Some(error) => (ComponentState::Down, error.to_string()),
        }
    }

    fn look_at_journal(&self) -> (ComponentState, String) {
        let numbers = self.store().numbers();
        let is_behind = |bytes: u64, bytes_max: u64| bytes_max > 0 && bytes >= bytes_max / 2;
        let behind = is_behind(numbers.queued_bytes, numbers.queued_bytes_max)
            || is_behind(numbers.backlog_bytes, numbers.backlog_bytes_max);
        let state = if behind { ComponentState::Degraded } else { ComponentState::Ok };
        let kib = |bytes: u64| bytes.div_ceil(1024);
        let (queued, backlog) = (kib(numbers.queued_bytes), kib(numbers.backlog_bytes));
        (state, format!("{queued} KiB wait for the writer, {backlog} KiB for a checkpoint"))
    }

    fn look_at_disk(&self) -> (ComponentState, String) {
        match self.store().numbers().room_bytes {
            None => (ComponentState::Ok, "how much room it has is not known".to_owned()),
            Some(bytes) => {
                let state = if bytes < ROOM_LOW_BYTES { ComponentState::Degraded } else { ComponentState::Ok };
                (state, format!("{} MiB are free", bytes / (1024 * 1024)))
            }
        }
    }

    async fn look_at_sandbox(&self) -> (ComponentState, String) {
        let sandbox = &self.0.services.sandbox;
        match sandbox.check().await {
            Ok(detail) => (ComponentState::Ok, format!("{}: {detail}", sandbox.name())),
            Err(
                error @ (SandboxError::Unavailable(_) | SandboxError::Interrupted { .. } | SandboxError::Failed(_)),
            ) => (ComponentState::Down, error.to_string()),
        }
    }

    fn look_at_providers(&self) -> (ComponentState, String) {
        let providers = self.0.services.providers.now();
        match providers.choose(None) {
            Ok(Choice { model, info, .. }) => {
                let note = providers.note(&model).map(|note| format!("; {note}")).unwrap_or_default();
                (ComponentState::Ok, format!("{model} ({}){note}", info.label))
            }
            // Where keys are and what a provider said is for those who list the providers.
            Err(ChooseError::Unusable { provider, reason: _ }) => {
                let what = format!("the provider {provider} cannot be used; `ninja providers` says why");
                (ComponentState::Down, what)
            }
            Err(error @ ChooseError::NoProvider) => (ComponentState::Down, error.to_string()),
        }
    }

    async fn look_at_actors(&self) -> (ComponentState, String) {
        match self.0.tree.status().await {
            // The other child may be the one that is gone, so this comes before how the orchestrator is.
            _ if self.0.tree.gave_up() => {
                (ComponentState::Down, "an actor failed too often; restart the engine".to_owned())
            }
            Some(status) => (ComponentState::Ok, format!("{} tasks at work, {} queued", status.active, status.queued)),
            None => (ComponentState::Degraded, "the orchestrator is being restarted".to_owned()),
        }
    }
}
