//! Templates: folders that make plans. What a plan may be, and plans made by models, are the machine's (`machine::plan`).
//!
//! A plan is made and checked at submission, so a wrong one is refused before anything is accepted.

mod template;

pub use template::{Template, TemplateError, TemplateSource, load_templates};
