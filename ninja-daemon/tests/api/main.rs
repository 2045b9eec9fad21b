//! The daemon's faces over real sockets: bodies, streams, and how it stops.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

mod accounts;
mod admin;
mod audit_logs;
mod edge;
mod files;
mod health;
mod http;
mod probes;
mod slow;
mod steering;
mod streams;
mod support;
mod tasks;
mod tls;
