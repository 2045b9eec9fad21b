//! The daemon: the engine behind HTTP and WebSocket, and the commands of the one binary, `ninja`.
//!
//! [`serve`] is the server, `routes` the table of its paths, [`CommandLine`] the command line. Whatever is decided about
//! a task is decided by the engine; here requests are read, callers identified and answers written.

mod address;
mod app;
mod audit_log;
mod auth;
mod command;
mod conditional;
mod connect;
mod connections;
mod cores;
mod download;
mod edge;
mod error;
mod extract;
mod form;
mod idempotency;
mod listen;
mod openapi;
mod pages;
mod rate;
mod room;
mod routes;
mod serve;
mod surroundings;
mod telemetry;
mod tls;
mod wire;

pub use command::CommandLine;
pub use connect::Finder;
pub use cores::forbid_core_dumps;
pub use listen::{ListenError, socket_file};
pub use serve::{Deadlines, ServeOptions, Server, serve};
pub use surroundings::Surroundings;
pub use telemetry::{Exporters, ExportersError};
pub use tls::{Reload, TlsError};
