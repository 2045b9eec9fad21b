//! `stats`: the installation in numbers, without reading all tasks.
//!
//! Tasks, usage and files are counted in rows by the commits that they are of. Tasks that have not ended and bytes on the disk
//! have to be looked at, which is done apart from the runtime's threads and kept for a while.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::{ToSpan, civil::Date, tz::TimeZone};

use super::{Engine, Inner, files, store_error};
use crate::{
    accounts::directory,
    api::{
        Access, ApiError, ErrorCode, Principal, Role, Scope, Stats, StoreBytes, TaskCounts, TaskDay, TaskStatus, Usage,
        UsageItem, UsageSums, UserCounts,
    },
    journal::{
        numbers::StoreSize,
        store::{Store, StoreError},
    },
    machine::Spent,
    task_rows, usage_rows,
};

/// Days that are told one by one.
const DAYS: i64 = 30;
/// How long a person is told the same size.
const SIZE_HOLDS: Duration = Duration::from_secs(10);

/// What was measured of the disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    pub(super) size: StoreSize,
    at: Instant,
}

/// The newest measure.
#[derive(Default)]
pub(super) struct Measures(Mutex<Option<Measured>>);

impl Measures {
    /// Measures unless that was done within `holds`. Blocks; of those who come together one measures and the others wait.
    pub(super) fn newest(&self, store: &dyn Store, holds: Duration) -> Result<Measured, StoreError> {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(measured) = newest.filter(|measured| measured.at.elapsed() < holds) {
            return Ok(measured);
        }
        let measured = Measured { size: store.size(), at: Instant::now() };
        *newest = Some(measured);
        Ok(measured)
    }
}

impl Engine {
    /// Returns the installation in numbers.
    ///
    /// # Errors
    ///
    /// Fails with `forbidden` where the caller is no administrator.
    pub async fn stats(&self, by: &Principal) -> Result<Stats, ApiError> {
        by.check(Access::Admin(Scope::AdminRead))?;
        let engine = self.clone();
        let counted = tokio::task::spawn_blocking(move || engine.0.count()).await;
        counted.map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?.map_err(store_error)
    }
}

impl Inner {
    fn count(&self) -> Result<Stats, StoreError> {
        let (store, at) = (self.services.store.as_ref(), self.services.clock.now());
        let today = at.to_zoned(TimeZone::UTC).date();
        let measured = self.measures.newest(store, SIZE_HOLDS)?;
        let StoreSize { log_bytes, tree_bytes, blobs: _, blob_bytes } = measured.size;
        Ok(Stats {
            at,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            uptime_seconds: self.started.elapsed().as_secs(),
            users: count_users(store)?,
            tasks: self.count_tasks(today)?,
            usage: sum_usage(store, today)?,
            files: files::counted(store)?,
            store: StoreBytes { log: log_bytes, tree: tree_bytes, blobs: blob_bytes },
        })
    }

    fn count_tasks(&self, today: Date) -> Result<TaskCounts, StoreError> {
        let mut counts = TaskCounts::default();
        for (status, count) in self.open_tasks.newest(self.services.store.as_ref())?.by_status() {
            match status {
                TaskStatus::Queued => counts.queued = count,
                TaskStatus::Planning => counts.planning = count,
                TaskStatus::Running => counts.running = count,
                TaskStatus::Waiting => counts.waiting = count,
                TaskStatus::Succeeded | TaskStatus::Failed | TaskStatus::Cancelled => {}
            }
        }
        let first_day = today.saturating_sub((DAYS - 1).days());
        let mut ended = task_rows::Ended::default();
        for (on, row) in task_rows::read(self.services.store.as_ref())? {
            row.add_to(&mut ended);
            if on >= first_day {
                let task_rows::TaskRow { submitted, succeeded, failed, cancelled, .. } = row;
                counts.days.push(TaskDay { on, submitted, succeeded, failed, cancelled });
            }
        }
        (counts.succeeded, counts.failed, counts.cancelled) = (ended.succeeded, ended.failed, ended.cancelled);
        Ok(counts)
    }
}

/// Counts the accounts; the local owner has one.
fn count_users(store: &dyn Store) -> Result<UserCounts, StoreError> {
    let mut counts = UserCounts::default();
    for user in directory::read_users(store)? {
        counts.total += 1;
        match user.role {
            Role::User => counts.user += 1,
            Role::Premium => counts.premium += 1,
            Role::Admin => counts.admin += 1,
        }
    }
    Ok(counts)
}

fn sum_usage(store: &dyn Store, today: Date) -> Result<UsageSums, StoreError> {
    let (mut sums, mut models) = (UsageSums::default(), BTreeMap::<String, Usage>::new());
    for (_, Spent { on, model, usage, .. }) in usage_rows::of_all(store)? {
        sums.total.add(&usage);
        if on == today {
            sums.today.add(&usage);
        }
        if on.first_of_month() == today.first_of_month() {
            sums.this_month.add(&usage);
        }
        models.entry(model.to_string()).or_default().add(&usage);
    }
    sums.by_model = models.into_iter().map(|(of, usage)| UsageItem { of, usage }).collect();
    sums.by_model.sort_by_key(|item| std::cmp::Reverse((item.usage.cost_micro_usd, item.usage.tokens())));
    Ok(sums)
}
