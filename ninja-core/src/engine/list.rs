//! `list_tasks`: a user's tasks, newest first, through a filter and in pages.

use jiff::SignedDuration;
use uuid::Uuid;

use super::{Engine, damaged_head, store_error};
use crate::{
    api::{ApiError, ErrorCode, ListTasks, Page, Principal, TaskId, TaskSummary, Timestamp},
    machine::TaskHead,
};

/// What a page has where nobody says how many: a screen and a half.
const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;
/// Heads looked at for one page: a filter that hardly anything passes gets pages with little on them, instead of reading all
/// there is.
pub(super) const HEADS_MAX: usize = 2_000;
/// A longer text is in no part of a goal that lists show.
const TEXT_CHARS_MAX: usize = 200;
/// By how much the time in a task's id may differ from the time of its submission: by as much as a clock was set back.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_hours(24);

impl Engine {
    /// Lists the caller's tasks, newest first. At most 2,000 are looked at for a page, so one with a cursor can have fewer tasks
    /// than it may, even none.
    ///
    /// # Errors
    ///
    /// Fails with `invalid_request` where the cursor is not one, or a limit or a time cannot be.
    pub async fn list_tasks(&self, by: &Principal, query: ListTasks) -> Result<Page<TaskSummary>, ApiError> {
        let limit = limit_of(query.limit)?;
        let cursor = query.cursor.as_deref().map(|cursor| cursor.parse::<TaskId>()).transpose();
        let filter = Filter::of(&query)?;
        let mut after = filter.start(cursor.map_err(|_| no_cursor("tasks"))?);
        let (mut items, mut looked) = (Vec::new(), 0);
        loop {
            let page = self.store().list_heads(by.user, after, limit).map_err(store_error)?;
            looked += page.heads.len();
            for (task, head) in page.heads {
                let head: TaskHead = serde_json::from_slice(&head).map_err(|error| damaged_head(task, &error))?;
                if filter.ends_before(task) {
                    return Ok(Page { items, next_cursor: None });
                }
                after = Some(task);
                if filter.lets_pass(&head.summary) {
                    items.push(head.summary);
                }
                if items.len() == limit {
                    return Ok(Page { items, next_cursor: after.map(|task| task.to_string()) });
                }
            }
            if page.next.is_none() || looked >= HEADS_MAX {
                return Ok(Page { items, next_cursor: page.next.map(|task| task.to_string()) });
            }
        }
    }
}

/// Returns how many things a page may have.
pub(super) fn limit_of(wanted: Option<u32>) -> Result<usize, ApiError> {
    match wanted.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(limit as usize),
        _ => Err(ApiError::new(ErrorCode::InvalidRequest, format!("limit is a number from 1 to {LIMIT_MAX}"))),
    }
}

/// Says that a cursor is none of such a list's.
pub(super) fn no_cursor(of: &str) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, format!("the cursor is not one that a list of {of} returned"))
}

/// Returns the id that is after those of all tasks of a time, newest first: the first that one of then could have.
pub(super) fn first_id_of(time: Timestamp) -> TaskId {
    let milliseconds = u128::try_from(time.as_millisecond()).unwrap_or(0);
    TaskId::from_uuid(Uuid::from_u128(milliseconds << 80))
}

/// Which tasks are wanted.
struct Filter<'a> {
    query: &'a ListTasks,
    /// The text, in small letters.
    text: Option<String>,
    newest: Option<TaskId>,
    oldest: Option<TaskId>,
}

impl<'a> Filter<'a> {
    fn of(query: &'a ListTasks) -> Result<Self, ApiError> {
        let invalid = |detail: String| Err(ApiError::new(ErrorCode::InvalidRequest, detail));
        if let (Some(after), Some(before)) = (query.created_after, query.created_before)
            && after >= before
        {
            return invalid(format!("no task is submitted after {after} and before {before}"));
        }
        let chars = query.q.as_ref().map(|text| text.chars().count());
        if chars.is_some_and(|chars| !(1..=TEXT_CHARS_MAX).contains(&chars)) {
            return invalid(format!("q is a text of 1 to {TEXT_CHARS_MAX} characters"));
        }
        let id = |time: Option<Timestamp>, slack: SignedDuration| {
            time.and_then(|time| time.checked_add(slack).ok()).map(first_id_of)
        };
        Ok(Self {
            query,
            text: query.q.as_ref().map(|text| text.to_lowercase()),
            newest: id(query.created_before, CLOCK_SLACK),
            oldest: id(query.created_after, -CLOCK_SLACK),
        })
    }

    /// Returns after which task the list goes on: what is newer than any that is wanted is not looked at.
    fn start(&self, cursor: Option<TaskId>) -> Option<TaskId> {
        match (cursor, self.newest) {
            (Some(cursor), Some(newest)) => Some(cursor.min(newest)),
            (cursor, newest) => cursor.or(newest),
        }
    }

    /// Returns whether a task is older than any that is wanted.
    fn ends_before(&self, task: TaskId) -> bool {
        self.oldest.is_some_and(|oldest| task < oldest)
    }

    fn lets_pass(&self, task: &TaskSummary) -> bool {
        let ListTasks { status, template, created_after, created_before, .. } = self.query;
        (status.is_empty() || status.contains(&task.status))
            && template.as_ref().is_none_or(|template| task.template.as_ref() == Some(template))
            && created_after.is_none_or(|after| task.created_at >= after)
            && created_before.is_none_or(|before| task.created_at < before)
            && self.text.as_ref().is_none_or(|text| task.goal.to_lowercase().contains(text))
    }
}
