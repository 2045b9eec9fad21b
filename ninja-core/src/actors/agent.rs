//! The agent actor: the calls of one agent step at a time, each in a child task that ends when the actor does.

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    calls::{CallReport, ModelJob, ToolJob, run_model, run_tool},
    roster::Standing,
    sandbox::SandboxHandle,
    services::Services,
    task::TaskHome,
};

/// What an agent actor is told.
pub(super) enum AgentMsg {
    /// Ask the model.
    CallModel {
        /// The call with its prompt.
        job: Box<ModelJob>,
    },
    /// Call a tool.
    CallTool {
        /// The call with its workspace.
        job: Box<ToolJob>,
    },
}

/// The actor.
pub(super) struct AgentActor {
    pub(super) services: Arc<Services>,
    pub(super) sandbox: SandboxHandle,
    pub(super) home: TaskHome,
    pub(super) standing: Arc<Standing>,
}

/// Its state: when it is dropped, every call ends.
pub(super) struct AgentState {
    alive: CancellationToken,
    _end_all: DropGuard,
}

impl Actor for AgentActor {
    type Msg = AgentMsg;
    type State = AgentState;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<AgentMsg>, (): ()) -> Result<AgentState, ActorProcessingErr> {
        let alive = CancellationToken::new();
        Ok(AgentState { _end_all: alive.clone().drop_guard(), alive })
    }

    async fn handle(
        &self,
        _: ActorRef<AgentMsg>,
        message: AgentMsg,
        state: &mut AgentState,
    ) -> Result<(), ActorProcessingErr> {
        self.standing.took();
        match message {
            AgentMsg::CallModel { job } => self.call_model(state, job),
            AgentMsg::CallTool { job } => self.call_tool(state, job),
        }
        Ok(())
    }
}

impl AgentActor {
    fn call_model(&self, state: &AgentState, job: Box<ModelJob>) {
        self.services.failpoints.visit("agent.call_model");
        let services = Arc::clone(&self.services);
        self.report(state, async move { run_model(&services, *job).await });
    }

    fn call_tool(&self, state: &AgentState, job: Box<ToolJob>) {
        self.services.failpoints.visit("agent.call_tool");
        let (services, sandbox) = (Arc::clone(&self.services), self.sandbox.clone());
        self.report(state, async move { run_tool(&services, &sandbox, *job).await });
    }

    /// Runs a call in a child task and sends its result home, unless this actor ends before.
    fn report(&self, state: &AgentState, call: impl Future<Output = CallReport> + Send + 'static) {
        let (home, alive) = (self.home.clone(), state.alive.clone());
        tokio::spawn(async move {
            // In this order: once the actor has failed, its calls are taken for lost and may run again under the same number,
            // so a report that comes then would be taken for the next attempt's.
            tokio::select! {
                biased;
                () = alive.cancelled() => {}
                report = call => home.report(report),
            }
        });
    }
}
