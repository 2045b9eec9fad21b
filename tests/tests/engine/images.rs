//! Images: what a person attaches or a tool draws reaches the model once, and nothing but its hash is kept of it.

use futures::{future::BoxFuture, stream};
use ninja_core::{
    Engine, EngineOptions,
    api::{EffectClass, FileId, ForkTask, Planning, SubmitTask, TaskStatus},
    maintenance,
    providers::{ProviderConfig, ProviderKind, Scripted, TakesImages, ToolDefinition},
    tools::{Tool, ToolError, ToolOutput, ToolRun},
};
use ninja_tests::{ScriptedEngine, StubRequest, StubServer};
use serde_json::{Value, json};

/// A PNG of one pixel, and what it is in base64.
const PIXEL: &[u8] =
    b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\x00\x00\x00\x01\x08\
    \x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\x0d\x49\x44\x41\x54\x78\x9c\x63\xf8\xcf\xc0\xf0\x1f\x00\
    \x05\x00\x01\xff\x89\x99\x3d\x1d\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82";
const PIXEL_BASE64: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==";

/// A tool whose images lie nowhere but in the journal's blobs.
struct Draw;

impl Tool for Draw {
    fn definition(&self) -> ToolDefinition {
        let schema = json!({ "type": "object" });
        ToolDefinition { name: "draw".to_owned(), description: "Draws.".to_owned(), schema }
    }

    fn effect_class(&self) -> EffectClass {
        EffectClass::Pure
    }

    fn run<'a>(&'a self, _: ToolRun<'a>) -> BoxFuture<'a, Result<ToolOutput, ToolError>> {
        let output = ToolOutput::done(json!("drawn")).showing("pixel", PIXEL).showing("words", &b"no image"[..]);
        Box::pin(async move { Ok(output) })
    }
}

/// A server that speaks chat completions and answers one turn after the other.
async fn chat(turns: Vec<Value>) -> StubServer {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    StubServer::start(move |request: &StubRequest| match request.path.as_str() {
        "/v1/chat/completions" => {
            let turn = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let message = turns.get(turn).cloned().unwrap_or(json!({ "content": "seen" }));
            let reason = if message.get("tool_calls").is_some() { "tool_calls" } else { "stop" };
            let usage = json!({ "prompt_tokens": 1, "completion_tokens": 1 });
            (200, json!({ "choices": [{ "message": message, "finish_reason": reason }], "usage": usage }))
        }
        _ => (404, Value::Null),
    })
    .await
}

fn calls(name: &str, args: &Value) -> Value {
    let function = json!({ "name": name, "arguments": args.to_string() });
    json!({ "content": "", "tool_calls": [{ "id": "x", "type": "function", "function": function }] })
}

async fn engine_with(server: &StubServer, takes_images: Option<TakesImages>) -> ScriptedEngine {
    let config = ProviderConfig {
        base_url: Some(format!("{}/v1", server.url)),
        model: Some("m".to_owned()),
        context_window: Some(32_768),
        stream: false,
        takes_images,
        ..ProviderConfig::new(ProviderKind::Openai)
    };
    let change = |options: &mut EngineOptions| {
        options.providers = None;
        options.env.retain(|name, _| name == "PATH");
        options.config.providers = [("stub".to_owned(), config)].into();
        options.tools = vec![std::sync::Arc::new(Draw)];
    };
    ScriptedEngine::start_with(Scripted::answering("nobody asks"), change).await
}

fn looker(files: Vec<FileId>) -> SubmitTask {
    let agent = "+++\nname = \"looker\"\ndescription = \"Looks.\"\ntools = [\"read_file\", \"draw\"]\n[limits]\noutput_tokens = 200\n+++\nYou look.";
    let (goal, agent) = ("What is it?".to_owned(), Some(agent.to_owned()));
    SubmitTask { goal, planning: Planning::None, agent, files, ..SubmitTask::default() }
}

async fn upload(engine: &Engine, name: &str, bytes: &'static [u8]) -> FileId {
    let content = stream::iter([Ok(bytes::Bytes::from_static(bytes))]);
    engine.upload_file(&engine.local_owner(), name, content).await.unwrap().id
}

/// Counts how often the image stands in what came.
fn pixels(body: &Value) -> usize {
    body.to_string().matches(PIXEL_BASE64).count()
}

fn text(body: &Value) -> String {
    body["messages"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attached_image_arrives_once_and_a_text_as_none() {
    let server = chat(vec![calls("read_file", &json!({ "path": "inputs/photo.png" }))]).await;
    let host = engine_with(&server, Some(TakesImages::All(true))).await;
    let owner = host.engine.local_owner();
    let files = vec![
        upload(&host.engine, "photo.png", PIXEL).await,
        upload(&host.engine, "fake.txt", b"PNG, says its first line").await,
    ];
    let task = host.engine.submit_task(&owner, looker(files)).await.unwrap();
    let task = host.finish(task.id).await;
    assert_eq!((task.status, task.error), (TaskStatus::Succeeded, None));
    let asked = server.bodies("/v1/chat/completions");
    assert_eq!(asked.len(), 2);
    let url = format!("data:image/png;base64,{PIXEL_BASE64}");
    assert_eq!(asked[0]["messages"][1]["content"][1], json!({ "type": "image_url", "image_url": { "url": url } }));
    assert_eq!((pixels(&asked[0]), pixels(&asked[1])), (1, 1), "looked at twice, sent once");
    assert!(text(&asked[0]).contains("(image inputs/photo.png, 1×1, shown)"));
    assert!(!text(&asked[0]).contains("image inputs/fake.txt"), "{}", text(&asked[0]));
    assert!(text(&asked[1]).contains("(image inputs/photo.png, 1×1, not shown: it is shown again below)"));
    let fork = ForkTask { at: Some(task.steps[0].id.clone()), model: None };
    let forked = host.engine.fork_task(&owner, task.id, fork).await.unwrap();
    assert_eq!(host.finish(forked.id).await.status, TaskStatus::Succeeded);
    assert_eq!(pixels(&server.bodies("/v1/chat/completions")[2]), 1, "a fork sees it too");
    host.engine.stop().await;
    assert!(!journal_holds(host.directory.path(), PIXEL_BASE64), "the journal names it");
}

/// Returns whether any file of a data directory holds a text.
fn journal_holds(folder: &std::path::Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().flatten().any(|entry| match entry.file_type().unwrap().is_dir() {
        true => journal_holds(&entry.path(), text),
        false => std::fs::read(entry.path())
            .is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes())),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_takes_no_images_is_told_what_it_does_not_see() {
    let server = chat(vec![calls("draw", &json!({}))]).await;
    let host = engine_with(&server, None).await;
    let owner = host.engine.local_owner();
    let files = vec![upload(&host.engine, "photo.png", PIXEL).await];
    let task = host.engine.submit_task(&owner, looker(files)).await.unwrap();
    let task = host.finish(task.id).await;
    assert_eq!(task.status, TaskStatus::Succeeded);
    let asked = server.bodies("/v1/chat/completions");
    assert!(asked.iter().all(|body| pixels(body) == 0), "{asked:?}");
    let line = "(image inputs/photo.png, 1×1, not shown: stub/m takes no images)";
    assert!(asked[0]["messages"][1]["content"].as_str().unwrap().ends_with(line), "{}", text(&asked[0]));
    let result = asked[1]["messages"].as_array().unwrap().last().unwrap();
    assert_eq!(result["content"], "drawn\n(image pixel, 1×1, not shown: stub/m takes no images)");
    host.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tool_draws_is_shown_after_its_result_and_kept_for_as_long_as_the_task() {
    let server = chat(vec![calls("draw", &json!({}))]).await;
    let host = engine_with(&server, Some(TakesImages::Only(vec!["m".to_owned()]))).await;
    let owner = host.engine.local_owner();
    let task = host.engine.submit_task(&owner, looker(Vec::new())).await.unwrap();
    let task = host.finish(task.id).await;
    assert_eq!((task.status, task.error), (TaskStatus::Succeeded, None));
    let asked = server.bodies("/v1/chat/completions");
    let messages = asked[1]["messages"].as_array().unwrap();
    let [.., result, _, shown] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!((&result["role"], &result["content"]), (&json!("tool"), &json!("drawn\n(image pixel, 1×1, shown)")));
    let words = json!({ "type": "text", "text": "What draw returned shows pixel:" });
    assert_eq!((&shown["role"], &shown["content"][0], pixels(&asked[1])), (&json!("user"), &words, 1));
    host.engine.stop().await;
    let folder = host.directory.path().to_owned();
    let at_rest = folder.clone();
    let kept = tokio::task::spawn_blocking(move || (maintenance::compact(&at_rest), maintenance::check(&at_rest)));
    let (compacted, examined) = kept.await.unwrap();
    assert_eq!(compacted.unwrap().blobs, 0, "nothing that a task shows is a leftover");
    assert!(examined.unwrap().is_sound());
    let blob = folder.join("blobs").join(&PIXEL_SHA256[..2]).join(&PIXEL_SHA256[2..]);
    assert_eq!(std::fs::read(blob).unwrap(), PIXEL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_the_provider_cannot_read_is_left_out() {
    let server = StubServer::start(|request: &StubRequest| match (request.path.as_str(), pixels(&request.body)) {
        ("/v1/chat/completions", 0) => {
            (200, json!({ "choices": [{ "message": { "content": "seen" }, "finish_reason": "stop" }] }))
        }
        ("/v1/chat/completions", _) => (400, json!({ "error": { "message": "cannot decode it" } })),
        _ => (404, Value::Null),
    })
    .await;
    let host = engine_with(&server, Some(TakesImages::All(true))).await;
    let owner = host.engine.local_owner();
    let files = vec![upload(&host.engine, "photo.png", PIXEL).await];
    let task = host.engine.submit_task(&owner, looker(files)).await.unwrap();
    let task = host.finish(task.id).await;
    assert_eq!((task.status, task.error), (TaskStatus::Succeeded, None));
    let asked = server.bodies("/v1/chat/completions");
    assert_eq!(asked.iter().map(pixels).collect::<Vec<_>>(), [1, 0]);
    assert!(text(&asked[1]).contains("(image inputs/photo.png, 1×1, not shown: "), "{}", text(&asked[1]));
    host.engine.stop().await;
}

/// The address of the pixel.
const PIXEL_SHA256: &str = "4ff6ab670a58c14270e034e2090d9a432caa263a14e0a25785386b0c12f880b5";
