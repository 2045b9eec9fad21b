//! What the store must survive: a disk that is full, broken or cut off, a process that is killed at any call, a clock that jumps.
//!
//! Small file systems, loop devices and failing system calls need root and strace; a test that lacks one fails in CI and says
//! `skipped: needs …` elsewhere. `NINJA_LONG=1` runs every round instead of a few.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

#[path = "faults/backup.rs"]
mod backup;
#[path = "faults/calls.rs"]
mod calls;
#[path = "faults/clock.rs"]
mod clock;
#[path = "faults/full.rs"]
mod full;
#[path = "faults/power.rs"]
mod power;
#[path = "faults/support.rs"]
mod support;
