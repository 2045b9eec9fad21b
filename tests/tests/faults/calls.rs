//! System calls that fail, and a process that is killed at each of them.

use std::{collections::BTreeSet, fs, path::Path, process::Output};

use ninja_tests::Ledger;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{assert_acknowledged, has_strace, host, is_long, said};

const BYTES: usize = 5_000;
/// More calls than a run makes.
const CALLS_MAX: usize = 2_000;
/// The calls that change what is on the disk.
const CHANGES: &str = "write,pwrite64,fdatasync,fsync,rename";

fn write(root: &Path, inject: Option<&str>, count: &str) -> Output {
    let (data, ledger) = (root.join("data").display().to_string(), root.join("ledger").display().to_string());
    host(inject, &["write", &data, &ledger, count, &BYTES.to_string()]).output().unwrap()
}

#[test]
fn an_input_output_error_stops_the_writer_and_loses_nothing_acknowledged() {
    if !has_strace() {
        return;
    }
    for (calls, rounds) in
        [("fdatasync", [1, 3, 9]), ("fsync", [1, 4, 12]), ("pwrite64", [1, 2, 5]), ("write", [1, 2, 7])]
    {
        for n in rounds {
            let root = TempDir::new().unwrap();
            // Each thread counts its own calls. The tests' host needs more than one good `write` to say that one was bad.
            let rest = if calls == "write" { "" } else { "+" };
            let inject = format!("{calls}:error=EIO:when={n}{rest}");
            let output = write(root.path(), Some(&inject), "60");
            let ledger = Ledger::at(root.path().join("ledger"));
            let context = format!("{inject}: {}", said(&output));
            assert!(!said(&output).contains("panicked"), "{context}");
            if output.status.success() {
                assert_eq!(ledger.lines().len(), 60, "{context}");
            } else {
                assert_eq!(output.status.code(), Some(1), "{context}");
            }
            assert_acknowledged(&root.path().join("data"), &ledger, BYTES, &context);
        }
    }
}

#[test]
fn a_process_killed_at_any_call_loses_nothing_acknowledged() {
    if !has_strace() {
        return;
    }
    for n in rounds() {
        let root = TempDir::new().unwrap();
        let inject = format!("{CHANGES}:signal=KILL:when={n}");
        let output = write(root.path(), Some(&inject), "40");
        assert_acknowledged(&root.path().join("data"), &Ledger::at(root.path().join("ledger")), BYTES, &inject);
        // The start after it is killed as well, early and late, and the one after that goes well.
        for second in 1..=4 {
            write(root.path(), Some(&format!("{CHANGES}:signal=KILL:when={second}")), "42");
            let context = format!("{inject}, then {second}");
            assert_acknowledged(&root.path().join("data"), &Ledger::at(root.path().join("ledger")), BYTES, &context);
        }
        let last = write(root.path(), None, "45");
        assert!(last.status.success(), "{inject}: {}", said(&last));
        if output.status.success() {
            return;
        }
    }
    assert!(!is_long(), "the run makes more than {CALLS_MAX} calls");
}

#[test]
fn a_task_killed_at_any_call_goes_on_to_the_same_end() {
    if !has_strace() {
        return;
    }
    let run = |root: &Path, inject: Option<&str>| {
        let (data, ledger) = (root.join("data").display().to_string(), root.join("ledger").display().to_string());
        host(inject, &["task", &data, &ledger]).output().unwrap()
    };
    let expected = {
        let root = TempDir::new().unwrap();
        let output = run(root.path(), None);
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["made"].clone()
    };
    for n in rounds() {
        let root = TempDir::new().unwrap();
        let output = run(root.path(), Some(&format!("{CHANGES}:signal=KILL:when={n}")));
        let accepted: BTreeSet<String> = accepted(root.path());
        let again = run(root.path(), None);
        assert!(again.status.success(), "killed at {n}: {}", said(&again));
        let ended: Value = serde_json::from_slice(&again.stdout).unwrap();
        assert_eq!(ended["made"], expected, "killed at {n}");
        assert!(accepted.iter().all(|task| ended["task"] == task.as_str()), "killed at {n}: {accepted:?} was lost");
        let posts: BTreeSet<String> = lines(root.path()).into_iter().filter(|line| line.starts_with("post ")).collect();
        assert_eq!(posts.len(), 1, "killed at {n}: one key, however often it was tried: {posts:?}");
        if output.status.success() {
            return;
        }
    }
    assert!(!is_long(), "the run makes more than {CALLS_MAX} calls");
}

/// Every call in the long form; elsewhere five that fall into the beginning, the work and the end.
fn rounds() -> Vec<usize> {
    match is_long() {
        true => (1..CALLS_MAX).collect(),
        false => vec![1, 3, 8, 21, 55],
    }
}

fn lines(root: &Path) -> Vec<String> {
    fs::read_to_string(root.join("ledger")).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn accepted(root: &Path) -> BTreeSet<String> {
    lines(root).iter().filter_map(|line| line.strip_prefix("accepted ").map(str::to_owned)).collect()
}
