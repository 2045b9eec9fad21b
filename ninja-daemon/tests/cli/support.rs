//! A home with nothing in it, and a daemon as a process of its own.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A home with nothing in it.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn ninja(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ninja"));
        command.args(args).current_dir(self.path()).env_clear().stdin(Stdio::null());
        command.env("HOME", self.path()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.ninja(args).output().unwrap()
    }

    /// Runs a command that reads this.
    pub(crate) fn run_with(&self, input: &str, args: &[&str]) -> Output {
        let mut command = self.ninja(args);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        process.wait_with_output().unwrap()
    }

    /// Writes a plan that asks before its second step, and returns its path.
    pub(crate) fn plan(&self) -> String {
        let plan = json!({ "steps": [
            { "id": "write", "kind": "tool", "tool": "write_file", "args": { "path": "out/a.txt", "content": "hello" } },
            { "id": "ask", "kind": "approval", "prompt": "Shall I\u{1b}[2J go on?", "after": ["write"] },
            { "id": "again", "kind": "tool", "tool": "write_file", "args": { "path": "b.txt", "content": "bye" }, "after": ["ask"] },
        ] });
        let path = self.path().join("plan.json");
        std::fs::write(&path, plan.to_string()).unwrap();
        path.display().to_string()
    }
}

pub(crate) fn exit(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Returns the one line of JSON that stands alone on stdout.
pub(crate) fn only_json(output: &Output) -> Value {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(text).unwrap()
}

/// A daemon of its own process, ended with SIGTERM.
pub(crate) struct Daemon {
    pub(crate) process: Child,
    pub(crate) url: String,
}

impl Daemon {
    pub(crate) fn start(home: &Home) -> Self {
        let mut command = home.ninja(&["serve", "--listen", "127.0.0.1:0"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        Self::of(command)
    }

    pub(crate) fn of(mut command: Command) -> Self {
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self { url: line.trim().strip_prefix("listening on ").unwrap().to_owned(), process }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub(crate) fn stop(mut self) -> i32 {
        self.signal("-TERM");
        self.process.wait().unwrap().code().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
