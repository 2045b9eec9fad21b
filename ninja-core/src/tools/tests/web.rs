//! `web_fetch` and `check_url` against servers on loopback, which the operator allows here.

use std::time::Duration;

use super::*;
use crate::egress::{
    Egress,
    test_server::{Reply, TestServer, page, response},
};

impl Bench {
    /// A bench whose tools may fetch from one server.
    async fn beside(server: &TestServer) -> Self {
        let allow = vec![server.address.clone().try_into().unwrap()];
        let config = EgressConfig { allow, ..EgressConfig::default() };
        let impatient = CheckUrl { egress: Arc::new(Egress::new(config.clone())), pause: Duration::ZERO };
        let tools = ToolSet::builtin(config).with(impatient);
        Self { tools, ..Self::new().await }
    }
}

#[tokio::test]
async fn a_page_comes_as_text() {
    let html = "<title>T\u{202e}itle</title><h1>Hel\u{200b}lo</h1><p>\u{1b}[31mred &#x1b;[0m<a href=/x>link</a>";
    let server = TestServer::always(move || page("text/html; charset=utf-8", html)).await;
    let bench = Bench::beside(&server).await;
    let told = bench.done("web_fetch", json!({"url": server.url("/a#b")})).await;
    let text = format!("# Hello\n\nred [link]({})", server.url("/x"));
    let expected = json!({
        "url": server.url("/a"),
        "status": 200,
        "content_type": "text/html; charset=utf-8",
        "title": "Title",
        "text": text,
        "bytes": text.len(),
        "truncated": false,
    });
    assert_eq!(told, expected);
}

#[tokio::test]
async fn other_texts_come_as_they_are() {
    for (content_type, body, text) in [
        ("text/plain", "<b>a\r\nb</b>", "<b>a\nb</b>"),
        ("application/json", "{\"a\": 1}", "{\"a\": 1}"),
        ("text/csv", "a,b\n1,2\n", "a,b\n1,2\n"),
        ("text/markdown", "# a", "# a"),
        ("application/xhtml+xml", "<html><body><h1>a</h1></body></html>", "# a"),
        ("text/html; charset=no-such", "<p>ä", "ä"),
    ] {
        let server = TestServer::always(move || page(content_type, body)).await;
        let told = Bench::beside(&server).await.done("web_fetch", json!({"url": server.url("/")})).await;
        assert_eq!((told["text"].as_str(), &told["title"]), (Some(text), &Value::Null), "{content_type}");
    }
    let nameless = TestServer::always(|| Reply::Send(response(200, "", "\n<!doctype HTML><h1>a"))).await;
    let told = Bench::beside(&nameless).await.done("web_fetch", json!({"url": nameless.url("/")})).await;
    assert_eq!((&told["text"], &told["content_type"]), (&json!("# a"), &Value::Null));
}

#[tokio::test]
async fn long_pages_come_in_parts() {
    let server = TestServer::always(|| page("text/plain", "ä".repeat(50_000))).await;
    let bench = Bench::beside(&server).await;
    let (mut text, mut offset) = (String::new(), json!(0));
    while !offset.is_null() {
        let told = bench.done("web_fetch", json!({"url": server.url("/"), "offset": offset, "limit": 33_333})).await;
        text += told["text"].as_str().unwrap();
        offset = told["next_offset"].clone();
        assert_eq!((told["truncated"].as_bool().unwrap(), &told["bytes"]), (!offset.is_null(), &json!(100_000)));
    }
    assert_eq!(text, "ä".repeat(50_000));
    let first = bench.done("web_fetch", json!({"url": server.url("/")})).await;
    assert_eq!((first["text"].as_str().unwrap().len(), &first["next_offset"]), (32_768, &json!(32_768)));
    let least = bench.done("web_fetch", json!({"url": server.url("/"), "limit": 1})).await;
    assert_eq!((&least["text"], &least["next_offset"]), (&json!("ä"), &json!(2)));
    let beyond = bench.done("web_fetch", json!({"url": server.url("/"), "offset": 1_000_000})).await;
    assert_eq!((&beyond["text"], &beyond["truncated"]), (&json!(""), &json!(false)));

    let endless = response(200, "content-type: text/plain\r\n", "");
    let server = TestServer::always(move || Reply::Repeat(endless.clone(), vec![b'x'; 100_000])).await;
    let told = Bench::beside(&server).await.done("web_fetch", json!({"url": server.url("/"), "limit": 10})).await;
    assert_eq!((&told["bytes"], &told["truncated"]), (&json!(4 << 20), &json!(true)));
    assert!(told["missing"].as_str().unwrap().contains("larger than 4 MiB"), "{told}");
}

#[tokio::test]
async fn what_is_not_fetched_is_explained() {
    let server = TestServer::start(|request| match request.split(' ').nth(1).unwrap() {
        "/pdf" => page("application/pdf", "x"),
        "/liar" => page("text/html", "a\0b"),
        path => Reply::Send(response(path[1..].parse().unwrap(), "content-type: text/plain\r\n", "no such page")),
    })
    .await;
    let bench = Bench::beside(&server).await;
    for (url, reason) in [
        ("http://127.0.0.1:1/", "`127.0.0.1` is not a public address but a loopback one"),
        ("http://0x7f000001/", "`127.0.0.1` is not a public address"),
        ("http://localhost/", "`localhost` names this machine"),
        ("file:///etc/passwd", "`file:` addresses are not fetched"),
        ("example.com", "not a URL"),
        (&server.url("/pdf"), "the answer is of type `application/pdf`; only text"),
        (&server.url("/liar"), "the answer is not text"),
        (&server.url("/404"), "the server answered with status 404"),
        (&server.url("/500"), "the server answered with status 500"),
    ] {
        let told = bench.refused("web_fetch", json!({ "url": url })).await;
        assert!(told.contains(reason), "{url}: {told}");
    }
    // What the server says about an error often helps.
    let missing = bench.call("web_fetch", json!({"url": server.url("/404")})).await.unwrap();
    assert_eq!((&missing.output["text"], &missing.output["status"]), (&json!("no such page"), &json!(404)));
}

#[tokio::test]
async fn a_fetch_ends_when_it_is_cancelled() {
    let asked = CancellationToken::new();
    let token = asked.clone();
    let server = TestServer::start(move |_| {
        token.cancel();
        Reply::Hang(Vec::new())
    })
    .await;
    // The call is cancelled by its own request.
    for tool in ["web_fetch", "check_url"] {
        let bench = Bench { cancel: asked.clone(), ..Bench::beside(&server).await };
        let ended = bench.call(tool, json!({"url": server.url("/")})).await;
        assert_eq!(ended, Err(ToolError::Cancelled { killed: 0 }), "{tool}");
    }
    assert!(server.count() >= 1);
}

#[tokio::test]
async fn an_address_is_checked_with_evidence() {
    let server = TestServer::start(|request| match request.split(' ').nth(1).unwrap() {
        "/404" => Reply::Send(response(404, "", "gone")),
        "/moved" => Reply::Send(response(301, "location: /page\r\n", "")),
        _ => page("text/html; charset=latin1", b"<p>Gr\xfc\xdfe"),
    })
    .await;
    let bench = Bench::beside(&server).await;
    let told =
        bench.done("check_url", json!({"url": server.url("/moved"), "status": 200, "contains": "<p>Grüße"})).await;
    let mut seen = told.clone();
    assert!(seen["ms"].take().is_u64(), "{told}");
    let expected = json!({
        "held": true,
        "url": server.url("/page"),
        "status": 200,
        "bytes": 8,
        "sha256": sha256(b"<p>Gr\xfc\xdfe"),
        "tries": 1,
        "ms": null,
    });
    assert_eq!(seen, expected);
    assert_eq!(bench.done("check_url", json!({"url": server.url("/404"), "status": 404})).await["status"], 404);
}

#[tokio::test]
async fn a_broken_promise_about_an_address_says_why() {
    let server = TestServer::start(|request| match request.contains("/404") {
        true => Reply::Send(response(404, "", "gone")),
        false => page("text/plain", "hello"),
    })
    .await;
    let bench = Bench::beside(&server).await;
    for (args, why, tries) in [
        (json!({"url": server.url("/404")}), "it answers with status 404", 3),
        (json!({"url": server.url("/"), "status": 201}), "it answers with status 200, not 201", 3),
        (json!({"url": server.url("/"), "contains": "bye"}), "its body does not contain `bye`", 3),
        // No time makes these better.
        (json!({"url": "http://10.0.0.1/"}), "`10.0.0.1` is not a public address", 1),
        (json!({"url": "nonsense"}), "not a URL", 1),
    ] {
        let before = server.count();
        let output = bench.call("check_url", args.clone()).await.unwrap();
        assert!(!output.ok && output.output["why"].as_str().unwrap().contains(why), "{args}: {output:?}");
        assert_eq!((&output.output["held"], &output.output["tries"]), (&json!(false), &json!(tries)), "{args}");
        let refused = tries == 1;
        assert_eq!(server.count() - before, if refused { 0 } else { 3 });
    }
}

#[tokio::test]
async fn an_address_that_comes_up_late_holds() {
    let turns = Mutex::new(0);
    let server = TestServer::start(move |_| {
        *turns.lock().unwrap() += 1;
        match *turns.lock().unwrap() {
            1 => Reply::Send(Vec::new()),
            2 => Reply::Send(response(503, "", "")),
            _ => page("text/plain", "up"),
        }
    })
    .await;
    let told = Bench::beside(&server).await.done("check_url", json!({"url": server.url("/")})).await;
    assert_eq!((&told["held"], &told["tries"]), (&json!(true), &json!(3)));
}

/// Returns the hash of bytes, as evidence names it.
pub(super) fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
