//! Plans: from an explicit plan, from a template, or one step for a bare goal.
//!
//! A plan is made and checked at submission, so a wrong one is refused before anything is accepted.

mod explicit;
mod references;
mod template;

pub use explicit::{plan_explicit, plan_goal};
pub use template::{Template, TemplateError, TemplateSource, load_templates};
