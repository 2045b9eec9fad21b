//! The model: a server in this process that speaks OpenAI's chat completions and does what the prompt's script says.
//!
//! It counts how often it answered each question, for a model call is charged: without a crash it is made once.

#![expect(clippy::indexing_slicing, reason = "only JSON is indexed, which gives null where there is nothing")]

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::{script, templates};

/// The model. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Model {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    counts: Arc<Mutex<Counts>>,
}

/// A key and the number of a turn.
type Question = (String, usize);

#[derive(Default)]
struct Counts {
    answered: BTreeMap<Question, u64>,
    failed: HashMap<Question, usize>,
    requests: u64,
}

/// What is sent back.
enum Reply {
    Answer { text: String, tools: Vec<Value> },
    Refusal(u16),
}

impl Model {
    /// Starts it on a free port of this machine.
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let model = Self { address: listener.local_addr()?, counts: Arc::default() };
        let serving = model.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).ok();
                let model = serving.clone();
                let service = service_fn(move |request| {
                    let model = model.clone();
                    async move { Ok::<_, Infallible>(model.serve(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(model)
    }

    /// Takes how often each question of a task was answered at most; its counts are forgotten.
    pub(crate) fn take_most_answered(&self, tag: &str) -> u64 {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_task = |(key, _): &Question| key.split('/').next() == Some(tag);
        let most = counts.answered.iter().filter(|(question, _)| of_task(question)).map(|(_, count)| *count).max();
        counts.answered.retain(|question, _| !of_task(question));
        counts.failed.retain(|question, _| !of_task(question));
        most.unwrap_or(0)
    }

    /// Returns how many requests came.
    pub(crate) fn requests(&self) -> u64 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).requests
    }

    async fn serve(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        match path.as_str() {
            "/v1/models" => {
                json_response(200, &json!({ "object": "list", "data": [{ "id": "stub", "object": "model" }] }))
            }
            "/v1/chat/completions" => {
                let request: Value = serde_json::from_slice(&body).unwrap_or_default();
                match self.think(&request).await {
                    Reply::Answer { text, tools } => streamed(&text, &tools),
                    Reply::Refusal(status) => json_response(status, &json!({ "error": { "message": "as scripted" } })),
                }
            }
            "/page" => json_response(200, &json!("a page that is there")),
            _ => json_response(404, &json!({ "error": { "message": "there is no such path" } })),
        }
    }

    async fn think(&self, request: &Value) -> Reply {
        let messages = request["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let with_role = |role: &'static str| messages.iter().filter(move |message| message["role"] == role);
        let told: Vec<&str> = with_role("user").filter_map(|message| message["content"].as_str()).collect();
        let told = told.join("\n");
        let Some(script) = script::find(&told) else {
            return Reply::Answer { text: templates::answer(request, &told), tools: Vec::new() };
        };
        let is_planner = with_role("system").any(|message| message["content"].as_str().is_some_and(is_planners));
        if is_planner && let Some(plan) = script["plan"].as_str() {
            return Reply::Answer { text: plan.to_owned(), tools: Vec::new() };
        }
        let number = with_role("assistant").count();
        let question = (script["key"].as_str().unwrap_or_default().to_owned(), number);
        let Some(turn) = script["turns"].get(number) else {
            return Reply::Answer { text: "I have nothing more to say.".to_owned(), tools: Vec::new() };
        };
        if let Some(status) = self.next_error(&question, turn) {
            return Reply::Refusal(status);
        }
        tokio::time::sleep(Duration::from_millis(turn["delay_ms"].as_u64().unwrap_or(0))).await;
        self.note_answer(question);
        let tools = turn["tools"].as_array().cloned().unwrap_or_default();
        Reply::Answer { text: turn["text"].as_str().unwrap_or_default().to_owned(), tools }
    }

    fn next_error(&self, question: &Question, turn: &Value) -> Option<u16> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.requests += 1;
        let failed = counts.failed.entry(question.clone()).or_default();
        let status = turn["errors"].get(*failed).and_then(Value::as_u64)?;
        *failed += 1;
        u16::try_from(status).ok()
    }

    fn note_answer(&self, question: Question) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.answered.entry(question).or_default() += 1;
    }
}

fn is_planners(text: &str) -> bool {
    text.starts_with("You plan work for a team")
}

/// The answer in pieces, as model servers send it.
fn streamed(text: &str, tools: &[Value]) -> Response<Full<Bytes>> {
    let mut body = String::new();
    let mut push = |choices: Value, usage: Value| {
        let mut chunk = Map::new();
        let id = json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "stub" });
        chunk.extend(id.as_object().cloned().unwrap_or_default());
        chunk.insert("choices".to_owned(), choices);
        if !usage.is_null() {
            chunk.insert("usage".to_owned(), usage);
        }
        body.push_str(&format!("data: {}\n\n", Value::Object(chunk)));
    };
    let choice = |delta: Value, finish: Value| json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
    push(choice(json!({ "role": "assistant", "content": text }), Value::Null), Value::Null);
    for (index, tool) in tools.iter().enumerate() {
        let function = json!({ "name": tool["name"], "arguments": tool["args"].to_string() });
        let call = json!({ "index": index, "id": format!("call_{index}"), "type": "function", "function": function });
        push(choice(json!({ "tool_calls": [call] }), Value::Null), Value::Null);
    }
    let finish = if tools.is_empty() { "stop" } else { "tool_calls" };
    push(choice(json!({}), json!(finish)), Value::Null);
    push(json!([]), json!({ "prompt_tokens": 400, "completion_tokens": 5, "total_tokens": 405 }));
    body.push_str("data: [DONE]\n\n");
    response(200, "text/event-stream", body)
}

fn json_response(status: u16, body: &Value) -> Response<Full<Bytes>> {
    response(status, "application/json", body.to_string())
}

fn response(status: u16, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
