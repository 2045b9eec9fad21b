//! The soak in short: the program that runs for hours by `cargo xtask soak`, with few tasks and a fixed number of kills.
//!
//! Whatever it finds it prints; the seed stands in its first line, and `NINJA_TEST_SEED` repeats it.

use std::process::{Command, Stdio};

#[test]
fn mixed_tasks_with_kills_lose_nothing_and_leave_nothing_behind() {
    let mut soak = Command::new(env!("CARGO_BIN_EXE_ninja-soak"));
    soak.args(["--kills", "5", "--tasks", "200", "--workers", "6", "--ninja", env!("CARGO_BIN_EXE_ninja-under-test")]);
    if let Ok(seed) = std::env::var("NINJA_TEST_SEED") {
        soak.args(["--seed", &seed]);
    }
    let output = soak.stdin(Stdio::null()).output().unwrap();
    let (told, also) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{also}");
    // A run in which nothing happened would find nothing either.
    for expected in ["| a kill |", "| a follower |", "| trail |", "| map |", "Nothing was lost"] {
        assert!(told.contains(expected), "{expected} is not in:\n{told}");
    }
}
