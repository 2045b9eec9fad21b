//! What `GET /admin/stats` says: the installation in numbers.

use serde::{Deserialize, Serialize};

use super::{Date, Timestamp, Usage, UsageItem};

/// The installation in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Stats {
    /// When this was counted.
    pub at: Timestamp,
    /// The version of the binary.
    pub version: String,
    /// When the engine was started.
    pub started_at: Timestamp,
    /// How long ago that is.
    pub uptime_seconds: u64,
    /// Accounts.
    pub users: UserCounts,
    /// Tasks of all users.
    pub tasks: TaskCounts,
    /// What model calls of all users used.
    pub usage: UsageSums,
    /// Uploaded files.
    pub files: FileCounts,
    /// What the store takes on the disk.
    pub store: StoreBytes,
}

/// Accounts by their role.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserCounts {
    /// All.
    pub total: u64,
    /// Users.
    pub user: u64,
    /// Premium users.
    pub premium: u64,
    /// Administrators.
    pub admin: u64,
}

/// Tasks by their status, and what happened on the last days.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskCounts {
    /// Not begun.
    pub queued: u64,
    /// Being planned.
    pub planning: u64,
    /// At work.
    pub running: u64,
    /// Waiting for something.
    pub waiting: u64,
    /// Done.
    pub succeeded: u64,
    /// Failed.
    pub failed: u64,
    /// Cancelled.
    pub cancelled: u64,
    /// The last 30 days in UTC on which anything happened, the oldest first.
    pub days: Vec<TaskDay>,
}

/// What happened to tasks on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskDay {
    /// The day.
    pub on: Date,
    /// Tasks accepted.
    pub submitted: u64,
    /// Tasks that ended well.
    pub succeeded: u64,
    /// Tasks that failed.
    pub failed: u64,
    /// Tasks that were cancelled.
    pub cancelled: u64,
}

/// What model calls used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageSums {
    /// Of calls that began today, in UTC.
    pub today: Usage,
    /// Of calls that began this month.
    pub this_month: Usage,
    /// Of all.
    pub total: Usage,
    /// Of all, by model, those first that used most.
    pub by_model: Vec<UsageItem>,
}

/// Uploaded files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FileCounts {
    /// How many.
    pub count: u64,
    /// Their bytes in all; files of the same content are stored once.
    pub bytes: u64,
}

/// What the store takes on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StoreBytes {
    /// The log.
    pub log: u64,
    /// The tree.
    pub tree: u64,
    /// Contents of files, results and prompts that are kept by hash.
    pub blobs: u64,
}
