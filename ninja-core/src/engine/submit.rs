//! `submit_task`: everything is checked before anything is accepted, and accepted before anything is done.

use std::{collections::BTreeMap, sync::Arc};

use sha2::{Digest, Sha256};
use tokio::sync::SemaphorePermit;

use super::{
    Engine,
    idempotency::{self, Claim, Turn},
    pins::PinSet,
    store_error, uninterrupted,
};
use crate::{
    actors::{Services, head_update},
    agents,
    api::{
        ApiError, AuditAction, Autonomy, BlobHash, ErrorCode, Forecast, IdempotencyKey, Made, ModelClass, Planning,
        Principal, SubmitTask, Task, TaskId,
    },
    audit::Audit,
    journal::{
        feed::encode_feed,
        record::{Action, Entry, ImageShape, InputFile, PinnedModel, Pins, PlannedStep, Record, TaskSubmitted},
        store::{Append, Commit, Store},
    },
    machine::{TaskState, feed_of, forecast, plan_by_model, plan_explicit, plan_goal, review_first},
    planner::Template,
    providers::Choice,
    questions, task_rows,
};

mod contract;
mod shape;

/// A model with a smaller window does not plan: the plan, what became of it and another one would not fit beside each other.
const PLANNER_WINDOW_MIN: u32 = 16_384;

/// A task's usual model, and the line of models of each class of agents for which it is not that one alone.
pub(super) type Models = (Option<PinnedModel>, BTreeMap<ModelClass, Vec<PinnedModel>>);

/// A submission that was found good.
struct Checked {
    submitted: TaskSubmitted,
    pins: Arc<PinSet>,
    steps: Vec<PlannedStep>,
}

impl Engine {
    /// Accepts a task. It is durable when this returns; the work begins after.
    ///
    /// # Errors
    ///
    /// Fails with the code of what is wrong with the request, and then nothing was accepted.
    pub async fn submit_task(&self, by: &Principal, request: SubmitTask) -> Result<Task, ApiError> {
        self.submit(by, request, None).await
    }

    /// Accepts a task unless the same request has made one: then that one is the answer, as it stands. Where two come at the
    /// same time, the second waits for what comes of the first.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::submit_task`]; `idempotency_mismatch` where the key came with another request, `not_found` where
    /// the task has been deleted.
    pub async fn submit_task_once(
        &self,
        by: &Principal,
        key: &IdempotencyKey,
        request: SubmitTask,
    ) -> Result<Made, ApiError> {
        let (engine, by, key) = (self.clone(), by.clone(), key.clone());
        uninterrupted(async move {
            let fingerprint = idempotency::fingerprint(&request)?;
            match engine.claim(&by, "POST /tasks", &key, fingerprint).await? {
                Claim::Made(before) => engine.made_before(&by, &before),
                Claim::Free(turn) => {
                    let task = engine.submit(&by, request, Some(&turn)).await?;
                    Ok(Made { task, replayed: false })
                }
            }
        })
        .await
    }

    async fn submit(&self, by: &Principal, request: SubmitTask, turn: Option<&Turn>) -> Result<Task, ApiError> {
        let _permit = self.permit()?;
        if self.0.tree.gave_up() {
            let detail = "an actor of the engine failed too often and nothing is worked on; restart the engine";
            return Err(ApiError::new(ErrorCode::Internal, detail));
        }
        let checked = self.check(by, request).await?;
        let state = self.accept(by, checked, turn).await?;
        let task = state.view();
        self.0.tree.start_task(state);
        Ok(task)
    }

    fn permit(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        self.0.submissions.try_acquire().map_err(|_| {
            ApiError::new(ErrorCode::TooManyRequests, "too many submissions are being accepted; try again in a second")
        })
    }

    /// Says what a task may come to, with everything checked as for a submission. Nothing is accepted, and no model is asked.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::submit_task`].
    pub async fn forecast(&self, by: &Principal, request: SubmitTask) -> Result<Forecast, ApiError> {
        let _permit = self.permit()?;
        let (state, _) = self.begin(self.check(by, request).await?)?;
        let broke_off = |error: tokio::task::JoinError| ApiError::new(ErrorCode::Internal, error.to_string());
        tokio::task::spawn_blocking(move || forecast(&state)).await.map_err(broke_off)
    }

    async fn check(&self, by: &Principal, mut request: SubmitTask) -> Result<Checked, ApiError> {
        shape::check(&request)?;
        let template = request.template.as_deref().map(|name| self.template(name)).transpose()?;
        let inputs = self.inputs(by, &request).await?;
        let params = shape::check_template_use(template, &request, inputs.len())?;
        let pins = self.0.pin_set(template);
        let (pins, agent) = match request.agent.take() {
            Some(agent) => pin_agent(pins, &agent).map(|(pins, agent)| (pins, Some(agent)))?,
            None => (pins, None),
        };
        let mut contract = contract::combine(template, request.contract.take());
        if let Some(contract) = &mut contract {
            contract::check(contract, &pins.pins)?;
            contract::complete(contract, &pins.pins);
        }
        let plan = request.plan.as_ref().or_else(|| template.map(|template| &template.plan));
        let needs_model = plan.is_none_or(shape::has_agents);
        let mut models = self.models(request.model.as_deref(), needs_model).await?;
        self.keep_allowed(by, &mut models, request.model.is_some())?;
        let is_in_money = request.budget.is_some_and(|budget| budget.cost_micro_usd.is_some());
        if is_in_money || self.0.services.ledger.is_in_money(by.user) {
            keep_priced(&mut models)?;
        }
        let (model, lineup) = models;
        let steps = match plan {
            Some(plan) => plan_explicit(plan, &pins.pins)
                .map_err(|error| ApiError::new(ErrorCode::InvalidPlan, error.to_string()))?,
            None => vec![plan_of_goal(&request, &pins.pins, agent, model.as_ref())],
        };
        let makes_plan = steps.iter().all(|step| matches!(step.action, Action::Plan { .. }));
        let steps = match request.autonomy {
            Autonomy::Review if !makes_plan => review_first(steps),
            Autonomy::Review | Autonomy::Full => steps,
        };
        let submitted = TaskSubmitted {
            owner: by.user,
            goal: request.goal,
            template: request.template,
            params,
            inputs,
            model,
            lineup,
            budget: request.budget.unwrap_or_default(),
            autonomy: request.autonomy,
            contract,
            forked_from: None,
            traceparent: by.origin.traceparent.as_deref().map(str::to_owned),
            pins: pins.hash,
        };
        Ok(Checked { submitted, pins, steps })
    }

    fn template(&self, name: &str) -> Result<&Template, ApiError> {
        self.0.templates.get(name).ok_or_else(|| {
            let known = self.0.templates.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            invalid(format!("there is no template `{name}`; there are: {known}"))
        })
    }

    async fn inputs(&self, by: &Principal, request: &SubmitTask) -> Result<Vec<InputFile>, ApiError> {
        let mut inputs: Vec<InputFile> = Vec::new();
        for id in &request.files {
            let file = self.file_of_id(by, *id)?;
            let name = unused_name(&file.name, |name| inputs.iter().any(|input| input.name == name));
            inputs.push(InputFile { file: file.id, name, bytes: file.bytes, blob: file.sha256, image: None });
        }
        if inputs.is_empty() {
            return Ok(inputs);
        }
        let store = Arc::clone(self.store());
        let looked = tokio::task::spawn_blocking(move || look_at(inputs, &*store)).await;
        looked.map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))
    }

    /// Returns the models that answer.
    pub(super) async fn models(&self, wanted: Option<&str>, needs_one: bool) -> Result<Models, ApiError> {
        let providers = self.0.services.providers.now();
        if needs_one || wanted.is_some() {
            providers.ask_again(wanted).await;
        }
        let lineup = match providers.line_up(wanted) {
            Ok(lineup) => lineup,
            Err(_) if !needs_one && wanted.is_none() => return Ok((None, BTreeMap::new())),
            Err(error) => return Err(ApiError::new(ErrorCode::NoProvider, error.to_string())),
        };
        let pin = |choice: Choice| PinnedModel { model: choice.model, info: choice.info, price: choice.price };
        let pinned = lineup.into_iter().map(|(class, choices)| (class, choices.into_iter().map(pin).collect()));
        let mut lineup: BTreeMap<ModelClass, Vec<PinnedModel>> = pinned.collect();
        let usual = lineup.get(&ModelClass::default()).and_then(|models| models.first()).cloned();
        lineup.retain(|_, models| models.as_slice() != usual.as_slice());
        Ok((usual, lineup))
    }

    async fn accept(&self, by: &Principal, checked: Checked, turn: Option<&Turn>) -> Result<TaskState, ApiError> {
        let (services, pins) = (&self.0.services, Arc::clone(&checked.pins));
        services.tasks.remember(pins.hash, &pins.pins);
        let (state, log) = self.begin(checked)?;
        let audit = Audit::of(by, AuditAction::SubmitTask, state.created_at).to(state.id);
        let place = self.place_for(by, state.id).await?;
        self.check_stands(by)?;
        accept(services, &state, &log, Beside { blobs: pins.blobs(), audit, turn }).await?;
        if let Some(place) = place {
            place.keep();
        }
        pins.note_stored();
        Ok(state)
    }

    /// Makes a task of a submission, with the first records of its log.
    fn begin(&self, checked: Checked) -> Result<(TaskState, [Entry; 2]), ApiError> {
        let Checked { submitted, pins, steps } = checked;
        let clock = &self.0.services.clock;
        let (id, at) = (TaskId::from_uuid(clock.new_uuid()), clock.now());
        let first = Entry { at, record: Record::TaskSubmitted(Box::new(submitted)) };
        let plan = Entry { at, record: Record::PlanMade { steps } };
        let broken = |error: crate::machine::FoldError| ApiError::new(ErrorCode::Internal, error.to_string());
        let mut state = TaskState::begin(id, &first, Arc::clone(&pins.pins)).map_err(broken)?;
        state.apply(&plan).map_err(broken)?;
        Ok((state, [first, plan]))
    }
}

/// Finds out which inputs are images. One whose bytes are lost is none here: whoever reads it is told.
fn look_at(mut inputs: Vec<InputFile>, store: &dyn Store) -> Vec<InputFile> {
    for input in &mut inputs {
        input.image = store.open_blob(input.blob).ok().flatten().and_then(|mut file| ImageShape::read(&mut file));
    }
    inputs
}

/// Leaves out the models whose price is not known: money is no limit for them.
pub(super) fn keep_priced((usual, lineup): &mut Models) -> Result<(), ApiError> {
    if let Some(PinnedModel { model, price: None, .. }) = usual {
        let why = format!("the price of {model} is not known, and there is a budget in money");
        let how = "give its provider a `price`, add it to your prices, or set a budget in tokens";
        return Err(ApiError::new(ErrorCode::BudgetDenied, format!("{why}; {how}")));
    }
    for models in lineup.values_mut() {
        models.retain(|pinned| pinned.price.is_some());
    }
    lineup.retain(|_, models| !models.is_empty());
    Ok(())
}

/// What is committed with a new task.
pub(super) struct Beside<'a> {
    pub(super) blobs: Vec<bytes::Bytes>,
    pub(super) audit: Audit,
    /// The key of the request, if it has one.
    pub(super) turn: Option<&'a Turn>,
}

/// Commits a new task: its first records, its head, word of it in its owner's feed.
pub(super) async fn accept(
    services: &Services,
    state: &TaskState,
    log: &[Entry],
    beside: Beside<'_>,
) -> Result<(), ApiError> {
    let Beside { blobs, audit, turn } = beside;
    let (at, owner) = (state.created_at, state.submitted.owner);
    let questions::Changes { mut puts, .. } = questions::changes(None, state, 1, log);
    puts.extend(turn.map(|turn| turn.made(&state.id, at)));
    let told = feed_of(None, state);
    let commit = Commit {
        append: Some(Append {
            task: state.id,
            first_seq: 1,
            records: log.iter().map(|entry| entry.encode().into()).collect(),
            head: head_update(state),
        }),
        feed: told.iter().map(|body| (owner, encode_feed(at, body).into())).collect(),
        puts,
        blobs,
        counts: vec![task_rows::submitted(at)],
        audit: vec![audit.encode()],
        ..Commit::default()
    };
    let _settling = services.ledger.settling().await;
    let committed = services.store.commit(commit).await.map_err(store_error)?;
    services.watch.submitted();
    services.ledger.take_over(owner, state.reserved());
    services.hub.publish_user(owner, crate::journal::feed::number(committed.feed_seqs, at, told));
    Ok(())
}

/// Makes the first step of a bare goal: an agent that does it, or a model that plans it.
fn plan_of_goal(request: &SubmitTask, pins: &Pins, agent: Option<String>, model: Option<&PinnedModel>) -> PlannedStep {
    let is_able = || model.is_some_and(|model| model.info.tools && model.info.window_tokens >= PLANNER_WINDOW_MIN);
    let plans = match request.planning {
        Planning::Auto => agent.is_none() && is_able(),
        Planning::Model => true,
        Planning::None => false,
    };
    match plans {
        true => plan_by_model(),
        false => plan_goal(agent.as_deref().unwrap_or(&pins.default_agent)),
    }
}

/// Finds the agent that a submission names, or pins the one that it brings.
fn pin_agent(set: Arc<PinSet>, agent: &str) -> Result<(Arc<PinSet>, String), ApiError> {
    if !agent.starts_with("+++") {
        let known = || set.pins.agents.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        return match set.pins.agents.contains_key(agent) {
            true => Ok((set, agent.to_owned())),
            false => Err(invalid(format!("there is no agent `{agent}`; there are: {}", known()))),
        };
    }
    let agent = agents::parse("the agent file", agent).map_err(|error| invalid(error.to_string()))?;
    if let Some(tool) = agent.tools.iter().find(|tool| !set.pins.tools.contains_key(*tool)) {
        let known = set.pins.tools.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        return Err(invalid(format!("the agent file: there is no tool `{tool}`; the tools are: {known}")));
    }
    let name = agent.name.clone();
    Ok((Arc::new(set.with_agent(agent)), name))
}

pub(super) fn invalid(detail: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, detail)
}

fn unused_name(name: &str, used: impl Fn(&str) -> bool) -> String {
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem, format!(".{extension}")),
        _ => (name, String::new()),
    };
    let numbered = (2..).map(|number| format!("{stem}-{number}{extension}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !used(name)).unwrap_or_else(|| name.to_owned())
}

pub(super) fn hash(bytes: &[u8]) -> BlobHash {
    BlobHash::from_bytes(Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        api::Decision,
        engine::EngineOptions,
        providers::{Providers, Scripted},
    };

    /// Word of a new task can come late: after somebody else's word has taken the task up.
    #[tokio::test]
    async fn late_word_of_a_task_that_has_gone_on_is_no_failure_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut providers = Providers::new(|| 0.5);
        providers.add("scripted", Arc::new(Scripted::answering("fine")), "script");
        let mut options = EngineOptions::new(folder.path());
        options.providers = Some(providers);
        let engine = Engine::start(options).await.unwrap();
        let by = engine.local_owner();
        let plan = r#"{ "steps": [{ "id": "ok", "kind": "approval", "prompt": "may I?" }] }"#;
        let plan = Some(serde_json::from_str(plan).unwrap());
        let task = engine.submit_task(&by, SubmitTask { plan, ..SubmitTask::default() }).await.unwrap();
        let read = || engine.0.services.tasks.read(task.id).unwrap();
        let nobody_works = || async { while engine.0.tree.status().await.unwrap().active > 0 {} };
        let parked = async {
            nobody_works().await;
            let log = read();
            let pins = engine.0.services.tasks.load(task.id).unwrap().unwrap().pins;
            let mut old = TaskState::begin(task.id, &log[0], pins).unwrap();
            old.apply(&log[1]).unwrap();
            engine.0.tree.start_task(old);
            nobody_works().await;
        };
        tokio::time::timeout(Duration::from_secs(20), parked).await.unwrap();
        let failures = read().iter().filter(|entry| matches!(entry.record, Record::ActorFailed { .. })).count();
        assert_eq!(failures, 0);
        let approval = engine.task(&by, task.id).await.unwrap().approvals[0].id;
        engine.decide_approval(&by, task.id, approval, Decision::Approve).await.unwrap();
        engine.stop().await;
    }
}
