//! Holds what came of a task to what must come of it.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use ninja_sdk::{
    SdkError,
    api::{ApiError, Artifact, ErrorCode, Task, TaskId, TaskStatus},
};

use crate::{
    jobs::{Files, Job, Steering},
    soak::Soak,
};

/// Checks the first end of a task; the daemon was ended so often meanwhile.
pub(crate) async fn ended(soak: &Soak, job: &Job, task: &Task, ends: u64) -> Result<(), ApiError> {
    let expect = &job.expect;
    let was_cancelled = matches!(job.steering, Steering::Cancel { .. });
    match task.status {
        TaskStatus::Cancelled if was_cancelled => {
            if task.cancel_receipt.is_none() {
                soak.violation(format!("{}: it was cancelled without a receipt", job.tag));
            }
            return Ok(());
        }
        TaskStatus::Succeeded if expect.is_passing && ends > 0 => return Ok(()),
        status if status == expect.status => {}
        _ => {
            soak.violation(format!("{} ({}) should be {:?}: {task:?}", job.tag, job.kind, expect.status));
            return Ok(());
        }
    }
    let code = task.error.as_ref().map(|error| error.code);
    if code != expect.error {
        soak.violation(format!(
            "{} ({}) failed with {:?} and should with {:?}",
            job.tag, job.kind, task.error, expect.error
        ));
    }
    if task.status == TaskStatus::Succeeded {
        outputs(soak, job, task);
        files(soak, job, task).await?;
    }
    Ok(())
}

/// Checks the end of a fork, or of another attempt. What failed in passing may succeed, nothing else may come of it.
pub(crate) async fn tried_again(soak: &Soak, job: &Job, task: &Task) -> Result<(), ApiError> {
    let expect = &job.expect;
    match task.status {
        TaskStatus::Succeeded if expect.status == TaskStatus::Succeeded => {
            outputs(soak, job, task);
            files(soak, job, task).await
        }
        TaskStatus::Succeeded if expect.is_passing => Ok(()),
        status if status == expect.status => Ok(()),
        _ => {
            soak.violation(format!("{} ({}), done again, should be {:?}: {task:?}", job.tag, job.kind, expect.status));
            Ok(())
        }
    }
}

/// Has the log decided again.
pub(crate) async fn replay(soak: &Soak, id: TaskId, records: u64) -> Result<(), ApiError> {
    let report = soak.again("a replay", async || soak.client.replay_task(id).await).await?;
    if !report.same || report.records != records {
        soak.violation(format!("{id} has {records} records and is decided otherwise now: {report:?}"));
    }
    soak.count("a replay");
    Ok(())
}

fn outputs(soak: &Soak, job: &Job, task: &Task) {
    for (id, expected) in &job.expect.outputs {
        let step = task.steps.iter().find(|step| step.id.as_str() == id);
        let output = step.map(|step| &step.output);
        if output != Some(expected) {
            soak.violation(format!("{} ({}): step {id} says {output:?}, not {expected}", job.tag, job.kind));
        }
    }
}

async fn files(soak: &Soak, job: &Job, task: &Task) -> Result<(), ApiError> {
    let mut made = BTreeMap::new();
    for artifact in &task.artifacts {
        let bytes = soak.again("a download", async || download(soak, task.id, artifact).await).await?;
        made.insert(artifact.path.clone(), bytes);
    }
    let expected: BTreeMap<String, Vec<u8>> = match &job.expect.files {
        Files::Exactly(files) => files.iter().cloned().collect(),
        Files::AsFirstOf(template) => {
            // Every tag is as long as any other, so the files differ in nothing but its number.
            let number = job.tag.rsplit('-').next().unwrap_or_default();
            let plain = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).replace(number, "*******").into_bytes();
            made = made.into_iter().map(|(path, bytes)| (path, plain(bytes))).collect();
            soak.first_of(template, &made)
        }
    };
    for path in made.keys().chain(expected.keys()).collect::<BTreeSet<_>>() {
        let (is, should) = (made.get(path), expected.get(path));
        if is != should {
            let size = |bytes: Option<&Vec<u8>>| bytes.map(Vec::len);
            soak.violation(format!(
                "{} ({}): {path} is not what it should be ({:?} bytes, {:?} expected) of {}",
                job.tag,
                job.kind,
                size(is),
                size(should),
                task.id
            ));
        }
    }
    Ok(())
}

async fn download(soak: &Soak, task: TaskId, artifact: &Artifact) -> Result<Vec<u8>, SdkError> {
    let mut content = soak.client.artifact(task, &artifact.path).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = content.next().await {
        // The daemon went away in the middle: asked again.
        let cut = |error: std::io::Error| ApiError::new(ErrorCode::TooManyRequests, error.to_string());
        bytes.extend_from_slice(&piece.map_err(cut)?);
    }
    match bytes.len() as u64 == artifact.bytes {
        true => Ok(bytes),
        false => Err(ApiError::new(ErrorCode::TooManyRequests, "it was cut off").into()),
    }
}
