//! The machine by table and by property, in a small world of its own.

mod agents;
mod budgets;
mod crashes;
mod forecasts;
mod images;
mod makers;
mod models;
mod nested;
mod plans;
mod promises;
mod replays;
mod steering;
mod waits;
mod windows;

use std::{collections::BTreeMap, rc::Rc, sync::Arc};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::*;
use crate::{
    api::{
        Agent, AgentLimits, ApprovalId, Autonomy, BlobHash, Budget, Check, Contract, Decision, EffectClass, ModelClass,
        ModelRef, StepId, StepStatus, Task, TaskId, TaskStatus, Timestamp, Usage, UserId,
    },
    journal::record::{
        Action, ActorKind, Answer, ContextChoice, Entry, FinishReason, InputFile, Intent, ManifestDelta, Message,
        ModelInfo, Offers, Outcome, PinnedModel, PinnedTool, Pins, PlannedStep, Price, Record, TaskSubmitted, ToolCall,
        ToolDefinition,
    },
};

/// What a task is submitted with beside its plan.
#[derive(Default)]
struct Setup {
    autonomy: Autonomy,
    contract: Option<Contract>,
    lineup: BTreeMap<ModelClass, Vec<PinnedModel>>,
    price: Option<Price>,
    inputs: Vec<InputFile>,
}

/// A task and its log; time moves one second with each input.
#[derive(Clone)]
struct World {
    state: TaskState,
    log: Vec<Entry>,
    seconds: i64,
    ids: u128,
    room: Rc<dyn Room>,
}

impl World {
    fn new(steps: Vec<PlannedStep>) -> Self {
        Self::with_budget(steps, Budget::default())
    }

    fn with_budget(steps: Vec<PlannedStep>, budget: Budget) -> Self {
        Self::with_setup(steps, budget, Setup::default())
    }

    fn with_setup(steps: Vec<PlannedStep>, budget: Budget, setup: Setup) -> Self {
        let steps = order_steps(steps, PlanLimits::default()).unwrap();
        let submitted = TaskSubmitted {
            owner: UserId::from_uuid(Uuid::nil()),
            goal: "the goal".to_owned(),
            template: None,
            params: Map::from_iter([("list".to_owned(), json!(["x", "y", "z"]))]),
            inputs: setup.inputs,
            model: Some(PinnedModel {
                model: ModelRef { provider: "scripted".to_owned(), model: "m".to_owned() },
                info: ModelInfo { window_tokens: 8_192, tools: true, images: None, label: "scripted".to_owned() },
                price: setup.price,
            }),
            lineup: setup.lineup,
            budget,
            autonomy: setup.autonomy,
            contract: setup.contract,
            forked_from: None,
            traceparent: None,
            pins: BlobHash::from_bytes([0; 32]),
        };
        let first = Entry { at: at(0), record: Record::TaskSubmitted(Box::new(submitted)) };
        let plan = Entry { at: at(0), record: Record::PlanMade { steps } };
        let mut state = TaskState::begin(TaskId::from_uuid(Uuid::nil()), &first, pins()).unwrap();
        state.apply(&plan).unwrap();
        Self { state, log: vec![first, plan], seconds: 0, ids: 0, room: Rc::new(Boundless) }
    }

    /// Takes an input as the task actor does, and holds the state to the fold of the log.
    fn take(&mut self, input: Input) -> Result<Vec<Record>, Refusal> {
        self.seconds += 1;
        let now = input.time(at(self.seconds));
        let ids = &mut self.ids;
        let mut new_uuid = || {
            *ids += 1;
            Uuid::from_u128(*ids)
        };
        let surroundings = Surroundings { now, new_uuid: &mut new_uuid, room: self.room.as_ref() };
        let Decided { records, after } = decide_through(&self.state, input, surroundings)?;
        for record in records.clone() {
            let entry = Entry { at: now, record };
            let stored = Entry::decode(&entry.encode()).unwrap();
            assert_eq!(stored, entry, "a record survives its stored form");
            self.state.apply(&stored).unwrap();
            self.log.push(stored);
        }
        assert_eq!(self.refold().view(), self.state.view(), "same records, same state");
        assert!(after.to_snapshot() == self.state.to_snapshot(), "a decision hands on what its records come to");
        let snapshot = TaskState::from_snapshot(&self.state.to_snapshot()).expect("a snapshot reads");
        assert_eq!(snapshot.view(), self.state.view(), "a snapshot holds the whole state");
        // From here on the task lives on what the snapshot held.
        self.state = TaskState { pins: pins(), ..snapshot };
        Ok(records)
    }

    fn report(&mut self, input: Input) -> Vec<Record> {
        self.take(input).unwrap()
    }

    fn end(&mut self, step: &str, call: u32, outcome: Outcome) -> Vec<Record> {
        self.report(Input::EndCall { step: id(step), call, outcome })
    }

    fn refold(&self) -> TaskState {
        let mut state = TaskState::begin(self.state.id, &self.log[0], pins()).unwrap();
        for entry in &self.log[1..] {
            state.apply(entry).unwrap();
        }
        state
    }

    fn view(&self) -> Task {
        self.state.view()
    }

    fn status_of(&self, step: &str) -> StepStatus {
        self.state.step(&id(step)).unwrap().status
    }

    fn error_code(&self) -> Option<String> {
        self.view().error.map(|error| error.code.to_string())
    }

    fn only_approval(&self) -> ApprovalId {
        let open: Vec<_> = self.state.approvals.keys().copied().collect();
        assert_eq!(open.len(), 1);
        open[0]
    }

    fn decide(&mut self, decision: Decision) -> Result<Vec<Record>, Refusal> {
        let approval = self.only_approval();
        self.take(Input::DecideApproval { approval, decision, by: UserId::from_uuid(Uuid::nil()) })
    }

    fn cancel(&mut self) -> Result<Vec<Record>, Refusal> {
        self.take(Input::Cancel { by: UserId::from_uuid(Uuid::nil()) })
    }
}

/// Returns the conversation of a step's newest call, cut as said.
fn conversation(state: &TaskState, step: &StepState, context: &ContextChoice) -> Vec<Message> {
    assemble(state, step, super::models::newest_model(state, step).unwrap(), context, None)
}

fn person() -> UserId {
    UserId::from_uuid(Uuid::nil())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn id(step: &str) -> StepId {
    step.parse().unwrap()
}

fn pins() -> Arc<Pins> {
    let classes = [
        ("look", EffectClass::Pure),
        ("shell", EffectClass::Workspace),
        ("post", EffectClass::Idempotent),
        ("pay", EffectClass::Unsafe),
        ("ask", EffectClass::Pure),
        ("delegate", EffectClass::Pure),
        ("check_file", EffectClass::Pure),
        ("check_url", EffectClass::Pure),
    ];
    let tool = |(name, class): (&str, EffectClass)| {
        let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } } });
        let definition = ToolDefinition { name: name.to_owned(), description: String::new(), schema };
        (name.to_owned(), PinnedTool { definition, class })
    };
    let agent = Agent {
        name: "worker".to_owned(),
        description: String::new(),
        model_class: ModelClass::Fast,
        tools: classes.iter().map(|(name, _)| (*name).to_owned()).collect(),
        delegates: Vec::new(),
        limits: AgentLimits { turns: 6, output_tokens: 100 },
        prompt: "You work.".to_owned(),
    };
    let helper = Agent { name: "helper".to_owned(), tools: vec!["look".to_owned()], ..agent.clone() };
    let mighty = Agent { name: "mighty".to_owned(), tools: vec!["rule".to_owned()], ..agent.clone() };
    let agents = [agent, helper, mighty].into_iter().map(|agent| (agent.name.clone(), agent));
    Arc::new(Pins {
        agents: agents.collect(),
        tools: classes.into_iter().map(tool).collect(),
        template_files: BTreeMap::new(),
        planner_prompt: "You plan.".to_owned(),
        default_agent: "worker".to_owned(),
        offers: Offers::default(),
    })
}

fn step(name: &str, after: &[&str], action: Action) -> PlannedStep {
    let after = after.iter().map(|name| id(name)).collect();
    let (title, when, retry, parent, item) = (None, None, None, None, Value::Null);
    PlannedStep { id: id(name), title, after, when, optional: false, retry, parent, item, action }
}

fn agent(prompt: &str) -> Action {
    Action::Agent { agent: "worker".to_owned(), prompt: prompt.to_owned(), schema: None, max_output_tokens: None }
}

fn tool(name: &str, args: Value) -> Action {
    Action::Tool { tool: name.to_owned(), args }
}

fn approval(prompt: &str) -> Action {
    Action::Approval { prompt: prompt.to_owned() }
}

fn says(text: &str) -> Outcome {
    answer(text, &[])
}

fn calls(wanted: &[(&str, Value)]) -> Outcome {
    answer("", wanted)
}

fn answer(text: &str, wanted: &[(&str, Value)]) -> Outcome {
    let tool_calls = wanted.iter().enumerate().map(|(index, (name, args))| ToolCall {
        id: format!("call_{index}"),
        name: (*name).to_owned(),
        args: args.clone(),
    });
    let usage = Usage { input_tokens: 10, output_tokens: 5, model_calls: 1, ..Usage::default() };
    Outcome::Answered(Answer {
        text: text.to_owned(),
        tool_calls: tool_calls.collect(),
        finish: FinishReason::Stop,
        usage,
        carry: None,
    })
}

fn returns(output: Value) -> Outcome {
    Outcome::Returned { ok: true, output, delta: ManifestDelta::default(), images: Vec::new() }
}

fn stopped() -> Outcome {
    Outcome::Stopped { processes: 1, after_ms: 7 }
}
