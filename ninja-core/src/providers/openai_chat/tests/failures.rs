//! Streams that break and servers that refuse. The rule: never an answer that looks complete and is not.

use futures::{StreamExt, stream};

use super::*;

/// Cuts a reply after each of its bytes; what still answers must answer as the whole does.
async fn cut_everywhere(reply: Vec<u8>, body_start: usize, whole: &Answer) -> usize {
    let length = reply.len();
    let reply = Arc::new(reply);
    let server = {
        let reply = reply.clone();
        TestServer::start(move |request| {
            let cut: usize = request.split("cut at ").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
            Reply::Send(reply[..cut].to_vec())
        })
        .await
    };
    let provider = provider(&server.url);
    let calls = (body_start..length).map(|cut| {
        let call = call(&provider, request(&format!("cut at {cut}")));
        async move { (cut, call.await) }
    });
    let results: Vec<_> = stream::iter(calls).buffer_unordered(32).collect().await;
    let mut answers = 0;
    for (cut, result) in results {
        match result {
            Ok(mut answer) => {
                answer.usage.input_tokens = whole.usage.input_tokens;
                assert_eq!(&answer, whole, "cut at {cut} of {length}");
                answers += 1;
            }
            Err(error) => assert_eq!(error, ProviderError::Truncated, "cut at {cut} of {length}"),
        }
    }
    answers
}

fn body_start(reply: &[u8]) -> usize {
    reply.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4
}

#[tokio::test]
async fn a_stream_cut_at_any_byte_is_truncated() {
    for stream in [TEXT, TOOLS] {
        let whole = answer_to(events(stream)).await.unwrap();
        let reply = events(stream);
        let start = body_start(&reply);
        // Only the two line feeds after `[DONE]` say nothing more.
        assert_eq!(cut_everywhere(reply, start, &whole).await, 2);
    }
}

#[tokio::test]
async fn a_chunked_stream_cut_at_any_byte_is_truncated() {
    let frames: Vec<_> = TOOLS.split_inclusive("\n\n").collect();
    let whole = answer_to(events(TOOLS)).await.unwrap();
    let reply = chunked(&frames);
    let start = body_start(&reply);
    let answers = cut_everywhere(reply, start, &whole).await;
    // Cut within what frames the last event, or within its line feeds.
    assert!(answers <= 4, "{answers}");
}

#[tokio::test]
async fn a_stream_without_its_final_event_is_truncated() {
    let stream = TEXT.replace("data: [DONE]\n\n", "");
    assert_eq!(answer_to(events(&stream)).await, Err(ProviderError::Truncated));
    let mut whole = chunked(&[&stream]);
    whole.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(answer_to(whole).await, Err(ProviderError::Truncated));
}

#[tokio::test]
async fn a_final_event_without_a_reason_to_stop_is_truncated() {
    let stream = TEXT.replace("\"finish_reason\":\"length\"", "\"finish_reason\":null");
    assert_eq!(answer_to(events(&stream)).await, Err(ProviderError::Truncated));
}

#[tokio::test]
async fn a_malformed_chunk_is_no_answer() {
    let frames: Vec<_> = TEXT.split_inclusive("\n\n").collect();
    let garbage = format!("{}data: {{\"choices\":[}}\n\n{}", frames[..3].concat(), frames[3..].concat());
    assert_eq!(answer_to(events(&garbage)).await, Err(ProviderError::Truncated));
    let mut bytes = events(&frames[..2].concat());
    bytes.extend_from_slice(b"data: \xff\xfe\n\n");
    assert_eq!(answer_to(bytes).await, Err(ProviderError::Truncated));
    let bad_size = response(200, "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n", "zz\r\nx\r\n");
    assert_eq!(answer_to(bad_size).await, Err(ProviderError::Truncated));
}

#[tokio::test]
async fn an_error_event_ends_the_stream() {
    let frames: Vec<_> = TEXT.split_inclusive("\n\n").take(2).collect();
    let failed =
        |error: Value| events(&format!("{}data: {}\n\ndata: [DONE]\n\n", frames.concat(), json!({ "error": error })));
    let server_error = answer_to(failed(json!({ "message": "gpu lost", "type": "server_error" }))).await;
    assert_eq!(server_error, Err(ProviderError::Unavailable("500 from 127.0.0.1: gpu lost".into())));
}

#[tokio::test]
async fn a_page_instead_of_a_stream_is_no_answer() {
    assert_eq!(answer_to(response(200, "", "<html>Welcome</html>")).await, Err(ProviderError::Truncated));
    assert!(answer_to(Vec::new()).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn a_status_that_is_no_success_is_mapped() {
    let limited = answer_to(response(429, "retry-after: 7\r\n", "{}")).await;
    assert_eq!(limited, Err(ProviderError::RateLimited { retry_after_ms: Some(7_000) }));
    let body = json!({ "error": { "message": "no key sk-1234 here" } }).to_string();
    let refused = answer_to(response(401, "", &body)).await;
    assert_eq!(refused, Err(ProviderError::Unauthorized("401 from 127.0.0.1: no key [redacted] here".into())));
    let broken = answer_to(response(500, "", "oops")).await;
    assert_eq!(broken, Err(ProviderError::Unavailable("500 from 127.0.0.1".into())));
    let moved = answer_to(response(307, "location: http://127.0.0.1:9/\r\n", "")).await;
    assert_eq!(moved, Err(ProviderError::Rejected("307 from 127.0.0.1".into())));
}

#[tokio::test]
async fn nobody_at_the_address_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let error = call(&provider(&url), request("hello")).await.unwrap_err().to_string();
    assert!(error.contains("cannot connect to 127.0.0.1: "), "{error}");
    assert!(!error.contains("hello") && !error.contains("sk-1234"), "{error}");
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up() {
    let first = TEXT.split_inclusive("\n\n").take(2).collect::<String>();
    let server = TestServer::start(move |_| Reply::Hang(chunked(&[&first]))).await;
    // From the first word on, time passes as soon as nothing else happens.
    let deltas: DeltaSink = Arc::new(|_| tokio::time::pause());
    let result = provider(&server.url).chat(request("hello"), deltas, CancellationToken::new()).await;
    assert_eq!(result, Err(ProviderError::Unavailable("nothing came for 60s".into())));
    server.closed.notified().await;
}

#[tokio::test]
async fn a_server_that_never_begins_is_given_up() {
    let server = TestServer::start(|_| Reply::Hang(Vec::new())).await;
    let requested = server.requested.clone();
    let provider = provider(&server.url);
    let (result, ()) = tokio::join!(call(&provider, request("hello")), async {
        requested.notified().await;
        tokio::time::pause();
    });
    assert_eq!(result, Err(ProviderError::Unavailable("nothing came for 120s".into())));
}

#[tokio::test]
async fn an_answer_without_end_is_refused() {
    let frame = format!("data: {}\n\n", json!({ "choices": [{ "delta": { "content": "x".repeat(1 << 20) } }] }));
    let result = answer_to(events(&frame.repeat(5))).await;
    assert_eq!(result, Err(ProviderError::Rejected("the answer is larger than any may be".into())));
}
