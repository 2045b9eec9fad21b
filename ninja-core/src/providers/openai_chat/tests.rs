//! The provider against servers that answer well, badly, partly and not at all.

mod failures;

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    api::Usage,
    providers::{
        Answer, ChatRequest, DeltaSink, FinishReason, HttpProvider, Message, Provider, ProviderConfig, ProviderError,
        ProviderKind, Secret, ToolCall, ToolDefinition,
        http::test_server::{Reply, TestServer, chunked, events, response},
    },
};

/// Streams of llama.cpp's server, as they came.
const TEXT: &str = include_str!("fixtures/text.sse");
const TOOLS: &str = include_str!("fixtures/tools.sse");

fn config(url: &str) -> ProviderConfig {
    ProviderConfig { base_url: Some(url.to_owned()), ..ProviderConfig::new(ProviderKind::Openai) }
}

fn provider(url: &str) -> HttpProvider {
    HttpProvider::new(&config(url), Some(Secret::new("sk-1234"))).unwrap()
}

fn request(text: &str) -> ChatRequest {
    ChatRequest {
        model: "smollm2".into(),
        messages: vec![Message::user(text)],
        tools: Arc::default(),
        schema: None,
        images: Default::default(),
        max_output_tokens: 64,
    }
}

/// Returns a sink and what it heard.
fn sink() -> (DeltaSink, Arc<Mutex<String>>) {
    let heard = Arc::new(Mutex::new(String::new()));
    let sink = heard.clone();
    (Arc::new(move |delta: &str| sink.lock().unwrap().push_str(delta)), heard)
}

async fn call(provider: &HttpProvider, request: ChatRequest) -> Result<Answer, ProviderError> {
    provider.chat(request, sink().0, CancellationToken::new()).await
}

/// Lets a server give one reply and returns what the provider makes of it.
async fn answer_to(reply: impl Into<Vec<u8>>) -> Result<Answer, ProviderError> {
    let reply = reply.into();
    let server = TestServer::start(move |_| Reply::Send(reply.clone())).await;
    call(&provider(&server.url), request("hello")).await
}

fn weather_call() -> ToolCall {
    ToolCall { id: "5FFwo27hi8kgkprZPuqVnUIbHGvadWYH".into(), name: "weather".into(), args: json!({ "city": "Paris" }) }
}

#[tokio::test]
async fn a_stream_is_heard_as_it_comes_and_answers_whole() {
    let server = TestServer::start(|_| Reply::Send(events(TEXT))).await;
    let (deltas, heard) = sink();
    let answer = provider(&server.url).chat(request("hello"), deltas, CancellationToken::new()).await.unwrap();
    let usage = Usage { input_tokens: 38, output_tokens: 5, model_calls: 1, ..Usage::default() };
    assert_eq!(
        answer,
        Answer { text: text_of(TEXT), tool_calls: vec![], finish: FinishReason::Length, usage, carry: None }
    );
    assert_eq!(*heard.lock().unwrap(), answer.text);
}

#[tokio::test]
async fn an_answer_that_comes_whole_is_the_same() {
    let whole = json!({
        "object": "chat.completion",
        "choices": [{
            "message": { "role": "assistant", "content": null, "tool_calls": [
                { "id": "a", "type": "function", "function": { "name": "f", "arguments": "{\"x\":1}" } },
                { "type": "function", "function": { "name": "f", "arguments": "{\"x\":2}" } },
            ]},
            "finish_reason": "tool_calls",
        }],
        "usage": { "prompt_tokens": 7, "completion_tokens": 3 },
    });
    let whole = response(200, "content-type: application/json; charset=utf-8\r\n", &whole.to_string());
    let server = TestServer::start(move |_| Reply::Send(whole.clone())).await;
    let config = ProviderConfig { stream: false, ..config(&server.url) };
    let answer = call(&HttpProvider::new(&config, None).unwrap(), request("hello")).await.unwrap();
    let calls: Vec<_> = answer.tool_calls.iter().map(|call| (call.id.as_str(), call.args.to_string())).collect();
    assert_eq!(calls, [("a", "{\"x\":1}".to_owned()), ("call_2", "{\"x\":2}".to_owned())]);
    assert_eq!((answer.usage.input_tokens, answer.usage.estimated_tokens), (7, 0));
    assert_eq!(server.body()["stream"], false);
}

#[tokio::test]
async fn a_tool_call_split_over_chunks_is_put_together() {
    let answer = answer_to(events(TOOLS)).await.unwrap();
    assert_eq!(answer.tool_calls, [weather_call()]);
    assert_eq!((answer.text.as_str(), answer.finish), ("", FinishReason::ToolCalls));
}

#[tokio::test]
async fn usage_that_is_not_told_is_estimated() {
    let whole = answer_to(events(TEXT)).await.unwrap();
    let frames = TEXT.split_inclusive("\n\n").filter(|frame| !frame.contains("\"usage\":{"));
    let answer = answer_to(events(&frames.collect::<String>())).await.unwrap();
    assert_eq!(answer.text, whole.text);
    assert_eq!(answer.usage.estimated_tokens, answer.usage.tokens());
    assert!(answer.usage.input_tokens > 0 && answer.usage.output_tokens > 0);
}

#[tokio::test]
async fn a_conversation_is_sent_with_its_calls_and_their_results() {
    let server = TestServer::start(|_| Reply::Send(events(TEXT))).await;
    let tool =
        ToolDefinition { name: "weather".into(), description: "Tells.".into(), schema: json!({ "type": "object" }) };
    let broken = ToolCall { id: "b".into(), name: "weather".into(), args: json!("{\"city\":") };
    let request = ChatRequest {
        messages: vec![
            Message::System { text: "Be short.".into() },
            Message::user("Weather?"),
            Message::Assistant { text: String::new(), tool_calls: vec![weather_call(), broken], carry: None },
            Message::Tool {
                call_id: weather_call().id,
                name: "weather".into(),
                text: "rain".into(),
                images: Vec::new(),
            },
            Message::Tool {
                call_id: "b".into(),
                name: "weather".into(),
                text: "unreadable".into(),
                images: Vec::new(),
            },
        ],
        tools: Arc::new([tool]),
        schema: Some(json!({ "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] })),
        ..request("")
    };
    call(&provider(&server.url), request).await.unwrap();
    insta::assert_json_snapshot!(server.body());
    let head = server.requests.lock().unwrap()[0].to_lowercase();
    assert!(head.starts_with("post /v1/chat/completions http/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: bearer sk-1234\r\n"), "{head}");
}

#[tokio::test]
async fn calls_go_back_to_deepseek_with_thinking_if_only_with_none() {
    for (kind, wanted) in [(ProviderKind::Deepseek, Some(json!(""))), (ProviderKind::Openai, None)] {
        let server = TestServer::start(|_| Reply::Send(events(TEXT))).await;
        let config = ProviderConfig { kind, ..config(&server.url) };
        let said = |tool_calls| Message::Assistant { text: "so".into(), tool_calls, carry: None };
        let result = Message::Tool {
            call_id: weather_call().id,
            name: "weather".into(),
            text: "rain".into(),
            images: Vec::new(),
        };
        let messages = vec![said(vec![weather_call()]), result, said(Vec::new())];
        let request = ChatRequest { messages, ..request("") };
        call(&HttpProvider::new(&config, None).unwrap(), request).await.unwrap();
        let thinking = |place: usize| server.body()["messages"][place].get("reasoning_content").cloned();
        assert_eq!((thinking(0), thinking(2)), (wanted, None), "{kind:?}");
    }
}

#[tokio::test]
async fn a_name_never_chooses_the_protocol_or_the_place() {
    for name in ["gpt-5-mini", "claude-sonnet", "gemini-pro", "qwen3-max", "a::b-low", "org/model", "unknown"] {
        let server = TestServer::start(|_| Reply::Send(events(TEXT))).await;
        call(&provider(&server.url), ChatRequest { model: name.into(), ..request("hello") }).await.unwrap();
        let body = server.body();
        assert_eq!(body["model"], name);
        assert_eq!(body.get("reasoning_effort"), None);
        assert!(server.requests.lock().unwrap()[0].starts_with("POST /v1/chat/completions "));
    }
}

#[tokio::test]
async fn cancelling_closes_the_connection_and_nothing_is_heard_any_more() {
    let first = TEXT.split_inclusive("\n\n").take(2).collect::<String>();
    let server = TestServer::start(move |_| Reply::Hang(chunked(&[&first]))).await;
    let cancel = CancellationToken::new();
    let heard = Arc::new(Mutex::new(0));
    let (sink, token) = (heard.clone(), cancel.clone());
    let deltas: DeltaSink = Arc::new(move |_| {
        *sink.lock().unwrap() += 1;
        token.cancel();
    });
    let result = provider(&server.url).chat(request("hello"), deltas, cancel).await;
    assert_eq!(result, Err(ProviderError::Cancelled));
    server.closed.notified().await;
    assert_eq!(*heard.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_call_that_is_cancelled_already_connects_to_nothing() {
    let cancel = CancellationToken::new();
    cancel.cancel();
    let result = provider("http://127.0.0.1:9/v1").chat(request("hello"), sink().0, cancel).await;
    assert_eq!(result, Err(ProviderError::Cancelled));
}

#[tokio::test]
async fn windows_come_from_the_configuration_then_the_server_then_the_kind() {
    let list = json!({ "data": [{ "id": "dir/a.gguf", "meta": { "n_ctx": 2048 } }] }).to_string();
    let server = TestServer::start(move |_| Reply::Send(response(200, "", &list))).await;
    let provider = provider(&server.url);
    assert_eq!(provider.model_info("dir/a.gguf").window_tokens, 8_192);
    assert_eq!(provider.check().await.unwrap(), format!("{} serves 1 model", &server.url[7..server.url.len() - 3]));
    assert_eq!(provider.model_info("dir/a.gguf").window_tokens, 2_048);
    assert!(provider.model_info("dir/a.gguf").label.starts_with("a.gguf at 127.0.0.1:"));
    let config = ProviderConfig { context_window: Some(100), ..config(&server.url) };
    let provider = HttpProvider::new(&config, None).unwrap();
    provider.check().await.unwrap();
    assert_eq!(provider.model_info("dir/a.gguf").window_tokens, 100);
}

#[test]
fn a_key_that_cannot_stand_in_a_header_is_refused_without_being_shown() {
    for key in ["", "sk\n1", "sk 1", "schlüssel"] {
        let config = ProviderConfig::new(ProviderKind::Openai);
        let error = HttpProvider::new(&config, Some(Secret::new(key))).err().unwrap().to_string();
        assert!(key.is_empty() || !error.contains(key), "{error}");
    }
}

/// Returns the text of a stream as its own frames spell it.
fn text_of(stream: &str) -> String {
    let frames = stream.lines().filter_map(|line| line.strip_prefix("data: {")).map(|rest| format!("{{{rest}"));
    let values = frames.map(|frame| serde_json::from_str::<Value>(&frame).unwrap());
    values.filter_map(|value| Some(value.pointer("/choices/0/delta/content")?.as_str()?.to_owned())).collect()
}
