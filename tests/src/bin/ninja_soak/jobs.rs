//! What is asked of the daemon: every kind of task, with what must come of it.

#![expect(clippy::indexing_slicing, reason = "only JSON is indexed, which gives null where there is nothing")]

use ninja_sdk::api::{Autonomy, Check, Contract, ErrorCode, Planning, SubmitTask, TaskStatus};
use ninja_tests::Random;
use serde_json::{Value, json};

use crate::{
    script::{self, Turn},
    templates::TEMPLATES,
};

/// One thing to ask, with all that follows from it.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// Its name, unlike all others: the goal begins with it, or ends with it where a template reads the goal.
    pub(crate) tag: String,
    /// Its kind, for counting.
    pub(crate) kind: &'static str,
    /// The request, without files.
    pub(crate) request: SubmitTask,
    /// Files to upload.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// What must come of it.
    pub(crate) expect: Expect,
    /// Whether the person says no.
    pub(crate) denies: bool,
    /// How long the person thinks, in milliseconds.
    pub(crate) patience_ms: u64,
    /// What is done to it meanwhile.
    pub(crate) steering: Steering,
}

/// What must come of a task.
#[derive(Debug, Clone)]
pub(crate) struct Expect {
    /// How it ends.
    pub(crate) status: TaskStatus,
    /// Why it fails.
    pub(crate) error: Option<ErrorCode>,
    /// Its files, all of them, where it succeeds. Those of a template are compared with those of its first run.
    pub(crate) files: Files,
    /// What steps say.
    pub(crate) outputs: Vec<(String, Value)>,
    /// A failure that is over once it was seen: after a crash it may not come again.
    pub(crate) is_passing: bool,
}

/// The files that a task must make.
#[derive(Debug, Clone)]
pub(crate) enum Files {
    /// Exactly these.
    Exactly(Vec<(String, Vec<u8>)>),
    /// What the first run of the template made.
    AsFirstOf(&'static str),
}

/// What is done to a task while it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Steering {
    /// Nothing.
    None,
    /// It is paused, and resumed later; both in milliseconds.
    Pause { after_ms: u64, for_ms: u64 },
    /// It is cancelled.
    Cancel { after_ms: u64 },
}

/// Makes a job of one kind: of its tag, where the model listens, and chance.
type Make = fn(&str, &str, &mut Random) -> Job;

/// Makes a job of any kind.
pub(crate) fn any(number: u64, model_url: &str, random: &mut Random) -> Job {
    let tag = format!("soak-{number:07}");
    let kinds: [(u64, Make); 14] = [
        (14, chain),
        (7, fan),
        (16, trail),
        (7, map),
        (7, delegate),
        (9, large_files),
        (8, upload),
        (6, template),
        (8, planned),
        (6, provider_trouble),
        (6, failing),
        (8, contract),
        (8, person),
        (3, endless),
    ];
    let mut at = random.below(kinds.iter().map(|(weight, _)| weight).sum());
    let chosen = kinds.iter().find(|(weight, _)| {
        let is_it = at < *weight;
        at = at.saturating_sub(*weight);
        is_it
    });
    let (_, make) = chosen.expect("the weights add up");
    let mut job = make(&tag, model_url, random);
    if job.steering == Steering::None {
        job.steering = match random.below(100) {
            0..8 => Steering::Pause { after_ms: random.below(400), for_ms: random.below(1_500) },
            8..12 => Steering::Cancel { after_ms: random.below(600) },
            _ => Steering::None,
        };
    }
    job
}

fn job(tag: &str, kind: &'static str, request: SubmitTask) -> Job {
    let files = Files::Exactly(Vec::new());
    let expect = Expect { status: TaskStatus::Succeeded, error: None, files, outputs: Vec::new(), is_passing: false };
    let (tag, steering) = (tag.to_owned(), Steering::None);
    Job { tag, kind, request, files: Vec::new(), expect, denies: false, patience_ms: 0, steering }
}

impl Job {
    fn makes(mut self, files: Vec<(String, Vec<u8>)>) -> Self {
        self.expect.files = Files::Exactly(files);
        self
    }

    fn says(mut self, outputs: Vec<(String, Value)>) -> Self {
        self.expect.outputs = outputs;
        self
    }

    fn fails(mut self, code: ErrorCode) -> Self {
        (self.expect.status, self.expect.error) = (TaskStatus::Failed, Some(code));
        self
    }
}

fn plan(tag: &str, steps: Vec<Value>) -> SubmitTask {
    let plan = serde_json::from_value(json!({ "steps": steps })).expect("plans of the soak are well formed");
    SubmitTask { goal: tag.to_owned(), plan: Some(plan), ..SubmitTask::default() }
}

fn agent(id: &str, after: &[String], prompt: String) -> Value {
    json!({ "id": id, "kind": "agent", "agent": "coder", "prompt": prompt, "after": after })
}

fn shell(id: &str, after: &[String], command: &str) -> Value {
    json!({ "id": id, "kind": "tool", "tool": "shell", "args": { "command": command }, "after": after })
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn text_file(name: &str, text: &str) -> (String, Vec<u8>) {
    (name.to_owned(), text.as_bytes().to_vec())
}

/// One to five agents, one after the other.
fn chain(tag: &str, _: &str, random: &mut Random) -> Job {
    let (mut steps, mut outputs) = (Vec::new(), Vec::new());
    let mut before = Vec::new();
    for number in 0..=random.below(5) {
        let (id, said) = (format!("step{number}"), format!("{tag} said {number}"));
        let turn = Turn::says(&said).thinking(random.below(200));
        steps.push(agent(&id, &before, script::prompt(&format!("{tag}/{id}"), &[turn])));
        before = vec![id.clone()];
        outputs.push((id, json!(said)));
    }
    job(tag, "chain", plan(tag, steps)).says(outputs)
}

/// One agent, some side by side, one more.
fn fan(tag: &str, _: &str, random: &mut Random) -> Job {
    let says = |id: &str, after: &[String]| {
        agent(id, after, script::prompt(&format!("{tag}/{id}"), &[Turn::says(format!("{tag} {id}"))]))
    };
    let sides: Vec<String> = (0..random.below(9) + 2).map(|number| format!("side{number}")).collect();
    let mut steps = vec![says("root", &[])];
    steps.extend(sides.iter().map(|id| says(id, &names(&["root"]))));
    steps.push(says("join", &sides));
    let all = sides.iter().map(String::as_str).chain(["root", "join"]);
    let outputs = all.map(|id| (id.to_owned(), json!(format!("{tag} {id}")))).collect();
    job(tag, "fan-out", plan(tag, steps)).says(outputs)
}

/// Every step adds one line to a file: a line twice, or none, is a step that counted twice, or not at all.
fn trail(tag: &str, _: &str, random: &mut Random) -> Job {
    let pause = |random: &mut Random| format!("sleep 0.{}", random.below(4));
    let command = format!("{}; echo agent >> trail; {}", pause(random), pause(random));
    let turns = [Turn::calls("shell", &json!({ "command": command })), Turn::says("left")];
    let python = json!({ "code": "import time\nopen('trail', 'a').write('python\\n')\ntime.sleep(0.1)\nprint(1)" });
    let mut steps = vec![agent("think", &[], script::prompt(&format!("{tag}/think"), &turns))];
    steps.push(shell("shell", &names(&["think"]), &format!("echo shell >> trail; {}; cat trail", pause(random))));
    steps.push(json!({ "id": "python", "kind": "tool", "tool": "python", "args": python, "after": ["shell"] }));
    let (mut before, mut whole) = ("python".to_owned(), "agent\nshell\npython\n".to_owned());
    for number in 0..random.below(3) {
        let id = format!("more{number}");
        steps.push(shell(&id, &[before], &format!("echo {id} >> trail")));
        whole.push_str(&format!("{id}\n"));
        before = id;
    }
    job(tag, "trail", plan(tag, steps)).makes(vec![text_file("trail", &whole)])
}

/// A list, a command for each of its items, and one over all.
fn map(tag: &str, _: &str, random: &mut Random) -> Job {
    let items: Vec<String> = (0..random.below(4) + 2).map(|number| format!("item{number}")).collect();
    let list = json!({ "code": format!("import json\nprint(json.dumps({}))", json!(items)) });
    let command = "printf '{{item}}' | tr a-z A-Z | tee '{{item}}.txt'";
    let each = json!({ "kind": "tool", "tool": "shell", "args": { "command": command } });
    let steps = vec![
        json!({ "id": "list", "kind": "tool", "tool": "python", "args": list }),
        json!({ "id": "each", "kind": "map", "over": "steps.list.output", "each": each, "after": ["list"] }),
        shell("join", &names(&["each"]), "cat item*.txt > all"),
    ];
    let mut files: Vec<_> = items.iter().map(|item| text_file(&format!("{item}.txt"), &item.to_uppercase())).collect();
    files.push(text_file("all", &items.concat().to_uppercase()));
    job(tag, "map", plan(tag, steps)).makes(files)
}

/// An agent that leads others.
fn delegate(tag: &str, _: &str, random: &mut Random) -> Job {
    let piece = |number: u64| {
        let turns = [
            Turn::calls(
                "write_file",
                &json!({ "path": format!("part{number}"), "content": format!("{tag} {number}") }),
            ),
            Turn::says(format!("{tag} found {number}")),
        ];
        json!({ "agent": "researcher", "task": script::prompt(&format!("{tag}/part{number}"), &turns) })
    };
    let count = random.below(3) + 1;
    let asks =
        (1..count).fold(Turn::calls("delegate", &piece(0)), |turn, number| turn.and_calls("delegate", &piece(number)));
    let lead = "+++\nname = \"lead\"\ndescription = \"Leads.\"\ntools = [\"delegate\"]\ndelegates = [\"researcher\"]\n+++\n\nYou lead.\n";
    let goal = script::prompt(&format!("{tag}/lead"), &[asks, Turn::says(format!("{tag} led"))]);
    let request = SubmitTask { goal, agent: Some(lead.to_owned()), ..SubmitTask::default() };
    let files = (0..count).map(|number| text_file(&format!("part{number}"), &format!("{tag} {number}"))).collect();
    job(tag, "delegate", request).makes(files)
}

/// Files of which no other task has the like, some of them large.
fn large_files(tag: &str, _: &str, random: &mut Random) -> Job {
    let (mut steps, mut files, mut before) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..random.below(3) + 1 {
        let (id, times) = (format!("file{number}"), random.below(40_000) + 1);
        let line = format!("{tag} {number}\n");
        let code = format!("open('{id}.txt', 'w').write({} * {times})\nprint(0)", json!(line));
        steps.push(json!({ "id": id, "kind": "tool", "tool": "python", "args": { "code": code }, "after": before }));
        files.push(text_file(&format!("{id}.txt"), &line.repeat(usize::try_from(times).unwrap_or(0))));
        before = vec![id];
    }
    job(tag, "large files", plan(tag, steps)).makes(files)
}

/// A file that comes in and goes out again.
fn upload(tag: &str, _: &str, random: &mut Random) -> Job {
    let noise = (0..random.below(300_000)).map(|_| random.below(256) as u8);
    // It begins as a file of its type does: only those are taken.
    let bytes: Vec<u8> = b"\x93NUMPY".iter().copied().chain(noise).collect();
    let steps = vec![
        shell("copy", &[], "cp inputs/data.npy copy.npy"),
        agent(
            "look",
            &names(&["copy"]),
            script::prompt(&format!("{tag}/look"), &[Turn::calls("list_files", &json!({})), Turn::says("looked")]),
        ),
    ];
    let mut job = job(tag, "upload", plan(tag, steps)).makes(vec![("copy.npy".to_owned(), bytes.clone())]);
    job.files = vec![("data.npy".to_owned(), bytes)];
    job
}

fn template(tag: &str, _: &str, random: &mut Random) -> Job {
    let index = usize::try_from(random.below(TEMPLATES.len() as u64)).unwrap_or(0);
    let template = TEMPLATES.get(index).expect("it is below the length");
    let mut job = job(tag, template.name, template.request(tag));
    job.files = template.files.iter().map(|(name, text)| text_file(name, text)).collect();
    job.expect.files = Files::AsFirstOf(template.name);
    job
}

/// A goal that the model plans, or cannot.
fn planned(tag: &str, _: &str, random: &mut Random) -> Job {
    let alone = [Turn::says(format!("{tag} alone"))];
    let step = |id: &str, after: &[&str]| {
        let prompt = script::prompt(&format!("{tag}/{id}"), &[Turn::says(format!("{tag} {id}"))]);
        json!({ "id": id, "title": null, "kind": "agent", "agent": "researcher", "prompt": prompt, "after": after })
    };
    let good = json!({ "steps": [step("collect", &[]), step("write", &["collect"])] }).to_string();
    let (kind, plan) = match random.below(3) {
        0 => ("planned badly", "I would rather chat.".to_owned()),
        1 => ("planned badly", json!({ "steps": [step("a", &["b"]), step("b", &["a"])] }).to_string()),
        _ => ("planned", good),
    };
    let outputs = match kind {
        "planned" => vec![
            ("collect".to_owned(), json!(format!("{tag} collect"))),
            ("write".to_owned(), json!(format!("{tag} write"))),
        ],
        _ => Vec::new(),
    };
    let goal = script::goal(&format!("{tag}/goal"), &plan, &alone);
    let autonomy = if random.chance(40) { Autonomy::Review } else { Autonomy::Full };
    let request = SubmitTask { goal, planning: Planning::Model, autonomy, ..SubmitTask::default() };
    job(tag, kind, request).says(outputs)
}

/// A model that fails, now and then for good.
fn provider_trouble(tag: &str, _: &str, random: &mut Random) -> Job {
    // The last is more than a call has tries: the task waits for its provider.
    let passing: [&[u16]; 4] = [&[429], &[500], &[503, 429], &[502, 503, 503, 503, 503, 500]];
    let lasting: [(&[u16], ErrorCode); 2] =
        [(&[400], ErrorCode::ProviderRejected), (&[401], ErrorCode::ProviderUnauthorized)];
    let index = usize::try_from(random.below(4)).unwrap_or(0);
    let lasts = random.chance(40).then(|| lasting.get(index)).flatten();
    let errors = lasts.map_or(passing.get(index).copied().unwrap_or_default(), |(errors, _)| errors);
    let turn = Turn::says(format!("{tag} at last")).after_errors(errors);
    let steps = vec![agent("ask", &[], script::prompt(&format!("{tag}/ask"), &[turn]))];
    let job = job(tag, "provider trouble", plan(tag, steps));
    match lasts {
        None => job.says(vec![("ask".to_owned(), json!(format!("{tag} at last")))]),
        Some((_, code)) => {
            let mut job = job.fails(*code);
            job.expect.is_passing = true;
            job
        }
    }
}

/// A step that fails: for good, in vain again and again, or without harm.
fn failing(tag: &str, _: &str, random: &mut Random) -> Job {
    let mut step = shell("fails", &[], "echo half > half.txt; echo no >&2; exit 3");
    let after = agent("after", &names(&["fails"]), script::prompt(&format!("{tag}/after"), &[Turn::says("went on")]));
    match random.below(3) {
        0 => {
            step["retry"] = json!({ "attempts": 3, "wait_ms": 30 });
            job(tag, "failing", plan(tag, vec![step])).fails(ErrorCode::ToolFailed)
        }
        1 => {
            step["optional"] = json!(true);
            let said = vec![("after".to_owned(), json!("went on"))];
            let mut job = job(tag, "failing without harm", plan(tag, vec![step, after])).says(said);
            // What a step that failed left behind is there for those after it.
            job.expect.files = Files::Exactly(vec![text_file("half.txt", "half\n")]);
            job
        }
        _ => job(tag, "failing", plan(tag, vec![step, after])).fails(ErrorCode::ToolFailed),
    }
}

/// A promise that holds, is mended, or does not hold.
fn contract(tag: &str, model_url: &str, random: &mut Random) -> Job {
    let writes = |word: &str| Turn::calls("shell", &json!({ "command": format!("echo {word} > out.txt") }));
    let (first, mends) = match random.below(3) {
        0 => ("right", "right"),
        1 => ("wrong", "right"),
        _ => ("wrong", "wrong"),
    };
    let prompt = script::prompt(&format!("{tag}/work"), &[writes(first), Turn::says("worked")]);
    let mut request = plan(tag, vec![agent("work", &[], prompt)]);
    // The agent that mends is given the goal.
    request.goal = script::prompt(&format!("{tag}/repair"), &[writes(mends), Turn::says("mended")]);
    let command = "grep -q right out.txt && touch left-by-the-check".to_owned();
    let checks = vec![
        Check::File { path: "out.txt".to_owned(), min_bytes: Some(3), pattern: None, schema: None },
        Check::Command { command, timeout_seconds: Some(60) },
        Check::Url { url: format!("{model_url}/page"), status: Some(200), contains: Some("there".to_owned()) },
    ];
    request.contract = Some(Contract { checks, repair_agent: Some("coder".to_owned()) });
    let job = job(tag, "contract", request);
    match mends {
        "right" => job.makes(vec![text_file("out.txt", "right\n")]),
        _ => job.fails(ErrorCode::ContractFailed),
    }
}

/// A task that waits for a person, who takes time and says yes or no, or answers a question.
fn person(tag: &str, _: &str, random: &mut Random) -> Job {
    let approval = json!({ "id": "ask", "kind": "approval", "prompt": "May this go on?" });
    let after = shell("after", &names(&["ask"]), "echo done > done.txt");
    let asks = [Turn::calls("ask", &json!({ "question": "Which colour?" })), Turn::says(format!("{tag} painted"))];
    let mut job = match random.below(3) {
        0 => {
            let mut job = job(tag, "denied", plan(tag, vec![approval, after])).fails(ErrorCode::Denied);
            job.denies = true;
            job
        }
        1 => job(tag, "approved", plan(tag, vec![approval, after])).makes(vec![text_file("done.txt", "done\n")]),
        _ => {
            let steps = vec![agent("paint", &[], script::prompt(&format!("{tag}/paint"), &asks))];
            job(tag, "asked", plan(tag, steps)).says(vec![("paint".to_owned(), json!(format!("{tag} painted")))])
        }
    };
    job.patience_ms = if random.chance(10) { random.below(20_000) } else { random.below(500) };
    job
}

/// A task that only a cancellation ends.
fn endless(tag: &str, _: &str, random: &mut Random) -> Job {
    let command = "sleep 600 & sleep 600 & wait";
    let by_agent = [Turn::calls("shell", &json!({ "command": command })), Turn::says("never said")];
    let step = match random.chance(50) {
        true => shell("sleep", &[], command),
        false => agent("sleep", &[], script::prompt(&format!("{tag}/sleep"), &by_agent)),
    };
    let mut job = job(tag, "endless", plan(tag, vec![step]));
    job.expect.status = TaskStatus::Cancelled;
    job.steering = Steering::Cancel { after_ms: random.below(3_000) };
    job
}
