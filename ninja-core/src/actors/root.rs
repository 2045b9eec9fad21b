//! The root: starts the engine's own actors, starts them again when they fail, and says so when it gives up.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ractor::{
    Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr, SupervisionEvent, concurrency::oneshot,
};
use tokio::sync::Semaphore;

use super::{
    orchestrator::{Handed, Orchestrator, OrchestratorMsg, OrchestratorStatus},
    roster::{Mailbox, Seat},
    sandbox::{SandboxActor, SandboxHandle},
    services::Services,
    session_manager::{Attached, Attachment, Revoked, SessionManager, SessionManagerHandle, SessionManagerMsg},
    supervision::{Failures, RestartPolicy, Verdict},
    task::TaskMsg,
};
use crate::{
    api::{Principal, Secret, SupervisedKind, TaskId, Timestamp},
    machine::TaskState,
};

/// How long a stop waits for the tree to end.
const STOP_WAIT: Duration = Duration::from_secs(10);
/// States of new tasks that may be on their way to their actors: a task beyond them is read from its log, for a mailbox has
/// no bound of its own.
const STATES_HANDED_MAX: usize = 64;
/// How long a question to an actor may take.
const CALL_WAIT: Duration = Duration::from_secs(2);

/// Which unfinished tasks an engine takes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumePolicy {
    /// All of them: the daemon.
    All,
    /// This one: `ninja run --resume`.
    Only(TaskId),
    /// None: a run of its own, or a reader.
    None,
}

/// The running tree, as the engine sees it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ActorTree {
    root: ActorRef<RootMsg>,
    shared: Arc<Shared>,
}

/// What survives the actors themselves.
struct Shared {
    orchestrator: RwLock<Option<Mailbox<OrchestratorMsg>>>,
    sandbox: SandboxHandle,
    sessions: SessionManagerHandle,
    gave_up: AtomicBool,
    /// Whether an orchestrator has looked through the unfinished tasks.
    swept: Arc<AtomicBool>,
    taken: TakenUp,
    states_handed: Arc<Semaphore>,
}

/// The tasks that an engine takes up: those of its policy, and whatever it was itself asked to work on.
#[derive(Clone)]
pub(super) struct TakenUp {
    policy: ResumePolicy,
    /// Empty where the policy takes up all; else as many as one run was asked for.
    asked: Arc<Mutex<HashSet<TaskId>>>,
}

impl TakenUp {
    fn new(policy: ResumePolicy) -> Self {
        Self { policy, asked: Arc::default() }
    }

    fn ask(&self, task: TaskId) {
        if self.policy != ResumePolicy::All {
            self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(task);
        }
    }

    /// Returns whether a sweep takes the task up.
    pub(super) fn contains(&self, task: TaskId) -> bool {
        match self.policy {
            ResumePolicy::All => true,
            ResumePolicy::Only(one) if one == task => true,
            ResumePolicy::Only(_) | ResumePolicy::None => {
                self.asked.lock().unwrap_or_else(PoisonError::into_inner).contains(&task)
            }
        }
    }
}

impl ActorTree {
    /// Starts the tree.
    ///
    /// # Errors
    ///
    /// Fails where an actor does not start.
    pub(crate) async fn start(services: Arc<Services>, resume: ResumePolicy) -> Result<Self, SpawnErr> {
        let shared = Arc::new(Shared {
            orchestrator: RwLock::default(),
            sandbox: SandboxHandle::new(Arc::clone(&services.sandbox)),
            sessions: SessionManagerHandle::default(),
            gave_up: AtomicBool::new(false),
            swept: Arc::default(),
            taken: TakenUp::new(resume),
            states_handed: Arc::new(Semaphore::new(STATES_HANDED_MAX)),
        });
        let root = Root { services, shared: Arc::clone(&shared) };
        let (root, _) = Actor::spawn(None, root, ()).await?;
        Ok(Self { root, shared })
    }

    /// Tells the orchestrator of a task that was committed as `state`. If the message is lost, the sweep finds the task.
    pub(crate) fn start_task(&self, state: TaskState) {
        let task = state.id;
        self.shared.taken.ask(task);
        let Some(orchestrator) = self.orchestrator() else { return };
        let place = Arc::clone(&self.shared.states_handed).try_acquire_owned().ok();
        let handed = place.map(|place| Handed { state: Box::new(state), _place: place });
        orchestrator.send_message(OrchestratorMsg::StartTask { task, handed }).ok();
    }

    /// Hands a message to a task's actor and waits for the reply; `None` where an actor failed on the way or the
    /// time is up.
    pub(crate) async fn ask_task<T: Send + 'static>(
        &self,
        task: TaskId,
        wait: Duration,
        message: impl FnOnce(RpcReplyPort<T>) -> TaskMsg,
    ) -> Option<T> {
        self.shared.taken.ask(task);
        let (sender, receiver) = oneshot();
        let message = Box::new(message(sender.into()));
        self.orchestrator()?.send_message(OrchestratorMsg::DeliverToTask { task, message }).ok()?;
        tokio::time::timeout(wait, receiver).await.ok()?.ok()
    }

    /// Asks how many tasks are where; `None` where the orchestrator does not answer.
    pub(crate) async fn status(&self) -> Option<OrchestratorStatus> {
        let (sender, receiver) = oneshot();
        self.orchestrator()?.send_message(OrchestratorMsg::GetStatus { reply: sender.into() }).ok()?;
        tokio::time::timeout(CALL_WAIT, receiver).await.ok()?.ok()
    }

    /// Sends word to tasks that there is room for what they wait for.
    pub(crate) fn wake_tasks(&self, tasks: Vec<TaskId>, due: Timestamp) {
        let Some(orchestrator) = self.orchestrator() else { return };
        for task in tasks {
            // Where the orchestrator has ended, its successor finds them by itself.
            orchestrator.send_message(OrchestratorMsg::WakeTask { task, due }).ok();
        }
    }

    /// Keeps a connection open in somebody's name until they lose what let them in; nothing where that cannot be watched.
    pub(crate) async fn attach(&self, attached: Attached) -> Option<Attachment> {
        self.shared.sessions.attach(attached).await
    }

    /// Closes the connections of somebody who has lost what let them in.
    pub(crate) fn revoke(&self, whom: Revoked) {
        self.shared.sessions.revoke(whom);
    }

    /// Makes a ticket that opens one WebSocket.
    pub(crate) async fn issue_ticket(&self, by: Principal) -> Option<(Secret, Timestamp)> {
        self.shared.sessions.ask(|reply| SessionManagerMsg::IssueTicket { by: Box::new(by), reply }).await?
    }

    /// Returns in whose name a ticket was made; it is worth nothing after this.
    pub(crate) async fn redeem_ticket(&self, ticket: Secret) -> Option<Principal> {
        self.shared.sessions.ask(|reply| SessionManagerMsg::RedeemTicket { ticket, reply }).await?.map(|by| *by)
    }

    /// Returns whether an actor failed too often and was not started again.
    pub(crate) fn gave_up(&self) -> bool {
        self.shared.gave_up.load(Ordering::Relaxed)
    }

    /// Returns whether the unfinished tasks have been looked through since the start.
    pub(crate) fn has_swept(&self) -> bool {
        self.shared.swept.load(Ordering::Relaxed)
    }

    /// Stops every actor; what is in flight ends and is found lost at the next start.
    pub(crate) async fn stop(&self) {
        if self.root.stop_and_wait(None, Some(STOP_WAIT)).await.is_err() {
            self.root.kill();
        }
    }

    fn orchestrator(&self) -> Option<Mailbox<OrchestratorMsg>> {
        self.shared.orchestrator.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the root is told: to start a child again.
enum RootMsg {
    Start(Child),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Child {
    Orchestrator,
    Sandbox,
    SessionManager,
}

struct Root {
    services: Arc<Services>,
    shared: Arc<Shared>,
}

struct RootState {
    /// The root's own place, above those of its children.
    _seat: Seat,
    orchestrator: Supervised,
    sandbox: Supervised,
    sessions: Supervised,
}

/// A child, whichever actor it is now.
struct Supervised {
    actor: Option<ActorId>,
    failures: Failures,
    seat: Seat,
}

impl Actor for Root {
    type Msg = RootMsg;
    type State = RootState;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<RootMsg>, (): ()) -> Result<RootState, ActorProcessingErr> {
        let roster = &self.services.roster;
        let root = roster.seat(SupervisedKind::Root, None, None);
        let child = |kind| {
            let seat = roster.seat(kind, Some(root.standing()), None);
            Supervised { actor: None, failures: Failures::default(), seat }
        };
        let (sandbox, sessions) = (child(SupervisedKind::Sandbox), child(SupervisedKind::SessionManager));
        let orchestrator = child(SupervisedKind::Orchestrator);
        let mut state = RootState { _seat: root, orchestrator, sandbox, sessions };
        // The sandbox first: the orchestrator's sweep may want it at once.
        self.start(&myself, &mut state, Child::Sandbox).await?;
        self.start(&myself, &mut state, Child::SessionManager).await?;
        self.start(&myself, &mut state, Child::Orchestrator).await?;
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<RootMsg>,
        RootMsg::Start(child): RootMsg,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        Ok(self.start(&myself, state, child).await?)
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<RootMsg>,
        event: SupervisionEvent,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(actor, error) = event {
            self.note_failure(&myself, state, actor.get_id(), &error);
        }
        Ok(())
    }
}

impl Root {
    async fn start(&self, myself: &ActorRef<RootMsg>, state: &mut RootState, child: Child) -> Result<(), SpawnErr> {
        let services = Arc::clone(&self.services);
        match child {
            Child::Sandbox => {
                let standing = Arc::clone(state.sandbox.seat.standing());
                let sandbox = SandboxActor { services, standing: Arc::clone(&standing) };
                let (actor, _) = Actor::spawn_linked(None, sandbox, (), myself.get_cell()).await?;
                state.sandbox.actor = Some(actor.get_id());
                state.sandbox.seat.runs(None);
                self.shared.sandbox.point_to(Mailbox::new(actor, &standing));
            }
            Child::SessionManager => {
                let standing = Arc::clone(state.sessions.seat.standing());
                let sessions = SessionManager { services, standing: Arc::clone(&standing) };
                let (actor, _) = Actor::spawn_linked(None, sessions, (), myself.get_cell()).await?;
                state.sessions.actor = Some(actor.get_id());
                state.sessions.seat.runs(None);
                self.shared.sessions.point_to(Mailbox::new(actor, &standing));
            }
            Child::Orchestrator => {
                let standing = Arc::clone(state.orchestrator.seat.standing());
                let sandbox = self.shared.sandbox.clone();
                let (taken, swept) = (self.shared.taken.clone(), Arc::clone(&self.shared.swept));
                let orchestrator = Orchestrator { services, sandbox, taken, standing: Arc::clone(&standing), swept };
                let (actor, _) = Actor::spawn_linked(None, orchestrator, (), myself.get_cell()).await?;
                state.orchestrator.actor = Some(actor.get_id());
                state.orchestrator.seat.runs(None);
                let actor = Mailbox::new(actor, &standing);
                *self.shared.orchestrator.write().unwrap_or_else(PoisonError::into_inner) = Some(actor.clone());
                // Only now: whoever still told the old one of a task committed it before this sweep reads the heads. If
                // this one is gone already, its failure is in the mailbox and the next one sweeps.
                actor.send_message(OrchestratorMsg::Sweep).ok();
            }
        }
        Ok(())
    }

    fn note_failure(
        &self,
        myself: &ActorRef<RootMsg>,
        state: &mut RootState,
        actor: ActorId,
        error: &ActorProcessingErr,
    ) {
        let (child, supervised) = if state.sandbox.actor == Some(actor) {
            (Child::Sandbox, &mut state.sandbox)
        } else if state.orchestrator.actor == Some(actor) {
            (Child::Orchestrator, &mut state.orchestrator)
        } else if state.sessions.actor == Some(actor) {
            (Child::SessionManager, &mut state.sessions)
        } else {
            return;
        };
        let verdict = supervised.failures.note(Instant::now(), &RestartPolicy::ENGINE);
        supervised.seat.failed(error.to_string(), verdict == Verdict::Escalate);
        match verdict {
            Verdict::Restart(wait) => {
                tracing::warn!(?child, %error, "an actor failed and is started again");
                myself.send_after(wait, move || RootMsg::Start(child));
            }
            Verdict::Escalate => {
                tracing::error!(?child, %error, failures = supervised.failures.count(), "an actor failed too often");
                self.shared.gave_up.store(true, Ordering::Relaxed);
            }
        }
    }
}
