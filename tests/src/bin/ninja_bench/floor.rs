//! The least program that does the same work in the world as Ninja: takes a task over HTTP, calls the same model with the
//! same bytes, appends to a synced log before it goes on, streams events. It keeps no state beyond the process,
//! checks nothing and recovers nothing: what it costs is the price of the work itself.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::{Stream, stream};
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use ninja_core::api::SubmitTask;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::{
    client::{Connection, Target},
    floor_log::Log,
};

type EventStream = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;
type Body = Either<Full<Bytes>, StreamBody<EventStream>>;

struct Floor {
    log: Log,
    stub: Target,
    prompt: Bytes,
    /// Connections to the stub that nobody uses now.
    idle: Mutex<Vec<Connection>>,
    tasks: Mutex<HashMap<u64, Arc<Events>>>,
    next: AtomicU64,
}

/// A task's events so far. The number of them is watched; none follows the one that says so.
struct Events {
    lines: Mutex<Vec<Bytes>>,
    count: watch::Sender<(usize, bool)>,
}

/// Serves on a free port of this machine until it is killed.
pub(crate) async fn run(stub: SocketAddr, log: &Path, prompt: &Path) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let floor = Arc::new(Floor {
        log: Log::create(log)?,
        stub: Target { address: stub, key: None },
        prompt: std::fs::read(prompt)?.into(),
        idle: Mutex::default(),
        tasks: Mutex::default(),
        next: AtomicU64::new(1),
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let floor = Arc::clone(&floor);
        let service = service_fn(move |request| {
            let floor = Arc::clone(&floor);
            async move { Ok::<_, Infallible>(floor.answer(request).await.unwrap_or_else(|error| refuse(&error))) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn refuse(error: &anyhow::Error) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(format!("{error:#}")))));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

impl Floor {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>> {
        if request.method() == Method::POST {
            return self.submit(&request.into_body().collect().await?.to_bytes()).await;
        }
        let id = request.uri().path().split('/').nth(4).context("no task is named")?.parse()?;
        let events = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        let events = events.context("there is no such task")?;
        let mut response = Response::new(Either::Right(StreamBody::new(follow(events))));
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/event-stream"));
        Ok(response)
    }

    async fn submit(self: Arc<Self>, body: &Bytes) -> Result<Response<Body>> {
        let task: SubmitTask = serde_json::from_slice(body)?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.log.append(body.to_vec()).await?;
        let events = Arc::new(Events { lines: Mutex::default(), count: watch::channel((0, false)).0 });
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&events));
        tokio::spawn(async move {
            if let Err(error) = self.work(task, &events).await {
                eprintln!("task {id}: {error:#}");
            }
        });
        let mut response = Response::new(Either::Left(Full::new(Bytes::from(format!("{{\"id\":\"{id}\"}}")))));
        *response.status_mut() = StatusCode::CREATED;
        Ok(response)
    }

    /// Runs the plan: each step once those before it have ended.
    async fn work(self: Arc<Self>, task: SubmitTask, events: &Arc<Events>) -> Result<()> {
        let mut open = task.plan.context("the floor takes explicit plans")?.steps;
        let (mut ended, mut running) = (Vec::new(), JoinSet::new());
        loop {
            let ready = |step: &mut ninja_core::api::StepSpec| step.after.iter().all(|before| ended.contains(before));
            for step in open.extract_if(.., ready).collect::<Vec<_>>() {
                let (floor, events) = (Arc::clone(&self), Arc::clone(events));
                running.spawn(async move {
                    let id = step.id.context("a step has a name")?;
                    events.push(&format!(r#"{{"event":{{"type":"step_started","step":"{id}"}}}}"#), false);
                    let text = floor.call_model().await?;
                    let line = format!(
                        r#"{{"event":{{"type":"step_ended","step":"{id}","status":"succeeded","output":{text}}}}}"#
                    );
                    floor.log.append(line.clone().into_bytes()).await?;
                    events.push(&line, false);
                    anyhow::Ok(id)
                });
            }
            let Some(done) = running.join_next().await else { break };
            ended.push(done??);
        }
        ensure!(open.is_empty(), "a step waits for one that is not there");
        events.push(r#"{"event":{"type":"task_ended","status":"succeeded"}}"#, true);
        Ok(())
    }

    /// Asks the model and returns what it said, as JSON.
    async fn call_model(&self) -> Result<String> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open(&self.stub).await?,
        };
        let (status, body) = connection.ask(Method::POST, "/v1/chat/completions", self.prompt.clone()).await?;
        ensure!(status == StatusCode::OK, "the model answered {status}");
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        let body = std::str::from_utf8(&body)?;
        let mut text = String::new();
        for data in body.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]") {
            let chunk: serde_json::Value = serde_json::from_str(data)?;
            text.push_str(chunk.pointer("/choices/0/delta/content").and_then(serde_json::Value::as_str).unwrap_or(""));
        }
        Ok(serde_json::to_string(&text)?)
    }
}

impl Events {
    fn push(&self, json: &str, is_last: bool) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(Bytes::from(format!("data: {json}\n\n")));
        self.count.send_replace((lines.len(), is_last));
    }
}

fn follow(events: Arc<Events>) -> EventStream {
    let state = (events.count.subscribe(), events, 0_usize);
    Box::pin(stream::unfold(state, |(mut count, events, seen)| async move {
        count.wait_for(|(lines, is_over)| *lines > seen || *is_over).await.ok()?;
        let line = events.lines.lock().unwrap_or_else(PoisonError::into_inner).get(seen).cloned()?;
        Some((Ok(Frame::data(line)), (count, events, seen + 1)))
    }))
}
