//! Who is at work: every actor's place in the tree and how it stands, for whoever looks.
//!
//! A supervisor holds a [`Seat`] for each of its children and keeps it while it starts the child again; whatever ends the
//! supervisor ends its seats. Nobody has to be asked, so the tree is seen even where an actor does not answer. ractor does not
//! tell how long a mailbox is: who sends through a [`Mailbox`] counts, and so does who takes.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use ractor::{ActorCell, ActorId, ActorRef, Message, MessagingErr};

use super::supervision::RestartPolicy;
use crate::{
    api::{ActorFailure, SandboxPool, StepId, SupervisedActor, SupervisedKind, SupervisedState, TaskId, Timestamp},
    clock::Clock,
};

/// Failures that are remembered of an actor: as many as its supervisor bears, and more than are counted.
const FAILURES_MAX: usize = 32;

/// All actors of an engine.
pub(crate) struct Roster {
    clock: Arc<dyn Clock>,
    standings: Mutex<BTreeMap<u64, Arc<Standing>>>,
    seats_made: AtomicU64,
    failures: [AtomicU64; SupervisedKind::ALL.len()],
    /// Tasks that wait for a place.
    queued: AtomicUsize,
    pool: Pool,
}

impl Roster {
    /// Makes an empty one, of an engine that runs at most so many processes in sandboxes.
    pub(crate) fn new(clock: Arc<dyn Clock>, sandboxes_max: usize) -> Arc<Self> {
        let pool = Pool { size: sandboxes_max, running: AtomicUsize::new(0), waiting: AtomicUsize::new(0) };
        Arc::new(Self {
            clock,
            standings: Mutex::default(),
            seats_made: AtomicU64::new(0),
            failures: Default::default(),
            queued: AtomicUsize::new(0),
            pool,
        })
    }

    /// Makes a place for an actor under `parent`.
    pub(super) fn seat(
        self: &Arc<Self>,
        kind: SupervisedKind,
        parent: Option<&Standing>,
        task: Option<TaskId>,
    ) -> Seat {
        let number = self.seats_made.fetch_add(1, Ordering::Relaxed);
        let now = Now {
            state: SupervisedState::Running,
            since: self.clock.now(),
            step: None,
            failed_at: VecDeque::new(),
            last_failure: None,
        };
        let standing = Arc::new(Standing {
            number,
            parent: parent.map(|parent| parent.number),
            kind,
            task,
            waiting: AtomicUsize::new(0),
            now: Mutex::new(now),
        });
        self.standings().insert(number, Arc::clone(&standing));
        Seat { roster: Arc::clone(self), standing }
    }

    /// Says how many tasks wait for a place.
    pub(super) fn note_queued(&self, tasks: usize) {
        self.queued.store(tasks, Ordering::Relaxed);
    }

    /// Returns how many tasks wait for a place.
    pub(crate) fn queued(&self) -> u64 {
        self.queued.load(Ordering::Relaxed) as u64
    }

    /// Returns the places of processes in sandboxes.
    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Returns how the sandboxes are used.
    pub(crate) fn sandboxes(&self) -> SandboxPool {
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed) as u64;
        SandboxPool {
            size: self.pool.size as u64,
            running: read(&self.pool.running),
            waiting: read(&self.pool.waiting),
        }
    }

    /// Returns of each kind how many there are, how many messages wait for them, and how often one has failed.
    pub(crate) fn counts(&self) -> Vec<(SupervisedKind, KindCounts)> {
        let failed = SupervisedKind::ALL.into_iter().zip(&self.failures);
        let mut counts: Vec<_> = failed
            .map(|(kind, failures)| {
                let failures = failures.load(Ordering::Relaxed);
                (kind, KindCounts { failures, ..KindCounts::default() })
            })
            .collect();
        for standing in self.standings().values() {
            if let Some((_, count)) = counts.iter_mut().find(|(kind, _)| *kind == standing.kind) {
                count.alive += 1;
                count.waiting += standing.waiting();
            }
        }
        counts
    }

    /// Returns the tree with at most so many tasks, and how many are left out. `None` before it is started, and after its end.
    pub(crate) fn tree(&self, tasks_max: usize) -> Option<(SupervisedActor, u64)> {
        let (mut rows, mut left_out, mut tasks) = (Vec::new(), 0, 0);
        for standing in self.standings().values() {
            if standing.kind == SupervisedKind::Task {
                tasks += 1;
                if tasks > tasks_max {
                    left_out += 1;
                    continue;
                }
            }
            rows.push(Arc::clone(standing));
        }
        let mut children: BTreeMap<u64, Vec<SupervisedActor>> = BTreeMap::new();
        // A child comes after its parent, so from the end on each finds its own children complete.
        for standing in rows.into_iter().rev() {
            let mut actor = standing.view();
            actor.children = children.remove(&standing.number).unwrap_or_default();
            actor.children.reverse();
            match standing.parent {
                Some(parent) => children.entry(parent).or_default().push(actor),
                None => return Some((actor, left_out)),
            }
        }
        None
    }

    fn standings(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Standing>>> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is counted of a kind of actors.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct KindCounts {
    /// How many there are.
    pub alive: u64,
    /// Messages that wait.
    pub waiting: u64,
    /// Failures since the start.
    pub failures: u64,
}

/// A child's place, held by its supervisor. When it is dropped, the child is gone for good.
pub(super) struct Seat {
    roster: Arc<Roster>,
    standing: Arc<Standing>,
}

impl Seat {
    /// Returns how the child stands, for those who send to it and for itself.
    pub(super) fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }

    /// Says that the child works, for this step if for any.
    pub(super) fn runs(&self, step: Option<StepId>) {
        self.change(SupervisedState::Running, step);
    }

    /// Says that the child is kept for what comes next.
    pub(super) fn idles(&self) {
        self.change(SupervisedState::Idle, None);
    }

    /// Says that the child failed and what follows. What waited in its mailbox is lost.
    pub(super) fn failed(&self, reason: String, gave_up: bool) {
        let state = if gave_up { SupervisedState::GaveUp } else { SupervisedState::Restarting };
        self.standing.waiting.store(0, Ordering::Relaxed);
        let at = SupervisedKind::ALL.iter().position(|kind| *kind == self.standing.kind);
        if let Some(count) = at.and_then(|at| self.roster.failures.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let at = self.roster.clock.now();
        let mut now = self.standing.now();
        now.state = state;
        now.since = at;
        now.failed_at.push_back(Instant::now());
        if now.failed_at.len() > FAILURES_MAX {
            now.failed_at.pop_front();
        }
        now.last_failure = Some(ActorFailure { at, reason });
    }

    fn change(&self, state: SupervisedState, step: Option<StepId>) {
        let since = self.roster.clock.now();
        let mut now = self.standing.now();
        now.state = state;
        now.since = since;
        now.step = step;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.roster.standings().remove(&self.standing.number);
    }
}

/// How an actor stands.
pub(super) struct Standing {
    number: u64,
    parent: Option<u64>,
    kind: SupervisedKind,
    task: Option<TaskId>,
    waiting: AtomicUsize,
    now: Mutex<Now>,
}

/// What changes of it seldom.
struct Now {
    state: SupervisedState,
    since: Timestamp,
    step: Option<StepId>,
    failed_at: VecDeque<Instant>,
    last_failure: Option<ActorFailure>,
}

impl Standing {
    /// Says that its actor has taken a message.
    pub(super) fn took(&self) {
        let less = |waiting: usize| waiting.checked_sub(1);
        // After a failure what was lost is counted no more.
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok();
    }

    fn came(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed) as u64
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self) -> SupervisedActor {
        let now = self.now();
        let recent = now.failed_at.iter().filter(|at| at.elapsed() <= RestartPolicy::ENGINE.window);
        SupervisedActor {
            kind: self.kind,
            task: self.task,
            step: now.step.clone(),
            state: now.state,
            since: now.since,
            waiting: self.waiting(),
            failures: u32::try_from(recent.count()).unwrap_or(u32::MAX),
            last_failure: now.last_failure.clone(),
            children: Vec::new(),
        }
    }
}

/// An actor's address that counts what it is sent.
pub(super) struct Mailbox<M: Message> {
    actor: ActorRef<M>,
    standing: Arc<Standing>,
}

impl<M: Message> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self { actor: self.actor.clone(), standing: Arc::clone(&self.standing) }
    }
}

impl<M: Message> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("actor", &self.actor.get_id()).finish_non_exhaustive()
    }
}

impl<M: Message> Mailbox<M> {
    /// Makes the one of an actor in its place.
    pub(super) fn new(actor: ActorRef<M>, standing: &Arc<Standing>) -> Self {
        Self { actor, standing: Arc::clone(standing) }
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// Fails where the actor has ended.
    pub(super) fn send_message(&self, message: M) -> Result<(), MessagingErr<M>> {
        self.standing.came();
        self.actor.send_message(message).inspect_err(|_| self.standing.took())
    }

    /// Sends a message after a while, if there is an actor then.
    pub(super) fn send_after(&self, wait: Duration, message: impl FnOnce() -> M + Send + 'static) {
        let mailbox = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            // Its successor begins its own timers.
            mailbox.send_message(message()).ok();
        });
    }

    /// Sends a message again and again, as long as there is the actor.
    pub(super) fn send_interval(&self, period: Duration, message: impl Fn() -> M + Send + 'static) {
        let mailbox = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(period).await;
                if mailbox.send_message(message()).is_err() {
                    return;
                }
            }
        });
    }

    /// Returns the actor's id.
    pub(super) fn get_id(&self) -> ActorId {
        self.actor.get_id()
    }

    /// Returns the actor as its children see it.
    pub(super) fn get_cell(&self) -> ActorCell {
        self.actor.get_cell()
    }

    /// Stops the actor.
    pub(super) fn stop(&self) {
        self.actor.stop(None);
    }
}

/// Places of processes in sandboxes.
pub(super) struct Pool {
    size: usize,
    running: AtomicUsize,
    waiting: AtomicUsize,
}

impl Pool {
    /// Returns how many there are.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Counts one that waits, until what is returned is dropped.
    pub(super) fn waits(&self) -> Counted<'_> {
        Counted::new(&self.waiting)
    }

    /// Counts one that runs.
    pub(super) fn runs(&self) -> Counted<'_> {
        Counted::new(&self.running)
    }
}

/// One more, as long as it lives.
pub(super) struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn a_tree_is_made_of_seats_and_loses_what_is_dropped() {
        let roster = Roster::new(Arc::new(SystemClock), 4);
        assert!(roster.tree(10).is_none());
        let root = roster.seat(SupervisedKind::Root, None, None);
        let orchestrator = roster.seat(SupervisedKind::Orchestrator, Some(root.standing()), None);
        let tasks: Vec<Seat> =
            (0..3).map(|_| roster.seat(SupervisedKind::Task, Some(orchestrator.standing()), None)).collect();
        let agent = roster.seat(SupervisedKind::Agent, Some(tasks[0].standing()), None);
        agent.idles();
        tasks[1].failed("it broke".to_owned(), false);
        let (tree, left_out) = roster.tree(2).unwrap();
        assert_eq!((tree.kind, left_out), (SupervisedKind::Root, 1));
        let shown = &tree.children[0].children;
        assert_eq!((shown.len(), shown[0].children[0].state), (2, SupervisedState::Idle));
        assert_eq!((shown[1].state, shown[1].failures), (SupervisedState::Restarting, 1));
        drop((agent, tasks));
        let (tree, _) = roster.tree(2).unwrap();
        assert!(tree.children[0].children.is_empty());
        let counts = roster.counts();
        let of = |kind| counts.iter().find(|(of, _)| *of == kind).unwrap().1;
        assert_eq!((of(SupervisedKind::Task).alive, of(SupervisedKind::Task).failures), (0, 1));
    }

    #[test]
    fn what_was_lost_in_a_failure_is_not_counted_twice() {
        let roster = Roster::new(Arc::new(SystemClock), 1);
        let seat = roster.seat(SupervisedKind::Sandbox, None, None);
        for _ in 0..3 {
            seat.standing().came();
        }
        seat.standing().took();
        assert_eq!(seat.standing().waiting(), 2);
        seat.failed("it broke".to_owned(), true);
        seat.standing().took();
        assert_eq!(seat.standing().waiting(), 0);
    }
}
