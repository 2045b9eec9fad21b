//! `usage`: what a user's tasks used, by day, model, agent or task; `budgets`: how the limits stand that they share.

use std::collections::BTreeMap;

use jiff::{civil::Date, tz::TimeZone};

use super::{Engine, damaged_head, store_error};
use crate::{
    api::{ApiError, BudgetReport, ErrorCode, Principal, Usage, UsageBy, UsageItem, UsageQuery, UsageReport, UserId},
    machine::{Spent, TaskHead},
    usage_rows,
};

/// Tasks in one report.
const TASKS_MAX: usize = 1_000;
/// Heads read at a time.
const HEADS_PAGE: usize = 200;

impl Engine {
    /// Returns what the caller's tasks used.
    ///
    /// # Errors
    ///
    /// Fails with `invalid_request` where the time ends before it begins.
    pub async fn usage(&self, by: &Principal, query: UsageQuery) -> Result<UsageReport, ApiError> {
        let (from, to) = (query.from.unwrap_or(Date::MIN), query.to.unwrap_or(Date::MAX));
        if from > to {
            return Err(ApiError::new(ErrorCode::InvalidRequest, format!("{to} is before {from}")));
        }
        let (items, is_cut) = match query.by {
            UsageBy::Task => self.usage_of_tasks(by.user, from, to)?,
            UsageBy::Day | UsageBy::Model | UsageBy::Agent => {
                (self.usage_of_calls(by.user, query.by, from, to)?, false)
            }
        };
        let mut total = Usage::default();
        items.iter().for_each(|item| total.add(&item.usage));
        Ok(UsageReport { by: query.by, items, total, is_cut })
    }

    /// Returns how the limits stand that the caller's tasks share, in the day and the month that it is.
    pub fn budgets(&self, by: &Principal) -> BudgetReport {
        let services = &self.0.services;
        BudgetReport { items: services.ledger.describe(by.user, services.clock.now()) }
    }

    fn usage_of_calls(&self, user: UserId, by: UsageBy, from: Date, to: Date) -> Result<Vec<UsageItem>, ApiError> {
        let mut sums: BTreeMap<String, Usage> = BTreeMap::new();
        for Spent { on, model, agent, usage } in
            usage_rows::of_user(self.store().as_ref(), user).map_err(store_error)?
        {
            if on < from || on > to {
                continue;
            }
            let of = match by {
                UsageBy::Day | UsageBy::Task => on.to_string(),
                UsageBy::Model => model.to_string(),
                UsageBy::Agent => agent,
            };
            sums.entry(of).or_default().add(&usage);
        }
        let mut items: Vec<UsageItem> = sums.into_iter().map(|(of, usage)| UsageItem { of, usage }).collect();
        if by != UsageBy::Day {
            items.sort_by_key(|item| std::cmp::Reverse((item.usage.cost_micro_usd, item.usage.tokens())));
        }
        Ok(items)
    }

    fn usage_of_tasks(&self, user: UserId, from: Date, to: Date) -> Result<(Vec<UsageItem>, bool), ApiError> {
        let (mut items, mut after) = (Vec::new(), None);
        loop {
            let page = self.store().list_heads(user, after, HEADS_PAGE).map_err(store_error)?;
            for (task, head) in page.heads {
                let head: TaskHead = serde_json::from_slice(&head).map_err(|error| damaged_head(task, &error))?;
                let on = head.summary.created_at.to_zoned(TimeZone::UTC).date();
                if on < from {
                    return Ok((items, false));
                }
                if items.len() == TASKS_MAX {
                    return Ok((items, true));
                }
                if on <= to {
                    items.push(UsageItem { of: task.to_string(), usage: head.summary.usage });
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok((items, false));
            }
        }
    }
}
