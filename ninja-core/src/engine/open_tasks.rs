//! Where the tasks stand that have not ended: counted from their heads when somebody wants to know.
//!
//! Numbers that each commit moves would be cheaper to read, and wrong for ever after an actor that ended between its commit and
//! its word. What was counted holds the longer the longer it took to count, so that it never costs more than a small share of a
//! processor, however many tasks wait and however often somebody asks.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    api::{TaskStatus, WaitFor},
    journal::store::{Store, StoreError},
    machine::TaskHead,
};

/// The least time for which a count holds.
const HOLDS_MIN: Duration = Duration::from_secs(1);
/// A count holds so many times as long as it took: two hundredths of a processor at most.
const HOLDS_TIMES: u32 = 50;
/// Heads read at a time.
const HEADS_PAGE: usize = 1_000;

/// The statuses of tasks that have not ended.
const STATUSES: [TaskStatus; 4] = [TaskStatus::Queued, TaskStatus::Planning, TaskStatus::Running, TaskStatus::Waiting];
/// What tasks wait for.
const CAUSES: [WaitFor; 6] =
    [WaitFor::Approval, WaitFor::Person, WaitFor::Budget, WaitFor::Provider, WaitFor::Timer, WaitFor::Operator];

/// How many tasks that have not ended stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OpenTasks {
    statuses: [u64; STATUSES.len()],
    causes: [u64; CAUSES.len()],
}

impl OpenTasks {
    /// Returns how many are of each status.
    pub(super) fn by_status(self) -> impl Iterator<Item = (TaskStatus, u64)> {
        STATUSES.into_iter().zip(self.statuses)
    }

    /// Returns how many wait for what.
    pub(super) fn by_cause(self) -> impl Iterator<Item = (WaitFor, u64)> {
        CAUSES.into_iter().zip(self.causes)
    }

    fn count(&mut self, head: &TaskHead) {
        let status = head.summary.status;
        let waiting = head.summary.waiting.as_ref().filter(|_| status == TaskStatus::Waiting);
        for (of, count) in STATUSES.iter().zip(&mut self.statuses) {
            *count += u64::from(*of == status);
        }
        for (of, count) in CAUSES.iter().zip(&mut self.causes) {
            *count += u64::from(waiting.is_some_and(|waiting| waiting.wait_for == *of));
        }
    }

    fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let (mut found, mut after) = (Self::default(), None);
        loop {
            let page = store.list_unfinished(after, HEADS_PAGE)?;
            for (task, head) in &page.heads {
                let damaged = |error| StoreError::Corrupt(format!("the head of {task} cannot be read: {error}"));
                found.count(&serde_json::from_slice(head).map_err(damaged)?);
            }
            after = page.next;
            if after.is_none() {
                return Ok(found);
            }
        }
    }
}

/// The newest count.
#[derive(Default)]
pub(super) struct OpenTaskCount(Mutex<Option<(OpenTasks, Instant)>>);

impl OpenTaskCount {
    /// Counts, unless what was counted still holds. Blocks; of those who come together one counts and the others wait.
    pub(super) fn newest(&self, store: &dyn Store) -> Result<OpenTasks, StoreError> {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((found, holds_until)) = *newest
            && Instant::now() < holds_until
        {
            return Ok(found);
        }
        let began = Instant::now();
        let found = OpenTasks::read(store)?;
        let holds = HOLDS_MIN.max(began.elapsed() * HOLDS_TIMES);
        *newest = Some((found, Instant::now() + holds));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        api::{TaskId, Usage, UserId},
        journal::{
            memory::MemoryStore,
            store::{Append, Commit, HeadUpdate},
        },
    };

    #[tokio::test]
    async fn heads_are_counted_by_status_and_cause_and_not_at_once_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = MemoryStore::open(folder.path()).unwrap();
        let user = UserId::from_uuid(uuid::Uuid::from_u128(7));
        let commit = |n: u128, status: &str, wait_for: Option<&str>, unfinished: bool| {
            let task = TaskId::from_uuid(uuid::Uuid::from_u128(n));
            let waiting =
                wait_for.map_or(Value::Null, |cause| json!({ "for": cause, "since": "2026-11-23T00:00:00Z" }));
            let head = json!({ "owner": user, "last_seq": 1, "summary": {
                "id": task, "goal": "g", "status": status, "progress": 0, "usage": Usage::default(),
                "waiting": waiting, "created_at": "2026-11-23T00:00:00Z",
            } });
            let head = HeadUpdate { owner: user, unfinished, bytes: head.to_string().into() };
            let append = Append { task, first_seq: 1, records: vec!["r".into()], head };
            store.commit(Commit { append: Some(append), ..Commit::default() })
        };
        commit(1, "running", None, true).await.unwrap();
        commit(2, "waiting", Some("budget"), true).await.unwrap();
        commit(3, "waiting", Some("person"), true).await.unwrap();
        commit(4, "failed", None, false).await.unwrap();
        let counts = OpenTaskCount::default();
        let found = counts.newest(&store).unwrap();
        assert_eq!(found.by_status().map(|(_, count)| count).collect::<Vec<_>>(), [0, 0, 1, 2]);
        let causes: Vec<WaitFor> = found.by_cause().filter(|(_, count)| *count == 1).map(|(cause, _)| cause).collect();
        assert_eq!(causes, [WaitFor::Person, WaitFor::Budget]);
        commit(5, "queued", None, true).await.unwrap();
        assert_eq!(counts.newest(&store).unwrap(), found, "what was counted a moment ago holds");
        assert_eq!(OpenTaskCount::default().newest(&store).unwrap().statuses, [1, 0, 1, 2]);
    }
}
