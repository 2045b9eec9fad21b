//! Plans: what one may be, and the step in which a model makes one or mends one after a failure.
//!
//! - `spec`: from what a plan says to planned steps. Explicit plans, templates and models take the same way.
//! - `references`: every path names something that has ended by then.
//! - `making`: the life of a step that makes a plan: taking the model's answer, showing it to a person, giving up.
//! - `prompt`: what the planner's model is told, and the schema of its answer.

mod making;
mod prompt;
mod references;
mod spec;

pub(super) use making::{accept, give_up, may_replan, read, replan, take};
pub use making::{plan_by_model, review_first};
pub(super) use prompt::{conversation, schema};
pub use spec::{plan_explicit, plan_goal};
