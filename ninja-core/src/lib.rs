//! The Ninja engine and its vocabulary.
//!
//! [`api`] holds every noun that crosses a boundary: HTTP bodies, SDK types, console state. It is all there is
//! with `default-features = false`. Behind the feature `engine` stands the engine itself: a journal
//! that is synced before anything is acknowledged, a pure task machine, and a supervised actor tree that acts on it.
//!
//! The way a task flows, one verb one name at every layer: [`Engine::submit_task`] → `TaskSubmitted` committed →
//! reply → orchestrator spawns the task actor → [`machine::decide`] → journal commit → effects and events.

pub mod api;

#[cfg(feature = "engine")]
mod accounts;
#[cfg(feature = "engine")]
mod actors;
#[cfg(feature = "engine")]
pub mod agents;
#[cfg(feature = "engine")]
mod audit;
#[cfg(feature = "engine")]
pub mod clock;
#[cfg(feature = "engine")]
pub mod config;
#[cfg(feature = "engine")]
pub mod egress;
#[cfg(feature = "engine")]
mod engine;
#[cfg(feature = "engine")]
mod files;
#[cfg(feature = "engine")]
pub mod journal;
#[cfg(feature = "engine")]
pub mod ledger;
#[cfg(feature = "engine")]
mod lives;
#[cfg(feature = "engine")]
pub mod machine;
#[cfg(feature = "engine")]
pub mod planner;
#[cfg(feature = "engine")]
pub mod providers;
#[cfg(feature = "engine")]
mod questions;
#[cfg(feature = "engine")]
mod redaction;
#[cfg(feature = "engine")]
pub mod sandbox;
#[cfg(feature = "engine")]
mod task_log;
#[cfg(feature = "engine")]
mod task_rows;
#[cfg(feature = "engine")]
pub mod telemetry;
#[cfg(feature = "engine")]
pub mod testing;
#[cfg(feature = "engine")]
pub mod tools;
#[cfg(feature = "engine")]
mod unfinished;
#[cfg(feature = "engine")]
mod usage_rows;
#[cfg(feature = "engine")]
pub mod vault;
#[cfg(feature = "engine")]
pub mod workspace;

#[cfg(feature = "engine")]
pub use config::Config;
#[cfg(feature = "engine")]
pub use engine::{Engine, EngineOptions, OpenConnection, ResumePolicy, StartError, TaskAt, key_file, maintenance};
