//! What the figures were measured on.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

/// Returns the machine's facts; `scratch` is where data directories lie.
pub(crate) fn facts(scratch: &Path) -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let cpu = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("unknown")
        .trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    json!({
        "cpu": cpu,
        "cores": cores,
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "file_system": file_system(scratch),
        "load_at_start": read("/proc/loadavg").split(' ').next().unwrap_or("?"),
        "date": today(),
    })
}

/// Returns the type of the file system that a folder lies on.
fn file_system(folder: &Path) -> String {
    let output = Command::new("stat").args(["--file-system", "--format=%T"]).arg(folder).output();
    output
        .ok()
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .filter(|kind| !kind.is_empty())
        .unwrap_or("unknown".to_owned())
}

fn today() -> String {
    let output = Command::new("date").args(["--utc", "+%Y-%m-%d"]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
