//! `submit_task`: everything is checked before anything is accepted, and accepted before anything is done.

use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Engine, pins::PinSet, store_error};
use crate::{
    actors::head_update,
    api::{ApiError, BlobHash, ErrorCode, Principal, SubmitTask, Task, TaskId},
    journal::{
        feed::encode_feed,
        record::{Action, Entry, InputFile, PinnedModel, PlannedStep, Record, TaskSubmitted},
        store::{Append, Commit},
    },
    machine::{TaskState, feed_of, is_too_deep},
    planner::{self, Template},
};

/// A goal is a statement, not a document; documents are files.
const GOAL_BYTES_MAX: usize = 64 * 1024;
/// Files of one task.
const FILES_MAX: usize = 100;

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
        let _permit = self.0.submissions.try_acquire().map_err(|_| {
            ApiError::new(ErrorCode::TooManyRequests, "too many submissions are being accepted; try again in a second")
        })?;
        if self.0.tree.gave_up() {
            let detail = "an actor of the engine failed too often and nothing is worked on; restart the engine";
            return Err(ApiError::new(ErrorCode::Internal, detail));
        }
        let checked = self.check(by, request)?;
        let state = self.accept(checked).await?;
        self.0.tree.start_task(state.id);
        Ok(state.view())
    }

    fn check(&self, by: &Principal, request: SubmitTask) -> Result<Checked, ApiError> {
        check_shape(&request)?;
        let template = request.template.as_deref().map(|name| self.template(name)).transpose()?;
        let inputs = self.inputs(by, &request)?;
        let params = check_template_use(template, &request, inputs.len())?;
        let pins = self.0.pin_set(template);
        let invalid = |error: crate::machine::PlanError| ApiError::new(ErrorCode::InvalidPlan, error.to_string());
        let default_agent = &self.0.config.default_agent;
        let steps = match request.plan.as_ref().or_else(|| template.map(|template| &template.plan)) {
            Some(plan) => planner::plan_explicit(plan, &pins.pins, default_agent).map_err(invalid)?,
            None => planner::plan_goal(default_agent),
        };
        let model = self.model(request.model.as_deref(), &steps)?;
        let submitted = TaskSubmitted {
            owner: by.user,
            goal: request.goal,
            template: request.template,
            params,
            inputs,
            model,
            budget: request.budget.unwrap_or_default(),
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

    fn inputs(&self, by: &Principal, request: &SubmitTask) -> Result<Vec<InputFile>, ApiError> {
        let mut inputs: Vec<InputFile> = Vec::new();
        for id in &request.files {
            let file = self.file(by, *id)?;
            let name = unused_name(&file.name, |name| inputs.iter().any(|input| input.name == name));
            inputs.push(InputFile { file: file.id, name, bytes: file.bytes, blob: file.sha256 });
        }
        Ok(inputs)
    }

    fn model(&self, wanted: Option<&str>, steps: &[PlannedStep]) -> Result<Option<PinnedModel>, ApiError> {
        let needs_one = steps.iter().any(|step| matches!(step.action, Action::Agent { .. }));
        match self.0.services.providers.choose(wanted) {
            Ok((model, info)) => Ok(Some(PinnedModel { model, info })),
            Err(_) if !needs_one && wanted.is_none() => Ok(None),
            Err(error) => Err(ApiError::new(ErrorCode::NoProvider, error.to_string())),
        }
    }

    async fn accept(&self, checked: Checked) -> Result<TaskState, ApiError> {
        let Checked { submitted, pins, steps } = checked;
        let services = &self.0.services;
        let (id, at, owner) = (TaskId::from_uuid(services.clock.new_uuid()), services.clock.now(), submitted.owner);
        services.tasks.remember(pins.hash, &pins.pins);
        let first = Entry { at, record: Record::TaskSubmitted(Box::new(submitted)) };
        let plan = Entry { at, record: Record::PlanMade { steps } };
        let broken = |error: crate::machine::FoldError| ApiError::new(ErrorCode::Internal, error.to_string());
        let mut state = TaskState::begin(id, &first, Arc::clone(&pins.pins)).map_err(broken)?;
        state.apply(&plan).map_err(broken)?;
        let told = feed_of(None, &state);
        let commit = Commit {
            append: Some(Append {
                task: id,
                first_seq: 1,
                records: vec![first.encode().into(), plan.encode().into()],
                head: head_update(&state),
            }),
            feed: told.iter().map(|body| (owner, encode_feed(at, body).into())).collect(),
            blobs: pins.blobs(),
            ..Commit::default()
        };
        let committed = services.store.commit(commit).await.map_err(store_error)?;
        pins.note_stored();
        services.hub.publish_user(owner, crate::journal::feed::number(committed.feed_seqs, at, told));
        Ok(state)
    }
}

fn invalid(detail: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, detail)
}

fn check_shape(request: &SubmitTask) -> Result<(), ApiError> {
    if request.goal.len() > GOAL_BYTES_MAX {
        return Err(ApiError::new(
            ErrorCode::TooLarge,
            format!("a goal has at most {GOAL_BYTES_MAX} bytes; put the rest in a file"),
        ));
    }
    if request.goal.trim().is_empty() && request.template.is_none() && request.plan.is_none() {
        return Err(invalid("say what is wanted: a `goal`, a `template` or a `plan`"));
    }
    if request.template.is_some() && request.plan.is_some() {
        return Err(invalid("`template` and `plan` both make the plan; give one of them"));
    }
    if request.template.is_none() && !request.params.is_empty() {
        return Err(invalid("`params` belong to a `template`"));
    }
    if request.params.values().any(is_too_deep) {
        return Err(invalid("`params` are nested too deeply"));
    }
    if request.files.len() > FILES_MAX {
        return Err(invalid(format!("a task takes at most {FILES_MAX} files")));
    }
    Ok(())
}

fn check_template_use(
    template: Option<&Template>,
    request: &SubmitTask,
    files: usize,
) -> Result<Map<String, Value>, ApiError> {
    let Some(template) = template else { return Ok(Map::new()) };
    let (min, max) = (template.files.min, template.files.max);
    if !(min..=max).contains(&files) {
        let takes = if min == max { format!("{min}") } else { format!("{min} to {max}") };
        return Err(invalid(format!("template {} takes {takes} file(s), {files} given", template.name)));
    }
    template.check_params(&request.params).map_err(invalid)
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
