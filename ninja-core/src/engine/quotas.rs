//! What an account may have: how many tasks that have not ended, models of which classes, how many requests in a minute. Files and
//! keys are counted where they are made, requests where they come.

use std::{num::NonZeroU32, sync::Arc};

use super::{Engine, damaged_head, store_error, submit::Models};
use crate::{
    api::{ApiError, Credential, ErrorCode, ModelClass, Principal, TaskId},
    machine::TaskHead,
    unfinished::{Full, Place},
};

/// Heads read at a time.
const HEADS_PAGE: usize = 1_000;

impl Engine {
    /// Takes a place for a new task of the caller's, where its tasks are counted.
    pub(super) async fn place_for(&self, by: &Principal, task: TaskId) -> Result<Option<Place>, ApiError> {
        let Some(most) = self.0.services.accounts.settings().quotas.of(by.role).tasks else { return Ok(None) };
        let (services, user) = (Arc::clone(&self.0.services), by.user);
        let taken =
            tokio::task::spawn_blocking(move || services.unfinished.take(services.store.as_ref(), user, task, most));
        let taken = taken.await.map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
        match taken.map_err(store_error)? {
            Ok(place) => Ok(Some(place)),
            Err(Full) => {
                let what =
                    format!("the account has {most} tasks that have not ended, its most; wait for one, or cancel it");
                Err(ApiError::new(ErrorCode::QuotaExceeded, what))
            }
        }
    }

    /// Returns how many requests the caller's account may make in a minute, as of now; nothing where any number. Whoever comes as the
    /// owner of the data directory is never kept out.
    pub fn requests_per_minute(&self, by: &Principal) -> Option<NonZeroU32> {
        match by.credential {
            Credential::Local | Credential::Engine => None,
            Credential::Key(_) | Credential::Session(_) => {
                let most = self.0.services.accounts.settings().quotas.of(by.role).requests_per_minute;
                // What is set is at least one.
                most.map(|most| NonZeroU32::new(most).unwrap_or(NonZeroU32::MIN))
            }
        }
    }

    /// Refuses models of classes that the caller's account may not use, and leaves out those that nobody asked for by name.
    pub(super) fn keep_allowed(&self, by: &Principal, models: &mut Models, is_named: bool) -> Result<(), ApiError> {
        let settings = self.0.services.accounts.settings();
        let Some(allowed) = &settings.quotas.of(by.role).model_classes else { return Ok(()) };
        let (usual, lineup) = models;
        // A model that is named may be of any class: only whoever may use them all names one.
        let all = [ModelClass::Fast, ModelClass::Balanced, ModelClass::Best];
        if is_named && !all.iter().all(|class| allowed.contains(class)) {
            let what = "this account's tasks use the models that its agents ask for; it cannot name one";
            return Err(ApiError::new(ErrorCode::Forbidden, what));
        }
        lineup.retain(|class, _| allowed.contains(class));
        if allowed.contains(&ModelClass::default()) || usual.is_none() {
            return Ok(());
        }
        let Some(class) = all.iter().find(|class| allowed.contains(class)) else {
            return Err(ApiError::new(ErrorCode::Forbidden, "this account's tasks may use no model"));
        };
        // A class without models of its own has the usual one.
        if let Some(models) = lineup.get(class) {
            *usual = models.first().cloned();
        }
        Ok(())
    }

    /// Has tasks decide anew that wait for a limit they share. Those that no giving back would have helped wait in no queue, and
    /// are found by their heads.
    pub(super) async fn wake_those_short_of_budget(&self) -> Result<(), ApiError> {
        let store = Arc::clone(self.store());
        let found = tokio::task::spawn_blocking(move || {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = store.list_unfinished(after, HEADS_PAGE).map_err(store_error)?;
                for (task, head) in &page.heads {
                    let head: TaskHead = serde_json::from_slice(head).map_err(|error| damaged_head(*task, &error))?;
                    found.extend(head.waits_for_shared_budget.then_some(*task));
                }
                after = page.next;
                if after.is_none() {
                    return Ok::<_, ApiError>(found);
                }
            }
        });
        let found = found.await.map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))??;
        self.0.tree.wake_tasks(found, self.0.services.clock.now());
        Ok(())
    }
}
