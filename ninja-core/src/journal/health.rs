//! Whether the store still writes: the first failure stays, and everything after it is refused.

use std::sync::{Arc, OnceLock};

use super::store::StoreError;

/// The first failure, shared by the writer, the checkpointer and the handle.
#[derive(Debug, Clone, Default)]
pub(super) struct Health {
    failure: Arc<OnceLock<StoreError>>,
}

impl Health {
    /// Records a failure unless there is one already, and returns it.
    pub(super) fn fail(&self, error: StoreError) -> StoreError {
        if self.failure.set(error.clone()).is_ok() {
            tracing::error!(%error, "the store takes no more writes");
        }
        error
    }

    /// Returns the failure.
    pub(super) fn failure(&self) -> Option<StoreError> {
        self.failure.get().cloned()
    }

    /// Returns whether nothing has failed.
    pub(super) fn is_good(&self) -> bool {
        self.failure.get().is_none()
    }

    /// Refuses to write after a failure.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self.failure.get() {
            None => Ok(()),
            Some(error) => Err(StoreError::ReadOnly(error.to_string())),
        }
    }
}
