//! `tasks_summary`: how many tasks stand how, how long they took and what they used.
//!
//! Counted from heads at each call, and bounded: counters of each status, and a median, would cost every commit something that
//! is asked for now and then. Heads are small; 20,000 of them are read in a fraction of a second, off the async threads.

use std::ops::ControlFlow;

use jiff::SignedDuration;

use super::{Engine, damaged_head, list::first_id_of, store_error};
use crate::{
    api::{
        ApiError, ErrorCode, PeriodSummary, Principal, SummaryQuery, TaskId, TaskStatus, TaskSummary, TasksSummary,
        Timestamp, UserId,
    },
    journal::store::HeadPage,
    machine::TaskHead,
};

/// Heads that one pass looks at; everybody's take two.
const HEADS_MAX: usize = 20_000;
/// Heads read at a time.
const PAGE: usize = 500;
const DAY: SignedDuration = SignedDuration::from_hours(24);
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Engine {
    /// Returns the caller's tasks, or everybody's, in numbers.
    ///
    /// # Errors
    ///
    /// Fails with `forbidden` where everybody's are asked for by somebody who is no administrator.
    pub async fn tasks_summary(&self, by: &Principal, query: SummaryQuery) -> Result<TasksSummary, ApiError> {
        let owner = (!self.all_or_own(by, query.all, "everybody's tasks in numbers").await?).then_some(by.user);
        let engine = self.clone();
        let counted = tokio::task::spawn_blocking(move || engine.count_tasks(owner)).await;
        counted.map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?
    }

    fn count_tasks(&self, owner: Option<UserId>) -> Result<TasksSummary, ApiError> {
        let mut counts = Counts::at(self.0.services.clock.now());
        let store = self.store();
        match owner {
            Some(owner) => {
                // The newest first, so where there are too many the oldest are left out.
                let cut = self.look_through_heads(
                    None,
                    |after| store.list_heads(owner, after, PAGE),
                    |task| {
                        counts.see(task);
                        ControlFlow::Continue(())
                    },
                )?;
                counts.note_cut(cut);
            }
            None => {
                // From the first on; so those of the last week are counted before all that were before.
                let week = first_id_of(counts.week);
                let next = |after| store.list_tasks(after, PAGE);
                let cut = self.look_through_heads(Some(week), next, |task| {
                    counts.see(task);
                    ControlFlow::Continue(())
                })?;
                counts.note_cut_of_week(cut.is_some());
                let cut = self.look_through_heads(None, next, |task| match task.id <= week {
                    true => {
                        counts.see(task);
                        ControlFlow::Continue(())
                    }
                    false => ControlFlow::Break(()),
                })?;
                counts.all.is_cut |= cut.is_some();
            }
        }
        Ok(counts.finish())
    }

    /// Hands on the tasks of a list until there are no more, enough is seen, or too many were; returns the last one then.
    fn look_through_heads(
        &self,
        mut after: Option<TaskId>,
        next: impl Fn(Option<TaskId>) -> Result<HeadPage, crate::journal::store::StoreError>,
        mut see: impl FnMut(&TaskSummary) -> ControlFlow<()>,
    ) -> Result<Option<TaskSummary>, ApiError> {
        let mut looked = 0;
        loop {
            let page = next(after).map_err(store_error)?;
            let mut last = None;
            for (task, head) in &page.heads {
                let head: TaskHead = serde_json::from_slice(head).map_err(|error| damaged_head(*task, &error))?;
                if see(&head.summary).is_break() {
                    return Ok(None);
                }
                last = Some(head.summary);
            }
            looked += page.heads.len();
            after = page.next;
            if after.is_none() {
                return Ok(None);
            }
            if looked >= HEADS_MAX {
                return Ok(last);
            }
        }
    }
}

/// Sums in the making.
struct Counts {
    day: Timestamp,
    week: Timestamp,
    of_day: Sums,
    of_week: Sums,
    all: Sums,
}

#[derive(Default)]
struct Sums {
    summary: PeriodSummary,
    took_ms: Vec<u64>,
    is_cut: bool,
}

impl Counts {
    fn at(now: Timestamp) -> Self {
        let before = |span| now.checked_sub(span).unwrap_or(Timestamp::MIN);
        Self {
            day: before(DAY),
            week: before(WEEK),
            of_day: Sums::default(),
            of_week: Sums::default(),
            all: Sums::default(),
        }
    }

    fn see(&mut self, task: &TaskSummary) {
        self.all.see(task);
        if task.created_at >= self.week {
            self.of_week.see(task);
        }
        if task.created_at >= self.day {
            self.of_day.see(task);
        }
    }

    /// Notes that nothing older than this task was counted.
    fn note_cut(&mut self, last: Option<TaskSummary>) {
        let Some(last) = last else { return };
        self.all.is_cut = true;
        self.of_week.is_cut = last.created_at >= self.week;
        self.of_day.is_cut = last.created_at >= self.day;
    }

    fn note_cut_of_week(&mut self, is_cut: bool) {
        (self.of_day.is_cut, self.of_week.is_cut, self.all.is_cut) = (is_cut, is_cut, is_cut);
    }

    fn finish(self) -> TasksSummary {
        TasksSummary { last_24h: self.of_day.finish(), last_7d: self.of_week.finish(), all: self.all.finish() }
    }
}

impl Sums {
    fn see(&mut self, task: &TaskSummary) {
        self.summary.tasks += 1;
        *self.summary.by_status.entry(task.status).or_default() += 1;
        self.summary.usage.add(&task.usage);
        if let Some(ended) = task.ended_at {
            let took = ended.duration_since(task.created_at).as_millis();
            self.took_ms.push(u64::try_from(took).unwrap_or(0));
        }
    }

    fn finish(mut self) -> PeriodSummary {
        let count = |status| self.summary.by_status.get(&status).copied().unwrap_or(0);
        let (good, bad) = (count(TaskStatus::Succeeded), count(TaskStatus::Failed));
        let rate = (good + bad > 0).then(|| good as f64 / (good + bad) as f64);
        self.took_ms.sort_unstable();
        let count = self.took_ms.len() as u64;
        let sum: u128 = self.took_ms.iter().map(|took| u128::from(*took)).sum();
        let mean = sum.checked_div(u128::from(count)).and_then(|mean| u64::try_from(mean).ok());
        PeriodSummary {
            success_rate: rate,
            mean_ms: mean,
            median_ms: median(&self.took_ms),
            is_cut: self.is_cut,
            ..self.summary
        }
    }
}

/// Returns the middle of sorted numbers: of two in the middle, what is between them.
fn median(sorted: &[u64]) -> Option<u64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    match sorted.len() % 2 {
        0 => sorted.get(sorted.len() / 2 - 1).map(|lower| lower + (upper - lower) / 2),
        _ => Some(upper),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        for (sorted, middle) in
            [(&[][..], None), (&[7], Some(7)), (&[1, 4], Some(2)), (&[1, 2, 900], Some(2)), (&[1, 2, 4, 900], Some(3))]
        {
            assert_eq!(median(sorted), middle, "{sorted:?}");
        }
    }

    #[test]
    fn sums_say_how_tasks_stand_and_what_was_left_out() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let task = |hours: i64, status, took_ms: Option<i64>| {
            let created_at = now - SignedDuration::from_hours(hours);
            TaskSummary {
                id: first_id_of(created_at),
                goal: String::new(),
                template: None,
                status,
                progress: 0,
                waiting: None,
                usage: crate::api::Usage { model_calls: 1, ..Default::default() },
                error: None,
                created_at,
                ended_at: took_ms.map(|took| created_at + SignedDuration::from_millis(took)),
            }
        };
        let mut counts = Counts::at(now);
        counts.see(&task(1, TaskStatus::Waiting, None));
        counts.see(&task(2, TaskStatus::Succeeded, Some(10)));
        counts.see(&task(30, TaskStatus::Failed, Some(30)));
        let last = task(200, TaskStatus::Cancelled, Some(20));
        counts.see(&last);
        counts.note_cut(Some(last));
        let TasksSummary { last_24h, last_7d, all } = counts.finish();
        assert_eq!((last_24h.tasks, last_7d.tasks, all.tasks), (2, 3, 4));
        assert_eq!((last_24h.success_rate, last_7d.success_rate, all.success_rate), (Some(1.0), Some(0.5), Some(0.5)));
        assert_eq!((last_24h.median_ms, last_7d.mean_ms, all.median_ms), (Some(10), Some(20), Some(20)));
        assert_eq!((last_24h.is_cut, last_7d.is_cut, all.is_cut), (false, false, true));
        assert_eq!(all.by_status.len(), 4);
        assert_eq!(all.usage.model_calls, 4);
        assert_eq!(Counts::at(now).finish(), TasksSummary::default());
    }
}
