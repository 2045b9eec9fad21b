//! Which tasks, and which entries of the audit log, a list shows.

use ninja_core::api::{AuditFilter, TaskStatus};
use serde::{Deserialize, Serialize};

/// The filter and the page of `list_tasks`. The default is the newest tasks of any status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListTasks {
    /// Only tasks that stand so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<TaskStatus>,
    /// The `next_cursor` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The most tasks on the page; the daemon's default where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The filter and the page of `list_audit`. The default is the newest entries of any kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListAudit {
    /// Which entries.
    pub filter: AuditFilter,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// The most entries on the page, up to 200; the daemon's default where none is given.
    pub limit: Option<u32>,
}
