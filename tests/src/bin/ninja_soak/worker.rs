//! A user of the daemon: asks for something, plays the person, and looks at what came of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::StreamExt;
use ninja_sdk::{
    Content, SdkError,
    api::{
        ApiError, Approval, ApprovalKind, Decision, ErrorCode, ForkTask, Step, StepKind, Task, TaskId, TaskStatus,
        WaitFor,
    },
};
use ninja_tests::Random;

use crate::{
    check,
    follow::{self, Follower},
    jobs::{self, Job, Steering},
    soak::{HANG, Soak},
};

/// Works until there is nothing more to begin and the gate stays closed; one at a time.
pub(crate) async fn work(soak: Arc<Soak>, mut random: Random, next: Arc<AtomicU64>, rest: Duration) {
    let mut open = soak.open.subscribe();
    let url = format!("http://{}", soak.model.address);
    // The sender lives as long as the run, which ends workers by dropping them.
    while open.wait_for(|open| *open).await.is_ok() {
        soak.busy.send_modify(|busy| *busy += 1);
        let job = jobs::any(next.fetch_add(1, Ordering::SeqCst), &url, &mut random);
        if let Err(error) = do_job(&soak, &job, &mut random).await {
            soak.violation(format!("{} ({}): {error}", job.tag, job.kind));
        }
        if random.chance(1) {
            read_backup(&soak, random.chance(50)).await;
        }
        soak.busy.send_modify(|busy| *busy -= 1);
        tokio::time::sleep(random.exponential(rest)).await;
    }
}

async fn do_job(soak: &Soak, job: &Job, random: &mut Random) -> Result<(), ApiError> {
    let began = soak.ends();
    let id = submit(soak, job).await?;
    let follower = random.chance(40).then(|| Follower::start(soak, id, random));
    let task = drive(soak, job, id, job.steering).await?;
    check::ended(soak, job, &task, soak.ends() - began).await?;
    let mut events = follow::all_events(soak, &task).await;
    if let Some(follower) = follower {
        follower.compare(soak, &events).await;
    }
    soak.note_end(job.kind, id, task.status);
    let mut attempts = 1;
    if task.status != TaskStatus::Succeeded && job.kind != "endless" && random.chance(40) {
        let again = retry(soak, job, id).await?;
        if let Some(task) = again {
            attempts += 1;
            let longer = follow::all_events(soak, &task).await;
            if !longer.starts_with(&events) {
                soak.violation(format!("{id}: a retry changed events that there were before"));
            }
            events = longer;
        }
    }
    if job.kind != "endless" && random.chance(15) {
        attempts += u64::from(fork(soak, job, &task, random).await?);
    }
    let answered = soak.model.take_most_answered(&job.tag);
    if answered > attempts + soak.ends() - began {
        soak.violation(format!(
            "{}: one question was put to the model {answered} times in {attempts} attempts",
            job.tag
        ));
    }
    if random.chance(30) {
        check::replay(soak, id, events.len() as u64).await?;
    }
    if soak.deletes && random.chance(50) {
        crate::delete::delete(soak, id).await?;
    }
    Ok(())
}

/// Uploads and submits. Where the answer is lost, the list of tasks says whether it was accepted.
async fn submit(soak: &Soak, job: &Job) -> Result<TaskId, ApiError> {
    let mut request = job.request.clone();
    for (name, bytes) in &job.files {
        let file = soak.again("an upload", async || soak.client.upload_file(name, Content::bytes(bytes.clone())).await);
        let file = file.await?;
        if file.bytes != bytes.len() as u64 {
            soak.violation(format!("{} bytes were uploaded and {} arrived", bytes.len(), file.bytes));
        }
        request.files.push(file.id);
    }
    adopt(soak, &job.tag, "a submission", async || soak.client.submit_task(&request).await).await
}

/// Makes a task by a call that must not be repeated blindly.
async fn adopt(
    soak: &Soak,
    tag: &str,
    what: &'static str,
    call: impl AsyncFn() -> Result<Task, SdkError>,
) -> Result<TaskId, ApiError> {
    let until = Instant::now() + HANG;
    loop {
        match call().await {
            Ok(task) => {
                soak.note_alive(task.id);
                soak.count(what);
                return Ok(task.id);
            }
            Err(SdkError::Api(error)) if error.code != ErrorCode::TooManyRequests && error.code.http_status() < 500 => {
                return Err(error);
            }
            Err(error) if error.is_transient() && Instant::now() < until => {
                soak.until_serving().await;
                if let Some(id) = soak.find_unknown(tag).await? {
                    soak.note_alive(id);
                    soak.count("an answer that was lost, though the task was accepted");
                    return Ok(id);
                }
            }
            Err(error) => return Err(ApiError::new(ErrorCode::Internal, format!("{what}: {}", error.chain()))),
        }
    }
}

/// Plays the person until the task has ended.
async fn drive(soak: &Soak, job: &Job, id: TaskId, steering: Steering) -> Result<Task, ApiError> {
    let began = Instant::now();
    let after = |ms: u64| began.elapsed() >= Duration::from_millis(ms);
    let (mut steered, mut look) = (false, Duration::from_millis(20));
    loop {
        let task = soak.again("a look at a task", async || soak.client.task(id).await).await?;
        if task.status.is_terminal() {
            return Ok(task);
        }
        if began.elapsed() > HANG {
            soak.violation(format!("{id} ({}) does not end: {task:?}", job.kind));
            return Err(ApiError::new(ErrorCode::Internal, "it does not end"));
        }
        match steering {
            Steering::Pause { after_ms, .. } if !steered && after(after_ms) => {
                steered = true;
                steer(soak, "a pause", async || soak.client.pause_task(id).await).await?;
            }
            Steering::Cancel { after_ms } if after(after_ms) => {
                steer(soak, "a cancel", async || soak.client.cancel_task(id).await).await?;
            }
            Steering::Pause { after_ms, for_ms } if after(after_ms + for_ms) => {
                let is_paused = task.waiting.as_ref().is_some_and(|waiting| waiting.wait_for == WaitFor::Operator);
                if is_paused {
                    steer(soak, "a resume", async || soak.client.resume_task(id).await).await?;
                }
            }
            Steering::None | Steering::Pause { .. } | Steering::Cancel { .. } => {}
        }
        if after(job.patience_ms) {
            for approval in &task.approvals {
                let decision = decide(soak, job, approval);
                let (task, approval) = (approval.task, approval.id);
                steer(soak, "an answer", async || soak.client.decide_approval(task, approval, &decision).await).await?;
            }
        }
        tokio::time::sleep(look).await;
        look = (look * 2).min(Duration::from_millis(250));
    }
}

/// Does what may meet a task that has moved on meanwhile, or that took the same word before a crash.
async fn steer(
    soak: &Soak,
    what: &'static str,
    call: impl AsyncFn() -> Result<Task, SdkError>,
) -> Result<(), ApiError> {
    match soak.again(what, call).await {
        Ok(_) => soak.count(what),
        Err(error) if matches!(error.code, ErrorCode::Conflict | ErrorCode::NotFound) => {
            soak.count("a word that came too late");
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

fn decide(soak: &Soak, job: &Job, approval: &Approval) -> Decision {
    match approval.kind {
        ApprovalKind::Approval if job.denies => Decision::Deny,
        ApprovalKind::Approval | ApprovalKind::Plan => Decision::Approve,
        ApprovalKind::Question => Decision::Answer { text: "blue".to_owned() },
        ApprovalKind::Ambiguous => {
            soak.violation(format!("{}: nothing in it is unsafe, and yet a person is asked: {approval:?}", job.tag));
            Decision::Abort
        }
    }
}

/// Tries a task again that did not succeed. `None` where there is nothing to try.
async fn retry(soak: &Soak, job: &Job, id: TaskId) -> Result<Option<Task>, ApiError> {
    match soak.again("a retry", async || soak.client.retry_task(id).await).await {
        Ok(_) => {}
        // Taken by a daemon that was killed before it could say so, or there was nothing to try.
        Err(error) if error.code == ErrorCode::Conflict => {
            let task = soak.again("a look at a task", async || soak.client.task(id).await).await?;
            if task.status.is_terminal() {
                return Ok(None);
            }
        }
        Err(error) => return Err(error),
    }
    soak.note_alive(id);
    soak.count("a retry");
    let task = drive(soak, job, id, Steering::None).await?;
    check::tried_again(soak, job, &task).await?;
    soak.note_end("tried again", id, task.status);
    Ok(Some(task))
}

/// Makes a new task of what an old one did before one of its steps.
async fn fork(soak: &Soak, job: &Job, task: &Task, random: &mut Random) -> Result<bool, ApiError> {
    let is_own = |kind: StepKind| matches!(kind, StepKind::Agent | StepKind::Tool | StepKind::Approval | StepKind::Map);
    let mended = |id: &str| id.starts_with("repair:");
    let is_begun = |step: &&Step| {
        step.started_at.is_some() && step.parent.is_none() && is_own(step.kind) && !mended(step.id.as_str())
    };
    let begun: Vec<_> = task.steps.iter().filter(is_begun).collect();
    let Some(step) = begun.get(usize::try_from(random.below(begun.len() as u64)).unwrap_or(0)) else {
        return Ok(false);
    };
    let request = ForkTask { at: Some(step.id.clone()), model: None };
    let id = adopt(soak, &job.tag, "a fork", async || soak.client.fork_task(task.id, &request).await).await?;
    let forked = drive(soak, job, id, Steering::None).await?;
    check::tried_again(soak, job, &forked).await?;
    follow::all_events(soak, &forked).await;
    soak.note_end("forked", id, forked.status);
    Ok(true)
}

/// Reads a backup, or goes away in the middle of it.
pub(crate) async fn read_backup(soak: &Soak, whole: bool) {
    let Ok(mut backup) = soak.client.backup().await else { return };
    let mut pieces = 0;
    while let Some(Ok(_)) = backup.next().await {
        pieces += 1;
        if !whole && pieces > 1 {
            break;
        }
    }
    soak.count(if whole { "a backup" } else { "a backup that was not read to its end" });
}
