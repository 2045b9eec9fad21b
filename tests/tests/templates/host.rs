//! Runs a template: in this process with a scripted model, or as `ninja run` with the local one.

use std::{
    io::Read,
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Command, Stdio},
};

use futures::stream;
use ninja_core::{
    api::{ApiError, ErrorCode, SubmitTask, Task, TaskStatus},
    providers::{ChatRequest, Message, ScriptStep, Scripted},
};
use ninja_tests::ScriptedEngine;
use serde_json::{Map, Value};
use tempfile::TempDir;

/// What the model says, by what stands in its prompt.
pub(crate) type Script = Vec<(&'static str, String)>;

/// What a task is about.
pub(crate) struct Job<'a> {
    pub(crate) template: &'a str,
    pub(crate) goal: &'a str,
    pub(crate) files: Vec<(&'a str, Vec<u8>)>,
    pub(crate) params: Map<String, Value>,
}

impl<'a> Job<'a> {
    pub(crate) fn new(template: &'a str, goal: &'a str, files: &[(&'a str, &str)]) -> Self {
        let files = files.iter().map(|(name, text)| (*name, text.as_bytes().to_vec())).collect();
        Self { template, goal, files, params: Map::new() }
    }

    /// Does it with a model that answers by the first of these texts that stands in its prompt, and else fails.
    pub(crate) async fn run(self, script: Script) -> Done {
        self.run_on(ScriptedEngine::start(answering(script)).await).await
    }

    pub(crate) async fn run_on(self, host: ScriptedEngine) -> Done {
        let task = self.submit(&host).await.unwrap();
        let owner = host.engine.local_owner();
        let mut events = host.engine.task_events(&owner, task.id, None).await.unwrap();
        while events.next().await.unwrap().is_some() {}
        let task = host.engine.task(&owner, task.id).await.unwrap();
        Done { host, task }
    }

    pub(crate) async fn submit(self, host: &ScriptedEngine) -> Result<Task, ApiError> {
        let owner = host.engine.local_owner();
        let mut files = Vec::new();
        for (name, content) in self.files {
            let chunks: Vec<_> = content.chunks(64 * 1024).map(|chunk| Ok(chunk.to_vec().into())).collect();
            files.push(host.engine.upload_file(&owner, name, stream::iter(chunks)).await.unwrap().id);
        }
        let request = SubmitTask {
            goal: self.goal.to_owned(),
            template: Some(self.template.to_owned()),
            params: self.params,
            files,
            ..SubmitTask::default()
        };
        host.engine.submit_task(&owner, request).await
    }
}

pub(crate) fn answering(script: Script) -> Scripted {
    Scripted::new(move |request| {
        let told = prompt(request);
        let answer = script.iter().find(|(part, _)| told.contains(part));
        ScriptStep::answer(answer.map_or("I cannot help with that.", |(_, answer)| answer))
    })
}

fn prompt(request: &ChatRequest) -> String {
    let texts = request.messages.iter().filter_map(|message| match message {
        Message::User { text, .. } => Some(text.as_str()),
        Message::System { .. } | Message::Assistant { .. } | Message::Tool { .. } => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// A task that has ended, and the engine it ended on.
pub(crate) struct Done {
    pub(crate) host: ScriptedEngine,
    pub(crate) task: Task,
}

impl Done {
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!((self.task.status, self.task.error.as_ref()), (TaskStatus::Succeeded, None));
        self
    }

    /// The task failed with this code; returns what it says.
    pub(crate) fn failed(&self, code: ErrorCode) -> String {
        let error = self.task.error.clone().unwrap_or_else(|| panic!("it is {:?}", self.task.status));
        assert_eq!((self.task.status, error.code), (TaskStatus::Failed, code), "{error}");
        error.detail
    }

    pub(crate) async fn artifact(&self, path: &str) -> String {
        let owner = self.host.engine.local_owner();
        let found = self.host.engine.artifact(&owner, self.task.id, path).await;
        let (_, mut file) = found.unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    }

    pub(crate) fn paths(&self) -> Vec<&str> {
        self.task.artifacts.iter().map(|artifact| artifact.path.as_str()).collect()
    }
}

/// What `ninja run` with the local model left behind.
pub(crate) struct LocalRun {
    home: TempDir,
    pub(crate) task: Task,
}

impl LocalRun {
    /// Runs a template with the local model; `None` where there is none and this is not CI.
    pub(crate) fn of(job: &Job<'_>) -> Option<Self> {
        let models = match std::env::var("NINJA_TEST_MODELS_DIR") {
            Ok(models) => models,
            Err(_) if std::env::var_os("CI").is_some() => panic!("NINJA_TEST_MODELS_DIR is not set"),
            Err(_) => {
                println!("skipped: needs the local model");
                return None;
            }
        };
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        std::fs::create_dir(&data).unwrap();
        symlink(models, data.join("models")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ninja-under-test"));
        command.env_clear().env("HOME", home.path()).env("NINJA_DATA_DIR", &data).env("PATH", "/usr/bin:/bin");
        command.current_dir(home.path()).stdin(Stdio::null());
        command.args(["run", "--json", "--template", job.template, "--out", "made"]);
        for (name, content) in &job.files {
            std::fs::write(home.path().join(name), content).unwrap();
            command.args(["--file", name]);
        }
        let output = command.arg(job.goal).output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let task: Task = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{told}"));
        assert_eq!(output.status.code(), Some(i32::from(task.status != TaskStatus::Succeeded)), "{told}");
        Some(Self { home, task })
    }

    pub(crate) fn succeeded(self) -> Self {
        assert_eq!((self.task.status, self.task.error.as_ref()), (TaskStatus::Succeeded, None));
        self
    }

    pub(crate) fn made(&self, path: &str) -> String {
        let whole: PathBuf = self.home.path().join("made").join(path);
        std::fs::read_to_string(&whole).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}
