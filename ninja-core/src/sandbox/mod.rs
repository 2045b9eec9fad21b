//! Isolation for code and commands. Without it they are refused, never run unconfined.

mod contract;

pub use contract::{Mount, OutputText, ProcessEnd, ProcessOutput, ProcessSpec, Sandbox, SandboxError, SandboxLimits};
