//! The orchestrator: spawns, parks and holds permits. Kept trivial, because in ractor the end of an actor ends
//! its descendants: whatever it knows is found again by a sweep of the unfinished tasks' heads.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, ActorRuntime, RpcReplyPort, SupervisionEvent};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    root::TakenUp,
    roster::{Mailbox, Seat, Standing},
    sandbox::SandboxHandle,
    services::Services,
    task::{Start, TaskActor, TaskMsg},
};
use crate::{
    api::{SupervisedKind, TaskId, TaskStatus, Timestamp},
    journal::store::StoreError,
    machine::{ACTOR_FAILURES_MAX, TaskHead, TaskState},
};

mod set_aside;
mod suspects;
mod timers;

use suspects::Suspicion;
use timers::Timers;

/// Heads read at a time by the sweep.
const SWEEP_PAGE: usize = 1_000;
/// The wait before a task actor that failed is started again, times its failures so far.
const RESTART_WAIT: Duration = Duration::from_millis(50);
/// How long a task that met a full disk waits before it tries again.
const DISK_FULL_WAIT: Duration = Duration::from_secs(2);

/// A new task's state, and the place that it takes among those on their way.
pub(crate) struct Handed {
    pub(super) state: Box<TaskState>,
    pub(super) _place: OwnedSemaphorePermit,
}

/// What the orchestrator is told.
pub(crate) enum OrchestratorMsg {
    /// Find unfinished tasks and take up those that are not waiting. The root sends it to each new orchestrator.
    Sweep,
    /// A task was committed.
    StartTask {
        /// Which.
        task: TaskId,
        /// The task as it was committed, if not too many are on their way.
        handed: Option<Handed>,
    },
    /// Start a task actor again after it failed.
    RestartTask {
        /// Which.
        task: TaskId,
        /// What the failed one said, where that counts against the task.
        failure: Option<String>,
    },
    /// Hand a message to a task's actor, started if need be.
    DeliverToTask {
        /// Which.
        task: TaskId,
        /// The message.
        message: Box<TaskMsg>,
    },
    /// A task has nothing in flight.
    TaskIdled {
        /// Which.
        task: TaskId,
        /// When it goes on by itself, if it does.
        wake_at: Option<Timestamp>,
    },
    /// A time has come that parked tasks wait for.
    WakeTasks,
    /// Something has come that a task waits for.
    WakeTask {
        /// Which.
        task: TaskId,
        /// When.
        due: Timestamp,
    },
    /// A task that was told to park has something to do after all.
    TaskBusied {
        /// Which.
        task: TaskId,
    },
    /// A call of a task has ended and is committed, the first since its actor began.
    TaskWorked {
        /// Which.
        task: TaskId,
    },
    /// Take up suspected tasks one at a time.
    TrySuspects,
    /// The process has lived long enough.
    Settle,
    /// How many tasks are where.
    GetStatus {
        /// The answer.
        reply: RpcReplyPort<OrchestratorStatus>,
    },
}

/// How many tasks are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrchestratorStatus {
    /// With an actor.
    pub active: usize,
    /// Waiting for a place.
    pub queued: usize,
}

/// The actor.
pub(super) struct Orchestrator {
    pub(super) services: Arc<Services>,
    pub(super) sandbox: SandboxHandle,
    pub(super) taken: TakenUp,
    pub(super) standing: Arc<Standing>,
    /// Set once the unfinished tasks were looked through.
    pub(super) swept: Arc<AtomicBool>,
}

/// Its state.
#[derive(Default)]
pub(super) struct OrchestratorState {
    active: HashMap<TaskId, Active>,
    by_actor: HashMap<ActorId, TaskId>,
    queue: VecDeque<TaskId>,
    queued: HashSet<TaskId>,
    failures: HashMap<TaskId, u32>,
    timers: Timers,
    suspicion: Suspicion,
}

struct Active {
    actor: Mailbox<TaskMsg>,
    seat: Seat,
    /// Messages that came while the task was told to park, in order.
    parking: Option<Vec<TaskMsg>>,
    /// It failed and is started again shortly; messages are kept meanwhile.
    restarting: bool,
}

impl Actor for Orchestrator {
    type Msg = OrchestratorMsg;
    type State = OrchestratorState;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<OrchestratorMsg>, (): ()) -> Result<OrchestratorState, ActorProcessingErr> {
        Ok(OrchestratorState::default())
    }

    async fn handle(
        &self,
        myself: ActorRef<OrchestratorMsg>,
        message: OrchestratorMsg,
        state: &mut OrchestratorState,
    ) -> Result<(), ActorProcessingErr> {
        self.standing.took();
        let myself = Mailbox::new(myself, &self.standing);
        self.services.failpoints.visit("orchestrator.handle");
        match message {
            OrchestratorMsg::Sweep => {
                self.look_for_suspects(&myself, state).await;
                self.sweep(&myself, state)?;
                self.swept.store(true, Ordering::Relaxed);
            }
            OrchestratorMsg::StartTask { task, handed } => {
                let from = handed.map_or(Start::Log, |handed| Start::Committed(handed.state));
                self.start_or_queue(&myself, state, task, from)?;
            }
            OrchestratorMsg::RestartTask { task, failure } => self.restart(&myself, state, task, failure)?,
            OrchestratorMsg::DeliverToTask { task, message } => self.deliver(&myself, state, task, *message)?,
            OrchestratorMsg::TaskIdled { task, wake_at } => {
                state.offer_parking(task);
                self.wake_later(&myself, state, task, wake_at);
                self.acquit(&myself, state, task)?;
            }
            OrchestratorMsg::WakeTasks => self.wake_tasks(&myself, state)?,
            OrchestratorMsg::WakeTask { task, due } => self.wake_task(&myself, state, task, due)?,
            OrchestratorMsg::TaskBusied { task } => state.unpark(task),
            OrchestratorMsg::TaskWorked { task } => self.acquit(&myself, state, task)?,
            OrchestratorMsg::TrySuspects => self.try_suspects(&myself, state)?,
            OrchestratorMsg::Settle => self.settle(&myself, state)?,
            OrchestratorMsg::GetStatus { reply } => {
                let status = OrchestratorStatus { active: state.active.len(), queued: state.queue.len() };
                reply.send(status).ok();
            }
        }
        self.services.roster.note_queued(state.queued.len());
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<OrchestratorMsg>,
        event: SupervisionEvent,
        state: &mut OrchestratorState,
    ) -> Result<(), ActorProcessingErr> {
        let myself = Mailbox::new(myself, &self.standing);
        match event {
            SupervisionEvent::ActorTerminated(actor, ..) => self.forget(&myself, state, actor.get_id()),
            SupervisionEvent::ActorFailed(actor, error) => {
                self.note_failure(&myself, state, actor.get_id(), &error).await
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => Ok(()),
        }?;
        self.services.roster.note_queued(state.queued.len());
        Ok(())
    }
}

impl OrchestratorState {
    fn offer_parking(&mut self, task: TaskId) {
        if let Some(active) = self.active.get_mut(&task).filter(|active| active.parking.is_none() && !active.restarting)
        {
            active.parking = Some(Vec::new());
            // If it is gone already, its end is in the mailbox.
            active.actor.send_message(TaskMsg::Park).ok();
        }
    }

    /// Keeps what is sent to a task whose actor failed, and has it started again after a while.
    fn restart_later(
        &mut self,
        myself: &Mailbox<OrchestratorMsg>,
        task: TaskId,
        wait: Duration,
        failure: Option<String>,
    ) {
        if let Some(active) = self.active.get_mut(&task) {
            active.restarting = true;
            active.parking.get_or_insert_default();
        }
        myself.send_after(wait, move || OrchestratorMsg::RestartTask { task, failure });
    }

    fn unpark(&mut self, task: TaskId) {
        // One that failed meanwhile cannot take messages; they are kept for the next.
        let Some(active) = self.active.get_mut(&task).filter(|active| !active.restarting) else { return };
        for message in active.parking.take().into_iter().flatten() {
            active.actor.send_message(message).ok();
        }
    }
}

impl Orchestrator {
    /// Takes up every unfinished task that does not wait. A waiting one has nothing owed and stays on disk.
    fn sweep(
        &self,
        myself: &Mailbox<OrchestratorMsg>,
        state: &mut OrchestratorState,
    ) -> Result<(), ActorProcessingErr> {
        let mut after = None;
        loop {
            let page = self.services.store.list_unfinished(after, SWEEP_PAGE)?;
            for (task, head) in &page.heads {
                let head: TaskHead = serde_json::from_slice(head)?;
                let waiting = head.summary.waiting.filter(|_| head.summary.status == TaskStatus::Waiting);
                match waiting {
                    _ if !self.taken.contains(*task) => {}
                    // There may be room now; if not, its actor says what it waits for.
                    Some(_) if head.waits_for_shared_budget => {
                        self.start_or_queue(myself, state, *task, Start::Log)?;
                    }
                    Some(waiting) if waiting.until.is_some() => {
                        self.wake_later(myself, state, *task, waiting.until);
                    }
                    Some(_) => {}
                    None => self.start_or_queue(myself, state, *task, Start::Log)?,
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Starts a task's actor if there is a place for it. One that waits for a place does so on disk, new or not.
    fn start_or_queue(
        &self,
        myself: &Mailbox<OrchestratorMsg>,
        state: &mut OrchestratorState,
        task: TaskId,
        from: Start,
    ) -> Result<(), ActorProcessingErr> {
        if state.active.contains_key(&task) || state.queued.contains(&task) {
            return Ok(());
        }
        if self.has_place(state) {
            self.note_alone(state, task);
            return self.start(myself, state, task, TaskMsg::Begin { from });
        }
        state.queued.insert(task);
        state.queue.push_back(task);
        Ok(())
    }

    fn start(
        &self,
        myself: &Mailbox<OrchestratorMsg>,
        state: &mut OrchestratorState,
        task: TaskId,
        first: TaskMsg,
    ) -> Result<(), ActorProcessingErr> {
        let (seat, kept) = match state.active.remove(&task) {
            Some(Active { seat, parking, .. }) => (seat, parking),
            None => (self.services.roster.seat(SupervisedKind::Task, Some(&self.standing), Some(task)), None),
        };
        let actor = TaskActor {
            id: task,
            services: Arc::clone(&self.services),
            sandbox: self.sandbox.clone(),
            standing: Arc::clone(seat.standing()),
            orchestrator: myself.clone(),
        };
        let (actor, _) = ActorRuntime::spawn_linked_instant(None, actor, (), myself.get_cell())?;
        let actor = Mailbox::new(actor, seat.standing());
        seat.runs(None);
        actor.send_message(first)?;
        state.by_actor.insert(actor.get_id(), task);
        for message in kept.into_iter().flatten() {
            actor.send_message(message)?;
        }
        state.active.insert(task, Active { actor, seat, parking: None, restarting: false });
        Ok(())
    }

    fn deliver(
        &self,
        myself: &Mailbox<OrchestratorMsg>,
        state: &mut OrchestratorState,
        task: TaskId,
        message: TaskMsg,
    ) -> Result<(), ActorProcessingErr> {
        if !state.active.contains_key(&task) {
            // A person's word does not queue behind work: a queued task must be cancelled at once.
            state.dequeue(task);
            if message.comes_first() {
                return self.start(myself, state, task, message);
            }
            self.start(myself, state, task, TaskMsg::Begin { from: Start::Log })?;
        }
        let Some(active) = state.active.get_mut(&task) else { return Ok(()) };
        match &mut active.parking {
            Some(kept) => kept.push(message),
            // If it just failed, the sender sees its reply dropped and asks again.
            None => drop(active.actor.send_message(message)),
        }
        Ok(())
    }

    /// A task actor stopped by itself: it ended or parked.
    fn forget(
        &self,
        myself: &Mailbox<OrchestratorMsg>,
        state: &mut OrchestratorState,
        actor: ActorId,
    ) -> Result<(), ActorProcessingErr> {
        let Some(task) = state.by_actor.remove(&actor) else { return Ok(()) };
        let kept = state.active.remove(&task).and_then(|active| active.parking).unwrap_or_default();
        state.failures.remove(&task);
        for message in kept {
            self.deliver(myself, state, task, message)?;
        }
        self.acquit(myself, state, task)?;
        self.start_queued(myself, state)
    }

    fn start_queued(
        &self,
        myself: &Mailbox<OrchestratorMsg>,
        state: &mut OrchestratorState,
    ) -> Result<(), ActorProcessingErr> {
        while self.has_place(state)
            && let Some(task) = state.queue.pop_front()
        {
            // A task that was delivered to meanwhile has left the set but not the queue.
            if state.queued.remove(&task) {
                self.note_alone(state, task);
                self.start(myself, state, task, TaskMsg::Begin { from: Start::Log })?;
            }
        }
        Ok(())
    }

    async fn note_failure(
        &self,
        myself: &Mailbox<OrchestratorMsg>,
        state: &mut OrchestratorState,
        actor: ActorId,
        error: &ActorProcessingErr,
    ) -> Result<(), ActorProcessingErr> {
        let Some(task) = state.by_actor.remove(&actor) else { return Ok(()) };
        tracing::warn!(%task, %error, "a task actor failed");
        if let Some(active) = state.active.get(&task) {
            active.seat.failed(error.to_string(), false);
        }
        if error.downcast_ref::<StoreError>().is_some_and(StoreError::is_disk_full) {
            // Not the task's doing. It goes on as after a crash, once something can be written again.
            state.restart_later(myself, task, DISK_FULL_WAIT, None);
            return Ok(());
        }
        if self.services.store.failure().is_some_and(|failure| !failure.is_disk_full()) {
            // Nothing can be written any more: starting it again would only fail again.
            state.active.remove(&task);
            return Ok(());
        }
        let failures = state.failures.entry(task).or_default();
        *failures += 1;
        if *failures >= ACTOR_FAILURES_MAX {
            state.active.remove(&task);
            state.failures.remove(&task);
            let detail = format!("the task took its actor down {ACTOR_FAILURES_MAX} times; it last said: {error}");
            self.set_aside(myself, task, detail).await;
            self.acquit(myself, state, task)?;
            return self.start_queued(myself, state);
        }
        let wait = RESTART_WAIT * *failures;
        state.restart_later(myself, task, wait, Some(error.to_string()));
        Ok(())
    }

    fn restart(
        &self,
        myself: &Mailbox<OrchestratorMsg>,
        state: &mut OrchestratorState,
        task: TaskId,
        failure: Option<String>,
    ) -> Result<(), ActorProcessingErr> {
        match state.active.get(&task) {
            Some(active) if active.restarting => {
                let from = failure.map_or(Start::Log, Start::AfterFailure);
                self.start(myself, state, task, TaskMsg::Begin { from })
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Orchestrator {
    fn wake_later(
        &self,
        myself: &Mailbox<OrchestratorMsg>,
        state: &mut OrchestratorState,
        task: TaskId,
        wake_at: Option<Timestamp>,
    ) {
        let Some(due) = wake_at else { return };
        let wait = self.services.clock.until(due);
        if state.timers.set(task, due, Instant::now() + wait) {
            myself.send_after(wait, || OrchestratorMsg::WakeTasks);
        }
    }

    /// Goes on with a task, when there is a place for it.
    fn wake_task(
        &self,
        myself: &Mailbox<OrchestratorMsg>,
        state: &mut OrchestratorState,
        task: TaskId,
        due: Timestamp,
    ) -> Result<(), ActorProcessingErr> {
        let is_usual = state.suspicion == Suspicion::None;
        match state.active.contains_key(&task) || (is_usual && self.has_place(state)) {
            true => self.deliver(myself, state, task, TaskMsg::Wake { due }),
            false => self.start_or_queue(myself, state, task, Start::Log),
        }
    }

    /// Goes on with tasks whose time has come. Those that did not park meanwhile see to it themselves, and a second word of
    /// the same time changes nothing.
    fn wake_tasks(
        &self,
        myself: &Mailbox<OrchestratorMsg>,
        state: &mut OrchestratorState,
    ) -> Result<(), ActorProcessingErr> {
        for (task, due) in state.timers.take_due(Instant::now()) {
            self.wake_task(myself, state, task, due)?;
        }
        if let Some(wait) = state.timers.next_wait(Instant::now()) {
            myself.send_after(wait, || OrchestratorMsg::WakeTasks);
        }
        Ok(())
    }
}

impl OrchestratorState {
    fn dequeue(&mut self, task: TaskId) {
        self.queued.remove(&task);
    }
}
