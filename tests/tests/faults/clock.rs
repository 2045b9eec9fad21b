//! A clock that jumps: the order of events is that of their numbers, ids stay unique, tasks end.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use ninja_core::{
    api::{TaskStatus, Timestamp},
    clock::{Clock, SystemClock},
    providers::{ScriptStep, Scripted},
};
use ninja_tests::{ScriptedEngine, agent_step, plan, tool_step};
use serde_json::json;
use uuid::{NoContext, Uuid};

/// Jumps by an hour or a day at every look.
struct Jumping(AtomicUsize);

const JUMPS_SECONDS: [i64; 5] = [0, 3_600, -3_600, -86_400, 60];

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        let look = self.0.fetch_add(1, Ordering::Relaxed);
        let now = SystemClock.now().as_millisecond() + JUMPS_SECONDS[look % JUMPS_SECONDS.len()] * 1_000;
        Timestamp::from_millisecond(now).unwrap()
    }

    fn new_uuid(&self) -> Uuid {
        let now = self.now().as_millisecond();
        let at = uuid::Timestamp::from_unix(NoContext, (now / 1_000) as u64, 0);
        Uuid::new_v7(at)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_breaks_nothing() {
    let host = ScriptedEngine::start_with(Scripted::new(|_| ScriptStep::answer("done")), |options| {
        options.clock = Arc::new(Jumping(AtomicUsize::new(0)));
    })
    .await;
    let owner = host.engine.local_owner();
    let file = json!({ "path": "a.txt", "content": "text" });
    let mut ids = HashSet::new();
    for _ in 0..12 {
        let steps =
            vec![tool_step("write", &[], "write_file", &file), agent_step("think", &["write"], "say something")];
        let task = host.engine.submit_task(&owner, plan(steps)).await.unwrap();
        assert!(ids.insert(task.id), "{} twice", task.id);
        // That events have neither gap nor repeat is asserted on the way.
        let ended = host.finish(task.id).await;
        assert_eq!((ended.status, ended.error), (TaskStatus::Succeeded, None));
    }
    let listed = host
        .engine
        .list_tasks(&owner, ninja_core::api::ListTasks { limit: Some(50), ..Default::default() })
        .await
        .unwrap();
    let listed: HashSet<_> = listed.items.into_iter().map(|task| task.id).collect();
    assert_eq!(listed, ids);
    host.engine.stop().await;
}
