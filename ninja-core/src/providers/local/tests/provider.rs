//! [`LocalModel`] as a provider, on a tiny model.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::tiny::Tiny;
use crate::providers::local::LocalModel;
use crate::providers::{
    Answer, ChatRequest, DeltaSink, FinishReason, Message, Provider, ProviderError, ToolDefinition,
};

/// A directory with a tiny model, and a provider on it.
pub(super) struct Fixture {
    pub(super) folder: tempfile::TempDir,
    pub(super) model: LocalModel,
}

pub(super) fn fixture(tiny: &Tiny) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    tiny.install(folder.path(), "tiny");
    let model = LocalModel::new(folder.path());
    Fixture { folder, model }
}

pub(super) fn request(text: &str, max_output_tokens: u32) -> ChatRequest {
    ChatRequest {
        model: "tiny".into(),
        messages: vec![Message::user(text)],
        tools: Arc::default(),
        schema: None,
        images: Default::default(),
        max_output_tokens,
    }
}

pub(super) fn collector() -> (DeltaSink, Arc<Mutex<String>>) {
    let text = Arc::new(Mutex::new(String::new()));
    let sink = text.clone();
    (Arc::new(move |delta: &str| sink.lock().unwrap().push_str(delta)), text)
}

fn nowhere() -> DeltaSink {
    Arc::new(|_| ())
}

async fn ask(model: &LocalModel, request: ChatRequest) -> Result<Answer, ProviderError> {
    model.chat(request, nowhere(), CancellationToken::new()).await
}

#[tokio::test]
async fn every_architecture_answers_and_streams_what_it_answers() {
    for (architecture, split) in [("llama", "smollm"), ("llama", "gpt-2"), ("qwen2", "qwen2"), ("qwen3", "qwen2")] {
        let Fixture { folder: _folder, model } = fixture(&Tiny { architecture, split, ..Tiny::default() });
        let (sink, streamed) = collector();
        let answer = model.chat(request("hello", 40), sink, CancellationToken::new()).await.unwrap();
        assert_eq!(*streamed.lock().unwrap(), answer.text, "{architecture}");
        assert!(answer.usage.output_tokens <= 40 && answer.usage.input_tokens > 10, "{:?}", answer.usage);
        assert_eq!((answer.usage.model_calls, answer.usage.estimated_tokens), (1, 0));
        assert_eq!(answer.finish == FinishReason::Length, answer.usage.output_tokens == 40);
    }
}

#[tokio::test]
async fn the_same_call_gives_the_same_answer_whatever_came_before() {
    let Fixture { folder: _folder, model } = fixture(&Tiny::default());
    let first = ask(&model, request("hello 12", 30)).await.unwrap();
    ask(&model, request("something else entirely", 30)).await.unwrap();
    assert_eq!(ask(&model, request("hello 12", 30)).await.unwrap(), first);
}

#[tokio::test]
async fn a_prompt_and_its_answer_must_fit_the_window() {
    let Fixture { folder: _folder, model } = fixture(&Tiny { context_tokens: 128, ..Tiny::default() });
    assert_eq!(model.model_info("tiny").window_tokens, 128);
    let tokens = ask(&model, request("hello", 0)).await.unwrap().usage.input_tokens;
    let room = u32::try_from(128 - tokens).unwrap();
    assert!(ask(&model, request("hello", room)).await.is_ok());
    let refused = ask(&model, request("hello", room + 1)).await;
    assert_eq!(refused, Err(ProviderError::PromptTooLarge { tokens, window: 128 }));
}

#[tokio::test]
async fn a_model_that_is_not_there_is_refused_with_the_way_to_get_it() {
    let Fixture { folder, model } = fixture(&Tiny::default());
    for name in ["other", "../tiny", "", "/etc/passwd", "TINY"] {
        let refused = ask(&model, ChatRequest { model: name.into(), ..request("hello", 1) }).await;
        assert!(matches!(refused, Err(ProviderError::Rejected(_))), "{name}: {refused:?}");
    }
    let empty = LocalModel::new(folder.path().join("nothing"));
    let refused = empty.check().await.unwrap_err().to_string();
    assert!(refused.contains("run `ninja model install`"), "{refused}");
    assert_eq!(model.check().await.unwrap(), "installed: tiny (0 M weights)");
}

#[tokio::test]
async fn a_shortened_file_is_reported_as_damaged() {
    let Fixture { folder, model } = fixture(&Tiny::default());
    let path = folder.path().join("tiny.gguf");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    let refused = ask(&model, request("hello", 1)).await.unwrap_err().to_string();
    assert!(refused.contains("damaged") && refused.contains("install"), "{refused}");
    assert!(model.check().await.is_err());
}

#[tokio::test]
async fn a_file_that_lies_about_its_size_fails_and_the_provider_lives_on() {
    let Fixture { folder, model } = fixture(&Tiny::default());
    let path = folder.path().join("tiny.gguf");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, vec![0; bytes.len()]).unwrap();
    assert!(matches!(ask(&model, request("hello", 1)).await, Err(ProviderError::Rejected(_))));
    std::fs::write(&path, bytes).unwrap();
    assert!(ask(&model, request("hello", 1)).await.is_ok());
}

#[tokio::test]
async fn a_cancelled_call_says_so_and_shows_nothing_more() {
    let Fixture { folder: _folder, model } = fixture(&Tiny { context_tokens: 4_096, ..Tiny::default() });
    let cancel = CancellationToken::new();
    let shown = Arc::new(Mutex::new(0));
    let sink: DeltaSink = {
        let (cancel, shown) = (cancel.clone(), shown.clone());
        Arc::new(move |_| {
            *shown.lock().unwrap() += 1;
            cancel.cancel();
        })
    };
    // A pattern keeps the answer from ending by itself.
    let endless = json!({"type": "string", "pattern": "^[a-z ]{2000}$"});
    let endless = ChatRequest { schema: Some(endless), ..request("hello", 1_900) };
    let answer = model.chat(endless, sink, cancel.clone()).await;
    assert_eq!(answer, Err(ProviderError::Cancelled));
    assert_eq!(*shown.lock().unwrap(), 1);
    assert_eq!(model.chat(request("hello", 1), nowhere(), cancel).await, Err(ProviderError::Cancelled));
    assert!(ask(&model, request("hello", 1)).await.is_ok());
}

#[tokio::test]
async fn a_dropped_call_frees_the_model_for_the_next() {
    let Fixture { folder: _folder, model } = fixture(&Tiny { context_tokens: 4_096, ..Tiny::default() });
    let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
    let sink: DeltaSink = Arc::new(move |_| begun.send(()).unwrap_or_default());
    let endless = json!({"type": "string", "pattern": "^[a-z ]{2000}$"});
    let endless = ChatRequest { schema: Some(endless), ..request("hello", 1_900) };
    {
        let call = model.chat(endless, sink, CancellationToken::new());
        tokio::select! {
            answer = call => panic!("{answer:?}"),
            _ = has_begun.recv() => {}
        }
    }
    assert!(ask(&model, request("hello", 1)).await.is_ok());
    // The dropped call shows at most what it was about to show.
    while has_begun.try_recv().is_ok() {}
    assert!(has_begun.recv().await.is_none());
}

#[tokio::test]
async fn calls_wait_in_line_and_a_waiting_one_can_be_cancelled_at_once() {
    let Fixture { folder: _folder, model } = fixture(&Tiny { context_tokens: 4_096, ..Tiny::default() });
    let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
    let sink: DeltaSink = Arc::new(move |_| begun.send(()).unwrap_or_default());
    let endless = json!({"type": "string", "pattern": "^[a-z ]{2000}$"});
    let endless = ChatRequest { schema: Some(endless), ..request("hello", 1_900) };
    let first_cancel = CancellationToken::new();
    let first = model.chat(endless, sink, first_cancel.clone());
    let rest = async {
        has_begun.recv().await;
        let cancel = CancellationToken::new();
        let second = model.chat(request("hello", 1), nowhere(), cancel.clone());
        let (second, ()) = tokio::join!(second, async { cancel.cancel() });
        assert_eq!(second, Err(ProviderError::Cancelled));
        first_cancel.cancel();
    };
    let (first, ()) = tokio::join!(first, rest);
    assert_eq!(first, Err(ProviderError::Cancelled));
    let many = (0..40).map(|_| ask(&model, request("hello", 2)));
    for answer in futures::future::join_all(many).await {
        assert!(answer.is_ok());
    }
}

#[tokio::test]
async fn a_small_model_is_not_given_tools() {
    let Fixture { folder: _folder, model } = fixture(&Tiny::default());
    let info = model.model_info("tiny");
    assert_eq!((info.tools, info.label.as_str()), (false, "small local model"));
    assert_eq!(model.model_info("unknown").window_tokens, 2_048);
    let tool = ToolDefinition { name: "add".into(), description: String::new(), schema: json!({}) };
    let refused = ask(&model, ChatRequest { tools: Arc::new([tool]), ..request("hello", 10) }).await.unwrap_err();
    assert!(refused.to_string().contains("too small to use tools"), "{refused}");
}

#[tokio::test]
async fn a_schema_that_cannot_be_enforced_is_refused() {
    let Fixture { folder: _folder, model } = fixture(&Tiny::default());
    for schema in
        [json!({"type": "string", "format": "no-such"}), json!({"not": {"type": "string"}}), json!(7), json!(false)]
    {
        let refused = ask(&model, ChatRequest { schema: Some(schema.clone()), ..request("hello", 10) }).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("the schema cannot be enforced"), "{schema}: {refused}");
    }
}

#[tokio::test]
async fn two_providers_share_a_process_and_end_with_it() {
    let one = fixture(&Tiny::default());
    let two = fixture(&Tiny { split: "gpt-2", ..Tiny::default() });
    let (a, b) = tokio::join!(ask(&one.model, request("hello", 5)), ask(&two.model, request("hello", 5)));
    assert!(a.is_ok() && b.is_ok());
    drop(one);
    let answer = tokio::time::timeout(Duration::from_secs(60), ask(&two.model, request("hello", 5))).await;
    assert!(answer.unwrap().is_ok());
}
