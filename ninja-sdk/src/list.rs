//! Which tasks and which accounts a list shows.

use ninja_core::api::{Role, TaskStatus};
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

/// The filter and the page of `users`. The default is the newest accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListUsers {
    /// Only those of this role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Only those that are, or are not, disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// Only those whose address or name has this in it.
    #[serde(rename = "q", skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// The `next_cursor` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The most accounts on the page; the daemon's default where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

#[cfg(feature = "embedded")]
impl From<ListUsers> for ninja_core::ListUsers {
    fn from(query: ListUsers) -> Self {
        let ListUsers { role, disabled, search, cursor, limit } = query;
        Self { role, disabled, search, cursor, limit: limit.unwrap_or(50) }
    }
}
