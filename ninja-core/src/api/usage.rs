//! What was used over time, summed up.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{BudgetLimit, BudgetOf, Timestamp, Usage};

/// The parameters of `GET /usage`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub struct UsageQuery {
    /// What the sums are of.
    pub by: UsageBy,
    /// The first day, in UTC; from the beginning where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Date>,
    /// The last day, in UTC; up to now where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Date>,
}

/// What sums are of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum UsageBy {
    /// A day, in UTC. A call counts on the day on which it began.
    #[default]
    Day,
    /// A model.
    Model,
    /// An agent; `planner` for plans.
    Agent,
    /// A task, of those submitted in that time.
    Task,
}

/// What `GET /usage` answers: of model calls, for each day, model or agent; of tasks, all that they used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageReport {
    /// What the items are.
    pub by: UsageBy,
    /// The sums: days in order, newest tasks first, of models and agents those first that used most.
    pub items: Vec<UsageItem>,
    /// The sum of the items.
    pub total: Usage,
    /// Whether older tasks are left out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_cut: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// What `GET /budgets` answers: the limits that the caller's tasks share, none where none is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetReport {
    /// The limits, the narrower ones first.
    pub items: Vec<BudgetItem>,
}

/// How a limit stands that tasks share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetItem {
    /// Whose it is, and for which period.
    pub of: BudgetOf,
    /// Of what.
    pub limit: BudgetLimit,
    /// How much: tokens or millionths of a US dollar.
    pub most: u64,
    /// How much is used in this period.
    pub used: u64,
    /// How much is set aside for calls that run.
    pub reserved: u64,
    /// When the period is over.
    pub until: Option<Timestamp>,
}

/// One sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageItem {
    /// The day, the model as `provider/name`, the agent, or the task's id.
    pub of: String,
    /// What it used.
    pub usage: Usage,
}
