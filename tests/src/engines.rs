//! Engines in this process.

use std::{sync::Arc, time::Duration};

use ninja_core::{
    Engine, EngineOptions,
    api::{StreamFrame, Task, TaskId},
    providers::{ChatRequest, Providers, ScriptStep, Scripted},
    testing::Failpoints,
};
use serde_json::{Map, Value};
use tempfile::TempDir;

/// How long anything in a test may take. Not a timing: only a hang reaches it.
const HANG: Duration = Duration::from_secs(60);

/// An engine on a directory of its own, with a scripted model.
pub struct ScriptedEngine {
    /// The engine.
    pub engine: Engine,
    /// The model, which counts its calls.
    pub model: Arc<Scripted>,
    /// Where its actors can be made to fail.
    pub failpoints: Failpoints,
    /// Its data directory, removed with it.
    pub directory: TempDir,
}

/// Returns providers with nobody but the script.
pub fn scripted_providers(model: Arc<Scripted>) -> Providers {
    let mut providers = Providers::new(|| 0.5);
    providers.add_limited("scripted", model, "script", 64);
    providers
}

/// Answers what a template asks: with the first of the values that a schema offers for each field, and where none is
/// asked for, with prose that has a right figure, a wrong one and none.
///
/// # Panics
///
/// Where a schema offers no values.
pub fn first_choice(request: &ChatRequest) -> ScriptStep {
    let Some(schema) = &request.schema else {
        return ScriptStep::answer("The file was read. The highest value is 987654321.");
    };
    let properties = schema["properties"].as_object().expect("a schema with properties");
    let first = |(name, property): (&String, &Value)| {
        (name.clone(), property.pointer("/enum/0").cloned().expect("a field has values to choose from"))
    };
    ScriptStep::answer(Value::Object(properties.iter().map(first).collect::<Map<_, _>>()).to_string())
}

impl ScriptedEngine {
    /// Starts an engine.
    ///
    /// # Panics
    ///
    /// Where it does not start.
    pub async fn start(model: Scripted) -> Self {
        Self::start_with(model, |_| {}).await
    }

    /// Starts an engine with options changed by `change`.
    ///
    /// # Panics
    ///
    /// Where it does not start.
    pub async fn start_with(model: Scripted, change: impl FnOnce(&mut EngineOptions)) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (model, failpoints) = (Arc::new(model), Failpoints::armed());
        let mut options = EngineOptions::new(directory.path());
        options.providers = Some(scripted_providers(Arc::clone(&model)));
        options.failpoints = failpoints.clone();
        options.env = std::env::vars().filter(|(name, _)| name == "PATH").collect();
        change(&mut options);
        let engine = Engine::start(options).await.expect("the engine starts");
        Self { engine, model, failpoints, directory }
    }

    /// Follows a task to its end and returns it; on the way its events are held to be gapless, at the end a replay of it
    /// is held to come to the same.
    ///
    /// # Panics
    ///
    /// Where events have a gap, the task does not end, or a replay decides otherwise.
    pub async fn finish(&self, id: TaskId) -> Task {
        let owner = self.engine.local_owner();
        let mut events = self.engine.task_events(&owner, id, None).await.expect("the task is there");
        let follow = async {
            let mut seen = 0;
            while let Some(frame) = events.next().await.expect("events can be read") {
                if let Some(seq) = frame.seq {
                    assert_eq!(seq, seen + 1, "events have no gap and no repeat");
                    seen = seq;
                }
            }
        };
        tokio::time::timeout(HANG, follow).await.expect("the task ends");
        let replayed = self.engine.replay_task(&owner, id).await.expect("the log can be read");
        assert!(replayed.same, "decided otherwise: {replayed:?}");
        self.engine.task(&owner, id).await.expect("the task is there")
    }

    /// Waits until an event of the task fits.
    ///
    /// # Panics
    ///
    /// Where the task ends or hangs before.
    pub async fn wait_for(&self, id: TaskId, fits: impl Fn(&StreamFrame) -> bool) {
        let owner = self.engine.local_owner();
        let mut events = self.engine.task_events(&owner, id, None).await.expect("the task is there");
        let wait = async {
            while let Some(frame) = events.next().await.expect("events can be read") {
                if fits(&serde_json::from_str(&frame.json).expect("a frame")) {
                    return;
                }
            }
            panic!("the task ended before");
        };
        tokio::time::timeout(HANG, wait).await.expect("the event comes");
    }
}

/// Waits until a condition of the world outside holds.
///
/// # Panics
///
/// Where it does not for a long time.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(HANG, wait).await.is_ok(), "never: {what}");
}
