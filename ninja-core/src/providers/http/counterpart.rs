//! The protocols that llama.cpp's server speaks, against that server: nobody here wrote it. Its address up to `/v1` comes
//! from `NINJA_TEST_OPENAI_BASE_URL`.

#![expect(clippy::disallowed_methods, reason = "tests ask the environment for their counterparts")]

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::HttpProvider;
use crate::providers::{
    Answer, ChatRequest, DeltaSink, Message, Provider, ProviderConfig, ProviderError, ProviderKind, ToolCall,
    ToolDefinition,
};

/// Returns a provider for each protocol, and the server's model; none where there is no server.
async fn servers() -> (Vec<(ProviderKind, HttpProvider)>, String) {
    let Ok(url) = std::env::var("NINJA_TEST_OPENAI_BASE_URL") else {
        eprintln!("skipped: needs an OpenAI-compatible server");
        return (Vec::new(), String::new());
    };
    let provider = |kind| {
        let config = ProviderConfig { base_url: Some(url.clone()), ..ProviderConfig::new(kind) };
        (kind, HttpProvider::new(&config, None).unwrap())
    };
    let kinds = [ProviderKind::Openai, ProviderKind::OpenaiResponses, ProviderKind::Anthropic].map(provider);
    let model = kinds[0].1.list_models().await.unwrap().remove(0).name;
    (kinds.into(), model)
}

fn request(model: &str, prompt: &str) -> ChatRequest {
    ChatRequest {
        model: model.to_owned(),
        messages: vec![Message::user(prompt)],
        tools: Arc::default(),
        schema: None,
        images: Default::default(),
        max_output_tokens: 48,
    }
}

/// Calls as the router does: a second time where the first one got no answer. The server may close a connection that was kept
/// at the moment when a request goes out on it.
async fn call(provider: &HttpProvider, request: ChatRequest) -> Result<Answer, ProviderError> {
    let once = async || {
        let answer = provider.chat(request.clone(), Arc::new(|_: &str| {}), CancellationToken::new()).await;
        eprintln!("{answer:?}");
        answer
    };
    match once().await {
        Err(ProviderError::Unavailable(_)) => once().await,
        answer => answer,
    }
}

#[tokio::test]
async fn a_real_server_streams_and_counts() {
    let (servers, model) = servers().await;
    for (kind, provider) in servers {
        let heard = Arc::new(Mutex::new(String::new()));
        let ear = heard.clone();
        let deltas: DeltaSink = Arc::new(move |text: &str| ear.lock().unwrap().push_str(text));
        let request = ChatRequest { max_output_tokens: 16, ..request(&model, "Say hello.") };
        let answer = provider.chat(request, deltas, CancellationToken::new()).await.unwrap();
        eprintln!("{answer:?}");
        assert!(!answer.text.is_empty(), "{kind:?}");
        assert_eq!(*heard.lock().unwrap(), answer.text, "{kind:?}");
        let usage = answer.usage;
        assert!(usage.input_tokens > 0 && usage.output_tokens > 0, "{kind:?}");
        // The others leave counts out now and then.
        assert!(usage.estimated_tokens == 0 || kind != ProviderKind::Openai, "{usage:?}");
    }
}

/// Chat completions alone: the server takes no notice of a schema in the others.
#[tokio::test]
async fn a_real_server_keeps_to_a_schema() {
    let (servers, model) = servers().await;
    let Some((_, provider)) = servers.first() else { return };
    let schema = json!({
        "type": "object",
        "properties": { "city": { "type": "string", "maxLength": 20 }, "sunny": { "type": "boolean" } },
        "required": ["city", "sunny"],
        "additionalProperties": false
    });
    let request =
        ChatRequest { schema: Some(schema.clone()), ..request(&model, "Is it sunny in Paris? Answer in JSON.") };
    let answer = call(provider, request).await.unwrap();
    let value: Value = serde_json::from_str(&answer.text).unwrap();
    assert!(jsonschema::is_valid(&schema, &value), "{value}");
}

#[tokio::test]
async fn a_real_server_takes_tools_and_their_results() {
    let (servers, model) = servers().await;
    for (kind, provider) in servers {
        let city = json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
        let tool = ToolDefinition { name: "weather".into(), description: "Tells the weather.".into(), schema: city };
        let tools = Arc::new([tool]);
        let request = ChatRequest { tools, ..request(&model, "What is the weather in Paris? Use the tool.") };
        let first = call(&provider, request.clone()).await.unwrap();
        // Whether a small model calls is its own choice; that the result of a call is taken back is ours.
        let weather = || ToolCall { id: "call_1".into(), name: "weather".into(), args: json!({ "city": "Paris" }) };
        let tool_calls = if first.tool_calls.is_empty() { vec![weather()] } else { first.tool_calls };
        let results = tool_calls.iter().map(|call| Message::Tool {
            call_id: call.id.clone(),
            name: call.name.clone(),
            text: "light rain".into(),
            images: Vec::new(),
        });
        let results: Vec<_> = results.collect();
        let mut messages = request.messages.clone();
        messages.push(Message::Assistant { text: first.text, tool_calls, carry: first.carry });
        messages.extend(results);
        let second = call(&provider, ChatRequest { messages, ..request }).await.unwrap();
        assert!(!second.text.is_empty() || !second.tool_calls.is_empty(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_real_server_tells_that_a_prompt_is_too_large() {
    let (servers, model) = servers().await;
    for (kind, provider) in servers {
        let error = call(&provider, request(&model, &"word ".repeat(9_000))).await.unwrap_err();
        assert!(matches!(error, ProviderError::PromptTooLarge { .. }), "{kind:?}: {error}");
    }
}
