//! Homes, daemons, file systems and hosts of the fault tests.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use ninja_core::journal::{
    disk::{DiskOptions, DiskStore},
    store::Store,
};
use ninja_tests::{Ledger, fault_record, fault_task, system};
use serde_json::Value;
use tempfile::TempDir;

/// Whether every round is run.
pub(crate) fn is_long() -> bool {
    std::env::var("NINJA_LONG").is_ok_and(|value| value == "1")
}

/// Says that a test cannot be run here; in CI that is a failure.
pub(crate) fn skip(what: &str, why: &str) {
    assert!(std::env::var_os("CI").is_none(), "needs {what}: {why}");
    println!("skipped: needs {what} ({why})");
}

/// A home with nothing in it, and the binary under test.
pub(crate) struct Home(pub(crate) TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn ninja(&self, data: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ninja-under-test"));
        command.args(args).env_clear().env("HOME", self.0.path()).env("NINJA_DATA_DIR", data);
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, data: &Path, args: &[&str]) -> Output {
        self.ninja(data, args).output().unwrap()
    }

    /// Runs a command that must go well and print one line of JSON.
    pub(crate) fn json(&self, data: &Path, args: &[&str]) -> Value {
        let output = self.run(data, args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Writes a plan of one file and returns its path.
    pub(crate) fn plan(&self, content: &str) -> String {
        let plan = serde_json::json!({ "steps": [
            { "id": "write", "kind": "tool", "tool": "write_file", "args": { "path": "out.txt", "content": content } },
        ] });
        let path = self.path("plan.json");
        std::fs::write(&path, plan.to_string()).unwrap();
        path.display().to_string()
    }

    pub(crate) fn serve(&self, data: &Path) -> Daemon {
        let mut command = self.ninja(data, &["serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.next().unwrap().unwrap().starts_with("listening on "));
        Daemon { child }
    }
}

/// What a command said that is not its result.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
}

impl Daemon {
    pub(crate) fn stop(mut self) -> Option<i32> {
        system("kill", &[&self.child.id().to_string()]).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A mounted file system; unmounted when dropped.
pub(crate) struct Mount(PathBuf);

impl Mount {
    pub(crate) fn new(at: &Path, args: &[&str]) -> Result<Self, String> {
        std::fs::create_dir_all(at).unwrap();
        let at = at.to_owned();
        let text = at.display().to_string();
        system("mount", &[args, &[&text]].concat())?;
        Ok(Self(at))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let at = self.0.display().to_string();
        // A process that is just gone may hold it for a moment.
        if system("umount", &[&at]).is_err() {
            system("umount", &["--lazy", &at]).ok();
        }
    }
}

/// Returns the host, below strace where calls are to be tampered with.
pub(crate) fn host(inject: Option<&str>, args: &[&str]) -> Command {
    let host = env!("CARGO_BIN_EXE_ninja-fault-host");
    let mut command = match inject {
        None => Command::new(host),
        Some(inject) => {
            let calls = inject.split(':').next().unwrap();
            let mut strace = Command::new("strace");
            strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
            strace.args(["-e", &format!("inject={inject}"), host]);
            strace
        }
    };
    command.args(args).stdin(Stdio::null());
    command
}

/// Returns whether strace can be used here; says so if not.
pub(crate) fn has_strace() -> bool {
    match system("strace", &["-qq", "-o", "/dev/null", "true"]) {
        Ok(_) => true,
        Err(error) => {
            skip("strace", &error);
            false
        }
    }
}

/// Checks that a directory opens and holds every record that the ledger says was acknowledged, and no other bytes.
pub(crate) fn assert_acknowledged(data: &Path, ledger: &Ledger, bytes: usize, context: &str) {
    let store = DiskStore::open(data, DiskOptions::default()).unwrap_or_else(|error| panic!("{context}: {error}"));
    let log = store.read_log(fault_task(), 1, usize::MAX).unwrap_or_else(|error| panic!("{context}: {error}"));
    let acknowledged = ledger.lines().len();
    assert!(log.len() >= acknowledged, "{context}: of {acknowledged} records {} are left", log.len());
    for (seq, record) in &log {
        assert!(*record == fault_record(*seq, bytes), "{context}: record {seq} is not what was written");
    }
}
