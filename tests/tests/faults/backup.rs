//! `ninja backup`, `restore` and `db` as they are typed, with a daemon running and at rest.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::support::{Home, said};

fn made(home: &Home, data: &std::path::Path, task: &str) -> String {
    let output = home.run(data, &["artifacts", "get", task, "out.txt", "--output", "got.txt"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let path = home.path("got.txt");
    let path = if path.is_dir() { path.join("out.txt") } else { path };
    let text = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    text
}

fn ids(list: &Value) -> Vec<String> {
    list["items"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_backup_of_a_daemon_at_work_restores_with_every_task() {
    let home = Home::new();
    let (data, restored) = (home.path("data"), home.path("restored"));
    let daemon = home.serve(&data);
    let large = "a large file ".repeat(10_000);
    let before: Vec<Value> =
        ["one", &large].iter().map(|text| home.json(&data, &["run", "--json", "--plan", &home.plan(text)])).collect();
    let backup = home.path("b.ndjson").display().to_string();
    let plan = home.plan("meanwhile");
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| (0..3).for_each(|_| drop(home.json(&data, &["run", "--json", "--plan", &plan]))));
        let result = home.json(&data, &["backup", "--to", &backup, "--json"]);
        assert!(result["counts"]["tasks"].as_u64().unwrap() >= 2, "{result}");
        writing.join().unwrap();
    });
    assert_eq!(daemon.stop(), Some(0));
    let again = home.run(&data, &["backup", "--to", &backup]);
    assert_eq!(again.status.code(), Some(2), "a file that is there is kept: {}", said(&again));
    let refused = home.run(&data, &["restore", "--from", &backup]);
    assert_eq!(refused.status.code(), Some(2), "a directory in use is not restored into: {}", said(&refused));

    let result = home.json(&restored, &["restore", "--from", &backup, "--json"]);
    assert_eq!(result["unreadable"], serde_json::json!([]));
    let tasks = ids(&home.json(&restored, &["tasks", "--json"]));
    for (task, text) in before.iter().zip(["one", &large]) {
        let id = task["id"].as_str().unwrap();
        assert!(tasks.iter().any(|task| task == id), "{id} is not in {tasks:?}");
        assert_eq!(home.json(&restored, &["show", id, "--json"])["status"], "succeeded");
        assert_eq!(made(&home, &restored, id), text);
    }
    home.json(&restored, &["run", "--json", "--plan", &home.plan("after")]);
    assert_eq!(home.json(&restored, &["db", "check", "--json"])["sound"], true);
}

#[test]
fn a_backup_at_rest_that_is_cut_off_is_refused_and_leaves_nothing_behind() {
    let home = Home::new();
    let data = home.path("data");
    home.json(&data, &["run", "--json", "--plan", &home.plan("text")]);
    fs::create_dir(home.path("backups")).unwrap();
    let to = home.path("backups").display().to_string();
    let written = home.json(&data, &["backup", "--to", &to, "--json"]);
    let file = PathBuf::from(written["file"].as_str().unwrap());
    assert_eq!(fs::read_dir(home.path("backups")).unwrap().count(), 1, "no partial file is left");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 100]).unwrap();
    let file = file.display().to_string();
    let refused = home.run(&home.path("new"), &["restore", "--from", &file]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("cut off"), "{}", said(&refused));
    assert!(!home.path("new").exists());
    fs::write(&file, &whole).unwrap();
    home.json(&home.path("new"), &["restore", "--from", &file, "--json"]);
    let nothing = home.run(&home.path("nowhere"), &["backup", "--to", &home.path("none.ndjson").display().to_string()]);
    assert_eq!(nothing.status.code(), Some(1), "{}", said(&nothing));
    assert!(!home.path("nowhere").exists(), "a backup makes no data directory");
}

#[test]
fn a_damaged_directory_says_what_to_do_and_repair_keeps_the_rest() {
    let home = Home::new();
    let data = home.path("data");
    let plan = home.plan("text");
    let daemon = home.serve(&data);
    (0..3).for_each(|_| drop(home.json(&data, &["run", "--json", "--plan", &plan])));
    assert_eq!(home.run(&data, &["db", "check"]).status.code(), Some(4), "in use");
    assert_eq!(daemon.stop(), Some(0));
    // A byte in the middle of the tree's newest file.
    let victim = largest_file(&data.join("tree"));
    let mut bytes = fs::read(&victim).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].iter_mut().for_each(|byte| *byte ^= 0x55);
    fs::write(&victim, &bytes).unwrap();

    let started = home.run(&data, &["tasks"]);
    let checked = home.run(&data, &["db", "check", "--json"]);
    let findings: Value = serde_json::from_slice(&checked.stdout).unwrap();
    if checked.status.code() == Some(0) {
        // The bytes belong to nothing any more.
        assert_eq!(started.status.code(), Some(0), "{}", said(&started));
        return;
    }
    assert_eq!(checked.status.code(), Some(1), "{findings}");
    if started.status.code() != Some(0) {
        assert!(said(&started).contains("ninja db check"), "{}", said(&started));
    }
    let repaired = home.json(&data, &["db", "repair", "--json"]);
    assert!(PathBuf::from(repaired["aside"].as_str().unwrap()).join("tree").exists());
    assert_eq!(home.json(&data, &["db", "check", "--json"])["sound"], true);
    home.json(&data, &["run", "--json", "--plan", &plan]);
}

fn largest_file(directory: &std::path::Path) -> PathBuf {
    let (mut largest, mut directories) = ((0, PathBuf::new()), vec![directory.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match fs::metadata(&path).unwrap() {
                found if found.is_dir() => directories.push(path),
                found => largest = largest.max((found.len(), path)),
            }
        }
    }
    largest.1
}
