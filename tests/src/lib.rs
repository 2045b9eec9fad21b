//! What the end-to-end tests share: engines with a scripted model, tools with an external ledger, plans, waiting.

mod engines;
mod faults;
mod ledger;
mod plans;

pub use engines::{ScriptedEngine, scripted_providers, until};
pub use faults::{fault_append, fault_record, fault_task, system};
pub use ledger::{Ledger, LedgerTool};
pub use plans::{agent_step, approval_step, plan, tool_step};

/// The README's Rust compiles against the product.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
