//! Folders for tests whose faults are given, so that no disk has a say in them.

use tempfile::TempDir;

/// Makes a folder where syncing costs nothing, if there is such a place.
///
/// # Panics
///
/// Where no folder can be made at all.
pub fn folder_in_memory() -> TempDir {
    TempDir::with_prefix_in("ninja-tests-", "/dev/shm").or_else(|_| TempDir::new()).expect("a folder can be made")
}
