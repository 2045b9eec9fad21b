//! The main job as a person or a script types it: the real binary, an empty home, real counterparts.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    io::{BufRead, BufReader},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use ninja_core::api::{Task, TaskStatus};
use ninja_tests::counterpart;
use serde_json::json;
use tempfile::TempDir;

const PENGUINS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/penguins.csv");

/// A home with nothing in it but, where asked for, the local model.
struct Home(TempDir);

impl Home {
    fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A home with the local model; `None` where there is none and this is not CI.
    fn with_model() -> Option<Self> {
        let home = Self::empty();
        let models = counterpart("NINJA_TEST_MODELS_DIR", "the local model")?;
        std::fs::create_dir(home.data()).unwrap();
        symlink(models, home.data().join("models")).unwrap();
        Some(home)
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn ninja(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ninja-under-test"));
        command.args(args).env_clear().env("HOME", self.0.path()).env("NINJA_DATA_DIR", self.data());
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.ninja(args).output().unwrap()
    }

    fn write(&self, name: &str, content: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The one line that `run --json` prints.
fn task(output: &Output) -> Task {
    let stdout = text(&output.stdout);
    assert_eq!(stdout.lines().count(), 1, "one line of JSON and nothing else: {stdout}{}", text(&output.stderr));
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}

/// A daemon; ended by its signal when dropped.
struct Daemon(Child);

impl Daemon {
    fn start(home: &Home) -> Self {
        let mut child = home.ninja(&["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        assert!(line.starts_with("listening on http://127.0.0.1:"), "{line}");
        Self(child)
    }

    fn terminate(mut self) -> Option<i32> {
        Command::new("kill").arg(self.0.id().to_string()).status().unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn data_analysis_with_the_local_model_answers_from_the_table() {
    let Some(home) = Home::with_model() else { return };
    let question = "Which species has the highest average body mass?";
    let output = home.run(&["run", "--template", "data-analysis", "--file", PENGUINS, "--out", "made", question]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let made = |name: &str| std::fs::read_to_string(home.0.path().join("made").join(name)).unwrap();
    let (report, table) = (made("report.md"), made("table.csv"));
    for (species, mean) in mean_mass_by_species() {
        let row = table.lines().find(|line| line.starts_with(&species)).unwrap_or_else(|| panic!("{species}: {table}"));
        let close = row.split(',').filter_map(|cell| cell.parse::<f64>().ok()).any(|cell| (cell - mean).abs() < 0.01);
        assert!(close, "{species}: {mean} is not in {row}");
    }
    for expected in ["penguins.csv", "344 rows", "5,076.02", "local / smollm2"] {
        assert!(report.contains(expected), "{expected} is not in:\n{report}");
    }
    assert!(made("chart.svg").contains("<svg"));
    let told = text(&output.stdout) + &text(&output.stderr);
    for expected in ["made/report.md", "tokens", "small local model", "ninja show"] {
        assert!(told.contains(expected), "{expected} is not in:\n{told}");
    }
}

/// The same figures by other code.
fn mean_mass_by_species() -> Vec<(String, f64)> {
    let mut sums: std::collections::BTreeMap<String, (f64, f64)> = Default::default();
    for line in std::fs::read_to_string(PENGUINS).unwrap().lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let [species, _, _, _, _, mass, ..] = cells.as_slice() else { panic!("{line}") };
        if let Ok(mass) = mass.parse::<f64>() {
            let (sum, count) = sums.entry((*species).to_owned()).or_default();
            *sum += mass;
            *count += 1.0;
        }
    }
    sums.into_iter().map(|(species, (sum, count))| (species, sum / count)).collect()
}

#[test]
fn a_goal_completes_against_an_openai_compatible_server() {
    let Some(url) = counterpart("NINJA_TEST_OPENAI_BASE_URL", "an OpenAI-compatible server") else { return };
    let home = Home::empty();
    // A small model that begins to ramble does not stop by itself.
    let brief = "+++\nname = \"brief\"\ndescription = \"Is brief.\"\n[limits]\noutput_tokens = 64\n+++\nYou are brief.";
    let brief = home.write("brief.md", brief);
    let mut command = home.ninja(&["run", "--json", "--agent", &brief, "Say hello in one short sentence."]);
    let output = command.env("OPENAI_BASE_URL", url).env("OPENAI_API_KEY", "sk-test").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let task = task(&output);
    assert_eq!(task.status, TaskStatus::Succeeded);
    assert!(task.usage.output_tokens > 0 && task.usage.model_calls > 0, "{:?}", task.usage);
}

fn write_plan(home: &Home, steps: &serde_json::Value) -> String {
    home.write("plan.json", &json!({ "steps": steps }).to_string())
}

#[test]
fn a_plan_of_five_in_a_row_and_five_side_by_side_completes_in_order() {
    let home = Home::empty();
    let shell = |id: String, after: Vec<String>, command: String| json!({ "id": id, "kind": "tool", "tool": "shell", "args": { "command": command }, "after": after });
    let row = (0..5).map(|n| {
        let after = (n > 0).then(|| format!("row{}", n - 1)).into_iter().collect();
        shell(format!("row{n}"), after, format!("echo {n} >> order"))
    });
    let side = (0..5).map(|n| shell(format!("side{n}"), vec!["row4".to_owned()], "cat order".to_owned()));
    let plan = write_plan(&home, &row.chain(side).collect());
    let task = task(&home.run(&["run", "--json", "--plan", &plan]));
    assert_eq!((task.status, task.progress), (TaskStatus::Succeeded, 100));
    let ended = |id: &str| task.steps.iter().find(|step| step.id.as_str() == id).unwrap();
    for n in 0..5 {
        let side = ended(&format!("side{n}"));
        assert_eq!(side.output.get("stdout").unwrap(), "0\n1\n2\n3\n4\n");
        assert!(side.started_at >= ended("row4").ended_at);
    }
}

#[test]
fn exit_codes_are_what_scripts_rely_on() {
    let home = Home::empty();
    let fails = write_plan(&home, &json!([{ "kind": "tool", "tool": "shell", "args": { "command": "exit 3" } }]));
    let failed = home.run(&["run", "--json", "--plan", &fails]);
    assert_eq!((failed.status.code(), task(&failed).error.unwrap().detail.as_str()), (Some(1), "it exited with 3"));
    let cycle = json!([{ "id": "a", "kind": "approval", "prompt": "?", "after": ["a"] }]);
    assert_eq!(home.run(&["run", "--plan", &write_plan(&home, &cycle)]).status.code(), Some(2));
    assert_eq!(home.run(&["run"]).status.code(), Some(2));
    let waits = write_plan(&home, &json!([{ "kind": "approval", "prompt": "may I?" }]));
    let output = home.run(&["run", "--json", "--plan", &waits]);
    assert_eq!((output.status.code(), task(&output).status), (Some(3), TaskStatus::Waiting));
    let mut nobody = home.ninja(&["tasks"]);
    assert_eq!(nobody.env("NINJA_URL", "http://127.0.0.1:9").output().unwrap().status.code(), Some(4));
}

#[test]
fn a_second_engine_is_refused_and_told_who_holds_the_directory() {
    let home = Home::empty();
    let daemon = Daemon::start(&home);
    let second = home.run(&["serve", "--listen", "127.0.0.1:0"]);
    let told = text(&second.stderr);
    assert_ne!(second.status.code(), Some(0));
    assert!(told.contains(&daemon.0.id().to_string()), "{told}");

    // The first one goes on, and commands find it by themselves.
    let plan = write_plan(&home, &json!([{ "kind": "tool", "tool": "shell", "args": { "command": "echo hi" } }]));
    assert_eq!(task(&home.run(&["run", "--json", "--plan", &plan])).status, TaskStatus::Succeeded);
    assert_eq!(daemon.terminate(), Some(0), "a terminated daemon drains and exits well");
    assert!(Path::new(&home.data().join("owner.key")).exists());
}
