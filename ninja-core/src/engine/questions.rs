//! `list_approvals`: the open questions of a user's tasks, or of all.

use super::{
    Engine, damaged_head,
    list::{HEADS_MAX, limit_of, no_cursor},
    store_error,
};
use crate::{
    api::{ApiError, ApprovalSummary, ErrorCode, EventBody, ListApprovals, Page, Principal},
    journal::record::Entry,
    machine::{TaskHead, project},
    questions::{self, Listed},
};

impl Engine {
    /// Lists open questions, newest first: those of the caller's tasks, or of everybody's. Each is one that was open when it was
    /// looked at.
    ///
    /// # Errors
    ///
    /// Fails with `forbidden` where everybody's are asked for by somebody who is no administrator, `invalid_request` where the
    /// cursor is not one of such a list.
    pub async fn list_approvals(
        &self,
        by: &Principal,
        query: ListApprovals,
    ) -> Result<Page<ApprovalSummary>, ApiError> {
        let limit = limit_of(query.limit)?;
        let owner = (!self.all_or_own(by, query.all, "everybody's questions").await?).then_some(by.user);
        let mut after = query.cursor;
        if after.as_deref().is_some_and(|place| !questions::is_place(place)) {
            return Err(no_cursor("approvals"));
        }
        let (mut items, mut looked) = (Vec::new(), 0);
        loop {
            let page = questions::page(self.store().as_ref(), owner, after.as_deref(), limit).map_err(store_error)?;
            let is_last = page.len() < limit;
            looked += page.len();
            for listed in page {
                items.extend(self.open_question(&listed)?);
                after = Some(listed.place);
                if items.len() == limit {
                    return Ok(Page { items, next_cursor: after });
                }
            }
            if is_last || looked >= HEADS_MAX {
                return Ok(Page { items, next_cursor: after.filter(|_| !is_last) });
            }
        }
    }

    /// Reads a question where it stands: in the record that asks it. `None` where its task has ended or gone meanwhile.
    fn open_question(&self, listed: &Listed) -> Result<Option<ApprovalSummary>, ApiError> {
        let Listed { task, seq, .. } = *listed;
        let Some(bytes) = self.store().read_head(task).map_err(store_error)? else { return Ok(None) };
        let head: TaskHead = serde_json::from_slice(&bytes).map_err(|error| damaged_head(task, &error))?;
        if head.summary.status.is_terminal() {
            return Ok(None);
        }
        let records = self.store().read_log(task, seq, 1).map_err(store_error)?;
        let Some((_, bytes)) = records.first() else { return Ok(None) };
        let damaged = |error| ApiError::new(ErrorCode::Corrupt, format!("record {seq} of {task}: {error}"));
        let entry = Entry::decode(bytes).map_err(damaged)?;
        match project(task, seq, &entry).event {
            EventBody::ApprovalRequested { mut approval } => {
                approval.plan = None;
                Ok(Some(ApprovalSummary { owner: head.owner, goal: head.summary.goal, approval, until: None }))
            }
            _ => Err(ApiError::new(ErrorCode::Corrupt, format!("record {seq} of {task} asks nothing"))),
        }
    }
}

impl Engine {
    /// Returns whether everybody's are asked for, by somebody who may.
    pub(super) async fn all_or_own(&self, by: &Principal, all: bool, what: &str) -> Result<bool, ApiError> {
        if all && !by.is_admin() {
            self.note_denied(by, what).await;
            return Err(ApiError::new(ErrorCode::Forbidden, "everybody's are for administrators; leave `all` out"));
        }
        Ok(all)
    }
}
