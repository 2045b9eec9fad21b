//! The journal: what is committed is synced before anybody is told.
//!
//! [`store`] is the contract; [`disk`] keeps it with a write-ahead log in front of sled; [`memory`] keeps it in
//! memory for tests. Records of tasks are in `record`; this module's stores see them as bytes.

mod applier;
mod backlog;
mod blobs;
mod buried;
mod calls;
mod capture;
mod change;
mod checkpointer;
pub(crate) mod counts;
mod directory;
mod export;
mod health;
mod import;
mod installing;
mod keys;
mod lookup;
mod opening;
mod reader;
mod remains;
mod room;
mod snapshots;
mod tree;
mod value;
mod wal;
mod writer;

pub mod audit;
pub mod backup;
pub mod compact;
pub mod disk;
pub mod examine;
pub mod feed;
pub mod item;
pub mod memory;
pub mod numbers;
pub mod record;
pub mod references;
pub mod store;

pub(crate) use blobs::is_whole;

#[cfg(test)]
mod contract;
