//! The binary as scripts use it: exit codes, JSON on stdout and nothing else there, one task through several commands.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A home with nothing in it.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn ninja(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ninja"));
        command.args(args).current_dir(self.path()).env_clear().stdin(Stdio::null());
        command.env("HOME", self.path()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.ninja(args).output().unwrap()
    }

    /// Writes a plan that asks before its second step, and returns its path.
    fn plan(&self) -> String {
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

fn exit(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Returns the one line of JSON that stands alone on stdout.
fn only_json(output: &Output) -> Value {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_waiting_task_is_answered_resumed_and_fetched_without_a_daemon() {
    let home = Home::new();
    let waiting = home.run(&["run", "--plan", &home.plan(), "--json"]);
    assert_eq!(exit(&waiting), 3, "{}", stderr(&waiting));
    let task = only_json(&waiting);
    let id = task["id"].as_str().unwrap();
    assert_eq!((&task["status"], &task["progress"]), (&json!("waiting"), &json!(33)));
    let said = stderr(&waiting);
    assert!(said.contains(&format!("ninja approve {id}")) && !said.contains('\u{1b}'), "{said}");

    let list = only_json(&home.run(&["tasks", "--json", "--status", "waiting"]));
    assert_eq!(list["items"][0]["id"], id);
    let short = &id[id.len() - 8..];
    let approved = home.run(&["approve", short, "--json"]);
    assert_eq!(exit(&approved), 0, "{}", stderr(&approved));
    assert_eq!(only_json(&approved)["status"], "succeeded");

    let fetched = home.run(&["artifacts", "get", short, "--all", "--output", "here", "--json"]);
    assert_eq!(only_json(&fetched), json!(["here/b.txt", "here/out/a.txt"]));
    assert_eq!(std::fs::read_to_string(home.path().join("here/out/a.txt")).unwrap(), "hello");
    let shown = only_json(&home.run(&["show", short, "--json"]));
    assert_eq!((&shown["status"], &shown["progress"]), (&json!("succeeded"), &json!(100)));
    assert_eq!(exit(&home.run(&["approve", short])), 1, "nothing is asked any more");
    assert_eq!(exit(&home.run(&["cancel", short])), 1, "it has ended");
}

#[test]
fn a_task_is_steered_without_a_daemon() {
    let home = Home::new();
    let plan = home.plan();
    let json = |args: &[&str], code: i32| {
        let output = home.run(&[args, &["--json"]].concat());
        assert_eq!(exit(&output), code, "{args:?}: {}", stderr(&output));
        only_json(&output)
    };
    let id = json(&["run", "--plan", &plan], 3)["id"].as_str().unwrap().to_owned();
    assert_eq!(json(&["pause", &id], 0)["waiting"]["for"], "operator");
    let paused = home.run(&["run", "--resume", &id]);
    assert_eq!(exit(&paused), 3, "{}", stderr(&paused));
    let said = String::from_utf8(paused.stdout).unwrap();
    assert!(said.contains("paused") && said.contains(&format!("ninja resume {}", &id[id.len() - 8..])), "{said}");
    let listed = String::from_utf8(home.run(&["tasks"]).stdout).unwrap();
    assert!(listed.trim_end().ends_with("paused"), "{listed}");
    assert_eq!(exit(&home.run(&["approve", &id])), 1, "a paused task takes no answers");
    assert_eq!(exit(&home.run(&["pause", &id])), 1, "it is paused already");
    assert_eq!(json(&["resume", &id], 3)["waiting"]["for"], "approval");
    assert_eq!(json(&["deny", &id], 0)["status"], "failed");
    assert_eq!(json(&["retry", &id], 3)["steps"][1]["attempt"], 2);
    assert_eq!(json(&["approve", &id], 0)["status"], "succeeded");
    assert_eq!(exit(&home.run(&["retry", &id])), 1, "it ended well");

    let replayed = json(&["replay", &id], 0);
    assert_eq!((&replayed["same"], &replayed["provider_calls"]), (&json!(true), &json!(0)));
    let forked = json(&["fork", &id, "--at", "again"], 0);
    assert_eq!((&forked["status"], &forked["forked_from"]["task"]), (&json!("succeeded"), &json!(id)));
    let other = forked["id"].as_str().unwrap();
    assert_eq!(json(&["diff", &id, other], 0)["same"], true);
    let shown = String::from_utf8(home.run(&["show", other]).stdout).unwrap();
    assert!(shown.contains(&format!("forked from {id}")), "{shown}");
    assert_eq!(exit(&home.run(&["fork", &id])), 2, "no step failed: it must be said where");
    assert_eq!(exit(&home.run(&["fork", &id, "--at", "nowhere"])), 1);
}

#[test]
fn what_differs_ends_with_one() {
    let home = Home::new();
    let run = |text: &str| {
        let steps =
            [json!({ "id": "write", "kind": "tool", "tool": "write_file", "args": { "path": "a", "content": text } })];
        let path = home.path().join("one.json");
        std::fs::write(&path, json!({ "steps": steps }).to_string()).unwrap();
        let output = home.run(&["run", "--plan", path.to_str().unwrap(), "--json"]);
        only_json(&output)["id"].as_str().unwrap().to_owned()
    };
    let (one, two) = (run("x"), run("y"));
    let output = home.run(&["diff", &one, &two]);
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(exit(&output), 1);
    assert!(said.contains("args.content: \"x\" | \"y\""), "{said}");
}

#[test]
fn templates_and_agents_are_listed_and_told() {
    let home = Home::new();
    let text = |args: &[&str]| {
        let output = home.run(args);
        assert_eq!(exit(&output), 0, "{args:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(text(&["templates"]).contains("data-analysis"));
    let one = text(&["templates", "data-analysis"]);
    assert!(one.contains("ninja run --template data-analysis --file FILE \"GOAL\""), "{one}");
    assert!(one.contains("one of auto, point, comma; auto unless said otherwise"), "{one}");
    assert!(text(&["agents"]).contains("coder"));
    let one = text(&["agents", "coder"]);
    assert!(one.contains("shell") && one.contains("workspace: changes the task's files only"), "{one}");
    assert!(only_json(&home.run(&["agents", "--json"])).as_array().unwrap().len() >= 5);
    assert_eq!(only_json(&home.run(&["agents", "coder", "--json"]))["capabilities"]["agent"], "coder");
    assert_eq!(only_json(&home.run(&["templates", "data-analysis", "--json"]))["files"]["max"], 1);
    for unknown in [["agents", "nobody"], ["templates", "nothing"]] {
        assert_eq!(exit(&home.run(&unknown)), 1);
    }
}

#[test]
fn what_a_script_cannot_have_is_told_by_the_exit_code() {
    let home = Home::new();
    for (code, args) in [
        (2, &["run"][..]),
        (2, &["run", "--plan", "missing.json"]),
        (2, &["run", "--param", "x", "goal"]),
        (2, &["show", "x"]),
        (2, &["tasks", "--status", "done"]),
        (2, &["serve", "--listen", "0.0.0.0:0"]),
        (2, &["run", "--template", "none", "goal"]),
        (2, &["run", "--plan", "/dev/zero"]),
        (1, &["show", "task_00000000000070008000000000000000"]),
        (1, &["run", "--file", "missing.csv", "goal"]),
        (2, &["pause", "x"]),
        (2, &["fork", "x", "--at", "no such step"]),
        (1, &["pause", "task_00000000000070008000000000000000"]),
        (1, &["resume", "task_00000000000070008000000000000000"]),
        (1, &["retry", "task_00000000000070008000000000000000"]),
        (1, &["replay", "task_00000000000070008000000000000000"]),
        (1, &["diff", "task_00000000000070008000000000000000", "task_00000000000070008000000000000000"]),
        (4, &["watch", "task_00000000000070008000000000000000"]),
        (0, &["tasks"]),
        (0, &["--version"]),
    ] {
        let output = home.run(args);
        assert_eq!(exit(&output), code, "{args:?}: {}", stderr(&output));
    }
    let gone = home.ninja(&["tasks", "--json"]).env("NINJA_URL", "http://127.0.0.1:9").output().unwrap();
    assert_eq!(exit(&gone), 4);
    assert!(only_json(&gone)["error"]["detail"].is_string());
}

/// A daemon of its own process, ended with SIGTERM.
struct Daemon {
    process: Child,
    url: String,
}

impl Daemon {
    fn start(home: &Home) -> Self {
        let mut command = home.ninja(&["serve", "--listen", "127.0.0.1:0"]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self { url: line.trim().strip_prefix("listening on ").unwrap().to_owned(), process }
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    fn stop(mut self) -> i32 {
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

#[test]
fn a_daemon_is_found_by_socket_or_url_and_stops_in_order() {
    let home = Home::new();
    let daemon = Daemon::start(&home);
    let waiting = home.run(&["run", "--plan", &home.plan(), "--json"]);
    assert_eq!(exit(&waiting), 3, "{}", stderr(&waiting));
    let id = only_json(&waiting)["id"].as_str().unwrap().to_owned();
    let by_url = |key: Option<&str>| {
        let mut command = home.ninja(&["show", &id, "--json"]);
        command.env("NINJA_URL", &daemon.url);
        key.map(|key| command.env("NINJA_API_KEY", key));
        command.output().unwrap()
    };
    assert_eq!(only_json(&by_url(None))["status"], "waiting", "the owner's key is found by itself");
    assert_eq!(exit(&by_url(Some("nj_wrong"))), 4);

    let second = home.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(exit(&second), 4, "one engine a directory: {}", stderr(&second));
    assert_eq!(exit(&home.run(&["deny", &id])), 0);
    let mut watching = home.ninja(&["watch", &id, "--json"]);
    assert_eq!(exit(&watching.output().unwrap()), 1, "what a person denied has failed");
    assert_eq!(daemon.stop(), 0);
    assert!(!home.path().join(".local/share/ninja/ninja.sock").exists());
}

#[test]
fn a_reader_that_leaves_stops_nothing() {
    let home = Home::new();
    let mut command = home.ninja(&["run", "--plan", &home.plan(), "--yes"]);
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(process.stdout.take());
    let mut said = String::new();
    process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(0), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}
