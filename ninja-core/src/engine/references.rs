//! Which blobs records, documents and pins name. Called by `maintenance`; whoever adds a field with a [`BlobHash`] to what is
//! stored adds it here too, or `ninja db compact` takes the blob for a leftover.

use super::files::StoredFile;
use crate::{
    api::BlobHash,
    journal::{
        item::Item,
        record::{Entry, ManifestDelta, Outcome, Pins, Record, TaskSubmitted},
        references::{Reference, References},
        store::{DocKind, StoreError},
    },
};

/// How the journal finds what its items refer to.
pub(super) const REFERENCES: References = References { of_item, of_list: of_pins };

fn of_item(item: &Item) -> Result<Vec<Reference>, StoreError> {
    let corrupt = |error: &dyn std::fmt::Display| StoreError::Corrupt(format!("{item}: {error}"));
    match item {
        Item::Record { bytes, .. } => {
            Entry::decode(bytes).map_err(|error| corrupt(&error)).map(|entry| of(&entry.record))
        }
        Item::Doc { key, bytes } if key.kind == DocKind::File => {
            let stored: StoredFile = serde_json::from_slice(bytes).map_err(|error| corrupt(&error))?;
            Ok(vec![Reference::Blob(stored.sha256())])
        }
        // A head says what its records say.
        Item::Doc { .. }
        | Item::Task { .. }
        | Item::Feed { .. }
        | Item::AuditEnd(_)
        | Item::Audit { .. }
        | Item::BlobPart { .. } => Ok(Vec::new()),
    }
}

fn of(record: &Record) -> Vec<Reference> {
    match record {
        Record::TaskSubmitted(submitted) => of_submission(submitted),
        Record::CallEnded { outcome: Outcome::Returned { delta, images, .. }, .. } => {
            let images = images.iter().map(|image| Reference::Blob(image.blob));
            of_delta(delta).into_iter().chain(images).collect()
        }
        Record::CallEnded {
            outcome: Outcome::Answered(_) | Outcome::Failed { .. } | Outcome::Lost { .. } | Outcome::Stopped { .. },
            ..
        }
        | Record::PlanMade { .. }
        | Record::StepsAdded { .. }
        | Record::StepRetried { .. }
        | Record::StepStarted { .. }
        | Record::CallIntended { .. }
        | Record::ProviderPaused { .. }
        | Record::BudgetPaused { .. }
        | Record::BudgetWarned { .. }
        | Record::BudgetChanged { .. }
        | Record::StepResumed { .. }
        | Record::StepEnded { .. }
        | Record::ApprovalRequested { .. }
        | Record::ApprovalDecided { .. }
        | Record::TaskRecovered { .. }
        | Record::ActorFailed { .. }
        | Record::CancelRequested { .. }
        | Record::TaskPaused { .. }
        | Record::TaskResumed { .. }
        | Record::TaskRetried { .. }
        | Record::TaskEnded { .. } => Vec::new(),
    }
}

fn of_submission(submitted: &TaskSubmitted) -> Vec<Reference> {
    let inputs = submitted.inputs.iter().map(|file| Reference::Blob(file.blob));
    inputs.chain([Reference::List(submitted.pins)]).collect()
}

fn of_delta(delta: &ManifestDelta) -> Vec<Reference> {
    delta.changed.values().map(|file| Reference::Blob(file.blob)).collect()
}

fn of_pins(bytes: &[u8]) -> Result<Vec<BlobHash>, StoreError> {
    let pins: Pins = serde_json::from_slice(bytes).map_err(|error| StoreError::Corrupt(format!("pins: {error}")))?;
    Ok(pins.template_files.into_values().collect())
}
