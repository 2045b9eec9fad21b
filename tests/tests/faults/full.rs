//! A disk that is really full: a small file system in memory.

use std::{fs, io::Write, path::Path};

use ninja_core::{
    api::{ErrorCode, TaskStatus},
    journal::{
        disk::{DiskOptions, DiskStore},
        store::Store,
    },
};
use ninja_sdk::{Client, SdkError};
use ninja_tests::{fault_append, fault_record, fault_task, plan, tool_step};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Home, Mount, skip};

/// Mounts a small file system, or says why that cannot be done.
fn small_disk(root: &Path, megabytes: u32) -> Option<Mount> {
    match Mount::new(&root.join("disk"), &["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=700"), "tmpfs"]) {
        Ok(mount) => Some(mount),
        Err(error) => {
            skip("root", &error);
            None
        }
    }
}

/// Fills what is left of a file system with one file.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    let mut size = 256 * 1024;
    while size > 0 {
        if file.write_all(&vec![0x5A; size]).is_err() {
            size /= 2;
        }
    }
}

fn assert_holds(store: &DiskStore, count: u64, bytes: usize, context: &str) {
    let log = store.read_log(fault_task(), 1, usize::MAX).unwrap();
    assert_eq!(log.len() as u64, count, "{context}");
    assert!(log.iter().all(|(seq, record)| *record == fault_record(*seq, bytes)), "{context}");
}

#[test]
fn a_store_that_fills_its_disk_refuses_reads_on_and_goes_on_after_room_is_made() {
    for bytes in [300, 4_000, 30_000] {
        let root = TempDir::new().unwrap();
        let Some(disk) = small_disk(root.path(), 24) else { return };
        let (data, filler) = (disk.path().join("data"), disk.path().join("filler"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let options = || {
            let mut options = DiskOptions::default();
            options.reserve_bytes = 4 * 1024 * 1024;
            options
        };
        let store = DiskStore::open(&data, options()).unwrap();
        let commit = |store: &DiskStore, seq| runtime.block_on(store.commit(fault_append(seq, bytes)));
        let mut held = 0;
        for seq in 1..=20 {
            commit(&store, seq).unwrap();
            held = seq;
        }
        fill(&filler);
        let refused = loop {
            match commit(&store, held + 1) {
                Ok(_) => held += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused.code(), ErrorCode::DiskFull, "{bytes}: {refused}");
        assert_holds(&store, held, bytes, "reads go on");
        fs::remove_file(&filler).unwrap();
        commit(&store, held + 1).unwrap_or_else(|error| panic!("{bytes}: after room was made: {error}"));
        held += 1;
        fill(&filler);
        while commit(&store, held + 1).is_ok() {
            held += 1;
        }
        // It closes and opens on the full disk.
        runtime.block_on(store.close()).ok();
        drop(store);
        let store = DiskStore::open(&data, options()).unwrap_or_else(|error| panic!("{bytes}: opening: {error}"));
        assert_holds(&store, held, bytes, "after it was opened on the full disk");
        fs::remove_file(&filler).unwrap();
        commit(&store, held + 1).unwrap_or_else(|error| panic!("{bytes}: after opening: {error}"));
        runtime.block_on(store.close()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_on_a_full_disk_says_so_answers_reads_and_takes_tasks_again() {
    let home = Home::new();
    let Some(disk) = small_disk(home.0.path(), 48) else { return };
    let (data, filler) = (disk.path().join("data"), disk.path().join("filler"));
    let daemon = home.serve(&data);
    let first = home.json(&data, &["run", "--json", "--plan", &home.plan("before")]);
    let client = Client::builder().unix_socket(data.join("ninja.sock")).build().unwrap();
    fill(&filler);
    let file = json!({ "path": "out.txt", "content": "much text ".repeat(3_000) });
    let mut accepted = Vec::new();
    let refused = loop {
        match client.submit_task(&plan(vec![tool_step("write", &[], "write_file", &file)])).await {
            Ok(task) => accepted.push(task.id),
            Err(error) => break error,
        }
    };
    assert!(matches!(&refused, SdkError::Api(error) if error.code == ErrorCode::DiskFull), "{refused}");
    let id = first["id"].as_str().unwrap();
    assert_eq!(home.json(&data, &["show", id, "--json"])["status"], "succeeded", "reads go on");
    assert!(client.health().await.unwrap().components.iter().any(|part| part.name == "store"), "health answers");
    fs::remove_file(&filler).unwrap();
    home.json(&data, &["run", "--json", "--plan", &home.plan("after")]);
    // What was accepted comes to an end without a restart, also where the disk ran full under it.
    for task in accepted {
        let mut events = client.events(task, None).await.unwrap();
        while let Some(signal) = events.next().await {
            signal.unwrap();
        }
        let ended = client.task(task).await.unwrap();
        assert!(ended.status.is_terminal(), "{task} is {:?}", ended.status);
        if ended.status == TaskStatus::Failed {
            // It met the full disk as it wrote its file, and says so.
            assert_eq!(ended.error.map(|error| error.code), Some(ErrorCode::DiskFull));
        }
    }
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(home.json(&data, &["db", "check", "--json"])["sound"], true);
}
