//! One task over every protocol, against a server that speaks them all.

use ninja_core::{
    EngineOptions,
    api::{SubmitTask, TaskStatus},
    providers::{ProviderConfig, ProviderKind, Scripted, Secret},
};
use ninja_tests::{ScriptedEngine, agent_step, counterpart, plan, tool_step};
use serde_json::json;

use super::shell;

/// What the server has an answer for: it looks at the files, reads two of them side by side, then says this.
const QUESTION: &str = "Which CSV file under data has more rows?";
const ANSWER: &str = "data/b.csv has more rows: 3 against 1.";

/// The protocols: what is configured, the path that is the provider's, and a model.
const PROTOCOLS: [(ProviderKind, &str, &str); 6] = [
    (ProviderKind::Openai, "/v1", "gpt-4.1"),
    (ProviderKind::OpenaiResponses, "/v1", "gpt-5.4-mini"),
    (ProviderKind::Anthropic, "", "claude-sonnet-4-5"),
    (ProviderKind::Gemini, "", "gemini-2.5-flash"),
    (ProviderKind::Deepseek, "", "deepseek-chat"),
    (ProviderKind::Ollama, "", "qwen3:8b"),
];

/// Makes options that know one provider and no script.
fn only(options: &mut EngineOptions, config: ProviderConfig) {
    options.providers = None;
    options.env.retain(|name, _| name == "PATH");
    options.config.providers = [("mock".to_owned(), config)].into();
}

/// Three steps: files are made, an agent reads them with tools, and what it says becomes a file.
fn three_steps(question: &str) -> SubmitTask {
    let files = "mkdir data && printf 'x\\n1\\nend-of-a' > data/a.csv && printf 'x\\n1\\n2\\n3\\nend-of-b' > data/b.csv";
    plan(vec![
        tool_step("make", &[], "shell", &shell(files)),
        agent_step("find", &["make"], question),
        tool_step(
            "keep",
            &["find"],
            "write_file",
            &json!({ "path": "answer.txt", "content": "{{steps.find.output}}" }),
        ),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_task_ends_the_same_over_every_protocol() {
    let Some(url) = counterpart("NINJA_TEST_AIMOCK_URL", "a server of all protocols") else { return };
    for (kind, path, model) in PROTOCOLS {
        for stream in [true, false] {
            let config = ProviderConfig {
                base_url: Some(format!("{url}{path}")),
                api_key: Some(Secret::new("sk-test")),
                model: Some(model.to_owned()),
                context_window: Some(128_000),
                stream,
                ..ProviderConfig::new(kind)
            };
            let host = ScriptedEngine::start_with(Scripted::answering("nobody asks"), |options| only(options, config));
            let host = host.await;
            let owner = host.engine.local_owner();
            let task = host.engine.submit_task(&owner, three_steps(QUESTION)).await.unwrap();
            let task = host.finish(task.id).await;
            let row = format!("{kind:?}, stream: {stream}");
            assert_eq!((task.status, task.error), (TaskStatus::Succeeded, None), "{row}");
            assert_eq!(task.steps[1].output, json!(ANSWER), "{row}");
            assert_eq!(task.artifacts[0].path, "answer.txt", "{row}");
            let used = (task.usage.model_calls, task.usage.tool_calls);
            assert_eq!(used, (3, 5), "{row}: one list, two reads, and the two steps without a model");
            // Ollama's are made up by the server.
            if kind != ProviderKind::Ollama {
                assert_eq!((task.usage.input_tokens, task.usage.output_tokens), (360, 67), "{row}");
            }
            host.engine.stop().await;
        }
    }
}
