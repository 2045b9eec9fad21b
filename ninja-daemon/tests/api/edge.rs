//! What surrounds every answer: whose pages may read it, how it is packed, how often it may be asked for, and for whom.

use std::time::Duration;

use ninja_core::{
    api::{ChangeQuotas, ChangeSettings, CreateUser, Quotas, Role},
    config::HttpConfig,
    providers::{ScriptStep, Scripted},
};
use reqwest::{Method, Response, header::HeaderMap};
use serde_json::{Value, json};

use crate::support::{Daemon, exchange};

const PAGE: &str = "https://app.example";

async fn daemon(change: impl FnOnce(&mut HttpConfig)) -> Daemon {
    Daemon::start_with(Scripted::answering("x"), |options| change(&mut options.http)).await
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// Sets the quota of the role that the daemon's own key has.
async fn administrators_may_ask(daemon: &Daemon, requests_per_minute: Option<u32>) {
    let admin = Some(Quotas { requests_per_minute, ..Quotas::default() });
    let quotas = Some(ChangeQuotas { admin, ..ChangeQuotas::default() });
    let change = ChangeSettings { quotas, ..ChangeSettings::default() };
    daemon.engine.change_settings(&daemon.engine.local_owner(), change, None).await.unwrap();
}

async fn preflight(daemon: &Daemon, origin: &str) -> Response {
    let request = daemon.http.request(Method::OPTIONS, format!("{}/api/v1/tasks", daemon.url));
    let asked = request.header("origin", origin).header("access-control-request-method", "POST");
    asked.header("access-control-request-headers", "authorization,content-type").send().await.unwrap()
}

#[tokio::test]
async fn no_page_reads_answers_unless_it_is_named() {
    let daemon = daemon(|http| http.allowed_origins = vec![PAGE.to_owned().try_into().unwrap()]).await;
    for origin in [
        "null",
        "https://app.example.evil.example",
        "https://evilapp.example",
        "https://app.example:8443",
        "https://app.example:443",
        "http://app.example",
        "https://APP.example",
        "https://app.example.",
        "https://app.example/",
        "https://user@app.example",
        "*",
        "",
    ] {
        for answer in [
            preflight(&daemon, origin).await,
            daemon.request("GET", "/api/v1/tasks").header("origin", origin).send().await.unwrap(),
        ] {
            assert_eq!(text(answer.headers(), "access-control-allow-origin"), "", "{origin}");
            assert_eq!(text(answer.headers(), "access-control-allow-credentials"), "", "{origin}");
        }
    }
    let allowed = preflight(&daemon, PAGE).await;
    assert_eq!(allowed.status(), 200, "nobody is asked for a key before a browser sends one");
    let headers = allowed.headers();
    assert_eq!(text(headers, "access-control-allow-origin"), PAGE);
    assert_eq!(text(headers, "access-control-allow-methods"), "GET,HEAD,POST,PUT,PATCH,DELETE");
    assert_eq!(text(headers, "access-control-allow-credentials"), "");
    assert!(text(headers, "access-control-allow-headers").starts_with("authorization,content-type,if-match"));
    assert!(text(headers, "vary").contains("origin"));
    assert_eq!(text(headers, "x-content-type-options"), "nosniff");
    assert_eq!(allowed.text().await.unwrap(), "");

    for (path, status) in [("/api/v1/tasks", 200), ("/api/v1/tasks/x", 400), ("/nothing", 404)] {
        let answer = daemon.request("GET", path).header("origin", PAGE).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), text(answer.headers(), "access-control-allow-origin")), (status, PAGE));
        let told = text(answer.headers(), "access-control-expose-headers");
        for name in ["etag", "location", "ratelimit", "ratelimit-policy", "retry-after", "x-request-id", "link"] {
            assert!(told.split(',').any(|header| header == name), "{name} in {told}");
        }
    }
    let two = daemon.request("GET", "/api/v1/tasks").header("origin", PAGE).header("origin", "https://evil.example");
    assert_eq!(exchange(two).await["status"], 400, "an Origin stands once");
    let keyless = daemon.http.post(format!("{}/api/v1/tasks", daemon.url)).header("origin", PAGE);
    assert_eq!(exchange(keyless.json(&json!({ "goal": "x" }))).await["status"], 401);
}

#[tokio::test]
async fn without_configuration_no_page_is_answered() {
    let daemon = daemon(|_| {}).await;
    let own = daemon.url.clone();
    for origin in [PAGE, "null", own.as_str()] {
        let answer = preflight(&daemon, origin).await;
        assert_eq!((answer.status().as_u16(), text(answer.headers(), "access-control-allow-origin")), (401, ""));
    }
}

#[tokio::test]
async fn text_of_some_length_is_packed_and_nothing_else() {
    let daemon = daemon(|_| {}).await;
    let plan = json!({ "goal": "x", "plan": { "steps": [
        { "id": "write", "kind": "tool", "tool": "write_file", "args": { "path": "a.txt", "content": "a".repeat(5_000) } },
    ] } });
    let id = daemon.submit(plan).await;
    daemon.settled(&id).await;
    let task = format!("/api/v1/tasks/{id}");
    // One that leaves the body as it came.
    let http = reqwest::Client::builder().no_proxy().no_gzip().build().unwrap();
    let packed = async |path: &str, accept: &str| {
        let request = http.get(format!("{}{path}", daemon.url)).bearer_auth(&daemon.key);
        let answer = request.header("accept-encoding", accept).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        (text(answer.headers(), "content-encoding").to_owned(), answer.bytes().await.unwrap())
    };
    let (encoding, bytes) = packed("/api/v1/agents", "gzip").await;
    assert_eq!((encoding.as_str(), &bytes[..2]), ("gzip", &[0x1f, 0x8b][..]));
    let (encoding, plain) = packed("/api/v1/agents", "identity").await;
    assert!(encoding.is_empty() && plain.starts_with(b"{") && plain.len() > bytes.len());
    assert_eq!(packed("/api/v1/agents", "br").await.0, "", "no other is spoken");
    for path in ["/health", &format!("{task}/artifacts/a.txt"), &format!("{task}/events"), "/api/v1/backup"] {
        assert_eq!(packed(path, "gzip").await.0, "", "{path}");
    }
}

#[tokio::test]
async fn a_caller_is_told_how_often_it_may_still_ask() {
    let daemon = daemon(|http| {
        http.requests_per_minute.refused = 2;
        http.requests_per_minute.anonymous = 4;
    })
    .await;
    administrators_may_ask(&daemon, Some(3)).await;
    let tasks = async || daemon.request("GET", "/api/v1/tasks").send().await.unwrap();
    for left in [2, 1, 0] {
        let answer = tasks().await;
        assert_eq!(answer.status(), 200);
        assert_eq!(text(answer.headers(), "ratelimit-policy"), "\"default\";q=3;w=60");
        assert_eq!(text(answer.headers(), "ratelimit"), format!("\"default\";r={left};t=20"));
    }
    let answer = tasks().await;
    assert_eq!((answer.status().as_u16(), text(answer.headers(), "retry-after")), (429, "20"));
    assert_eq!(text(answer.headers(), "ratelimit"), "\"default\";r=0;t=20");
    assert_eq!(text(answer.headers(), "content-type"), "application/problem+json");

    administrators_may_ask(&daemon, Some(6)).await;
    let answer = tasks().await;
    assert_eq!((answer.status().as_u16(), text(answer.headers(), "ratelimit")), (200, "\"default\";r=5;t=10"));
    administrators_may_ask(&daemon, None).await;
    let answer = tasks().await;
    assert_eq!((answer.status().as_u16(), text(answer.headers(), "ratelimit")), (200, ""));

    let wrong =
        async || daemon.http.get(format!("{}/api/v1/tasks", daemon.url)).bearer_auth("nj_wrong").send().await.unwrap();
    assert_eq!([wrong().await.status(), wrong().await.status(), wrong().await.status()], [401, 401, 429]);
    let known = async |key: &str| {
        let request = daemon.http.get(format!("{}/health", daemon.url)).bearer_auth(key);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(known("nj_wrong").await, 429, "open paths are no place to try keys at");
    let health = async || daemon.http.get(format!("{}/health", daemon.url)).send().await.unwrap();
    for expected in [200, 200, 200, 200, 429] {
        assert_eq!(health().await.status(), expected, "wrong keys took nothing of this");
    }
    assert_eq!(known(&daemon.key).await, 200, "whoever shows who they are is counted as that");
    let client = ninja_sdk::Client::builder().unix_socket(&daemon.socket).build().unwrap();
    for _ in 0..10 {
        client.health().await.unwrap();
    }
}

#[tokio::test]
async fn signing_in_is_counted_by_itself_and_a_socket_by_who_opens_it() {
    let daemon = daemon(|http| {
        http.requests_per_minute.sign_in = 2;
        http.requests_per_minute.anonymous = 3;
        http.requests_per_minute.refused = 1;
    })
    .await;
    let login = async || {
        let body = json!({ "email": "nobody@example.org", "password": "not the password of anybody" });
        let request = daemon.http.post(format!("{}/api/v1/auth/login", daemon.url)).json(&body);
        request.send().await.unwrap()
    };
    assert_eq!([login().await.status(), login().await.status()], [401, 401]);
    let third = login().await;
    assert_eq!((third.status().as_u16(), text(third.headers(), "ratelimit-policy")), (429, "\"sign-in\";q=2;w=60"));
    let open = async |key: Option<&str>| {
        let mut request = daemon.http.get(format!("{}/ws", daemon.url));
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        request.send().await.unwrap().status().as_u16()
    };
    // Without an upgrade each is a 426 at best, but counted all the same.
    for expected in [426, 426, 426, 429] {
        assert_eq!(open(None).await, expected);
    }
    for _ in 0..9 {
        assert_eq!(open(Some(&daemon.key)).await, 426, "an administrator is not counted");
    }
    assert_eq!([open(Some("nj_wrong")).await, open(Some("nj_wrong")).await], [401, 429]);
}

#[tokio::test]
async fn addresses_count_as_trusted_proxies_say_and_nobody_else() {
    let ask = async |daemon: &Daemon, header: &str, value: &str| {
        let request = daemon.http.get(format!("{}/health", daemon.url)).header(header, value);
        request.send().await.unwrap().status().as_u16()
    };
    let two = |http: &mut HttpConfig| http.requests_per_minute.anonymous = 2;
    let alone = daemon(two).await;
    let claims = ["198.51.100.1", "198.51.100.2", "198.51.100.3"];
    let mut came = Vec::new();
    for claim in claims {
        came.push(ask(&alone, "x-forwarded-for", claim).await);
    }
    assert_eq!(came, [200, 200, 429], "a stranger's word changes nothing");

    let proxied = daemon(|http| {
        two(http);
        http.trusted_proxies = vec!["127.0.0.1".to_owned().try_into().unwrap()];
    })
    .await;
    let mut came = Vec::new();
    for claim in [claims[0], claims[0], claims[0], claims[1], "203.0.113.1, 198.51.100.1", "203.0.113.2,198.51.100.1"] {
        came.push(ask(&proxied, "x-forwarded-for", claim).await);
    }
    assert_eq!(came, [200, 200, 429, 200, 429, 429], "what stands left of the client it could have made up");
    assert_eq!(
        [ask(&proxied, "forwarded", "for=192.0.2.1").await, ask(&proxied, "forwarded", "for=192.0.2.2").await],
        [200; 2]
    );
    assert_eq!(ask(&proxied, "forwarded", "for=192.0.2.3").await, 429, "the other header is not read");
    let scheme = async |daemon: &Daemon| {
        let request = daemon.http.get(format!("{}/ready", daemon.url)).header("x-forwarded-proto", "https");
        request
            .header("x-forwarded-for", "192.0.2.9")
            .send()
            .await
            .unwrap()
            .headers()
            .contains_key("strict-transport-security")
    };
    assert_eq!((scheme(&alone).await, scheme(&proxied).await), (false, true));
}

#[tokio::test]
async fn a_session_began_where_the_client_was() {
    let daemon = daemon(|http| http.trusted_proxies = vec!["127.0.0.1".to_owned().try_into().unwrap()]).await;
    let owner = daemon.engine.local_owner();
    let create = CreateUser { email: "ada@example.org".to_owned(), name: None, role: Role::User };
    let token = daemon.engine.create_user(&owner, create).await.unwrap().token;
    let password = "plums sailing over quiet umbrellas";
    let ask = async |path: &str, body: Value| {
        let request = daemon.http.post(format!("{}/api/v1/auth/{path}", daemon.url)).json(&body);
        let answer = request.header("x-forwarded-for", "203.0.113.9, 198.51.100.7").send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.json::<Value>().await.unwrap()
    };
    ask("redeem", json!({ "token": token.expose(), "password": password })).await;
    let tokens = ask("login", json!({ "email": "ada@example.org", "password": password })).await;
    let access = tokens["access_token"].as_str().unwrap();
    let sessions = daemon.http.get(format!("{}/api/v1/sessions", daemon.url)).bearer_auth(access);
    assert_eq!(exchange(sessions).await["body"]["items"][0]["ip"], "198.51.100.7");
}

#[tokio::test]
async fn a_name_is_answered_to_once_it_is_configured() {
    let daemon = daemon(|http| http.allowed_hosts = vec!["ninja.example".to_owned().try_into().unwrap()]).await;
    for (host, status) in
        [("ninja.example", 200), ("NINJA.example:443", 200), ("evil.example", 400), ("localhost", 200)]
    {
        assert_eq!(exchange(daemon.request("GET", "/health").header("host", host)).await["status"], status, "{host}");
    }
}

#[tokio::test]
async fn a_route_that_takes_too_long_says_so() {
    let model = Scripted::new(|_| ScriptStep::Hang);
    let daemon = Daemon::start_with(model, |options| options.deadlines.answer = Duration::ZERO).await;
    let id = daemon.submit(json!({ "goal": "x" })).await;
    let came = exchange(daemon.request("POST", &format!("/api/v1/tasks/{id}/cancel"))).await;
    assert_eq!((&came["status"], &came["body"]["code"]), (&json!(504), &json!("timed_out")));
}

#[tokio::test]
async fn refusals_of_every_kind_carry_the_headers() {
    let daemon = daemon(|_| {}).await;
    let long = "x".repeat(2 * 1024 * 1024);
    for (status, request) in [
        (404, daemon.request("GET", "/nothing")),
        (405, daemon.request("PUT", "/health")),
        (401, daemon.http.get(format!("{}/api/v1/tasks", daemon.url))),
        (413, daemon.request("POST", "/api/v1/tasks").header("content-type", "application/json").body(long)),
        (400, daemon.request("GET", "/health").header("host", "evil.example")),
        (415, daemon.request("POST", "/api/v1/tasks").body("x")),
    ] {
        let answer = request.send().await.unwrap();
        let headers = answer.headers().clone();
        assert_eq!(answer.status(), status);
        for (name, value) in [
            ("content-type", "application/problem+json"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; sandbox"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(text(&headers, name), value, "{status} {name}");
        }
        assert_eq!(text(&headers, "strict-transport-security"), "", "nothing is encrypted here");
    }
}
