//! One API to Ninja: a daemon over HTTP and WebSocket (feature `client`, the default), or the engine in this
//! process (feature `embedded`). The types are [`api`]'s, the same on either side of the wire.
//!
//! ```no_run
//! # async fn example() -> Result<(), ninja_sdk::SdkError> {
//! use ninja_sdk::{Client, Ninja, api::SubmitTask};
//!
//! let ninja: Ninja = Client::builder().url("http://127.0.0.1:7420").key("nj_…").build()?.into();
//! let request = SubmitTask { goal: "Write a haiku about rust".into(), ..SubmitTask::default() };
//! let task = ninja.submit_task(&request).await?;
//! let mut events = ninja.events(task.id, None).await?;
//! while let Some(frame) = events.next().await {
//!     println!("{:?}", frame?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! With `embedded` the second line becomes `Ninja::embedded(EngineOptions::new("data")).await?`; the rest stays.

#[cfg(not(any(feature = "client", feature = "embedded")))]
compile_error!("ninja-sdk needs a transport: enable the feature `client` or `embedded`");

#[cfg(feature = "client")]
mod client;
mod content;
#[cfg(feature = "embedded")]
mod embedded;
mod error;
mod ninja;
mod stream;

pub use ninja_core::api::{self, ListApprovals, ListAudit, ListTasks, ListUsers};
#[cfg(feature = "embedded")]
pub use ninja_core::{Config, Engine, EngineOptions, ResumePolicy};

#[cfg(feature = "client")]
pub use client::{Client, ClientBuilder};
pub use content::{AuditExport, Backup, Content, Download};
pub use error::{BoxError, SdkError};
pub use ninja::Ninja;
pub use stream::{EventStream, Signal};
