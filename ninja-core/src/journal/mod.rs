//! The journal: what is committed is synced before anybody is told.
//!
//! [`store`] is the contract; [`disk`] keeps it with a write-ahead log in front of sled; [`memory`] keeps it in
//! memory for tests. Records of tasks are in `record`; this module's stores see them as bytes.

pub mod feed;
pub mod record;
pub mod store;
