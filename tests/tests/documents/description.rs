//! The API's description against the daemon that serves it, by software that knows OpenAPI and nothing of us: a validator reads it,
//! and schemathesis sends what it allows and what it forbids to every path, and follows what one answer says to the next request.

#![expect(clippy::indexing_slicing, reason = "what a JSON value does not have is null")]

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use ninja_tests::{Process, StubServer, bare_command};
use serde_json::{Value, json};
use tokio::process::Command;

/// Where the Python environment is that has them both.
const PYTHON: &str = "NINJA_TEST_PYTHON";
/// Only what hangs takes so long.
const HANG: Duration = Duration::from_secs(240);
const PASSWORD: &str = "plums sailing over quiet umbrellas";
/// Nobody is kept out for asking too much: that has tests of its own.
const CONFIGURATION: &str = "[http.requests_per_minute]\nanonymous = 1000000\nsign_in = 1000000\nrefused = 1000000\n";

/// A daemon with a model, and what it takes to try it.
struct Tried {
    daemon: Process,
    home: tempfile::TempDir,
    python: PathBuf,
    http: reqwest::Client,
    /// Answers for the model.
    _model: StubServer,
}

impl Tried {
    /// Returns nothing where the counterparts are not installed.
    async fn start() -> Result<Option<Self>> {
        let Some(python) = std::env::var_os(PYTHON) else {
            eprintln!("skipped: {PYTHON} does not say where the counterparts' Python is; `cargo xtask test` does");
            return Ok(None);
        };
        let home = tempfile::tempdir()?;
        let model = StubServer::start(|_| {
            let message = json!({ "role": "assistant", "content": "done" });
            let usage = json!({ "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 });
            let choices = json!([{ "index": 0, "message": message, "finish_reason": "stop" }]);
            (200, json!({ "id": "x", "object": "chat.completion", "model": "m", "choices": choices, "usage": usage }))
        })
        .await;
        let configuration = home.path().join("ninja.toml");
        let provider = format!(
            "[providers.stub]\nkind = \"openai\"\nbase_url = \"{}/v1\"\nmodel = \"m\"\nstream = false\n",
            model.url
        );
        fs::write(&configuration, format!("{CONFIGURATION}{provider}"))?;
        let args = ["serve", "--listen", "127.0.0.1:0", "--config"].map(OsStr::new);
        let mut command = bare_command(Path::new(env!("CARGO_BIN_EXE_ninja-under-test")), &args, home.path());
        command.arg(&configuration).env("NINJA_DATA_DIR", home.path().join("data"));
        let daemon = Process::run(command).await?;
        Ok(Some(Self { daemon, home, python: python.into(), http: reqwest::Client::new(), _model: model }))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.daemon.address)
    }

    fn owner_key(&self) -> Result<String> {
        Ok(fs::read_to_string(self.home.path().join("data/owner.key"))?.trim().to_owned())
    }

    async fn post(&self, path: &str, credential: &str, body: &Value) -> Result<Value> {
        let sent = self.http.post(self.url(path)).bearer_auth(credential).json(body).send().await?;
        Ok(sent.error_for_status()?.json().await?)
    }

    /// Makes an account without any rights of its own, and lets it in.
    async fn access_token(&self) -> Result<String> {
        let invitation = json!({ "email": "ada@example.org" });
        let invited = self.post("/api/v1/admin/users", &self.owner_key()?, &invitation).await?;
        let redeem = json!({ "token": invited["token"], "password": PASSWORD });
        self.post("/api/v1/auth/redeem", "", &redeem).await?;
        let login = json!({ "email": "ada@example.org", "password": PASSWORD });
        let tokens = self.post("/api/v1/auth/login", "", &login).await?;
        Ok(tokens["access_token"].as_str().context("no access token")?.to_owned())
    }

    /// Tries every route but those that would take the credential away with which they are tried.
    async fn try_all(&self, credential: &str, but: &[&str]) -> Result<()> {
        let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/counterparts/schemathesis.toml");
        let mut command = Command::new(self.python.with_file_name("schemathesis"));
        command.arg("--config-file").arg(settings);
        command.args(["run", &self.url("/openapi.json"), "--header", &format!("Authorization: Bearer {credential}")]);
        command.args([
            "--checks",
            "all",
            "--phases",
            "coverage,fuzzing,stateful",
            "--max-examples",
            "10",
            "--seed",
            "1",
        ]);
        command.args(["--continue-on-failure", "--no-shrink"]);
        for verb in but {
            command.args(["--exclude-operation-id", verb]);
        }
        let output = tokio::time::timeout(HANG, command.current_dir(self.home.path()).kill_on_drop(true).output());
        let output = output.await.context("schemathesis hangs")??;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        ensure!(said.contains("Stateful") && said.contains("generated"), "it tried nothing:\n{said}");
        Ok(())
    }
}

#[tokio::test]
async fn the_description_is_openapi() -> Result<()> {
    let Some(tried) = Tried::start().await? else { return Ok(()) };
    let text = tried.http.get(tried.url("/openapi.json")).send().await?.text().await?;
    let document: Value = serde_json::from_str(&text)?;
    assert_eq!(document["openapi"], "3.1.0");
    let file = tried.home.path().join("openapi.json");
    fs::write(&file, text)?;
    let read = Command::new(&tried.python).args(["-m", "openapi_spec_validator"]).arg(&file).output().await?;
    ensure!(read.status.success(), "{}", String::from_utf8_lossy(&read.stdout));
    tried.daemon.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn the_daemon_does_what_the_description_says_for_an_administrator() -> Result<()> {
    let Some(tried) = Tried::start().await? else { return Ok(()) };
    tried.try_all(&tried.owner_key()?, &["revoke_api_key"]).await?;
    tried.daemon.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn the_daemon_does_what_the_description_says_for_a_user() -> Result<()> {
    let Some(tried) = Tried::start().await? else { return Ok(()) };
    let access = tried.access_token().await?;
    tried.try_all(&access, &["logout", "revoke_session", "change_password"]).await?;
    tried.daemon.terminate().await?;
    Ok(())
}

/// The client of the guide, which nobody here wrote the library of.
#[tokio::test]
async fn the_python_client_in_the_guide_follows_a_task() -> Result<()> {
    let Some(tried) = Tried::start().await? else { return Ok(()) };
    let owner = tried.owner_key()?;
    let step = json!({ "id": "say", "kind": "agent", "prompt": "say it" });
    let task = tried.post("/api/v1/tasks", &owner, &json!({ "plan": { "steps": [step] } })).await?;
    let program = super::examples("api.md", "python")?.join("\n");
    let url = format!("ws://{}/ws", tried.daemon.address);
    let mut client = Command::new(&tried.python);
    client.args(["-c", &program, &url, &owner, task["id"].as_str().context("no task")?]);
    let output = tokio::time::timeout(HANG, client.kill_on_drop(true).output()).await.context("the client hangs")??;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout)?;
    let frames: Vec<Value> = said.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let seqs = frames.iter().filter_map(|frame| frame["event"]["seq"].as_u64());
    assert!(seqs.eq(1..=task_length(&frames)), "{said}");
    assert_eq!(frames.last().map(|frame| &frame["frame"]), Some(&json!("end")));
    tried.daemon.terminate().await?;
    Ok(())
}

fn task_length(frames: &[Value]) -> u64 {
    frames.iter().filter_map(|frame| frame["event"]["seq"].as_u64()).max().unwrap_or_default()
}
