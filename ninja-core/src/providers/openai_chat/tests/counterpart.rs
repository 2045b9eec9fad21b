//! The provider against a real server that no one here wrote, such as llama.cpp's. Its address up to `/v1` comes
//! from `NINJA_TEST_OPENAI_BASE_URL`.

#![expect(clippy::disallowed_methods, reason = "tests ask the environment for their counterparts")]

use super::*;

/// Returns a provider and its first model, or nothing where there is no server.
async fn real_server() -> Option<(HttpProvider, String)> {
    let Ok(url) = std::env::var("NINJA_TEST_OPENAI_BASE_URL") else {
        eprintln!("skipped: needs an OpenAI-compatible server");
        return None;
    };
    let provider = provider(&url);
    let model = provider.list_models().await.unwrap().remove(0).name;
    Some((provider, model))
}

#[tokio::test]
async fn a_real_server_streams_and_counts() {
    let Some((provider, model)) = real_server().await else { return };
    let (deltas, heard) = sink();
    let request = ChatRequest { model, max_output_tokens: 16, ..request("Say hello.") };
    let answer = provider.chat(request, deltas, CancellationToken::new()).await.unwrap();
    eprintln!("{answer:?}");
    assert!(!answer.text.is_empty());
    assert_eq!(*heard.lock().unwrap(), answer.text);
    assert!(answer.usage.input_tokens > 0 && answer.usage.output_tokens > 0);
    assert_eq!(answer.usage.estimated_tokens, 0);
}

#[tokio::test]
async fn a_real_server_keeps_to_a_schema() {
    let Some((provider, model)) = real_server().await else { return };
    let schema = json!({
        "type": "object",
        "properties": { "city": { "type": "string", "maxLength": 20 }, "sunny": { "type": "boolean" } },
        "required": ["city", "sunny"],
        "additionalProperties": false
    });
    let request =
        ChatRequest { model, schema: Some(schema.clone()), ..request("Is it sunny in Paris? Answer in JSON.") };
    let answer = call(&provider, request).await.unwrap();
    eprintln!("{answer:?}");
    let value: Value = serde_json::from_str(&answer.text).unwrap();
    assert!(jsonschema::is_valid(&schema, &value), "{value}");
}

#[tokio::test]
async fn a_real_server_takes_tools_and_their_results() {
    let Some((provider, model)) = real_server().await else { return };
    let city = json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
    let tool = ToolDefinition { name: "weather".into(), description: "Tells the weather.".into(), schema: city };
    let request =
        ChatRequest { model, tools: Arc::new([tool]), ..request("What is the weather in Paris? Use the tool.") };
    let first = call(&provider, request.clone()).await.unwrap();
    eprintln!("{first:?}");
    // Whether a small model calls is its own choice; that the result of a call is taken back is ours.
    let tool_calls = if first.tool_calls.is_empty() { vec![weather_call()] } else { first.tool_calls };
    let results = tool_calls.iter().map(|call| Message::Tool {
        call_id: call.id.clone(),
        name: call.name.clone(),
        text: "light rain".into(),
    });
    let results: Vec<_> = results.collect();
    let mut messages = request.messages.clone();
    messages.push(Message::Assistant { text: first.text, tool_calls, carry: first.carry });
    messages.extend(results);
    let second = call(&provider, ChatRequest { messages, ..request }).await.unwrap();
    eprintln!("{second:?}");
    assert!(!second.text.is_empty() || !second.tool_calls.is_empty());
}

#[tokio::test]
async fn a_real_server_tells_that_a_prompt_is_too_large() {
    let Some((provider, model)) = real_server().await else { return };
    let window = provider.model_info(&model).window_tokens;
    let request = ChatRequest { model, ..request(&"word ".repeat(window as usize + 100)) };
    let error = call(&provider, request).await.unwrap_err();
    eprintln!("{error}");
    assert!(matches!(error, ProviderError::PromptTooLarge { .. }), "{error}");
}
