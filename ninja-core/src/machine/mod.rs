//! The life of a task as three pure functions over its journal.
//!
//! - [`decide`]: what to record, given the state and something that happened. The only place where choices are made.
//! - [`TaskState::apply`]: the state after a record. Facts only; it never decides again.
//! - [`pending`]: what is owed to the world now. Used live and after a crash alike.
//!
//! Same records, same state: that gives recovery, replay and property tests. This module knows the vocabulary and the
//! records and nothing else: no clock, no disk, no actor. `actors::task` drives it.

mod advance;
mod apply;
mod budget;
mod context;
mod contract;
mod decide;
mod failure;
mod forecast;
mod graph;
mod images;
mod models;
mod nest;
mod pending;
mod plan;
mod project;
mod recover;
mod replay;
mod retry;
mod room;
mod shared;
mod spent;
mod state;
mod turn;
mod values;
mod view;
mod wait;

#[cfg(test)]
mod tests;

pub use apply::FoldError;
pub use budget::is_nearly_used;
pub use context::{assemble, estimate_tokens, offered_tools};
pub use contract::call_of as call_of_check;
pub use decide::{Decided, Input, Refusal, Surroundings, decide, decide_through};
pub use forecast::forecast;
pub use graph::{PlanError, PlanLimits, order_steps};
pub use models::model_of;
pub use nest::{DELEGATE, may_delegate};
pub use pending::{Effect, pending};
pub use plan::{plan_by_model, plan_explicit, plan_goal, review_first};
pub use project::{feed_of, project};
pub use recover::ACTOR_FAILURES_MAX;
pub use replay::{Difference, Replay, replay};
pub use room::{Amounts, Boundless, Room, Short, Wanted};
pub use spent::{Spent, spent};
pub use state::{CallState, Gate, Hold, HoldFor, StepState, TaskState};
pub use turn::{check_args, schema_of_step};
pub use values::{is_too_deep, request_document};
pub use view::{TaskHead, artifacts};
