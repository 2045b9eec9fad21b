//! Isolation for code and commands. Without it they are refused, never run unconfined.
//!
//! [`Sandbox`] is the contract. [`Bubblewrap`] keeps it with namespaces, seccomp and cgroups; [`NoSandbox`] stands
//! where nothing can, and refuses with the way to fix it. Callers are the tools; nothing here knows tasks or journals.

mod bubblewrap;
mod contract;
mod none;
mod output;

pub use bubblewrap::Bubblewrap;
pub use contract::{Mount, OutputText, ProcessEnd, ProcessOutput, ProcessSpec, Sandbox, SandboxError, SandboxLimits};
pub use none::NoSandbox;
