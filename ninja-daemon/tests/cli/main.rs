//! The binary as scripts use it: exit codes, JSON on stdout and nothing else there, one task through several commands.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod serving;
mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use serde_json::{Value, json};
use support::{Daemon, Home, exit, only_json, stderr};

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
fn tasks_are_found_counted_and_deleted() {
    let home = Home::new();
    let text = |args: &[&str], code: i32| {
        let output = home.run(args);
        assert_eq!(exit(&output), code, "{args:?}: {}", stderr(&output));
        (String::from_utf8(output.stdout.clone()).unwrap(), stderr(&output))
    };
    let plan = home.plan();
    let id =
        only_json(&home.run(&["run", "--plan", &plan, "--json", "Greet them all"]))["id"].as_str().unwrap().to_owned();
    let (asked, _) = text(&["approvals"], 0);
    assert!(asked.contains(&id) && asked.contains("ask asks: Shall I[2J go on?"), "{asked}");
    let listed = only_json(&home.run(&["approvals", "--all", "--json"]));
    assert_eq!(listed["items"][0]["approval"]["task"], json!(id));
    let (summary, _) = text(&["summary"], 0);
    assert!(summary.contains("waiting"), "{summary}");
    assert_eq!(only_json(&home.run(&["summary", "--all", "--json"]))["all"]["by_status"], json!({ "waiting": 1 }));

    let (found, _) = text(&["tasks", "--status", "waiting,failed", "--search", "GREET", "--after", "2026-01-01"], 0);
    assert!(found.contains("Greet them all"), "{found}");
    let (none, said) = text(&["tasks", "--before", "2026-01-01"], 0);
    assert!(none.is_empty() && said.contains("no task is like that"), "{said}");
    text(&["tasks", "--after", "yesterday"], 2);

    let (_, why) = text(&["delete", &id], 1);
    assert!(why.contains("cancel it first"), "{why}");
    text(&["cancel", &id], 0);
    let other = only_json(&home.run(&["run", "--plan", &plan, "--json"]))["id"].as_str().unwrap().to_owned();
    let (gone, why) = text(&["delete", &other, &id[id.len() - 8..]], 1);
    assert!(
        gone.starts_with("deleted ") && gone.lines().count() == 1 && why.contains("cancel it first"),
        "{gone}{why}"
    );
    text(&["show", &id], 1);
    text(&["cancel", &other], 0);
    assert_eq!(only_json(&home.run(&["delete", &other, "--json"])), json!([other]));
    let (_, said) = text(&["approvals"], 0);
    assert!(said.contains("no task asks anything"), "{said}");
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
        (1, &["delete", "task_00000000000070008000000000000000"]),
        (2, &["delete"]),
        (2, &["approvals", "--cursor", "x"]),
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

/// Answers every request of a model with the key that came with it; returns where.
fn parrot() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut reader = BufReader::new(socket.unwrap());
            let (mut key, mut length) = (String::new(), 0);
            for line in reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
                let line = line.to_lowercase();
                line.strip_prefix("authorization: bearer ").inspect(|value| key = (*value).to_owned());
                line.strip_prefix("content-length: ").inspect(|value| length = value.parse().unwrap());
            }
            std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).unwrap();
            let message = json!({ "content": format!("your key is {key}") });
            let body = match length {
                0 => json!({ "data": [{ "id": "served" }] }),
                _ => json!({ "choices": [{ "message": message, "finish_reason": "stop" }] }),
            };
            let (body, head) =
                (body.to_string(), "HTTP/1.1 200 X\r\ncontent-type: application/json\r\nconnection: close");
            let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            reader.get_mut().write_all(answer.as_bytes()).ok();
        }
    });
    url
}

/// Returns all files below a folder with what they hold.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(files(&entry.path())),
            kind if kind.is_file() => found.push((entry.path(), fs::read(entry.path()).unwrap())),
            _ => {}
        }
    }
    found
}

#[test]
fn a_stored_key_is_in_no_output_no_file_and_no_line_of_a_log() {
    const KEY: &str = "sk-canary-0123456789";
    let (home, url) = (Home::new(), parrot());
    let log = home.path().join("daemon.log");
    let mut command = home.ninja(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("NINJA_LOG", "trace").stdout(Stdio::piped()).stderr(fs::File::create(&log).unwrap());
    let daemon = Daemon::of(command);
    let mut said = Vec::new();
    let mut expect = |output: Output, code: i32| {
        assert_eq!(exit(&output), code, "{}", stderr(&output));
        said.extend([output.stdout.clone(), output.stderr.clone()].concat());
        output
    };
    let set = ["providers", "set", "parrot", "--kind", "openai", "--base-url", &url, "--key-stdin", "--json"];
    let stored = only_json(&expect(home.run_with(&format!("{KEY}\n"), &set), 0));
    assert_eq!((&stored["model"], &stored["key_end"]), (&json!("served"), &json!("6789")));
    assert_eq!((&stored["is_default"], &stored["settings"]["base_url"]), (&json!(true), &json!(url)));
    let wrong = ["providers", "set", "parrot", "--base-url", "http://me:x@127.0.0.1/", "--key-stdin"];
    expect(home.run_with(KEY, &wrong), 2);
    expect(home.run_with("", &set), 2);

    let plan = home.path().join("one.json");
    fs::write(&plan, json!({ "steps": [{ "id": "say", "kind": "agent", "prompt": "Say it." }] }).to_string()).unwrap();
    let done = only_json(&expect(home.run(&["run", "--plan", plan.to_str().unwrap(), "--json"]), 0));
    assert_eq!(done["steps"][0]["output"], "your key is [redacted]");
    let rotated = only_json(&expect(home.run(&["keys", "rotate", "--drop-old", "--json"]), 0));
    assert_eq!((&rotated["resealed"], &rotated["keys"]), (&json!(2), &json!(1)));
    let listed = expect(home.run(&["providers"]), 0);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("parrot"), "{listed:?}");
    expect(home.run(&["show", done["id"].as_str().unwrap()]), 0);
    expect(home.run(&["doctor"]), 0);
    expect(home.run(&["backup", "--to", "backup.jsonl"]), 0);
    assert_eq!(daemon.stop(), 0);
    assert!(fs::read_to_string(&log).unwrap().contains("TRACE"), "everything is logged");
    let everything = files(home.path()).into_iter().chain([(PathBuf::from("what was said"), said)]);
    let found = everything.filter(|(_, bytes)| bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes()));
    assert_eq!(found.map(|(path, _)| path).collect::<Vec<_>>(), Vec::<PathBuf>::new());
}

#[test]
fn providers_are_set_listed_and_removed_without_a_daemon() {
    let home = Home::new();
    let text = |output: Output, code: i32| {
        assert_eq!(exit(&output), code, "{}", stderr(&output));
        format!("{}{}", String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let set = ["providers", "set", "mine", "--kind", "openai", "--base-url", "http://127.0.0.1:9/v1", "--model", "m"];
    let stored = text(home.run_with("sk-0123456789abcdefgh", &[&set[..], &["--key-stdin"]].concat()), 0);
    assert!(stored.contains("mine is stored and answers from now on"), "{stored}");
    // What is not given stays, the key too; nobody is asked for it where nobody could answer.
    text(home.run(&["providers", "set", "mine", "--best-model", "large"]), 0);
    let listed = only_json(&home.run(&["providers", "--json"]));
    let mine = &listed[0];
    assert_eq!((&mine["name"], &mine["model"], &mine["key_end"]), (&json!("mine"), &json!("m"), &json!("efgh")));
    assert_eq!(mine["settings"]["models"], json!({ "best": "large" }));
    let table = text(home.run(&["providers"]), 0);
    let doctor = text(home.run(&["doctor"]), 0);
    for said in [&table, &doctor] {
        assert!(said.contains("vault.keys, beside the data"), "{said}");
    }
    assert!(!table.contains("made when"), "{table}");
    assert!(
        table.lines().any(|line| line.starts_with('*') && line.contains("stored") && line.contains("…efgh")),
        "{table}"
    );

    let rotated = text(home.run(&["keys", "rotate"]), 0);
    assert!(rotated.contains("2 secrets were sealed anew") && rotated.contains("--drop-old"), "{rotated}");
    let mut given = home.ninja(&["keys", "rotate"]);
    let given = text(given.env("NINJA_MASTER_KEY", "00".repeat(32)).output().unwrap(), 1);
    assert!(given.contains("the key of the provider mine does not open"), "{given}");
    assert!(text(home.run(&["providers", "remove", "mine"]), 0).contains("mine is forgotten"));
    text(home.run(&["providers", "remove", "mine"]), 1);
    let mut given = home.ninja(&["keys", "rotate"]);
    let given = text(given.env("NINJA_MASTER_KEY", "00".repeat(32)).output().unwrap(), 1);
    assert!(given.contains("NINJA_MASTER_KEY_OLD the present one"), "{given}");
    for wrong in [&["providers", "set", "new"][..], &["providers", "set", "new", "--api-key", "x"], &["keys"]] {
        text(home.run(wrong), 2);
    }
    let broken = text(home.ninja(&["providers"]).env("NINJA_MASTER_KEY", "short").output().unwrap(), 2);
    assert!(broken.contains("NINJA_MASTER_KEY: the key"), "{broken}");
}

#[test]
fn quotas_are_set_without_a_daemon() {
    let home = Home::new();
    let set = only_json(&home.run(&["settings", "--quotas", r#"{"user": {"tasks": 3}}"#, "--json"]));
    assert_eq!(set["quotas"]["user"], json!({ "tasks": 3 }));
    let kept = only_json(&home.run(&["settings", "--registration-open", "true", "--json"]));
    assert_eq!((&kept["quotas"]["user"]["tasks"], &kept["registration_open"]), (&json!(3), &json!(true)));
    for wrong in ["x", r#"{"root": {}}"#, r#"{"user": {"wishes": 3}}"#] {
        assert_eq!(exit(&home.run(&["settings", "--quotas", wrong])), 2, "{wrong}");
    }
}

#[test]
fn files_are_uploaded_listed_fetched_and_deleted() {
    let home = Home::new();
    fs::write(home.path().join("a.csv"), "a,b\n").unwrap();
    fs::write(home.path().join("b.png"), "<html>").unwrap();
    assert!(stderr(&home.run(&["files"])).contains("no files"));
    let uploaded = home.run(&["files", "upload", "a.csv", "b.png", "missing.txt", "--json"]);
    assert_eq!(exit(&uploaded), 1, "{}", stderr(&uploaded));
    assert!(stderr(&uploaded).contains("b.png: by its name the file is a PNG image"), "{}", stderr(&uploaded));
    let uploads = only_json(&uploaded);
    assert_eq!(uploads.as_array().map(Vec::len), Some(2));
    let id = uploads.pointer("/0/result/stored/id").and_then(Value::as_str).unwrap();
    assert_eq!(uploads.pointer("/1/result/refused/code"), Some(&json!("unsupported_media_type")));

    let listed = only_json(&home.run(&["files", "--json"]));
    assert_eq!(listed.pointer("/items/0/id").and_then(Value::as_str), Some(id));
    for name in [id, "a.csv"] {
        let shown = only_json(&home.run(&["files", "show", name, "--json"]));
        assert_eq!(shown.pointer("/media_type"), Some(&json!("text/csv")));
    }
    assert_eq!(exit(&home.run(&["files", "download", "a.csv", "-o", "out/"])), 0);
    assert_eq!(fs::read(home.path().join("out/a.csv")).unwrap(), b"a,b\n");
    assert_eq!(exit(&home.run(&["files", "upload", "a.csv"])), 0);
    assert!(stderr(&home.run(&["files", "delete", "a.csv"])).contains("2 files are called \"a.csv\""));
    assert_eq!(exit(&home.run(&["files", "delete", id])), 0);
    assert_eq!(exit(&home.run(&["files", "delete", "a.csv"])), 0, "now one file alone has the name");
    let gone = home.run(&["files", "show", id]);
    assert_eq!(exit(&gone), 1);
    assert!(stderr(&gone).contains("`ninja files` lists your files"), "{}", stderr(&gone));
}

/// Copies a data directory at rest.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[test]
fn the_audit_log_is_listed_exported_and_verified_without_a_daemon() {
    let home = Home::new();
    let nothing = home.run(&["audit", "verify"]);
    assert_eq!(exit(&nothing), 1, "there is no data yet: {}", stderr(&nothing));
    let task = only_json(&home.run(&["run", "--plan", &home.plan(), "--json"]));
    let id = task["id"].as_str().unwrap();
    assert_eq!(exit(&home.run(&["deny", id])), 0);
    let listed = home.run(&["audit", "list", "--target", id, "--json"]);
    let lines = String::from_utf8(listed.stdout).unwrap();
    let entries: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = entries.iter().map(|entry| (&entry["action"], &entry["actor"]["credential"])).collect();
    assert_eq!(told, [(&json!("approval.decide"), &json!("local")), (&json!("task.submit"), &json!("local"))]);
    let shown =
        String::from_utf8(home.run(&["audit", "list", "--action", "approval.decide", "--limit", "1"]).stdout).unwrap();
    assert!(shown.contains("deny of appr_") && shown.lines().count() == 1, "{shown}");

    let whole = home.run(&["audit", "verify"]);
    assert_eq!(exit(&whole), 0, "{}", stderr(&whole));
    assert!(String::from_utf8(whole.stdout).unwrap().starts_with("3 entries, chain whole to "));
    let data = home.path().join(".local/share/ninja");
    let older = home.path().join("older");
    copy(&data, &older);
    let file = home.path().join("audit.csv").display().to_string();
    let export = ["audit", "export", "--format", "csv", "--to", "2999-01-01T00:00:00Z", "--output", &file];
    assert_eq!(exit(&home.run(&export)), 0);
    let csv = fs::read_to_string(&file).unwrap();
    assert_eq!((csv.lines().count(), csv.contains("audit.export")), (1 + 4, true), "{csv}");
    assert_eq!(exit(&home.run(&export)), 1, "what is there is not written over");
    assert_eq!(exit(&home.run(&["audit", "list", "--action", "task.fly"])), 2);

    let checkpoint = home.run(&["audit", "checkpoint"]);
    assert_eq!(only_json(&checkpoint)["seq"], 4);
    let kept = home.path().join("kept");
    fs::write(&kept, ["an older line\n".as_bytes(), &checkpoint.stdout].concat()).unwrap();
    let kept = kept.display().to_string();
    assert_eq!(exit(&home.run(&["audit", "verify", "--checkpoint", &kept])), 0);
    let mut set_back = home.ninja(&["audit", "verify", "--checkpoint", &kept, "--json"]);
    let set_back = set_back.env("NINJA_DATA_DIR", &older).output().unwrap();
    assert_eq!(exit(&set_back), 1);
    let said = only_json(&set_back)["problems"][0].as_str().unwrap().to_owned();
    assert!(said.starts_with("entries end at 3, the checkpoint of ") && said.ends_with(" says 4"), "{said}");
    assert_eq!(exit(&home.run(&["audit", "verify", "--checkpoint", &file])), 2, "that is none");
}
