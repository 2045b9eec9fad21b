//! What Ollama is asked before a call and after it, and what follows.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::providers::{
    Answer, ChatRequest, HttpProvider, Message, Provider, ProviderConfig, ProviderError, ProviderKind, TakesImages,
    http::test_server::{Reply, TestServer, response},
};

/// A server with one model: what it tells of it, and with how much it is loaded.
#[derive(Clone, Copy)]
struct Model {
    trained: Option<u32>,
    loaded: Option<u32>,
}

async fn server(model: Model) -> TestServer {
    let tell = |value: Value| Reply::Send(response(200, "content-type: application/json\r\n", &value.to_string()));
    let missing = || Reply::Send(response(404, "", "404 page not found"));
    TestServer::start(move |request| {
        let path = request.split(' ').nth(1).unwrap();
        match (path, model) {
            ("/api/tags", _) => tell(json!({ "models": [{ "name": "m" }] })),
            ("/api/show", Model { trained: Some(trained), .. }) => {
                tell(json!({ "model_info": { "general.architecture": "x", "x.context_length": trained } }))
            }
            ("/api/ps", Model { loaded: Some(loaded), .. }) => {
                tell(json!({ "models": [{ "name": "m", "context_length": loaded }] }))
            }
            ("/api/chat", _) => tell(json!({
                "message": { "content": "so" }, "done": true, "prompt_eval_count": 9, "eval_count": 1,
            })),
            _ => missing(),
        }
    })
    .await
}

fn provider(server: &TestServer, context_window: Option<u32>) -> HttpProvider {
    let base_url = Some(server.url.trim_end_matches("/v1").to_owned());
    let config = ProviderConfig { base_url, context_window, ..ProviderConfig::new(ProviderKind::Ollama) };
    HttpProvider::new(&config, None).unwrap()
}

async fn ask(provider: &HttpProvider, words: usize) -> Result<Answer, ProviderError> {
    let request = ChatRequest {
        model: "m".into(),
        messages: vec![Message::user("word ".repeat(words))],
        tools: Arc::default(),
        schema: None,
        images: Default::default(),
        max_output_tokens: 64,
    };
    provider.chat(request, Arc::new(|_: &str| {}), CancellationToken::new()).await
}

/// Returns the windows that the calls which came to the server asked for.
fn asked(server: &TestServer) -> Vec<Value> {
    let requests = server.requests.lock().unwrap();
    let chats = requests.iter().filter(|request| request.starts_with("POST /api/chat "));
    let body = |request: &String| serde_json::from_str::<Value>(request.split_once("\r\n\r\n").unwrap().1).unwrap();
    chats.map(|request| body(request)["options"]["num_ctx"].clone()).collect()
}

#[tokio::test]
async fn a_call_asks_for_no_more_than_the_model_was_made_for() {
    for (configured, trained, wanted) in [
        (Some(131_072), Some(40_960), 40_960),
        (Some(16_384), Some(40_960), 16_384),
        (None, Some(40_960), 8_192),
        (None, Some(2_048), 2_048),
        (None, None, 4_096),
    ] {
        let server = server(Model { trained, loaded: None }).await;
        let provider = provider(&server, configured);
        ask(&provider, 1).await.unwrap();
        let row = format!("{configured:?} {trained:?}");
        assert_eq!((asked(&server), provider.model_info("m").window_tokens), (vec![json!(wanted)], wanted), "{row}");
    }
}

#[tokio::test]
async fn what_the_model_was_made_for_is_known_once_the_models_are_listed() {
    let server = server(Model { trained: Some(40_960), loaded: None }).await;
    let provider = provider(&server, Some(131_072));
    provider.list_models().await.unwrap();
    assert_eq!(provider.model_info("m").window_tokens, 40_960);
    let note = provider.note("m").unwrap();
    assert_eq!(note, "context_window is 131072, but the model takes no more than 40960 tokens");
}

#[tokio::test]
async fn a_prompt_that_does_not_fit_is_never_sent() {
    let server = server(Model { trained: Some(2_048), loaded: Some(2_048) }).await;
    let provider = provider(&server, Some(131_072));
    let refused = ask(&provider, 3_000).await.unwrap_err();
    assert!(matches!(refused, ProviderError::PromptTooLarge { tokens: 3_000.., window: 2_048 }), "{refused}");
    assert_eq!(asked(&server), Vec::<Value>::new());
}

#[tokio::test]
async fn what_was_loaded_with_less_answers_no_prompt_that_did_not_fit() {
    let server = server(Model { trained: Some(40_960), loaded: Some(1_024) }).await;
    let provider = provider(&server, Some(16_384));
    let refused = ask(&provider, 3_000).await.unwrap_err();
    assert!(matches!(refused, ProviderError::PromptTooLarge { tokens: 3_000.., window: 1_024 }), "{refused}");
    assert_eq!(provider.model_info("m").window_tokens, 1_024, "the next prompts are held to it");
    ask(&provider, 3_000).await.unwrap_err();
    assert_eq!(asked(&server), [json!(16_384)], "known now, so not even sent");
    assert_eq!(ask(&provider, 500).await.unwrap().text, "so", "this one fits");
    assert_eq!(asked(&server).len(), 2);
}

#[tokio::test]
async fn what_was_loaded_as_asked_answers() {
    let server = server(Model { trained: Some(40_960), loaded: Some(8_192) }).await;
    let provider = provider(&server, None);
    assert_eq!(ask(&provider, 3_000).await.unwrap().text, "so");
    assert_eq!(provider.note("m"), None);
}

#[tokio::test]
async fn a_model_takes_images_if_the_server_says_so_and_nobody_else() {
    for (abilities, configured, takes) in [
        (json!(["completion", "vision"]), None, true),
        (json!(["completion", "tools"]), None, false),
        (Value::Null, None, false),
        (Value::Null, Some(TakesImages::All(true)), true),
        (json!(["vision"]), Some(TakesImages::Only(vec!["another".into()])), false),
    ] {
        let row = format!("{abilities} {configured:?}");
        let show = json!({ "capabilities": abilities }).to_string();
        let server = TestServer::start(move |request| {
            let list = r#"{ "models": [{ "name": "m" }] }"#;
            Reply::Send(response(200, "", if request.starts_with("POST /api/show") { &show } else { list }))
        })
        .await;
        let base_url = Some(server.url.trim_end_matches("/v1").to_owned());
        let config = ProviderConfig { base_url, takes_images: configured, ..ProviderConfig::new(ProviderKind::Ollama) };
        let provider = HttpProvider::new(&config, None).unwrap();
        provider.list_models().await.unwrap();
        assert_eq!(provider.model_info("m").images.is_some(), takes, "{row}");
    }
}

/// As it came from 0.33: the error of what runs the model as a text within the server's own.
#[tokio::test]
async fn a_server_that_refuses_what_it_would_have_cut_is_understood() {
    let inner = json!({ "error": { "code": 400, "type": "exceed_context_size_error",
        "message": "request (8889 tokens) exceeds the available context size (4096 tokens), try increasing it" } });
    let refusal = json!({ "error": inner.to_string() }).to_string();
    let server = TestServer::start(move |_| Reply::Send(response(400, "", &refusal))).await;
    let refused = ask(&provider(&server, None), 10).await.unwrap_err();
    assert!(matches!(refused, ProviderError::PromptTooLarge { .. }), "{refused}");
}

/// A server whose answers count as many tokens of a prompt as told, and whose model is loaded with as many as told.
async fn changing(counted: u64, loaded: Arc<AtomicU64>) -> TestServer {
    TestServer::start(move |request| {
        let path = request.split(' ').nth(1).unwrap();
        let loaded = loaded.load(Ordering::SeqCst);
        let told = match path {
            "/api/show" => json!({ "model_info": { "general.architecture": "x", "x.context_length": 40_960 } }),
            "/api/ps" if loaded == 0 => json!({ "models": [] }),
            "/api/ps" => json!({ "models": [{ "name": "m:latest", "context_length": loaded }] }),
            _ => json!({ "message": { "content": "so" }, "done": true, "prompt_eval_count": counted, "eval_count": 1 }),
        };
        Reply::Send(response(200, "content-type: application/json\r\n", &told.to_string()))
    })
    .await
}

#[tokio::test]
async fn a_smaller_window_holds_only_as_long_as_the_model_is_loaded_with_it() {
    for (later, is_taken) in [(1_024, false), (2_048, false), (8_192, true), (16_384, true), (0, true)] {
        let loaded = Arc::new(AtomicU64::new(1_024));
        let server = changing(500, Arc::clone(&loaded)).await;
        let provider = provider(&server, Some(16_384));
        ask(&provider, 500).await.unwrap();
        assert_eq!(provider.model_info("m").window_tokens, 1_024);
        loaded.store(later, Ordering::SeqCst);
        assert_eq!(ask(&provider, 1_400 * 2).await.is_ok(), is_taken, "{later}");
        assert_eq!(asked(&server).len(), 1 + usize::from(is_taken), "{later}");
    }
}

#[tokio::test]
async fn an_answer_is_judged_by_what_the_server_counted() {
    for (counted, words, is_good, window) in [
        // An estimate that is too high; what was cut to fit; what cannot have been cut to so little; what was never so small.
        (900, 1_500, true, 1_024),
        (1_024, 1_500, false, 1_024),
        (400, 1_500, false, 1_024),
        (1_600, 1_500, true, 16_384),
    ] {
        let server = changing(counted, Arc::new(AtomicU64::new(1_024))).await;
        let provider = provider(&server, Some(16_384));
        assert_eq!(ask(&provider, words).await.is_ok(), is_good, "{counted}");
        assert_eq!(provider.model_info("m").window_tokens, window, "{counted}");
    }
}

#[tokio::test]
async fn a_server_that_tells_nothing_of_its_models_is_asked_once() {
    let server = server(Model { trained: None, loaded: None }).await;
    let provider = provider(&server, None);
    for _ in 0..2 {
        ask(&provider, 1).await.unwrap();
    }
    let requests = server.requests.lock().unwrap();
    assert_eq!(requests.iter().filter(|request| request.starts_with("POST /api/show ")).count(), 1);
}
