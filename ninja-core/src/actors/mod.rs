//! The supervised tree that acts on what the machine decides.
//!
//! ```text
//! root ─┬─ orchestrator ─── one task actor per active task ─── one agent actor per agent step at work, kept for a next one
//!       ├─ session manager
//!       └─ sandbox
//! ```
//!
//! Thin shells: a handler calls one method, decisions live in `machine`, restart policy in [`supervision`] alone. The task
//! actor is the only appender to its task's log. Model and tool work runs in child tasks that report back; the one
//! thing a handler waits for is a journal append. Nothing is named globally: two engines share a process.

mod agent;
mod calls;
mod images;
mod orchestrator;
mod root;
mod roster;
mod sandbox;
mod services;
mod session_manager;
mod supervision;
mod task;

pub(crate) use root::ActorTree;
pub use root::ResumePolicy;
pub(crate) use roster::Roster;
pub(crate) use services::Services;
pub(crate) use session_manager::{Attached, Attachment, Revoked, note_uses};
pub(crate) use task::{TaskMsg, head_update};
