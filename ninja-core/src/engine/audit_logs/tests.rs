//! A directory at rest whose entries somebody changed who can write the disk.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{
    Engine, EngineOptions,
    api::{AuditVerified, ChangeSettings},
    engine::maintenance,
    journal::audit::{Mac, tamper_at_rest},
    providers::{Providers, Scripted},
    sandbox::NoSandbox,
    vault::Vault,
};

type Entries = BTreeMap<u64, Vec<u8>>;
type Deed = fn(&mut Entries);

/// The entries there are: the beginning, and so many changes.
const CHANGES: u64 = 6;
const LAST: u64 = CHANGES + 1;

async fn start(directory: &Path) -> Engine {
    let mut options = EngineOptions::new(directory);
    let mut providers = Providers::new(|| 0.5);
    providers.add_limited("scripted", std::sync::Arc::new(Scripted::answering("done")), "script", 1);
    options.providers = Some(providers);
    options.sandbox = Some(std::sync::Arc::new(NoSandbox { reason: "tests run no code".to_owned() }));
    Engine::start(options).await.unwrap()
}

fn verify(directory: &Path) -> AuditVerified {
    let vault = Vault::find(&BTreeMap::new(), None, directory).unwrap();
    maintenance::verify_audit(directory, &vault, None).unwrap()
}

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

#[tokio::test(flavor = "multi_thread")]
async fn the_verifier_names_the_place_of_what_was_changed_on_disk_and_the_next_start_goes_on_after_it() {
    let root = tempfile::tempdir().unwrap();
    let good = root.path().join("good");
    let engine = start(&good).await;
    for _ in 0..CHANGES {
        engine.change_settings(&engine.local_owner(), ChangeSettings::default(), None).await.unwrap();
    }
    engine.stop().await;
    drop(engine);
    let whole = verify(&good);
    assert_eq!((whole.entries, whole.problems.len()), (LAST, 0), "{whole:?}");

    let deeds: [(&str, Deed, &str); 5] = [
        (
            "edit",
            // Behind the link and what the tree notes of the value.
            |entries| entries.get_mut(&4).unwrap()[Mac::BYTES + 20] ^= 1,
            "entry 4: its text is not what was chained",
        ),
        ("delete", |entries| drop(entries.remove(&4)), "entry 4 is missing"),
        (
            "reorder",
            |entries| {
                let (three, five) = (entries[&3].clone(), entries[&5].clone());
                entries.extend([(3, five), (5, three)]);
            },
            "entry 3 is not the one that was chained in its place",
        ),
        ("truncate", |entries| drop(entries.split_off(&6)), "entries end at 5, the chain's end says 7"),
        (
            "add",
            |entries| drop(entries.insert(8, entries[&7].clone())),
            "entry 8 stands after the chain's end, which says 7",
        ),
    ];
    for (name, deed, problem) in deeds {
        let bad = root.path().join(name);
        copy(&good, &bad);
        tamper_at_rest(&bad, deed);
        let problems = verify(&bad).problems;
        // What was in between is not where it was either.
        let moved = ["entry 4", "entry 5"].map(|entry| format!("{entry} is not the one that was chained in its place"));
        let rest = if name == "reorder" { &moved[..] } else { &[] };
        assert_eq!((problems[0].as_str(), &problems[1..]), (problem, rest), "{name}");
        let engine = start(&bad).await;
        let online = engine.verify_audit(&engine.local_owner(), None).await.unwrap();
        // The log goes on behind what was cut off, which is a gap from now on, and behind what was put in.
        let named = match name {
            "truncate" => "entries 6 to 7 are missing",
            "add" => "entry 8 is not the one that was chained in its place",
            _ => problem,
        };
        assert_eq!(online.problems[0], named, "{name}: {online:?}");
        engine.stop().await;
    }
}
