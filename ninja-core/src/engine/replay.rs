//! `replay_task`: what a task did, decided once more from its log.

use serde_json::Value;

use super::{Engine, diff::first_field, no_task, store_error};
use crate::{
    api::{ApiError, Artifact, ErrorCode, FieldDifference, Principal, ReplayDifference, ReplayReport, TaskId},
    journal::{
        is_whole,
        record::{Entry, Outcome, Record},
    },
    machine::{Difference, artifacts, project, replay},
};

impl Engine {
    /// Runs a task's machine again over its log, compares, and hashes what it made. No model and no tool is called.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where there is no such task of the caller's, `corrupt` where its log cannot be read.
    pub async fn replay_task(&self, by: &Principal, id: TaskId) -> Result<ReplayReport, ApiError> {
        self.check_owner(by, id)?;
        let engine = self.clone();
        let replayed = tokio::task::spawn_blocking(move || engine.replay_blocking(id)).await;
        replayed.map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?
    }

    fn replay_blocking(&self, id: TaskId) -> Result<ReplayReport, ApiError> {
        let log = self.0.services.tasks.read(id).map_err(store_error)?;
        let Some(Entry { record: Record::TaskSubmitted(submitted), .. }) = log.first() else {
            return Err(no_task(id));
        };
        let pins = self.0.services.tasks.pins(submitted.pins).map_err(store_error)?;
        let corrupt = |error: crate::machine::FoldError| ApiError::new(ErrorCode::Corrupt, error.to_string());
        let replayed = replay(id, &log, pins).map_err(corrupt)?;
        let made = artifacts(&replayed.state);
        let damaged = made.iter().filter(|artifact| !self.is_whole(artifact)).map(|artifact| artifact.path.clone());
        let artifacts_damaged: Vec<String> = damaged.collect();
        Ok(ReplayReport {
            task: id,
            same: replayed.difference.is_none() && artifacts_damaged.is_empty(),
            records: log.len() as u64,
            decided: replayed.decided,
            given: replayed.given,
            external: replayed.external,
            outcomes_reused: log.iter().filter(|entry| is_outcome(&entry.record)).count() as u64,
            provider_calls: 0,
            status: replayed.state.status(),
            artifacts_checked: made.len() as u64,
            artifacts_damaged,
            first_difference: replayed.difference.map(|difference| shown(id, difference)),
        })
    }

    fn is_whole(&self, artifact: &Artifact) -> bool {
        let Ok(Some(mut file)) = self.store().open_blob(artifact.sha256) else { return false };
        is_whole(artifact.sha256, &mut file).unwrap_or(false)
    }
}

fn is_outcome(record: &Record) -> bool {
    matches!(record, Record::CallEnded { outcome: Outcome::Answered(_) | Outcome::Returned { .. }, .. })
}

/// Shows a difference of records as one of events, with the field of the records in which it lies: an event does not show
/// all that a record holds.
fn shown(task: TaskId, difference: Difference) -> ReplayDifference {
    let Difference { seq, at, recorded, decided } = difference;
    let field = match (&recorded, &decided) {
        (Some(recorded), Some(decided)) => field(recorded, decided),
        _ => None,
    };
    let event = |record: Option<Record>| record.map(|record| project(task, seq, &Entry { at, record }).event);
    ReplayDifference { seq, recorded: event(recorded), decided: event(decided), field }
}

fn field(recorded: &Record, decided: &Record) -> Option<FieldDifference> {
    let value = |record: &Record| serde_json::to_value(record).unwrap_or(Value::Null);
    first_field(&value(recorded), &value(decided))
}
