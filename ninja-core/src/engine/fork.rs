//! `fork_task`: a new task that begins with what another one did up to a step.
//!
//! The records of that part are written again into the new task's log: a log that is whole in itself can be read, backed
//! up and deleted by itself. What they used is charged to the old task alone.

use std::sync::Arc;

use super::{
    Engine,
    idempotency::{self, Claim, Turn},
    no_task, store_error,
    submit::{Beside, Models, accept, keep_priced},
    uninterrupted,
};
use crate::{
    api::{
        ApiError, AuditAction, ErrorCode, ForkPoint, ForkTask, IdempotencyKey, Made, Principal, StepId, Task, TaskId,
    },
    audit::Audit,
    journal::record::{Entry, Record, StepEnd, TaskSubmitted},
    machine::TaskState,
};

impl Engine {
    /// Makes a new task that shares what another did before a step, and goes on from there by itself, with another model if
    /// one is given. It is durable when this returns.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where there is no such task of the caller's or no such step, `conflict` where the step has not
    /// begun.
    pub async fn fork_task(&self, by: &Principal, id: TaskId, request: ForkTask) -> Result<Task, ApiError> {
        self.fork(by, id, request, None).await
    }

    /// Forks a task unless the same request has done so: then the task that it made is the answer, as it stands. Where two come
    /// at the same time, the second waits for what comes of the first.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::fork_task`]; `idempotency_mismatch` where the key came with another request, `not_found` where the
    /// new task has been deleted.
    pub async fn fork_task_once(
        &self,
        by: &Principal,
        id: TaskId,
        key: &IdempotencyKey,
        request: ForkTask,
    ) -> Result<Made, ApiError> {
        let (engine, by, key) = (self.clone(), by.clone(), key.clone());
        uninterrupted(async move {
            let fingerprint = idempotency::fingerprint(&request)?;
            match engine.claim(&by, &format!("POST /tasks/{id}/fork"), &key, fingerprint).await? {
                Claim::Made(before) => engine.made_before(&by, &before),
                Claim::Free(turn) => {
                    let task = engine.fork(&by, id, request, Some(&turn)).await?;
                    Ok(Made { task, replayed: false })
                }
            }
        })
        .await
    }

    async fn fork(&self, by: &Principal, id: TaskId, request: ForkTask, turn: Option<&Turn>) -> Result<Task, ApiError> {
        self.check_owner(by, id)?;
        let entries = self.0.services.tasks.read(id).map_err(store_error)?;
        let Some(Entry { record: Record::TaskSubmitted(submitted), .. }) = entries.first() else {
            return Err(no_task(id));
        };
        let shared = shared_records(&entries, request.at.as_ref())?;
        let mut models = self.models_of_fork(submitted, request.model.as_deref()).await?;
        self.keep_allowed(by, &mut models, request.model.is_some())?;
        if submitted.budget.cost_micro_usd.is_some() || self.0.services.ledger.is_in_money(by.user) {
            keep_priced(&mut models)?;
        }
        let (model, lineup) = models;
        let submitted = TaskSubmitted {
            owner: by.user,
            model,
            lineup,
            forked_from: Some(ForkPoint { task: id, seq: shared }),
            traceparent: by.origin.traceparent.as_deref().map(str::to_owned),
            ..TaskSubmitted::clone(submitted)
        };
        let pins = self.0.services.tasks.pins(submitted.pins).map_err(store_error)?;
        let at = self.0.services.clock.now();
        let first = Entry { at, record: Record::TaskSubmitted(Box::new(submitted)) };
        let rest = entries.into_iter().skip(1).take(usize::try_from(shared).unwrap_or(usize::MAX).saturating_sub(1));
        let new = TaskId::from_uuid(self.0.services.clock.new_uuid());
        let broken = |error: crate::machine::FoldError| ApiError::new(ErrorCode::Internal, error.to_string());
        let mut state = TaskState::begin(new, &first, Arc::clone(&pins)).map_err(broken)?;
        let mut log = vec![first];
        for entry in rest {
            state.apply(&entry).map_err(broken)?;
            log.push(entry);
        }
        let audit = Audit::of(by, AuditAction::ForkTask, state.created_at).to(state.id).saying(format!("from {id}"));
        let place = self.place_for(by, state.id).await?;
        accept(&self.0.services, &state, &log, Beside { blobs: Vec::new(), audit, turn }).await?;
        if let Some(place) = place {
            place.keep();
        }
        let task = state.view();
        self.0.tree.start_task(state);
        Ok(task)
    }

    async fn models_of_fork(&self, old: &TaskSubmitted, wanted: Option<&str>) -> Result<Models, ApiError> {
        match wanted {
            Some(_) => self.models(wanted, true).await,
            None => Ok((old.model.clone(), old.lineup.clone())),
        }
    }
}

/// Returns how many records stand before the newest start of a step: the one given, else the one that the task failed with.
fn shared_records(entries: &[Entry], at: Option<&StepId>) -> Result<u64, ApiError> {
    let failed = || {
        // What failed before a retry was mended by it, or failed again.
        let mut newest = entries.iter().rev().take_while(|entry| !matches!(entry.record, Record::TaskRetried { .. }));
        newest.find_map(|entry| match &entry.record {
            Record::StepEnded { step, end: StepEnd::Failed { fails_task: true, .. }, .. } => Some(step),
            _ => None,
        })
    };
    let Some(step) = at.or_else(failed) else {
        return Err(ApiError::new(ErrorCode::InvalidRequest, "say `at` which step: no step of the task failed"));
    };
    let is_start =
        |entry: &Entry| matches!(&entry.record, Record::StepStarted { step: started, .. } if started == step);
    match entries.iter().rposition(is_start) {
        // Numbers of records start at 1, so the index of the start is the number of the record before it.
        Some(index) => Ok(index as u64),
        None => Err(ApiError::new(ErrorCode::Conflict, format!("step {step} is none of this task, or has not begun"))),
    }
}
