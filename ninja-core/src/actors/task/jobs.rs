//! Starting the calls that a task owes.

use std::{path::PathBuf, sync::Arc};

use ractor::{ActorProcessingErr, ActorRuntime};
use tokio_util::sync::CancellationToken;

use super::{Agent, AgentActor, AgentMsg, InFlight, TaskActor, TaskActorState, TaskMsg, run_tool};
use crate::{
    actors::{
        calls::{ModelJob, Placed, ToolJob},
        roster::Mailbox,
    },
    api::{ModelRef, StepId, SupervisedKind},
    journal::record::{Action, Intent},
    machine::{TaskState, assemble, model_of, offered_tools, request_document, schema_of_step},
    providers::{ChatRequest, ImageSource},
};

/// Where inputs appear in a sandbox.
const INPUTS_INSIDE: &str = "/workspace/inputs";
/// Where the template's files appear in a sandbox.
const TEMPLATE_INSIDE: &str = "/ninja/template";

impl TaskActor {
    /// Sends a model call to the step's agent.
    pub(super) fn call_model(
        &self,
        myself: &Mailbox<TaskMsg>,
        state: &mut TaskActorState,
        task: &TaskState,
        step: StepId,
        call: u32,
    ) -> Result<(), ActorProcessingErr> {
        let Some((model, request)) = chat_request(task, &step, call) else { return Ok(()) };
        let cancel = state.start_call(task, &step, call);
        let agent = self.agent_of(myself, state, &step)?;
        let job = Box::new(ModelJob { task: self.id, step, call, model, request, cancel });
        // An agent that just failed is reported by its supervision event, which follows.
        agent.send_message(AgentMsg::CallModel { job }).ok();
        Ok(())
    }

    /// Sends a tool call to the step's agent, or makes it in a child task where the step has none.
    pub(super) fn call_tool(
        &self,
        myself: &Mailbox<TaskMsg>,
        state: &mut TaskActorState,
        task: &TaskState,
        step: StepId,
        call: u32,
    ) -> Result<(), ActorProcessingErr> {
        let cancel = state.start_call(task, &step, call);
        let Some(job) = self.tool_job(task, &step, call, cancel).map(Box::new) else { return Ok(()) };
        let has_agent = task.step(&step).is_some_and(|step| matches!(step.planned.action, Action::Agent { .. }));
        if has_agent {
            let agent = self.agent_of(myself, state, &step)?;
            agent.send_message(AgentMsg::CallTool { job }).ok();
            return Ok(());
        }
        let (services, sandbox, home) = (Arc::clone(&self.services), self.sandbox.clone(), state.home.clone());
        tokio::spawn(async move { home.report(run_tool(&services, &sandbox, *job).await) });
        Ok(())
    }

    fn agent_of(
        &self,
        myself: &Mailbox<TaskMsg>,
        state: &mut TaskActorState,
        step: &StepId,
    ) -> Result<Mailbox<AgentMsg>, ActorProcessingErr> {
        if let Some(agent) = state.agents.get(step) {
            return Ok(agent.actor.clone());
        }
        let agent = state.idle_agents.pop().map_or_else(|| self.start_agent(myself, state), Ok)?;
        agent.seat.runs(Some(step.clone()));
        let actor = agent.actor.clone();
        state.agent_steps.insert(actor.get_id(), step.clone());
        state.agents.insert(step.clone(), agent);
        Ok(actor)
    }

    fn start_agent(&self, myself: &Mailbox<TaskMsg>, state: &TaskActorState) -> Result<Agent, ActorProcessingErr> {
        self.services.failpoints.visit("task.start_agent");
        let (services, sandbox, home) = (Arc::clone(&self.services), self.sandbox.clone(), state.home.clone());
        let seat = services.roster.seat(SupervisedKind::Agent, Some(&self.standing), Some(self.id));
        let actor = AgentActor { services, sandbox, home, standing: Arc::clone(seat.standing()) };
        let (actor, _) = ActorRuntime::spawn_linked_instant(None, actor, (), myself.get_cell())?;
        Ok(Agent { actor: Mailbox::new(actor, seat.standing()), seat })
    }

    fn tool_job(&self, task: &TaskState, step: &StepId, call: u32, cancel: CancellationToken) -> Option<ToolJob> {
        let Intent::Tool { tool, args, class, .. } = &task.call(step, call)?.intent else { return None };
        Some(ToolJob {
            task: self.id,
            step: step.clone(),
            call,
            tool: tool.clone(),
            args: args.clone(),
            class: *class,
            manifest: task.manifest_of(step),
            placed: placed(task),
            request: request_document(task),
            cancel,
        })
    }
}

impl TaskActorState {
    fn start_call(&mut self, task: &TaskState, step: &StepId, call: u32) -> CancellationToken {
        self.watch.call_begun(task, step, call);
        let cancel = CancellationToken::new();
        let running = InFlight { cancel: cancel.clone(), stopped_at: None, _end: cancel.clone().drop_guard() };
        self.in_flight.insert((step.clone(), call), running);
        cancel
    }
}

/// Returns what is placed read-only beside the workspace: the inputs and the template's files.
fn placed(task: &TaskState) -> Vec<Placed> {
    let inputs = task.submitted.inputs.iter();
    let inputs = inputs.map(|file| Placed { blob: file.blob, inside: PathBuf::from(INPUTS_INSIDE).join(&file.name) });
    let template = task.pins.template_files.iter();
    let template =
        template.map(|(path, blob)| Placed { blob: *blob, inside: PathBuf::from(TEMPLATE_INSIDE).join(path) });
    inputs.chain(template).collect()
}

/// Builds the request of a model call exactly as its record says, with the model that it goes to.
fn chat_request(task: &TaskState, id: &StepId, call: u32) -> Option<(ModelRef, ChatRequest)> {
    let (step, intent) = (task.step(id)?, &task.call(id, call)?.intent);
    let (Intent::Model { context, .. }, pinned) = (intent, model_of(task, step, intent)?) else { return None };
    let request = ChatRequest {
        model: pinned.model.model.clone(),
        messages: assemble(task, step, pinned, context, None),
        // Whoever makes the call says where they are.
        images: ImageSource::default(),
        tools: offered_tools(task, step, &pinned.info),
        schema: schema_of_step(task, step),
        max_output_tokens: context.max_output_tokens,
    };
    Some((pinned.model.clone(), request))
}
