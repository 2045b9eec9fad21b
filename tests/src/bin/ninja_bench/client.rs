//! One connection to a program under test: the least client, so that what is measured is not the measuring.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, client::conn::http1::SendRequest, header};
use hyper_util::rt::TokioIo;
use memchr::memmem;
use tokio::{net::TcpStream, sync::Mutex, task::JoinSet};

/// Where requests go and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The address.
    pub(crate) address: SocketAddr,
    /// The API key.
    pub(crate) key: Option<Arc<str>>,
}

/// A connection that is kept open.
pub(crate) struct Connection {
    target: Target,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(target: &Target) -> Result<Self> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { target: target.clone(), sender })
    }

    /// Sends a request and returns the answer with its body still to come.
    pub(crate) async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>> {
        let mut request =
            Request::builder().method(method).uri(path).header(header::HOST, self.target.address.to_string());
        if let Some(key) = &self.target.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body))?;
        // A server closes a connection that nobody used for a while.
        if self.sender.ready().await.is_err() {
            *self = Self::open(&self.target).await?;
        }
        Ok(self.sender.send_request(request).await?)
    }

    /// Sends a request and returns the whole answer.
    pub(crate) async fn ask(&mut self, method: Method, path: &str, body: Bytes) -> Result<(StatusCode, Bytes)> {
        let answer = self.send(method, path, body).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }

    /// Submits a task and returns its id.
    pub(crate) async fn submit(&mut self, task: &Bytes) -> Result<String> {
        let (status, body) = self.ask(Method::POST, "/api/v1/tasks", task.clone()).await?;
        ensure!(
            status == StatusCode::CREATED,
            "a submission was answered {status}: {}",
            String::from_utf8_lossy(&body)
        );
        let answer: serde_json::Value = serde_json::from_slice(&body)?;
        let id = answer.get("id").and_then(serde_json::Value::as_str);
        Ok(id.context("a submission was answered without an id")?.to_owned())
    }

    /// Submits a task and follows its events to the end; returns how many steps succeeded.
    pub(crate) async fn run_task(&mut self, task: &Bytes) -> Result<usize> {
        let id = self.submit(task).await?;
        let answer = self.send(Method::GET, &format!("/api/v1/tasks/{id}/events"), Bytes::new()).await?;
        ensure!(answer.status() == StatusCode::OK, "the events of {id} were answered {}", answer.status());
        let mut events = Events { body: answer.into_body(), pending: BytesMut::new() };
        let (mut steps, mut succeeded) = (0, false);
        while let Some(event) = events.next().await? {
            let says = |what: &[u8]| memmem::find(&event, what).is_some();
            match () {
                () if says(b"\"step_ended\"") => steps += usize::from(says(b"\"succeeded\"")),
                () if says(b"\"task_ended\"") => succeeded = says(b"\"succeeded\""),
                () => {}
            }
        }
        match succeeded {
            true => Ok(steps),
            false => bail!("{id} did not succeed"),
        }
    }
}

/// A stream of server-sent events, cut at their ends.
struct Events {
    body: Incoming,
    pending: BytesMut,
}

impl Events {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(end) = memmem::find(&self.pending, b"\n\n") {
                return Ok(Some(self.pending.split_to(end + 2).freeze()));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            if let Ok(data) = frame?.into_data() {
                self.pending.extend_from_slice(&data);
            }
        }
    }
}

/// What a load came to.
pub(crate) struct Load {
    /// From the first submission to the last end.
    pub(crate) took: Duration,
    /// How long each task took, sorted.
    pub(crate) each: Vec<Duration>,
}

/// Runs `tasks` tasks over the connections, one at a time on each, and checks that each ran `steps` steps.
pub(crate) async fn run_tasks(
    pool: &[Arc<Mutex<Connection>>],
    task: &Bytes,
    tasks: usize,
    steps: usize,
) -> Result<Load> {
    let (started, mut workers) = (Instant::now(), JoinSet::new());
    let left = Arc::new(Mutex::new((0..tasks).collect::<VecDeque<usize>>()));
    for connection in pool {
        let (connection, task, left) = (Arc::clone(connection), task.clone(), Arc::clone(&left));
        workers.spawn(async move {
            let (mut connection, mut each) = (connection.lock_owned().await, Vec::new());
            while left.lock().await.pop_front().is_some() {
                let started = Instant::now();
                let done = connection.run_task(&task).await?;
                ensure!(done == steps, "a task ended after {done} of {steps} steps");
                each.push(started.elapsed());
            }
            Ok(each)
        });
    }
    let mut each = Vec::with_capacity(tasks);
    while let Some(done) = workers.join_next().await {
        each.extend(done??);
    }
    each.sort_unstable();
    Ok(Load { took: started.elapsed(), each })
}

/// Opens connections.
pub(crate) async fn pool(target: &Target, size: usize) -> Result<Vec<Arc<Mutex<Connection>>>> {
    let mut pool = Vec::with_capacity(size);
    for _ in 0..size {
        pool.push(Arc::new(Mutex::new(Connection::open(target).await?)));
    }
    Ok(pool)
}
