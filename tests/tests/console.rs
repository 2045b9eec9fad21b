//! The console in a real terminal: the real binary, a real daemon that is killed, tmux in between.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take to appear. Not a timing: only a hang reaches it.
const HANG: Duration = Duration::from_secs(60);
/// What the terminal says when what ran in it has ended, before the exit code.
const ENDED: &str = "ended with ";
/// Between two looks at the screen.
const LOOK: Duration = Duration::from_millis(25);

/// A home, its daemon and a terminal in which commands run.
struct Desk {
    home: TempDir,
    daemon: Option<Child>,
}

impl Desk {
    /// Returns a desk; `None` where there is no tmux and this is not CI.
    fn new() -> Option<Self> {
        let has_tmux = Command::new("tmux").arg("-V").output().is_ok_and(|output| output.status.success());
        if !has_tmux {
            assert!(std::env::var_os("CI").is_none(), "tmux is needed");
            println!("skipped: needs tmux");
            return None;
        }
        Some(Self { home: tempfile::tempdir().unwrap(), daemon: None })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn environment(&self) -> Vec<String> {
        let (home, data) = (self.home.path().display(), self.path("data"));
        let path = "PATH=/usr/local/bin:/usr/bin:/bin".to_owned();
        vec![path, format!("HOME={home}"), format!("NINJA_DATA_DIR={}", data.display()), "LANG=C.UTF-8".to_owned()]
    }

    fn ninja(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ninja-under-test"));
        let environment = self.environment();
        let pairs = environment.iter().filter_map(|pair| pair.split_once('='));
        command.args(args).env_clear().envs(pairs).current_dir(self.home.path()).stdin(Stdio::null());
        command
    }

    fn start_daemon(&mut self) {
        let mut command = self.ninja(&["serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let line = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        assert!(line.starts_with("listening on "), "{line}");
        self.daemon = Some(child);
    }

    /// Kills the daemon with SIGKILL.
    fn kill_daemon(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }

    /// Hands a plan in and returns once its task stands still.
    fn run(&self, goal: &str, steps: &Value) -> Output {
        let plan = self.path("plan.json");
        std::fs::write(&plan, json!({ "steps": steps }).to_string()).unwrap();
        self.ninja(&["run", "--json", "--plan", &plan.display().to_string(), goal]).output().unwrap()
    }

    fn tmux(&self, args: &[&str]) -> Output {
        let socket = self.path("tmux.sock").display().to_string();
        let conf = self.path("tmux.conf").display().to_string();
        let mut command = Command::new("tmux");
        command.args(["-u", "-S", &socket, "-f", &conf]).args(args).env_remove("TMUX").stdin(Stdio::null());
        command.output().unwrap()
    }

    /// Opens a terminal of 80 by 24 in which `ninja` runs with these arguments.
    fn open(&self, args: &[&str]) {
        std::fs::write(self.path("tmux.conf"), "set -g escape-time 0\n").unwrap();
        let environment = self.environment();
        // The shell tells how it ended, and keeps the terminal open to be looked at: tmux itself now and then misses the end.
        let script = format!("\"$@\"; echo \"{ENDED}$?\"; exec cat");
        let mut command = vec!["new-session", "-d", "-x", "80", "-y", "24", "sh", "-c", &script, "sh"];
        command.extend(["env", "-u", "NINJA_URL"]);
        command.extend(environment.iter().map(String::as_str));
        command.push(env!("CARGO_BIN_EXE_ninja-under-test"));
        command.extend(args);
        let opened = self.tmux(&command);
        assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
    }

    fn keys(&self, keys: &[&str]) {
        let sent = self.tmux(&[&["send-keys"], keys].concat());
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    }

    fn screen(&self) -> String {
        String::from_utf8(self.tmux(&["capture-pane", "-p", "-S", "-5"]).stdout).unwrap()
    }

    /// Looks at the screen until it is as it should be, and returns it.
    fn see(&self, what: &str, is_seen: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        loop {
            let screen = self.screen();
            if is_seen(&screen) {
                return screen;
            }
            assert!(started.elapsed() < HANG, "never: {what}\n{screen}");
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until what runs in the terminal has ended, and returns its exit code.
    fn exit_code(&self) -> String {
        let screen = self.see("the command ends", |screen| screen.contains(ENDED));
        screen.split(ENDED).nth(1).and_then(|rest| rest.lines().next()).unwrap_or_default().to_owned()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().ok();
            daemon.wait().ok();
        }
    }
}

fn write_step(id: &str, after: &[&str]) -> Value {
    let args = json!({ "path": format!("{id}.txt"), "content": "hello" });
    json!({ "id": id, "kind": "tool", "tool": "write_file", "args": args, "after": after })
}

fn quick() -> Value {
    json!([write_step("write", &[])])
}

fn asking() -> Value {
    let ask = json!({ "id": "ask", "kind": "approval", "prompt": "Shall I\u{1b}[2J write \u{202e}it?" });
    json!([ask, write_step("written", &["ask"])])
}

/// Returns whether the line with `goal` shows `status`.
fn has_row(screen: &str, goal: &str, status: &str) -> bool {
    screen.lines().any(|line| line.contains(goal) && line.contains(status))
}

#[test]
fn tasks_appear_live_across_a_killed_daemon_and_a_question_is_answered() {
    let Some(mut desk) = Desk::new() else { return };
    desk.start_daemon();
    desk.open(&["console"]);
    desk.see("an empty list that is live", |screen| screen.contains("No tasks yet") && screen.contains("● live"));

    assert_eq!(desk.run("the first one", &quick()).status.code(), Some(0));
    desk.see("the first task is done", |screen| has_row(screen, "the first one", "succeeded"));
    assert_eq!(desk.run("the one that asks", &asking()).status.code(), Some(3));
    desk.see("the second task waits", |screen| has_row(screen, "[approval] the one that asks", "waiting"));

    desk.kill_daemon();
    let away = desk.see("it says that the daemon is away", |screen| screen.contains("reconnecting…, last seq u:"));
    assert!(!away.contains("● live") && away.contains("the first one"), "what was known stays:\n{away}");
    desk.start_daemon();
    let is_live = |screen: &str| screen.contains("● live") && !screen.contains("reconnecting");
    desk.see("it is live again", is_live);
    assert_eq!(desk.run("the one after", &quick()).status.code(), Some(0));
    let after = desk.see("the third task is done", |screen| has_row(screen, "the one after", "succeeded"));
    assert!(after.contains("3 tasks"), "{after}");

    desk.keys(&["/", "asks", "Enter", "Enter"]);
    let asked = desk.see("the question is shown", |screen| screen.contains("a approve · d deny"));
    assert!(asked.contains("Shall I[2J write it?") && asked.contains("2 characters that hide"), "{asked}");
    desk.keys(&["a"]);
    desk.see("the task goes on and is done", |screen| screen.contains("✓ succeeded") && screen.contains("100 %"));
    desk.keys(&["3"]);
    desk.see("its file is listed", |screen| screen.contains("written.txt"));
    desk.keys(&["q"]);
    assert_eq!(desk.exit_code(), "0");
}

#[test]
fn a_followed_task_goes_on_where_it_was_after_a_killed_daemon() {
    let Some(mut desk) = Desk::new() else { return };
    desk.start_daemon();
    assert_eq!(desk.run("the one that asks", &asking()).status.code(), Some(3));
    desk.open(&["console"]);
    desk.see("the task waits", |screen| has_row(screen, "the one that asks", "waiting"));
    desk.keys(&["Enter"]);
    desk.see("the question is shown", |screen| screen.contains("a approve · d deny"));
    desk.kill_daemon();
    desk.see("it says that the daemon is away", |screen| screen.contains("reconnecting…") && screen.contains(" t:"));
    desk.start_daemon();
    desk.see("it is live again", |screen| screen.contains("● live") && !screen.contains("reconnecting"));
    desk.keys(&["a"]);
    desk.see("the task is done", |screen| screen.contains("✓ succeeded"));
    desk.keys(&["1"]);
    let activity = desk.see("its events are listed", |screen| screen.contains("task succeeded"));
    let seqs: Vec<u64> = activity.split('#').skip(1).filter_map(|rest| rest.split(' ').next()?.parse().ok()).collect();
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "no gap and no repeat: {seqs:?}\n{activity}");
    assert!(!activity.contains("events are missing"), "{activity}");
    desk.keys(&["C-c"]);
    assert_eq!(desk.exit_code(), "0");
}

#[test]
fn plain_ninja_in_a_terminal_is_a_daemon_where_there_is_none() {
    let Some(desk) = Desk::new() else { return };
    desk.open(&[]);
    desk.see("it says so", |screen| screen.contains("no daemon: tasks are worked on in this console"));
    assert_eq!(desk.run("from another terminal", &quick()).status.code(), Some(0));
    desk.see("the task appears", |screen| has_row(screen, "from another terminal", "succeeded"));
    desk.keys(&["q"]);
    assert_eq!(desk.exit_code(), "0");
    let tasks = desk.ninja(&["tasks", "--json"]).output().unwrap();
    let tasks: Value = serde_json::from_slice(&tasks.stdout).unwrap();
    assert_eq!(tasks["items"][0]["status"], "succeeded", "{tasks}");
}

#[test]
fn without_a_daemon_or_a_terminal_it_says_so() {
    let Some(desk) = Desk::new() else { return };
    desk.open(&["console"]);
    assert_eq!(desk.exit_code(), "4");
    desk.see("it says why", |screen| screen.contains("no daemon is running") && screen.contains("ninja serve"));
    let piped = desk.ninja(&["console"]).output().unwrap();
    let told = String::from_utf8(piped.stderr).unwrap();
    assert!(piped.status.code() == Some(2) && told.contains("stdin is none"), "{told}");
    let plain = desk.ninja(&[]).output().unwrap();
    assert!(plain.status.code() == Some(2) && String::from_utf8(plain.stderr).unwrap().contains("Usage"));
}

#[test]
fn a_key_is_asked_for_and_never_shown() {
    let Some(desk) = Desk::new() else { return };
    let set = ["providers", "set", "mine", "--kind", "openai", "--base-url", "http://127.0.0.1:9/v1", "--model", "m"];
    desk.open(&set);
    desk.see("it asks", |screen| screen.contains("API key for 127.0.0.1:9"));
    desk.keys(&["-l", "sk-canary-0123456789"]);
    desk.keys(&["Enter"]);
    assert_eq!(desk.exit_code(), "0", "{}", desk.screen());
    let screen = desk.screen();
    assert!(screen.contains("mine is stored") && !screen.contains("canary"), "{screen}");
    let listed = desk.ninja(&["providers", "--json"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed[0]["key_end"], "6789");
}
