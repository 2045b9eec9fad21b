//! What the fault tests and the process they torment agree on.

use bytes::Bytes;
use ninja_core::{
    api::{TaskId, UserId},
    journal::store::{Append, Commit, HeadUpdate},
};
use uuid::Uuid;

/// The task that records are appended to.
pub fn fault_task() -> TaskId {
    TaskId::from_uuid(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001))
}

/// The record of a number: other bytes for every number.
pub fn fault_record(seq: u64, bytes: usize) -> Bytes {
    seq.to_le_bytes().iter().copied().chain((0..).map(|n: u32| (n.wrapping_mul(167) >> 3) as u8)).take(bytes).collect()
}

/// The commit that appends a record.
pub fn fault_append(seq: u64, bytes: usize) -> Commit {
    let owner = UserId::from_uuid(Uuid::from_u128(0x0191_0000_0000_7000_8000_0000_0000_0001));
    let head = HeadUpdate { owner, unfinished: true, bytes: seq.to_string().into() };
    let append = Append { task: fault_task(), first_seq: seq, records: vec![fault_record(seq, bytes)], head };
    Commit { append: Some(append), feed: vec![(owner, seq.to_string().into())], ..Commit::default() }
}

/// Runs a program of the system and returns what it printed, or what went wrong.
///
/// # Errors
///
/// Fails where it cannot be run, or fails itself.
pub fn system(program: &str, args: &[&str]) -> Result<String, String> {
    let output = std::process::Command::new(program).args(args).stdin(std::process::Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}
