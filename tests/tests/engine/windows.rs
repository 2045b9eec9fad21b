//! No prompt is cut by whoever gets it: what is too large is not sent, or what came of it is no answer.

use ninja_core::{
    EngineOptions,
    api::{ErrorCode, Planning, SubmitTask, TaskStatus},
    providers::{ProviderConfig, ProviderKind, Scripted},
};
use ninja_tests::{ScriptedEngine, StubRequest, StubServer};
use serde_json::{Value, json};

/// What the server loads its model with, whatever it is asked for.
const LOADED_TOKENS: u64 = 2_048;
/// What it is asked for.
const ASKED_TOKENS: u32 = 16_384;

/// A server that gives its model a smaller window than it is asked for, and cuts what does not fit without a word.
async fn stingy(answers: impl Fn(usize) -> Value + Send + Sync + 'static) -> StubServer {
    let chats = std::sync::atomic::AtomicUsize::new(0);
    StubServer::start(move |request: &StubRequest| match request.path.as_str() {
        "/api/tags" => (200, json!({ "models": [{ "name": "m" }] })),
        "/api/show" => (200, json!({ "model_info": { "general.architecture": "x", "x.context_length": 40_960 } })),
        "/api/ps" => (200, json!({ "models": [{ "name": "m", "context_length": LOADED_TOKENS }] })),
        "/api/chat" => {
            let message = answers(chats.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
            let (counted, said) = (LOADED_TOKENS / 2, 9);
            let answer = json!({
                "message": message, "done": true, "done_reason": "stop",
                "prompt_eval_count": counted, "eval_count": said,
            });
            (200, answer)
        }
        _ => (404, Value::Null),
    })
    .await
}

fn only(options: &mut EngineOptions, url: &str) {
    let config = ProviderConfig {
        base_url: Some(url.to_owned()),
        model: Some("m".to_owned()),
        context_window: Some(ASKED_TOKENS),
        ..ProviderConfig::new(ProviderKind::Ollama)
    };
    options.providers = None;
    options.env.retain(|name, _| name == "PATH");
    options.config.providers = [("small".to_owned(), config)].into();
}

async fn engine_with(server: &StubServer) -> ScriptedEngine {
    ScriptedEngine::start_with(Scripted::answering("nobody asks"), |options| only(options, &server.url)).await
}

fn one_agent(goal: &str) -> SubmitTask {
    let agent = "+++\nname = \"looker\"\ndescription = \"Looks.\"\ntools = [\"shell\"]\n[limits]\noutput_tokens = 200\n+++\nYou look.";
    let (goal, agent) = (goal.to_owned(), Some(agent.to_owned()));
    SubmitTask { goal, planning: Planning::None, agent, ..SubmitTask::default() }
}

/// Returns the characters of all that a request says.
fn characters(body: &Value) -> u64 {
    let messages = body["messages"].as_array().unwrap();
    messages.iter().map(|message| message["content"].as_str().unwrap().len() as u64).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_gives_a_smaller_window_gets_smaller_prompts_from_then_on() {
    let call = json!({ "content": "", "tool_calls": [
        { "function": { "name": "shell", "arguments": { "command": "seq 1 2000" } } }
    ]});
    let server = stingy(move |turn| if turn == 0 { call.clone() } else { json!({ "content": "seen" }) }).await;
    let host = engine_with(&server).await;
    let owner = host.engine.local_owner();
    let task = host.engine.submit_task(&owner, one_agent("Look around.")).await.unwrap();
    let task = host.finish(task.id).await;
    assert_eq!((task.status, task.error), (TaskStatus::Succeeded, None));
    assert_eq!(task.steps[0].output, json!("seen"));
    let chats = server.bodies("/api/chat");
    assert_eq!(chats.len(), 2, "what would not fit is not sent");
    let asked = |chat: &Value| (chat["options"]["num_ctx"].clone(), chat["truncate"].clone());
    assert!(chats.iter().all(|chat| asked(chat) == (json!(ASKED_TOKENS), json!(false))), "{chats:?}");
    // Lines of digits: some two characters to a token.
    let sent = characters(&chats[1]);
    assert!((500..LOADED_TOKENS * 2).contains(&sent), "{sent} characters");
    let health = host.engine.health(Some(&owner)).await;
    let providers = health.components.iter().find(|component| component.name == "providers").unwrap();
    assert!(providers.detail.ends_with("loaded it with 2048 tokens of the 16384 that were asked for"), "{providers:?}");
    host.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_to_half_a_prompt_is_no_answer() {
    let server = stingy(|_| json!({ "content": "an answer to its last half" })).await;
    let host = engine_with(&server).await;
    let owner = host.engine.local_owner();
    let task = host.engine.submit_task(&owner, one_agent(&"Count these words. ".repeat(1_000))).await.unwrap();
    let task = host.finish(task.id).await;
    let error = task.error.unwrap();
    assert_eq!(error.code, ErrorCode::PromptTooLarge);
    assert!(error.detail.contains("the model takes 2048"), "{}", error.detail);
    assert_eq!(server.bodies("/api/chat").len(), 1, "there was nothing to cut");
    host.engine.stop().await;
}
