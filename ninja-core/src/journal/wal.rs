//! The write-ahead log: what is synced here is promised, before the tree hears of it.
//!
//! A segment is a file `log/<id>.log`, `id` in 20 digits. All numbers are big-endian.
//!
//! ```text
//! segment  magic "NINJALOG", version u32, salt u32, first position u64, CRC32C u32 of the above; then frames
//! frame    len u32, CRC32C u32 (started from the salt; over len and payload), payload
//! payload  position u64, synced u64, u32 n, n × feed number u64, links, body (see `change`)
//! links    u32 n; where n > 0 first number u64, n × link [32], end [32] (see `audit`); absent in version 1
//! ```
//!
//! Positions count frames from 1, without gaps across segments. `synced` is the last position that was synced when
//! the frame was written: it tells a torn tail (whatever follows the bad frame was written with it) from damage
//! (something that follows was written after the bad frame was synced). The salt keeps bytes of other files from
//! passing as frames.

mod frame;
mod salvage;
mod segment;
mod survey;

pub(super) use frame::Stamp;
pub(super) use salvage::{Salvaged, salvage};
pub(super) use segment::{AppendError, Log};
pub(super) use survey::Survey;
