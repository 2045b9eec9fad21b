//! Tasks in numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{TaskStatus, Usage};

/// The query of `GET /tasks/stats/summary`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub struct SummaryQuery {
    /// Everybody's tasks, for administrators.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// What `GET /tasks/stats/summary` answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TasksSummary {
    /// Tasks submitted in the last 24 hours.
    pub last_24h: PeriodSummary,
    /// Tasks submitted in the last seven days.
    pub last_7d: PeriodSummary,
    /// All tasks.
    pub all: PeriodSummary,
}

/// The tasks that were submitted in some time, as they stand now.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PeriodSummary {
    /// How many.
    pub tasks: u64,
    /// How many stand how; without those of which there are none.
    pub by_status: BTreeMap<TaskStatus, u64>,
    /// The share of those that succeeded among those that succeeded or failed; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<f64>,
    /// From submission to end, waiting included, of those that ended: the mean; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_ms: Option<u64>,
    /// The median of the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_ms: Option<u64>,
    /// What they used.
    pub usage: Usage,
    /// Whether there are more tasks than one answer counts, and some were left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
}
