//! Followers of tasks: they lag, they go away and come back, the daemon goes away under them, and yet they see every event
//! once, in order, and always the same.

use std::time::Duration;

use ninja_sdk::{
    Client, SdkError,
    api::{Event, StreamFrame, Task, TaskId},
};
use ninja_tests::Random;
use tokio::task::JoinHandle;

use crate::soak::Soak;

/// Somebody who follows a task from its first event.
pub(crate) struct Follower {
    task: TaskId,
    seen: JoinHandle<Result<Vec<String>, String>>,
}

impl Follower {
    /// Starts to follow.
    pub(crate) fn start(soak: &Soak, task: TaskId, random: &mut Random) -> Self {
        let random = Random::new(random.below(u64::from(u32::MAX)));
        Self { task, seen: tokio::spawn(follow(soak.client.clone(), task, Some(random))) }
    }

    /// Waits for its end and compares what it saw with what there is.
    pub(crate) async fn compare(self, soak: &Soak, events: &[String]) {
        soak.count("a follower");
        match self.seen.await {
            Ok(Ok(seen)) if seen == events => {}
            Ok(Ok(seen)) => {
                let at = seen.iter().zip(events).take_while(|(seen, is)| seen == is).count();
                let (seen, is) = (seen.get(at), events.get(at));
                soak.violation(format!(
                    "{}: a follower saw {seen:?} as event {}, and now it is {is:?}",
                    self.task,
                    at + 1
                ));
            }
            Ok(Err(error)) => soak.violation(format!("{}: a follower was cut off: {error}", self.task)),
            Err(error) => soak.violation(format!("{}: a follower failed: {error}", self.task)),
        }
    }
}

/// Reads all events of a task that has ended, and holds them to have no gap.
pub(crate) async fn all_events(soak: &Soak, task: &Task) -> Vec<String> {
    match follow(soak.client.clone(), task.id, None).await {
        Ok(events) => {
            if events.len() as u64 != task.last_seq {
                soak.violation(format!("{} has {} events, and its last is {}", task.id, events.len(), task.last_seq));
            }
            events
        }
        Err(error) => {
            soak.violation(format!("{}: its events cannot be read: {error}", task.id));
            Vec::new()
        }
    }
}

/// Follows the caller's feed for as long as the run lasts, and returns how many entries there were.
pub(crate) async fn feed(client: Client, progress: impl Fn(u64)) -> Result<u64, String> {
    let mut last = 0;
    loop {
        let mut entries = match client.feed(Some(last)).await {
            Ok(entries) => entries,
            Err(error) if error.is_transient() => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            Err(error) => return Err(error.chain()),
        };
        while let Some(frame) = entries.next().await {
            match frame {
                Ok(StreamFrame::Feed { entry }) if entry.seq == last + 1 => {
                    last = entry.seq;
                    progress(last);
                }
                Ok(StreamFrame::Feed { entry }) => {
                    return Err(format!("entry {} of the feed came after {last}", entry.seq));
                }
                Ok(_) => {}
                Err(error) if error.is_transient() => break,
                Err(error) => return Err(error.chain()),
            }
        }
    }
}

/// Follows a task to its end: steadily, or at random, which is to go away after some events and to come back later.
async fn follow(client: Client, task: TaskId, mut random: Option<Random>) -> Result<Vec<String>, String> {
    let mut seen = Vec::new();
    loop {
        let few = |random: &mut Random| usize::try_from(random.below(8)).unwrap_or(0) + 1;
        let patience = random.as_mut().and_then(|random| random.chance(40).then_some(random)).map_or(usize::MAX, few);
        match read_from(&client, task, seen.len() as u64, patience).await {
            Ok((events, ended)) => {
                seen.extend(events);
                if ended {
                    return Ok(seen);
                }
            }
            Err(error) => return Err(error.chain()),
        }
        if let Some(random) = &mut random {
            tokio::time::sleep(random.millis(0, 400)).await;
        }
    }
}

/// Reads events after one, at most so many. Returns them, and whether the task has ended and all were read.
async fn read_from(client: &Client, task: TaskId, after: u64, most: usize) -> Result<(Vec<String>, bool), SdkError> {
    let (mut events, mut ended) = (Vec::new(), false);
    let mut stream = loop {
        match client.events(task, Some(after)).await {
            Ok(stream) => break stream,
            Err(error) if error.is_transient() => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => return Err(error),
        }
    };
    while events.len() < most {
        match stream.next().await {
            Some(Ok(StreamFrame::Event { event })) => {
                let expected = after + events.len() as u64 + 1;
                if event.seq != expected || event.task != task {
                    return Err(out_of_order(&event, expected));
                }
                events.push(serde_json::to_string(&event).unwrap_or_default());
            }
            Some(Ok(StreamFrame::End { .. })) | None => {
                ended = true;
                break;
            }
            Some(Ok(_)) => {}
            Some(Err(error)) if error.is_transient() => break,
            Some(Err(error)) => return Err(error),
        }
    }
    Ok((events, ended))
}

fn out_of_order(event: &Event, expected: u64) -> SdkError {
    SdkError::Setup { detail: format!("event {} came where {expected} was due", event.seq) }
}
