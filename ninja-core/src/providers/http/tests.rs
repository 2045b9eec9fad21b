//! Every protocol against the same rules: what is sent, what is read, and that a cut answer is none.

use std::sync::Arc;

use futures::{StreamExt, stream};
use reqwest::Url;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    HttpProvider,
    images::EncodedImages,
    kinds,
    protocol::Call,
    test_server::{Reply, TestServer, response},
};
use crate::{
    api::BlobHash,
    providers::{
        Answer, ChatRequest, Image, ImageFile, ImageShape, ImageSource, MediaType, Message, Provider, ProviderConfig,
        ProviderError, ProviderKind, Secret, ToolCall, ToolDefinition,
    },
};

/// A stream as a server sent it.
struct Recorded {
    kind: ProviderKind,
    name: &'static str,
    stream: &'static str,
    /// How many of its last bytes say nothing more.
    idle_bytes: usize,
}

const RECORDED: [Recorded; 10] = [
    Recorded {
        kind: ProviderKind::Anthropic,
        name: "anthropic-thinking",
        stream: include_str!("fixtures/anthropic-thinking.sse"),
        idle_bytes: 2,
    },
    Recorded {
        kind: ProviderKind::Anthropic,
        name: "anthropic-calls",
        stream: include_str!("fixtures/anthropic-calls.sse"),
        idle_bytes: 2,
    },
    Recorded {
        kind: ProviderKind::Anthropic,
        name: "anthropic-text",
        stream: include_str!("fixtures/anthropic-text.sse"),
        idle_bytes: 2,
    },
    Recorded {
        kind: ProviderKind::OpenaiResponses,
        name: "responses-calls",
        stream: include_str!("fixtures/responses-calls.sse"),
        idle_bytes: 2,
    },
    Recorded {
        kind: ProviderKind::OpenaiResponses,
        name: "responses-text",
        stream: include_str!("fixtures/responses-text.sse"),
        idle_bytes: 2,
    },
    Recorded {
        kind: ProviderKind::Gemini,
        name: "gemini-calls",
        stream: include_str!("fixtures/gemini-calls.sse"),
        idle_bytes: 2,
    },
    Recorded {
        kind: ProviderKind::Gemini,
        name: "gemini-text",
        stream: include_str!("fixtures/gemini-text.sse"),
        idle_bytes: 2,
    },
    Recorded {
        kind: ProviderKind::Deepseek,
        name: "deepseek-thinking",
        stream: include_str!("fixtures/deepseek-thinking.sse"),
        idle_bytes: 2,
    },
    Recorded {
        kind: ProviderKind::Ollama,
        name: "ollama-calls",
        stream: include_str!("fixtures/ollama-calls.ndjson"),
        idle_bytes: 1,
    },
    Recorded {
        kind: ProviderKind::Ollama,
        name: "ollama-text",
        stream: include_str!("fixtures/ollama-text.ndjson"),
        idle_bytes: 1,
    },
];

const KINDS: [ProviderKind; 6] = [
    ProviderKind::Openai,
    ProviderKind::OpenaiResponses,
    ProviderKind::Anthropic,
    ProviderKind::Gemini,
    ProviderKind::Deepseek,
    ProviderKind::Ollama,
];

impl Recorded {
    fn reply(&self) -> Vec<u8> {
        let content = match self.kind {
            ProviderKind::Ollama => "application/x-ndjson",
            _ => "text/event-stream",
        };
        response(200, &format!("content-type: {content}\r\n"), self.stream)
    }
}

fn provider(kind: ProviderKind, server: &TestServer, stream: bool) -> HttpProvider {
    let base_url = Some(server.url.trim_end_matches("/v1").to_owned());
    let config = ProviderConfig { base_url, stream, ..ProviderConfig::new(kind) };
    HttpProvider::new(&config, Some(Secret::new("sk-1234"))).unwrap()
}

fn request(text: &str) -> ChatRequest {
    ChatRequest {
        model: "a/b?c".into(),
        messages: vec![Message::user(text)],
        tools: Arc::default(),
        schema: None,
        images: Default::default(),
        max_output_tokens: 64,
    }
}

async fn call(provider: &HttpProvider, request: ChatRequest) -> Result<Answer, ProviderError> {
    provider.chat(request, Arc::new(|_: &str| {}), CancellationToken::new()).await
}

async fn answer_to(kind: ProviderKind, reply: Vec<u8>) -> Result<Answer, ProviderError> {
    let server = TestServer::start(move |_| Reply::Send(reply.clone())).await;
    call(&provider(kind, &server, true), request("hello")).await
}

#[tokio::test]
async fn every_recorded_stream_becomes_its_answer() {
    for recorded in RECORDED {
        let answer = answer_to(recorded.kind, recorded.reply()).await.unwrap();
        insta::assert_json_snapshot!(recorded.name, answer);
    }
}

#[tokio::test]
async fn a_stream_cut_at_any_byte_is_no_answer() {
    for recorded in RECORDED {
        let whole = answer_to(recorded.kind, recorded.reply()).await.unwrap();
        let reply = Arc::new(recorded.reply());
        let (length, start) = (reply.len(), reply.len() - recorded.stream.len());
        let server = {
            let reply = Arc::clone(&reply);
            TestServer::start(move |request| {
                // What is asked before and after a call is not answered.
                let Some(cut) = request.split("cut at ").nth(1) else { return Reply::Send(Vec::new()) };
                let cut: usize = cut.split('"').next().unwrap().parse().unwrap();
                Reply::Send(reply[..cut].to_vec())
            })
            .await
        };
        let provider = provider(recorded.kind, &server, true);
        let calls = (start..length).map(|cut| {
            let call = call(&provider, request(&format!("cut at {cut}")));
            async move { (cut, call.await) }
        });
        let results: Vec<_> = stream::iter(calls).buffer_unordered(32).collect().await;
        for (cut, result) in results {
            match result {
                Ok(answer) if cut >= length - recorded.idle_bytes => {
                    assert_eq!((answer.text, answer.tool_calls), (whole.text.clone(), whole.tool_calls.clone()));
                }
                result => assert_eq!(result, Err(ProviderError::Truncated), "{} cut at {cut}", recorded.name),
            }
        }
    }
}

#[tokio::test]
async fn a_conversation_is_sent_as_each_protocol_wants_it() {
    for kind in KINDS {
        let server = TestServer::start(|_| Reply::Send(response(400, "", "{}"))).await;
        let carried = |of: &str, data: Value| Some(crate::providers::Carry { of: format!("{of}/a/b?c"), data });
        let carry = match kind {
            ProviderKind::Anthropic => carried(
                "anthropic",
                json!([{ "type": "thinking", "thinking": "hm", "signature": "s" }, { "type": "tool_use" }]),
            ),
            ProviderKind::Gemini => carried("gemini", json!([{ "functionCall": {}, "thoughtSignature": "s" }])),
            ProviderKind::OpenaiResponses => carried(
                "openai-responses",
                json!([{ "type": "reasoning", "encrypted_content": "s", "summary": [] }, { "type": "function_call" }]),
            ),
            ProviderKind::Deepseek => carried("openai-chat", json!("hm")),
            ProviderKind::Openai | ProviderKind::Ollama => None,
        };
        let call_of =
            |id: &str, args: Value| crate::providers::ToolCall { id: id.into(), name: "weather".into(), args };
        let result = |id: &str, text: &str| Message::Tool {
            call_id: id.into(),
            name: "weather".into(),
            text: text.into(),
            images: Vec::new(),
        };
        let request = ChatRequest {
            messages: vec![
                Message::System { text: "Be short.".into() },
                Message::user("Weather?"),
                Message::Assistant {
                    text: String::new(),
                    tool_calls: vec![call_of("call_1", json!({ "city": "Paris" })), call_of("call_2", json!("{\"ci"))],
                    carry,
                },
                result("call_1", "rain"),
                result("call_2", "unreadable"),
                Message::Assistant { text: "It rains.".into(), tool_calls: Vec::new(), carry: None },
                Message::user("As JSON."),
            ],
            tools: Arc::new([ToolDefinition {
                name: "weather".into(),
                description: "Tells.".into(),
                schema: json!({ "type": "object" }),
            }]),
            schema: Some(json!({ "type": "object", "properties": { "rain": { "type": "boolean" } } })),
            ..request("")
        };
        call(&provider(kind, &server, true), request).await.unwrap_err();
        let (head, body) = sent(&server);
        let signs = ["authorization", "x-api-key", "x-goog-api-key", "anthropic-version"];
        let is_told = |line: &&str| signs.iter().any(|sign| line.to_lowercase().starts_with(sign));
        let head: Vec<&str> = head.lines().take(1).chain(head.lines().filter(is_told)).collect();
        insta::assert_json_snapshot!(format!("request-{kind:?}"), json!({ "head": head, "body": body }));
    }
}

/// Returns the head and the body of the call that came.
fn sent(server: &TestServer) -> (String, Value) {
    let requests = server.requests.lock().unwrap();
    let raw = requests.iter().find(|request| request.contains("Be short.")).unwrap();
    let (head, body) = raw.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), serde_json::from_str(body).unwrap())
}

/// An image that is told from others by the length of its name.
fn image(name: &str, media_type: MediaType) -> Image {
    let shape = ImageShape { media_type, width: 2, height: 1, is_animated: false, is_cut: false };
    let blob = BlobHash::from_bytes([u8::try_from(name.len()).unwrap(); 32]);
    Image { file: ImageFile { name: name.into(), blob, bytes: 4, shape }, tokens: 5 }
}

/// A question with an image, two calls, and images in the result of the first.
fn with_images() -> ChatRequest {
    let calls = ["call_1", "call_2"].map(|id| ToolCall { id: id.into(), name: "draw".into(), args: json!({}) });
    let result = |id: &str, text: &str, images| Message::Tool {
        call_id: id.into(),
        name: "draw".into(),
        text: text.into(),
        images,
    };
    let drawn = vec![image("bb", MediaType::Jpeg), image("ccc", MediaType::Webp)];
    ChatRequest {
        messages: vec![
            Message::System { text: "Be short.".into() },
            Message::User { text: "What is it?".into(), images: vec![image("a", MediaType::Png)] },
            Message::Assistant { text: String::new(), tool_calls: calls.to_vec(), carry: None },
            result("call_1", "drawn", drawn),
            result("call_2", "nothing", Vec::new()),
        ],
        images: ImageSource::new(|blob| Ok(format!("bytes of {}", &blob.to_string()[..2]).into_bytes())),
        ..request("")
    }
}

#[tokio::test]
async fn images_are_sent_where_each_protocol_has_a_place_for_them() {
    for kind in KINDS {
        let server = TestServer::start(|_| Reply::Send(response(400, "", "{}"))).await;
        call(&provider(kind, &server, true), with_images()).await.unwrap_err();
        insta::assert_json_snapshot!(format!("images-{kind:?}"), sent(&server).1);
    }
}

#[test]
fn openai_itself_is_held_to_the_detail_that_is_counted() {
    let request = with_images();
    let images = EncodedImages::of(&request).unwrap();
    let url = Url::parse("https://api.openai.com/v1/").unwrap();
    for kind in [ProviderKind::Openai, ProviderKind::OpenaiResponses] {
        let protocol = kinds::protocol(kind, &url, true).unwrap();
        let (window_tokens, is_streamed, name) = (1, false, protocol.name());
        let call = Call { protocol: name, request: &request, images: &images, window_tokens, is_streamed };
        let body = String::from_utf8(protocol.body(&call)).unwrap();
        assert_eq!(body.matches(r#""detail":"high""#).count(), 3, "{body}");
    }
}

/// Returns the roles of what chat completions are sent.
fn roles(request: &ChatRequest, is_vendor: bool) -> Vec<String> {
    let images = EncodedImages::of(request).unwrap();
    let url = Url::parse("https://h/v1/").unwrap();
    let protocol = kinds::protocol(ProviderKind::Openai, &url, is_vendor).unwrap();
    let call = Call { protocol: "", request, images: &images, window_tokens: 1, is_streamed: false };
    let body: Value = serde_json::from_slice(&protocol.body(&call)).unwrap();
    body["messages"].as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_user_never_speaks_right_after_a_result_where_that_may_be_refused() {
    let shown = with_images();
    let mut asked = shown.clone();
    asked.messages.push(Message::user("Well?"));
    let mut told = shown.clone();
    told.messages.truncate(3);
    told.messages.push(Message::Tool {
        call_id: "call_1".into(),
        name: "draw".into(),
        text: "x".into(),
        images: Vec::new(),
    });
    told.messages.push(Message::user("Well?"));
    let begin = ["system", "user", "assistant", "tool"];
    for (request, vendor, compatible) in [
        (shown, vec!["tool", "user"], vec!["tool", "assistant", "user"]),
        (asked, vec!["tool", "user", "user"], vec!["tool", "assistant", "user", "user"]),
        (told, vec!["user"], vec!["assistant", "user"]),
    ] {
        for (is_vendor, rest) in [(true, vendor), (false, compatible)] {
            assert_eq!(roles(&request, is_vendor), [begin.as_slice(), &rest].concat(), "vendor: {is_vendor}");
        }
    }
}

#[tokio::test]
async fn an_old_gemini_gets_images_after_the_last_result() {
    let server = TestServer::start(|_| Reply::Send(response(400, "", "{}"))).await;
    let mut request = ChatRequest { model: "gemini-2.5-flash".into(), ..with_images() };
    request.messages.push(Message::Assistant { text: "So.".into(), tool_calls: Vec::new(), carry: None });
    call(&provider(ProviderKind::Gemini, &server, true), request).await.unwrap_err();
    let body = sent(&server).1;
    let kinds = |place: usize| -> Vec<String> {
        let parts = body["contents"][place]["parts"].as_array().unwrap();
        parts.iter().map(|part| part.as_object().unwrap().keys().next().unwrap().clone()).collect()
    };
    assert_eq!(kinds(2), ["functionResponse", "functionResponse"]);
    assert_eq!(body["contents"][2]["parts"][0]["functionResponse"]["parts"], Value::Null);
    assert_eq!(kinds(3), ["text", "inlineData", "inlineData"]);
    assert_eq!(body["contents"][3]["parts"][0]["text"], "What draw returned shows bb, ccc:");
    assert_eq!((&body["contents"][3]["role"], &body["contents"][4]["role"]), (&json!("user"), &json!("model")));
}

#[tokio::test]
async fn a_request_with_an_image_that_cannot_be_read_is_not_sent() {
    let server = TestServer::start(|_| Reply::Send(response(200, "", "{}"))).await;
    let request = ChatRequest { images: ImageSource::new(|_| Err("gone".to_owned())), ..with_images() };
    let failed = call(&provider(ProviderKind::Openai, &server, true), request).await.unwrap_err();
    assert_eq!(failed, ProviderError::UnreadableImage("a: gone".to_owned()));
    assert!(server.requests.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn few_bodies_with_images_are_written_at_a_time() {
    let server = TestServer::start(|_| Reply::Send(response(400, "", "{}"))).await;
    let provider = provider(ProviderKind::Openai, &server, true);
    // Reading lasts until the test has seen who reads.
    let (began, mut begins) = tokio::sync::mpsc::unbounded_channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let images = ImageSource::new(move |_| {
        began.send(()).unwrap();
        released.lock().unwrap().recv().unwrap();
        Ok(Vec::new())
    });
    let shown = || {
        let messages = vec![Message::User { text: "What is it?".into(), images: vec![image("a", MediaType::Png)] }];
        ChatRequest { messages, images: images.clone(), ..request("") }
    };
    let calls = stream::iter((0..10).map(|_| call(&provider, shown()))).buffer_unordered(10).collect::<Vec<_>>();
    let watch = async {
        for _ in 0..4 {
            begins.recv().await.unwrap();
        }
        let words = call(&provider, request("without images")).await;
        assert!(matches!(words, Err(ProviderError::Rejected(_))), "what shows none does not wait: {words:?}");
        assert!(begins.try_recv().is_err(), "the others wait");
        (0..10).for_each(|_| release.send(()).unwrap());
    };
    let (results, ()) = futures::future::join(calls, watch).await;
    assert_eq!((results.len(), server.requests.lock().unwrap().len()), (10, 11), "all are sent in the end");
}
