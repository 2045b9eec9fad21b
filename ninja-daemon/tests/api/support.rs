//! A daemon on real sockets in this process, with a scripted model.

use std::{path::PathBuf, sync::Arc};

use ninja_core::{
    Engine, EngineOptions, key_file,
    providers::{Providers, Scripted},
    sandbox::NoSandbox,
};
use ninja_daemon::{ListenError, Reload, ServeOptions, Server, socket_file};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub(crate) struct Daemon {
    pub(crate) url: String,
    pub(crate) key: String,
    pub(crate) socket: PathBuf,
    pub(crate) shutdown: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
    pub(crate) http: reqwest::Client,
    pub(crate) engine: Engine,
    pub(crate) reload: Option<Reload>,
    _directory: TempDir,
}

impl Daemon {
    pub(crate) async fn start(model: Scripted) -> Self {
        Self::start_with(model, |_| {}).await
    }

    /// Starts one whose engine's options `change` has changed.
    pub(crate) async fn start_engine_with(model: Scripted, change: impl FnOnce(&mut EngineOptions)) -> Self {
        Self::start_both(model, change, |_| {}).await.unwrap()
    }

    /// Starts a daemon that serves otherwise than usual.
    pub(crate) async fn start_with(model: Scripted, change: impl FnOnce(&mut ServeOptions)) -> Self {
        Self::try_start(model, change).await.unwrap()
    }

    /// Starts one that may not be able to.
    pub(crate) async fn try_start(
        model: Scripted,
        change: impl FnOnce(&mut ServeOptions),
    ) -> Result<Self, ListenError> {
        Self::start_both(model, |_| {}, change).await
    }

    async fn start_both(
        model: Scripted,
        change_engine: impl FnOnce(&mut EngineOptions),
        change: impl FnOnce(&mut ServeOptions),
    ) -> Result<Self, ListenError> {
        let directory = tempfile::tempdir().unwrap();
        let mut options = EngineOptions::new(directory.path());
        let mut providers = Providers::new(|| 0.5);
        providers.add_limited("scripted", Arc::new(model), "script", 64);
        options.providers = Some(providers);
        options.sandbox = Some(Arc::new(NoSandbox { reason: "tests run no code".to_owned() }));
        change_engine(&mut options);
        let engine = Engine::start(options).await.unwrap();
        let socket = socket_file(directory.path());
        let listen = Some("127.0.0.1:0".parse().unwrap());
        let mut options = ServeOptions { listen, socket: Some(socket.clone()), ..ServeOptions::default() };
        change(&mut options);
        let server = Server::bind(engine.clone(), options).await?;
        let reload = server.reload();
        let scheme = if reload.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", server.address().unwrap());
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(server.run(shutdown.clone()));
        let key = std::fs::read_to_string(key_file(directory.path())).unwrap().trim().to_owned();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Ok(Self { url, key, socket, shutdown, serving, http, engine, reload, _directory: directory })
    }

    /// Begins a request with the owner's key.
    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().unwrap();
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key)
    }

    /// Connects to it and says nothing.
    pub(crate) async fn connect(&self) -> TcpStream {
        let (_, address) = self.url.split_once("://").unwrap();
        TcpStream::connect(address).await.unwrap()
    }

    /// Submits a task over HTTP and returns its id.
    pub(crate) async fn submit(&self, body: Value) -> String {
        let response = self.request("POST", "/api/v1/tasks").json(&body).send().await.unwrap();
        assert_eq!(response.status(), 201);
        response.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// Returns the task once it has ended or waits.
    pub(crate) async fn settled(&self, task: &str) -> Value {
        loop {
            let response = self.request("GET", &format!("/api/v1/tasks/{task}")).send().await.unwrap();
            let task: Value = response.json().await.unwrap();
            if !matches!(task["status"].as_str(), Some("queued" | "planning" | "running")) {
                return task;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

/// Sends a request and returns what came, ready for a snapshot.
pub(crate) async fn exchange(request: reqwest::RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let mut body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    mask(&mut body);
    json!({ "status": status, "type": kind, "body": body })
}

/// Puts a word in place of whatever differs from run to run.
pub(crate) fn mask(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Object(fields) => {
            for (name, value) in fields {
                match name.as_str() {
                    "request_id" | "version" | "took_ms" | "input_tokens" => {
                        *value = Value::String(format!("[{name}]"))
                    }
                    _ => mask(value),
                }
            }
        }
        Value::String(text) => {
            for prefix in ["task_", "appr_", "file_", "user_", "sess_"] {
                while let Some(id) = text
                    .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .find(|word| word.strip_prefix(prefix).is_some_and(|hex| hex.len() == 32))
                {
                    *text = text.replace(id, &format!("[{}]", prefix.trim_end_matches('_')));
                }
            }
            if text.len() >= 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T' {
                *text = "[time]".to_owned();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
