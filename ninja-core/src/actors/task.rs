//! The task actor: the only appender to its task's log. It asks the machine, commits, then acts.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    agent::{AgentActor, AgentMsg},
    calls::{CallEnd, CallReport, run_tool},
    orchestrator::OrchestratorMsg,
    roster::{Mailbox, Seat, Standing},
    sandbox::SandboxHandle,
    services::Services,
};
use crate::{
    api::{ApiError, ApprovalId, Decision, ErrorCode, StepId, Task, TaskId, Timestamp, Usage, UserId},
    journal::{
        record::{ActorKind, Outcome},
        store::StoreError,
    },
    machine::{Effect, Input, Refusal, StepState, TaskState, pending},
    telemetry::TaskWatch,
};

mod asked;
mod commit;
mod delete;
mod jobs;
mod reports;

pub(crate) use commit::head_update;
pub(super) use reports::TaskHome;

use asked::Asked;
use commit::Change;

/// The wait before a log that could not be read is read again.
const READ_AGAIN_WAIT: Duration = Duration::from_millis(500);

/// Agents that wait for a task's next steps: the usual width of a plan. Each is a mailbox and a task of the runtime.
const IDLE_AGENTS_MAX: usize = 8;

/// What a task actor is told.
pub(crate) enum TaskMsg {
    /// Go on from where the task stands. The first message, unless that one [is to prevent work](TaskMsg::comes_first).
    Begin {
        /// How that is known.
        from: Start,
    },
    /// Calls have reported: their reports wait [at home](TaskHome).
    CallsReported,
    /// A person answers a question.
    DecideApproval {
        /// The question.
        approval: ApprovalId,
        /// The answer.
        decision: Decision,
        /// Who.
        by: UserId,
        /// What the audit log says of it.
        audit: Bytes,
        /// The task after it.
        reply: RpcReplyPort<Result<Box<Task>, Refusal>>,
    },
    /// A person cancels. As the first message it takes the task up in order to end it: no call is made.
    Cancel {
        /// Who.
        by: UserId,
        /// What the audit log says of it.
        audit: Bytes,
        /// The task once it has ended.
        reply: RpcReplyPort<Result<Box<Task>, Refusal>>,
    },
    /// A person pauses, resumes or retries.
    Steer {
        /// Which of these.
        input: Box<Input>,
        /// What the audit log says of it.
        audit: Bytes,
        /// The task after it.
        reply: RpcReplyPort<Result<Box<Task>, Refusal>>,
    },
    /// A person deletes the task, which has ended. As the first message it takes nothing up.
    Delete {
        /// The entry for the audit log.
        audit: Bytes,
        /// Whether it is gone.
        reply: RpcReplyPort<Result<(), Refusal>>,
    },
    /// What a person asks for, if the task is still where the person saw it.
    IfAt {
        /// Its last record, as the person saw it; each of these will do.
        seqs: Vec<u64>,
        /// The message.
        then: Box<TaskMsg>,
    },
    /// A time has come that the task waits for.
    Wake {
        /// Which.
        due: Timestamp,
    },
    /// Leave memory if nothing happened since this was offered.
    Park,
}

/// How a task's actor knows where the task stands.
pub(crate) enum Start {
    /// It reads the log.
    Log,
    /// The task was committed just now, as this. Where its log has gone on since, it reads the log.
    Committed(Box<TaskState>),
    /// It reads the log, and notes what the actor before it failed of.
    AfterFailure(String),
}

impl TaskMsg {
    /// Returns whether the message is to prevent work: beginning before it would make the very calls that it is to prevent.
    pub(super) fn comes_first(&self) -> bool {
        match self {
            Self::Cancel { .. } | Self::Delete { .. } => true,
            Self::IfAt { then, .. } => then.comes_first(),
            Self::Steer { input, .. } => matches!(**input, Input::Pause { .. }),
            Self::Begin { .. } | Self::CallsReported | Self::DecideApproval { .. } | Self::Wake { .. } | Self::Park => {
                false
            }
        }
    }
}

/// The actor.
pub(super) struct TaskActor {
    pub(super) id: TaskId,
    pub(super) services: Arc<Services>,
    pub(super) sandbox: SandboxHandle,
    pub(super) standing: Arc<Standing>,
    pub(super) orchestrator: Mailbox<OrchestratorMsg>,
}

/// Its state. When it is dropped, everything that the task has in flight ends.
pub(super) struct TaskActorState {
    home: TaskHome,
    /// What others are told of the task.
    watch: TaskWatch,
    task: Option<Arc<TaskState>>,
    in_flight: HashMap<(StepId, u32), InFlight>,
    /// The agents at work, by their steps.
    agents: HashMap<StepId, Agent>,
    /// Agents whose steps are over, for the next ones.
    idle_agents: Vec<Agent>,
    agent_steps: HashMap<ActorId, StepId>,
    cancel_waiters: Vec<RpcReplyPort<Result<Box<Task>, Refusal>>>,
    idle_offered: bool,
    /// Whether a call has ended since the actor began.
    has_worked: bool,
    /// The time for which a wake-up is on its way.
    wake_at: Option<Timestamp>,
}

/// An agent's actor and its place.
struct Agent {
    actor: Mailbox<AgentMsg>,
    seat: Seat,
}

struct InFlight {
    cancel: CancellationToken,
    stopped_at: Option<Instant>,
    _end: DropGuard,
}

impl Actor for TaskActor {
    type Msg = TaskMsg;
    type State = TaskActorState;
    type Arguments = ();

    // The log is read in `Begin`, not here: ractor reports a failure of `handle` to the supervisor, one of a
    // `pre_start` that nobody awaits it does not.
    async fn pre_start(&self, myself: ActorRef<TaskMsg>, (): ()) -> Result<TaskActorState, ActorProcessingErr> {
        let myself = Mailbox::new(myself, &self.standing);
        Ok(TaskActorState::new(TaskHome::of(myself), TaskWatch::new(&self.services.watch)))
    }

    async fn handle(
        &self,
        myself: ActorRef<TaskMsg>,
        message: TaskMsg,
        state: &mut TaskActorState,
    ) -> Result<(), ActorProcessingErr> {
        self.standing.took();
        let myself = Mailbox::new(myself, &self.standing);
        self.services.failpoints.visit("task.handle");
        let Some(message) = self.unless_moved(&myself, state, message).await? else { return Ok(()) };
        match message {
            TaskMsg::Begin { from } => self.begin(&myself, state, from).await,
            TaskMsg::CallsReported => self.take_reports(&myself, state).await,
            TaskMsg::Steer { input, audit, reply } if state.task.is_none() && matches!(*input, Input::Pause { .. }) => {
                self.pause_first(&myself, state, Asked { input: *input, audit, reply }).await
            }
            // The log could not be read yet: the reply is dropped, and the caller asks again.
            TaskMsg::DecideApproval { .. } | TaskMsg::Steer { .. } | TaskMsg::Wake { .. } if state.task.is_none() => {
                Ok(())
            }
            TaskMsg::DecideApproval { approval, decision, by, audit, reply } => {
                let input = Input::DecideApproval { approval, decision, by };
                self.answer(&myself, state, Asked { input, audit, reply }).await
            }
            TaskMsg::Steer { input, audit, reply } => {
                self.answer(&myself, state, Asked { input: *input, audit, reply }).await
            }
            TaskMsg::Wake { due } => {
                if state.wake_at == Some(due) {
                    state.wake_at = None;
                }
                self.report(&myself, state, Input::Wake { due }).await
            }
            TaskMsg::Delete { audit, reply } => self.delete(&myself, state, audit, reply).await,
            TaskMsg::IfAt { .. } => unreachable!("`unless_moved` takes the condition off"),
            TaskMsg::Cancel { by, audit, reply } => {
                self.cancel(&myself, state, Asked { input: Input::Cancel { by }, audit, reply }).await
            }
            TaskMsg::Park => self.park(&myself, state),
        }
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<TaskMsg>,
        event: SupervisionEvent,
        state: &mut TaskActorState,
    ) -> Result<(), ActorProcessingErr> {
        let myself = Mailbox::new(myself, &self.standing);
        match event {
            SupervisionEvent::ActorFailed(agent, error) => {
                self.lose_agent(&myself, state, agent.get_id(), error.to_string()).await
            }
            SupervisionEvent::ActorTerminated(..)
            | SupervisionEvent::ActorStarted(_)
            | SupervisionEvent::ProcessGroupChanged(_) => Ok(()),
        }
    }
}

impl TaskActorState {
    fn new(home: TaskHome, watch: TaskWatch) -> Self {
        Self {
            home,
            watch,
            task: None,
            in_flight: HashMap::new(),
            agents: HashMap::new(),
            idle_agents: Vec::new(),
            agent_steps: HashMap::new(),
            cancel_waiters: Vec::new(),
            idle_offered: false,
            has_worked: false,
            wake_at: None,
        }
    }

    /// Returns whether a call that is owed has been started.
    fn runs(&self, step: &StepId, call: u32) -> bool {
        self.in_flight.contains_key(&(step.clone(), call))
    }

    fn view(&self) -> Result<Box<Task>, Refusal> {
        self.task.as_ref().map(|task| Box::new(task.view())).ok_or(Refusal::Ended)
    }
}

impl TaskActor {
    async fn begin(
        &self,
        myself: &Mailbox<TaskMsg>,
        state: &mut TaskActorState,
        from: Start,
    ) -> Result<(), ActorProcessingErr> {
        let (known, failure) = match from {
            Start::Log => (None, None),
            Start::Committed(task) => (Some(*task), None),
            Start::AfterFailure(reason) => (None, Some(reason)),
        };
        let task = match self.newest(known) {
            Ok(Some(task)) => task,
            Ok(None) => return self.leave(myself),
            // Such as no descriptors left: not the task's doing, so it is not held against it.
            Err(error @ StoreError::Io { .. }) => {
                tracing::warn!(task = %self.id, %error, "failed to read a task; trying again");
                let from = failure.map_or(Start::Log, Start::AfterFailure);
                myself.send_after(READ_AGAIN_WAIT, move || TaskMsg::Begin { from });
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let input = match failure {
            Some(reason) => Input::LoseActor { actor: ActorKind::Task, step: None, reason },
            None if task.started() => Input::Recover,
            None => Input::Begin,
        };
        // Whoever handed it in may have gone before they could keep its place.
        self.services.unfinished.note(task.submitted.owner, self.id, task.end.is_none());
        state.task = Some(Arc::new(task));
        self.services.failpoints.visit("task.begin");
        self.report(myself, state, input).await
    }

    /// Returns the state to which the log has come: `known`, unless the log has gone on. Nobody appends meanwhile, for that is
    /// this actor's part.
    fn newest(&self, known: Option<TaskState>) -> Result<Option<TaskState>, StoreError> {
        match known {
            Some(task) if self.services.store.read_log(self.id, task.last_seq + 1, 1)?.is_empty() => Ok(Some(task)),
            _ => self.services.tasks.load(self.id),
        }
    }

    async fn lose_agent(
        &self,
        myself: &Mailbox<TaskMsg>,
        state: &mut TaskActorState,
        agent: ActorId,
        reason: String,
    ) -> Result<(), ActorProcessingErr> {
        state.idle_agents.retain(|idle| idle.actor.get_id() != agent);
        let Some(step) = state.agent_steps.remove(&agent) else { return Ok(()) };
        if let Some(agent) = state.agents.remove(&step) {
            agent.seat.failed(reason.clone(), true);
        }
        // What its calls reported before it failed has ended; only the others are lost. What follows from the reports must
        // not begin in between: it would be lost with them.
        let mut change = self.decide_reports(state).await?;
        state.in_flight.retain(|(of, _), _| *of != step);
        let input = Input::LoseActor { actor: ActorKind::Agent, step: Some(step), reason };
        self.decide_next(state, &mut change, input, Vec::new()).await?;
        if let Some(change) = change {
            self.commit(state, change).await?;
        }
        self.act(myself, state).await
    }

    /// Takes a report that no person waits for.
    async fn report(
        &self,
        myself: &Mailbox<TaskMsg>,
        state: &mut TaskActorState,
        input: Input,
    ) -> Result<(), ActorProcessingErr> {
        self.take(myself, state, input, None).await?.map_err(|refusal| refusal.to_string().into())
    }

    /// Decides, commits, then acts. The outer error means: restart me.
    async fn take(
        &self,
        myself: &Mailbox<TaskMsg>,
        state: &mut TaskActorState,
        input: Input,
        audit: Option<Bytes>,
    ) -> Result<Result<(), Refusal>, ActorProcessingErr> {
        match self.decide_now(state, input) {
            Err(refusal) => Ok(Err(refusal)),
            Ok(change) => {
                let change = audit.into_iter().fold(change, Change::audited);
                self.commit(state, change).await?;
                self.act(myself, state).await?;
                Ok(Ok(()))
            }
        }
    }

    fn decide_now(&self, state: &TaskActorState, input: Input) -> Result<Change, Refusal> {
        self.decide(state.task.as_deref().ok_or(Refusal::Ended)?, input, Vec::new())
    }

    /// Does what is owed, and leaves when nothing is.
    async fn act(&self, myself: &Mailbox<TaskMsg>, state: &mut TaskActorState) -> Result<(), ActorProcessingErr> {
        let Some(task) = state.task.clone() else { return Ok(()) };
        Self::free_agents(state, &task);
        if task.end.is_some() {
            self.clear_up(state, &task).await;
        }
        for effect in pending(&task) {
            match effect {
                Effect::CallModel { step, call } | Effect::CallTool { step, call } if state.runs(&step, call) => {}
                Effect::CallModel { step, call } => self.call_model(myself, state, &task, step, call)?,
                Effect::CallTool { step, call } => self.call_tool(myself, state, &task, step, call)?,
                Effect::StopCall { step, call } => self.stop_call(state, step, call),
            }
        }
        if state.in_flight.is_empty() && !state.idle_offered {
            state.idle_offered = true;
            let wake_at = task.wake_at();
            self.orchestrator.send_message(OrchestratorMsg::TaskIdled { task: self.id, wake_at })?;
        } else if let Some(due) = task.wake_at().filter(|due| state.wake_at != Some(*due)) {
            state.wake_at = Some(due);
            let wait = self.services.clock.until(due);
            myself.send_after(wait, move || TaskMsg::Wake { due });
        }
        Ok(())
    }

    fn stop_call(&self, state: &mut TaskActorState, step: StepId, call: u32) {
        match state.in_flight.get_mut(&(step.clone(), call)) {
            Some(running) => {
                running.stopped_at.get_or_insert_with(Instant::now);
                running.cancel.cancel();
            }
            // Owed but not begun: the task began to stop in the same breath. Nothing ran, so nothing is charged.
            None => {
                let error = ApiError::new(ErrorCode::Cancelled, "the task stopped before this call began");
                let outcome = Outcome::Failed { error, usage: Usage::default() };
                state.home.report(CallReport { step, call, end: CallEnd::Outcome(outcome, Vec::new()) });
            }
        }
    }

    /// Frees the agents of steps that are over for others. One whose calls are still being stopped stays: only it reports
    /// them, and without a report the task would wait for them for ever.
    fn free_agents(state: &mut TaskActorState, task: &TaskState) {
        let over = |step: &StepState| step.status.is_terminal() && step.in_flight().next().is_none();
        let done = |step: &StepId| task.step(step).is_none_or(over);
        for (_, agent) in state.agents.extract_if(|step, _| done(step)) {
            state.agent_steps.remove(&agent.actor.get_id());
            match state.idle_agents.len() < IDLE_AGENTS_MAX {
                true => {
                    agent.seat.idles();
                    state.idle_agents.push(agent);
                }
                false => agent.actor.stop(),
            }
        }
    }

    /// Answers those who wait for the end, and removes what lies on disk beside the journal.
    async fn clear_up(&self, state: &mut TaskActorState, task: &TaskState) {
        for waiter in state.cancel_waiters.drain(..) {
            waiter.send(Ok(Box::new(task.view()))).ok();
        }
        // Only tool calls leave anything on disk; looking for it would cost more than the rest of such a task's end.
        if !task.has_called_tools() {
            return;
        }
        if let Err(error) = self.services.workspaces.remove(self.id).await {
            tracing::warn!(task = %self.id, %error, "failed to remove a workspace");
        }
        tokio::fs::remove_dir_all(self.services.layout_dir.join(self.id.to_string())).await.ok();
    }

    fn park(&self, myself: &Mailbox<TaskMsg>, state: &TaskActorState) -> Result<(), ActorProcessingErr> {
        match state.in_flight.is_empty() && state.idle_offered {
            true => myself.stop(),
            false => self.orchestrator.send_message(OrchestratorMsg::TaskBusied { task: self.id })?,
        }
        Ok(())
    }
}
