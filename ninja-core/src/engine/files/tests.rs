//! What users may store, over a whole engine.

use bytes::Bytes;
use futures::stream;

use super::*;
use crate::{
    api::{Role, SubmitTask},
    config::FileQuota,
    engine::EngineOptions,
    providers::{Providers, Scripted},
};

async fn engine(folder: &Path, bytes_max: u64, files_max: u64) -> Engine {
    let mut providers = Providers::new(|| 0.5);
    providers.add("scripted", Arc::new(Scripted::answering("fine")), "script");
    let mut options = EngineOptions::new(folder);
    options.providers = Some(providers);
    options.config.files = FileQuota { bytes_max, files_max };
    Engine::start(options).await.unwrap()
}

fn user(engine: &Engine, number: u128) -> Principal {
    let user = UserId::from_uuid(uuid::Uuid::from_u128(number));
    Principal { user, role: Role::User, ..engine.local_owner() }
}

async fn upload(engine: &Engine, by: &Principal, bytes: usize) -> Result<File, ApiError> {
    let content = vec![b'a'; bytes];
    let pieces: Vec<io::Result<Bytes>> = content.chunks(100).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    engine.upload_file(by, "a.txt", stream::iter(pieces)).await
}

fn stored(engine: &Engine, by: &Principal) -> (u64, u64) {
    room::used(engine.store().as_ref(), by.user).unwrap()
}

/// Returns how many files there are below a folder.
fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries.map(|entry| if entry.path().is_dir() { files_below(&entry.path()) } else { 1 }).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_race_never_exceed_what_there_is_room_for() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path(), 1_000, 100).await;
    let (by, other) = (user(&engine, 1), user(&engine, 2));
    for round in 0..5 {
        let racing = futures::future::join_all((0..20).map(|_| {
            let (engine, by) = (engine.clone(), by.clone());
            tokio::spawn(async move { upload(&engine, &by, 300).await })
        }));
        let ended: Vec<Result<File, ApiError>> = racing.await.into_iter().map(Result::unwrap).collect();
        let files: Vec<File> = ended.iter().filter_map(|file| file.clone().ok()).collect();
        assert_eq!((files.len(), stored(&engine, &by)), (3, (900, 3)), "round {round}");
        for refused in ended.iter().filter_map(|file| file.as_ref().err()) {
            assert_eq!(refused.code, ErrorCode::QuotaExceeded, "{refused}");
        }
        assert!(upload(&engine, &by, 101).await.is_err());
        let last = upload(&engine, &by, 100).await.unwrap();
        assert_eq!(stored(&engine, &by), (1_000, 4), "the last byte is used");
        upload(&engine, &by, 0).await.unwrap_or_else(|error| panic!("an empty file takes no bytes: {error}"));
        upload(&engine, &other, 1).await.unwrap();
        let all = engine.list_files(&by, ListFiles::default()).await.unwrap().items;
        assert!(all.contains(&last) && all.len() == 5);
        // Both delete each; one of them finds it.
        let deletions = all.iter().flat_map(|file| [file, file]).map(|file| engine.delete_file(&by, &file.filename));
        let deleted = futures::future::join_all(deletions).await;
        assert_eq!(deleted.iter().filter(|deleted| deleted.is_ok()).count(), 5);
        assert_eq!(stored(&engine, &by), (0, 0));
    }
    assert_eq!(stored(&engine, &other), (5, 5));
    assert_eq!(files_below(&folder.path().join("scratch")), 0);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_counted_as_bytes_are() {
    let folder = tempfile::tempdir().unwrap();
    let first = engine(folder.path(), 1_000_000, 3).await;
    let by = user(&first, 1);
    let racing = futures::future::join_all((0..20).map(|_| upload(&first, &by, 1))).await;
    assert_eq!(racing.iter().filter(|file| file.is_ok()).count(), 3);
    assert_eq!(first.check_upload(&by, 0).unwrap_err().code, ErrorCode::QuotaExceeded);
    first.stop().await;
    let again = engine(folder.path(), 1_000_000, 3).await;
    assert_eq!(stored(&again, &by), (3, 3), "after a restart as well");
    assert_eq!(upload(&again, &by, 1).await.unwrap_err().code, ErrorCode::QuotaExceeded);
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_neither_stored_nor_counted() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path(), 100_000_000, 10).await;
    let by = user(&engine, 1);
    let once = |bytes: &'static [u8]| stream::iter([Ok(Bytes::from_static(bytes))]);
    for (name, content, code) in [
        ("a.png", &b"<html>"[..], ErrorCode::UnsupportedMediaType),
        ("a.exe", b"MZ", ErrorCode::UnsupportedMediaType),
        ("", b"x", ErrorCode::InvalidRequest),
    ] {
        assert_eq!(engine.upload_file(&by, name, once(content)).await.unwrap_err().code, code, "{name}");
    }
    let megabyte = || Ok(Bytes::from_static(&[b'a'; 1 << 20]));
    let endless = stream::repeat_with(megabyte);
    assert_eq!(engine.upload_file(&by, "a.txt", endless).await.unwrap_err().code, ErrorCode::TooLarge);
    let broken = stream::iter([megabyte(), Err(io::Error::other("gone"))]);
    assert_eq!(engine.upload_file(&by, "a.txt", broken).await.unwrap_err().code, ErrorCode::InvalidRequest);
    assert_eq!(engine.check_upload(&by, crate::api::FILE_BYTES_MAX + 1).unwrap_err().code, ErrorCode::TooLarge);
    assert_eq!(stored(&engine, &by), (0, 0));
    for place in ["scratch", "blobs"] {
        assert_eq!(files_below(&folder.path().join(place)), 0, "{place}");
    }
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_keeps_the_bytes_of_a_file_that_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path(), 1_000, 10).await;
    let by = user(&engine, 1);
    let file = upload(&engine, &by, 10).await.unwrap();
    let plan = r#"{ "steps": [
        { "id": "ask", "kind": "approval", "prompt": "may I?" },
        { "id": "read", "kind": "tool", "tool": "read_file", "args": { "path": "inputs/a.txt" }, "after": ["ask"] }
    ] }"#;
    let request = SubmitTask { plan: serde_json::from_str(plan).ok(), files: vec![file.id], ..SubmitTask::default() };
    let task = engine.submit_task(&by, request).await.unwrap();
    engine.delete_file(&by, &file.filename).await.unwrap();
    let mut events = engine.task_events(&by, task.id, None).await.unwrap();
    let mut told = 0;
    while let Some(frame) = events.next().await.unwrap() {
        let open = engine.task(&by, task.id).await.unwrap().approvals;
        if let (Some(approval), 0) = (open.first(), told) {
            told += 1;
            engine.decide_approval(&by, task.id, approval.id, crate::api::Decision::Approve).await.unwrap();
        }
        drop(frame);
    }
    let task = engine.task(&by, task.id).await.unwrap();
    assert_eq!(task.status, crate::api::TaskStatus::Succeeded, "{:?}", task.error);
    engine.stop().await;
}
