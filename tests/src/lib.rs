//! What the end-to-end tests share: engines with a scripted model, tools with an external ledger, plans, waiting,
//! recorded logs that can be cut; and what the bench and the soak share: programs in processes of their own, random numbers
//! that can be had again.

mod engines;
mod faults;
mod folders;
mod ledger;
mod plans;
mod process;
mod random;
mod recording;
mod stub;

pub use engines::{ScriptedEngine, first_choice, scripted_providers, until};
pub use faults::{fault_append, fault_record, fault_task, system};
pub use folders::folder_in_memory;
pub use ledger::{Ledger, LedgerTool};
pub use plans::{agent_step, approval_step, plan, tool_step};
pub use process::{Process, bare_command, counterpart, cpu_of, memory_of};
pub use random::Random;
pub use recording::{Cut, Recording, StepClock, addresses};
pub use stub::{StubRequest, StubServer};

/// The README's Rust compiles against the product.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
