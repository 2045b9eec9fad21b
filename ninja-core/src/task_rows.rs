//! How many tasks were accepted and ended, counted in rows: one for each day in UTC.
//!
//! A task is counted in the commit that accepts or ends it, so a crash neither loses nor doubles one, and nobody reads all heads
//! to sum up. What a row counts are events of its day: a task that is tried again was ended all the same, and is taken off
//! what has ended by an event of its own. So is one that is deleted.

use std::collections::BTreeMap;

use jiff::{civil::Date, tz::TimeZone};

use crate::{
    api::{TaskStatus, Timestamp, UserId},
    journal::{
        counts,
        record::{Entry, Record},
        store::{Commit, Count, DocKind, Store, StoreError},
    },
    machine::TaskHead,
};

/// What the ids of these rows begin with; those of usage begin with a bracket.
const PREFIX: &str = "tasks/";
/// Heads read at a time where tasks of before these rows are counted.
const HEADS_PAGE: usize = 1_000;

/// What is counted of a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TaskRow {
    /// Accepted.
    pub submitted: u64,
    /// Ended well.
    pub succeeded: u64,
    /// Failed.
    pub failed: u64,
    /// Cancelled.
    pub cancelled: u64,
    /// Tried again after they had failed.
    pub failed_again: u64,
    /// Tried again after they were cancelled.
    pub cancelled_again: u64,
    /// Deleted after they had ended well.
    pub succeeded_deleted: u64,
    /// Deleted after they had failed.
    pub failed_deleted: u64,
    /// Deleted after they were cancelled.
    pub cancelled_deleted: u64,
}

impl TaskRow {
    /// In this order they are stored. New ones come at the end, so that old rows read.
    fn numbers(self) -> [u64; 9] {
        [
            self.submitted,
            self.succeeded,
            self.failed,
            self.cancelled,
            self.failed_again,
            self.cancelled_again,
            self.succeeded_deleted,
            self.failed_deleted,
            self.cancelled_deleted,
        ]
    }

    fn read(numbers: &[i64]) -> Self {
        let number = |at: usize| numbers.get(at).map_or(0, |number| u64::try_from(*number).unwrap_or(0));
        Self {
            submitted: number(0),
            succeeded: number(1),
            failed: number(2),
            cancelled: number(3),
            failed_again: number(4),
            cancelled_again: number(5),
            succeeded_deleted: number(6),
            failed_deleted: number(7),
            cancelled_deleted: number(8),
        }
    }

    fn ended(status: TaskStatus) -> Self {
        match status {
            TaskStatus::Succeeded => Self { succeeded: 1, ..Self::default() },
            TaskStatus::Failed => Self { failed: 1, ..Self::default() },
            TaskStatus::Cancelled => Self { cancelled: 1, ..Self::default() },
            TaskStatus::Queued | TaskStatus::Planning | TaskStatus::Running | TaskStatus::Waiting => Self::default(),
        }
    }

    fn retried(from: TaskStatus) -> Self {
        match from {
            TaskStatus::Failed => Self { failed_again: 1, ..Self::default() },
            TaskStatus::Cancelled => Self { cancelled_again: 1, ..Self::default() },
            TaskStatus::Queued
            | TaskStatus::Planning
            | TaskStatus::Running
            | TaskStatus::Waiting
            | TaskStatus::Succeeded => Self::default(),
        }
    }

    fn deleted(status: TaskStatus) -> Self {
        match status {
            TaskStatus::Succeeded => Self { succeeded_deleted: 1, ..Self::default() },
            TaskStatus::Failed => Self { failed_deleted: 1, ..Self::default() },
            TaskStatus::Cancelled => Self { cancelled_deleted: 1, ..Self::default() },
            TaskStatus::Queued | TaskStatus::Planning | TaskStatus::Running | TaskStatus::Waiting => Self::default(),
        }
    }

    /// Takes up what happened on a later day into what there is in the end.
    pub(crate) fn add_to(self, ended: &mut Ended) {
        let left = |so_far: u64, more: u64, less: u64| (so_far + more).saturating_sub(less);
        ended.succeeded = left(ended.succeeded, self.succeeded, self.succeeded_deleted);
        ended.failed = left(ended.failed, self.failed, self.failed_again + self.failed_deleted);
        ended.cancelled = left(ended.cancelled, self.cancelled, self.cancelled_again + self.cancelled_deleted);
    }

    fn count(self, at: Timestamp) -> Count {
        let add = self.numbers().map(|number| i64::try_from(number).unwrap_or(i64::MAX));
        Count { row: format!("{PREFIX}{}", day_of(at)), add: add.to_vec() }
    }
}

/// How many tasks there are that have ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Ended well.
    pub succeeded: u64,
    /// Failed.
    pub failed: u64,
    /// Cancelled.
    pub cancelled: u64,
}

fn day_of(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// Counts a task that is accepted.
pub(crate) fn submitted(at: Timestamp) -> Count {
    TaskRow { submitted: 1, ..TaskRow::default() }.count(at)
}

/// Counts a task that ends.
pub(crate) fn ended(status: TaskStatus, at: Timestamp) -> Count {
    TaskRow::ended(status).count(at)
}

/// Counts a task that had ended as `status` and is deleted.
pub(crate) fn deleted(status: TaskStatus, at: Timestamp) -> Count {
    TaskRow::deleted(status).count(at)
}

/// Counts what records say of a task that was of the status `before` them.
pub(crate) fn counts_of(before: Option<TaskStatus>, entries: &[Entry]) -> Vec<Count> {
    let (mut status, mut counts) = (before, Vec::new());
    for Entry { at, record } in entries {
        match (record, status) {
            (Record::TaskEnded { status: end, .. }, _) => {
                counts.push(ended(*end, *at));
                status = Some(*end);
            }
            (Record::TaskRetried { .. }, Some(from)) => counts.push(TaskRow::retried(from).count(*at)),
            _ => {}
        }
    }
    counts
}

/// Reads the rows, the oldest day first.
///
/// # Errors
///
/// Fails where the disk cannot be read, or a row is none.
pub(crate) fn read(store: &dyn Store) -> Result<Vec<(Date, TaskRow)>, StoreError> {
    let read = |(id, bytes): (String, bytes::Bytes)| {
        let day = id.strip_prefix(PREFIX).and_then(|day| day.parse().ok());
        let day = day.ok_or_else(|| StoreError::Corrupt(format!("`{id}` is no row of tasks")))?;
        Ok((day, TaskRow::read(&counts::read(&bytes)?)))
    };
    store.list_docs(DocKind::Count, PREFIX)?.into_iter().map(read).collect()
}

/// Counts the tasks of these users that are older than the rows, once.
///
/// # Errors
///
/// Fails where the disk cannot be read or written.
pub(crate) async fn ensure(store: &dyn Store, users: &[UserId]) -> Result<(), StoreError> {
    if !store.list_docs(DocKind::Count, PREFIX)?.is_empty() {
        return Ok(());
    }
    let mut rows: BTreeMap<Date, Vec<i64>> = BTreeMap::new();
    for user in users {
        let mut after = None;
        loop {
            let page = store.list_heads(*user, after, HEADS_PAGE)?;
            for (task, head) in &page.heads {
                let damaged = |error| StoreError::Corrupt(format!("the head of {task} cannot be read: {error}"));
                let head: TaskHead = serde_json::from_slice(head).map_err(damaged)?;
                let mut add = |row: TaskRow, at: Timestamp| {
                    counts::add(rows.entry(day_of(at)).or_default(), &row.count(at).add);
                };
                add(TaskRow { submitted: 1, ..TaskRow::default() }, head.summary.created_at);
                if let Some(at) = head.summary.ended_at {
                    add(TaskRow::ended(head.summary.status), at);
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    let counts = rows.into_iter().map(|(day, add)| Count { row: format!("{PREFIX}{day}"), add }).collect();
    store.commit(Commit { counts, ..Commit::default() }).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        api::{ApiError, ErrorCode, TaskId, Usage},
        journal::{
            memory::MemoryStore,
            store::{Append, HeadUpdate},
        },
    };

    #[tokio::test]
    async fn events_are_counted_on_their_days_beside_the_rows_of_usage() {
        let folder = tempfile::tempdir().unwrap();
        let store = MemoryStore::open(folder.path()).unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (one, two) = (at("2026-11-23T23:59:59Z"), at("2026-11-24T00:00:00Z"));
        let entry = |at, record| Entry { at, record };
        let end = |status| Record::TaskEnded {
            status,
            error: Some(ApiError::new(ErrorCode::Internal, "x")),
            cancel_receipt: None,
            usage: Usage::default(),
        };
        let retried = Record::TaskRetried { by: UserId::from_uuid(uuid::Uuid::nil()), steps: Vec::new() };
        let log = [entry(one, end(TaskStatus::Failed)), entry(two, retried), entry(two, end(TaskStatus::Succeeded))];
        let mut counts = vec![submitted(one), submitted(two), ended(TaskStatus::Cancelled, two)];
        counts.extend(counts_of(Some(TaskStatus::Running), &log));
        counts.push(deleted(TaskStatus::Succeeded, two));
        counts.push(Count { row: "[\"usage\"]".to_owned(), add: vec![1] });
        store.commit(Commit { counts, ..Commit::default() }).await.unwrap();
        let first = TaskRow { submitted: 1, failed: 1, ..TaskRow::default() };
        let second = TaskRow {
            submitted: 1,
            succeeded: 1,
            cancelled: 1,
            failed_again: 1,
            succeeded_deleted: 1,
            ..TaskRow::default()
        };
        let rows = read(&store).unwrap();
        assert_eq!(rows, [(day_of(one), first), (day_of(two), second)]);
        let mut there_are = Ended::default();
        rows.into_iter().for_each(|(_, row)| row.add_to(&mut there_are));
        assert_eq!(there_are, Ended { succeeded: 0, failed: 0, cancelled: 1 });
        ensure(&store, &[UserId::from_uuid(uuid::Uuid::nil())]).await.unwrap();
        assert_eq!(read(&store).unwrap().len(), 2, "what is counted is not counted again");
    }

    #[test]
    fn a_row_reads_as_it_was_written_and_one_of_fewer_numbers_too() {
        let row = TaskRow::read(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(row.numbers(), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(TaskRow::read(&[1, 2, 3, 4, 5, 6]).numbers(), [1, 2, 3, 4, 5, 6, 0, 0, 0]);
    }

    #[tokio::test]
    async fn tasks_of_before_the_rows_are_counted_at_the_first_start() {
        let folder = tempfile::tempdir().unwrap();
        let store = MemoryStore::open(folder.path()).unwrap();
        let user = UserId::from_uuid(uuid::Uuid::from_u128(7));
        for (n, status, ended_at) in [
            (1_u128, "succeeded", Some("2026-11-24T01:00:00Z")),
            (2, "failed", Some("2026-11-23T01:00:00Z")),
            (3, "waiting", None),
        ] {
            let task = TaskId::from_uuid(uuid::Uuid::from_u128(n));
            let head = json!({ "owner": user, "last_seq": 1, "summary": {
                "id": task, "goal": "g", "status": status, "progress": 0, "usage": Usage::default(),
                "created_at": "2026-11-23T00:00:00Z", "ended_at": ended_at,
            } });
            let head = HeadUpdate { owner: user, unfinished: ended_at.is_none(), bytes: head.to_string().into() };
            let append = Append { task, first_seq: 1, records: vec!["r".into()], head };
            store.commit(Commit { append: Some(append), ..Commit::default() }).await.unwrap();
        }
        for _ in 0..2 {
            ensure(&store, &[user]).await.unwrap();
            let first = TaskRow { submitted: 3, failed: 1, ..TaskRow::default() };
            let second = TaskRow { succeeded: 1, ..TaskRow::default() };
            let rows: Vec<TaskRow> = read(&store).unwrap().into_iter().map(|(_, row)| row).collect();
            assert_eq!(rows, [first, second]);
        }
    }
}
