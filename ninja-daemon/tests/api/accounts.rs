//! Accounts over real sockets: getting in, staying in, being sent away; what administrators do; nobody above their role.

use std::collections::BTreeSet;

use ninja_core::{api::Role, providers::Scripted};
use serde_json::{Value, json};

use crate::support::{Daemon, exchange};

const PASSWORD: &str = "plums sailing over quiet umbrellas";
const OTHER_PASSWORD: &str = "seven copper kettles whistle at dawn";

/// Somebody with an account, as the API sees them.
struct Person {
    id: String,
    email: String,
    tokens: Value,
}

impl Person {
    fn access(&self) -> &str {
        self.tokens["access_token"].as_str().unwrap()
    }
}

impl Daemon {
    /// Sends a request with any credential, or none, and returns status and body.
    async fn ask(&self, method: &str, path: &str, credential: Option<&str>, body: Option<&Value>) -> (u16, Value) {
        let mut request = self.http.request(method.parse().unwrap(), format!("{}/api/v1{path}", self.url));
        if let Some(credential) = credential {
            request = request.bearer_auth(credential);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn owner(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.ask(method, path, Some(&self.key), body).await
    }

    async fn login(&self, email: &str, password: &str) -> (u16, Value) {
        self.ask("POST", "/auth/login", None, Some(&json!({ "email": email, "password": password }))).await
    }

    /// Has the owner make an account, sets its password and logs in.
    async fn person(&self, email: &str, role: Role) -> Person {
        let (status, invited) =
            self.owner("POST", "/admin/users", Some(&json!({ "email": email, "role": role }))).await;
        assert_eq!(status, 201, "{invited}");
        let redeemed = json!({ "token": invited["token"], "password": PASSWORD });
        let (status, user) = self.ask("POST", "/auth/redeem", None, Some(&redeemed)).await;
        assert_eq!(status, 200, "{user}");
        let (status, tokens) = self.login(email, PASSWORD).await;
        assert_eq!(status, 200, "{tokens}");
        Person { id: user["id"].as_str().unwrap().to_owned(), email: email.to_owned(), tokens }
    }

    async fn api_key(&self, credential: &str, scopes: &[&str]) -> (String, String) {
        let body = json!({ "name": "a key", "scopes": scopes });
        let (status, made) = self.ask("POST", "/auth/api-keys", Some(credential), Some(&body)).await;
        assert_eq!(status, 201, "{made}");
        (made["key"].as_str().unwrap().to_owned(), made["info"]["id"].as_str().unwrap().to_owned())
    }
}

async fn daemon() -> Daemon {
    Daemon::start(Scripted::answering("done")).await
}

#[tokio::test]
async fn an_account_is_made_gets_in_and_leaves() {
    let daemon = daemon().await;
    let post = |path: &str, body: Value| daemon.request("POST", path).json(&body);
    let invited = post("/api/v1/admin/users", json!({ "email": "Ada@Example.org", "name": "Ada" }));
    insta::assert_json_snapshot!("user_created", exchange(invited).await, { ".body.token" => "[token]" });
    let (_, users) = daemon.owner("GET", "/admin/users?q=ADA", None).await;
    let id = users["items"][0]["id"].as_str().unwrap().to_owned();
    let (_, again) = daemon.owner("POST", &format!("/admin/users/{id}/token"), None).await;
    let redeem = json!({ "token": again["token"], "password": PASSWORD });
    insta::assert_json_snapshot!("token_redeemed", exchange(post("/api/v1/auth/redeem", redeem)).await);
    let login = post("/api/v1/auth/login", json!({ "email": "ada@example.ORG", "password": PASSWORD }));
    insta::assert_json_snapshot!("logged_in", exchange(login).await, {
        ".body.access_token" => "[access token]", ".body.refresh_token" => "[refresh token]", ".body.session" => "[session]",
    });
    let (_, tokens) = daemon.login("ada@example.org", PASSWORD).await;
    let access = tokens["access_token"].as_str().unwrap();
    let me = daemon.http.get(format!("{}/api/v1/auth/me", daemon.url)).bearer_auth(access);
    insta::assert_json_snapshot!("me", exchange(me).await, { ".body.session" => "[session]" });
    let (_, sessions) = daemon.ask("GET", "/sessions", Some(access), None).await;
    assert_eq!(sessions["items"].as_array().unwrap().len(), 2, "{sessions}");
    assert_eq!((&sessions["items"][0]["is_current"], &sessions["items"][0]["ip"]), (&json!(true), &json!("127.0.0.1")));
    assert_eq!(daemon.ask("POST", "/auth/logout", Some(access), None).await.0, 204);
    for (method, path) in [("GET", "/auth/me"), ("GET", "/tasks"), ("POST", "/auth/logout")] {
        assert_eq!(daemon.ask(method, path, Some(access), None).await.0, 401, "{path}");
    }
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    assert_eq!(daemon.ask("POST", "/auth/refresh", None, Some(&refresh)).await.0, 401, "it went with the session");
}

#[tokio::test]
async fn wrong_passwords_and_unknown_addresses_are_told_apart_by_nothing() {
    let daemon = daemon().await;
    daemon.person("ada@example.org", Role::User).await;
    let (disabled, waiting) = (daemon.person("grace@example.org", Role::User).await, "new@example.org");
    let change = json!({ "disabled": true });
    assert_eq!(daemon.owner("PATCH", &format!("/admin/users/{}", disabled.id), Some(&change)).await.0, 200);
    assert_eq!(daemon.owner("POST", "/admin/users", Some(&json!({ "email": waiting }))).await.0, 201);
    let mut answers = BTreeSet::new();
    for email in ["ada@example.org", "nobody@example.org", "grace@example.org", waiting] {
        let hashed = daemon.engine.password_hashes();
        let body =
            json!({ "email": email, "password": if email.starts_with("grace") { PASSWORD } else { OTHER_PASSWORD } });
        let mut answer = exchange(daemon.request("POST", "/api/v1/auth/login").json(&body)).await;
        answer["body"]["request_id"] = Value::Null;
        answers.insert(answer.to_string());
        assert_eq!(daemon.engine.password_hashes() - hashed, 1, "{email}: the same work");
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn who_fails_too_often_waits_and_whoever_is_in_stays_in() {
    let daemon = daemon().await;
    let ada = daemon.person("ada@example.org", Role::User).await;
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(daemon.login(&ada.email, OTHER_PASSWORD).await.0);
    }
    assert_eq!(statuses[..5], [401; 5], "{statuses:?}");
    assert!(statuses[5..].iter().all(|status| *status == 429), "{statuses:?}");
    let body = json!({ "email": ada.email, "password": PASSWORD });
    let refused = daemon.request("POST", "/api/v1/auth/login").json(&body).send().await.unwrap();
    assert_eq!(refused.status(), 429, "the right one as well");
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    assert_eq!(daemon.ask("GET", "/auth/me", Some(ada.access()), None).await.0, 200);
    assert_eq!(daemon.login("nobody@example.org", PASSWORD).await.0, 401, "others are not held up");
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_that_are_sent_together_are_no_more_than_those_one_by_one() {
    let daemon = daemon().await;
    daemon.person("ada@example.org", Role::User).await;
    let hashed = daemon.engine.password_hashes();
    let origin = ninja_core::api::Origin::default();
    let guess = |number: usize| {
        let password = ninja_core::api::Secret::new(format!("{OTHER_PASSWORD} {number}"));
        daemon.engine.login(&origin, ninja_core::api::Login { email: "ada@example.org".to_owned(), password })
    };
    let answers = futures::future::join_all((0..100).map(guess)).await;
    let tried =
        answers.iter().filter(|answer| answer.as_ref().is_err_and(|error| error.code.as_str() == "unauthorized"));
    // Five are free, and two are compared at a time.
    let tried = tried.count();
    assert!((5..=6).contains(&tried), "{tried}");
    assert!(daemon.engine.password_hashes() - hashed <= 100, "turns, of which most end at once");
    let waits = answers.iter().filter(|answer| answer.as_ref().is_err_and(|error| error.retry_after_s.is_some()));
    assert_eq!(waits.count(), 100 - tried);
}

#[tokio::test]
async fn fifty_racing_refreshes_leave_at_most_one_child_and_reuse_ends_the_family() {
    let daemon = daemon().await;
    let ada = daemon.person("ada@example.org", Role::User).await;
    let refresh = |token: &Value| json!({ "refresh_token": token });
    let first = refresh(&ada.tokens["refresh_token"]);
    let (status, renewed) = daemon.ask("POST", "/auth/refresh", None, Some(&first)).await;
    assert_eq!((status, &renewed["session"]), (200, &ada.tokens["session"]));
    let second = refresh(&renewed["refresh_token"]);
    let racing = (0..50).map(|_| daemon.ask("POST", "/auth/refresh", None, Some(&second)));
    let answers = futures::future::join_all(racing).await;
    let children: Vec<&Value> = answers.iter().filter(|(status, _)| *status == 200).map(|(_, body)| body).collect();
    assert_eq!(children.len(), 1, "one of them was first");
    // The others were reuse: nothing of the family is left.
    let child = refresh(&children[0]["refresh_token"]);
    for body in [&first, &second, &child] {
        assert_eq!(daemon.ask("POST", "/auth/refresh", None, Some(body)).await.0, 401);
    }
    assert_eq!(daemon.ask("GET", "/auth/me", children[0]["access_token"].as_str(), None).await.0, 401);
    let (_, again) = daemon.login(&ada.email, PASSWORD).await;
    let access = again["access_token"].as_str();
    assert_eq!(daemon.ask("GET", "/auth/me", access, None).await.0, 200, "another session is untouched");
}

#[tokio::test]
async fn tokens_of_one_kind_do_not_pass_for_another() {
    let daemon = daemon().await;
    let ada = daemon.person("ada@example.org", Role::User).await;
    let (_, ticket) = daemon.ask("POST", "/auth/ws-ticket", Some(ada.access()), None).await;
    let refresh = ada.tokens["refresh_token"].as_str().unwrap();
    for credential in [refresh, ticket["ticket"].as_str().unwrap(), &ada.id, "", "null"] {
        assert_eq!(daemon.ask("GET", "/auth/me", Some(credential), None).await.0, 401, "{credential}");
    }
    for token in [json!(ada.access()), ticket["ticket"].clone(), json!(daemon.key), json!("")] {
        let body = json!({ "refresh_token": token });
        assert_eq!(daemon.ask("POST", "/auth/refresh", None, Some(&body)).await.0, 401, "{token}");
        let body = json!({ "token": token, "password": OTHER_PASSWORD });
        assert_eq!(daemon.ask("POST", "/auth/redeem", None, Some(&body)).await.0, 401, "{token}");
    }
    for token in [json!(null), json!([]), json!({}), json!(0)] {
        let body = json!({ "refresh_token": token });
        assert_eq!(daemon.ask("POST", "/auth/refresh", None, Some(&body)).await.0, 400, "{token}");
        let body = json!({ "token": token, "password": OTHER_PASSWORD });
        assert_eq!(daemon.ask("POST", "/auth/redeem", None, Some(&body)).await.0, 400, "{token}");
    }
    let in_url = format!("/auth/me?access_token={}", ada.access());
    assert_eq!(daemon.ask("GET", &in_url, None, None).await.0, 400, "a URL is no place for it");
}

#[tokio::test]
async fn a_token_sets_a_password_once_and_ends_every_session() {
    let daemon = daemon().await;
    let ada = daemon.person("ada@example.org", Role::User).await;
    let path = format!("/admin/users/{}/token", ada.id);
    let (_, older) = daemon.owner("POST", &path, None).await;
    let (_, newer) = daemon.owner("POST", &path, None).await;
    let redeem = |invited: &Value, password: &str| json!({ "token": invited["token"], "password": password });
    let ask = async |body: Value| daemon.ask("POST", "/auth/redeem", None, Some(&body)).await;
    assert_eq!(ask(redeem(&older, OTHER_PASSWORD)).await.0, 401, "the newer one replaced it");
    let (status, weak) = ask(redeem(&newer, "ada@example.org")).await;
    assert_eq!((status, &weak["code"]), (422, &json!("weak_password")));
    assert_eq!(daemon.ask("GET", "/auth/me", Some(ada.access()), None).await.0, 200, "nothing has happened yet");
    assert_eq!(ask(redeem(&newer, OTHER_PASSWORD)).await.0, 200);
    assert_eq!(ask(redeem(&newer, PASSWORD)).await.0, 401, "again");
    assert_eq!(daemon.ask("GET", "/auth/me", Some(ada.access()), None).await.0, 401);
    assert_eq!(daemon.login(&ada.email, PASSWORD).await.0, 401);
    assert_eq!(daemon.login(&ada.email, OTHER_PASSWORD).await.0, 200);
}

#[tokio::test]
async fn a_password_is_changed_by_whoever_knows_it() {
    let daemon = daemon().await;
    let ada = daemon.person("ada@example.org", Role::User).await;
    let (_, other) = daemon.login(&ada.email, PASSWORD).await;
    let other = other["access_token"].as_str();
    let change = |current: &str, new: &str| json!({ "current": current, "new": new, "end_other_sessions": true });
    let ask = async |body: Value| daemon.ask("POST", "/auth/password", Some(ada.access()), Some(&body)).await;
    assert_eq!(ask(change(OTHER_PASSWORD, OTHER_PASSWORD)).await.0, 403);
    assert_eq!(ask(change(PASSWORD, "short")).await.0, 422);
    assert_eq!(daemon.ask("GET", "/auth/me", other, None).await.0, 200);
    assert_eq!(ask(change(PASSWORD, OTHER_PASSWORD)).await.0, 204);
    assert_eq!(daemon.ask("GET", "/auth/me", other, None).await.0, 401, "the other session");
    assert_eq!(daemon.ask("GET", "/auth/me", Some(ada.access()), None).await.0, 200, "this one");
    assert_eq!(daemon.login(&ada.email, OTHER_PASSWORD).await.0, 200);
}

#[tokio::test]
async fn registration_is_closed_until_an_administrator_opens_it() {
    let daemon = daemon().await;
    let body = json!({ "email": "ada@example.org", "password": PASSWORD });
    let register = async |body: &Value| daemon.ask("POST", "/auth/register", None, Some(body)).await;
    assert_eq!(register(&body).await.0, 403);
    let open = json!({ "registration_open": true });
    assert_eq!(daemon.owner("PATCH", "/admin/settings", Some(&open)).await.0, 200);
    let (status, user) = register(&body).await;
    assert_eq!((status, &user["role"], &user["name"]), (201, &json!("user"), &json!("ada")));
    assert_eq!(register(&json!({ "email": "ADA@example.org", "password": PASSWORD })).await.0, 409, "case twins");
    for (email, password) in [
        ("\u{430}da@example.org", PASSWORD),
        ("a\0@example.org", PASSWORD),
        ("a@b\r\nBcc: c@d", PASSWORD),
        ("{\"$ne\":1}", PASSWORD),
    ] {
        assert_eq!(register(&json!({ "email": email, "password": password })).await.0, 422, "{email:?}");
    }
    assert_eq!(register(&json!({ "email": "b@example.org", "password": "x".repeat(2_000) })).await.0, 422);
    assert_eq!(register(&json!({ "email": "b@example.org", "password": "x".repeat(1_000_000) })).await.0, 413);
    for field in ["role", "is_admin", "scopes", "owner", "id"] {
        let body = json!({ "email": "c@example.org", "password": PASSWORD, field: "admin" });
        assert_eq!(register(&body).await.0, 400, "{field}");
    }
    let twice = format!(r#"{{"email":"d@example.org","email":"e@example.org","password":"{PASSWORD}"}}"#);
    let twice = daemon.request("POST", "/api/v1/auth/register").header("content-type", "application/json").body(twice);
    assert_eq!(twice.send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_key_is_shown_once_and_is_never_good_for_more_than_who_made_it() {
    let daemon = daemon().await;
    let ada = daemon.person("ada@example.org", Role::User).await;
    let (narrow, id) = daemon.api_key(ada.access(), &["tasks:read", "account:write"]).await;
    let (_, keys) = daemon.ask("GET", "/auth/api-keys", Some(ada.access()), None).await;
    assert_eq!(keys["items"][0]["id"], json!(id));
    assert!(!keys.to_string().contains(&narrow[16..]), "its secret is not in the list");
    let create = async |credential: &str, scopes: Value| {
        let body = json!({ "name": "x", "scopes": scopes });
        daemon.ask("POST", "/auth/api-keys", Some(credential), Some(&body)).await.0
    };
    assert_eq!(create(&narrow, json!(["tasks:read"])).await, 201);
    assert_eq!(create(&narrow, json!(["tasks:write"])).await, 403, "more than itself");
    assert_eq!(create(ada.access(), json!(["admin:read"])).await, 403, "more than the role");
    assert_eq!(create(ada.access(), json!([])).await, 422);
    assert_eq!(create(ada.access(), json!(["everything"])).await, 400);
    let past = json!({ "name": "x", "scopes": ["tasks:read"], "expires_at": "2020-01-01T00:00:00Z" });
    assert_eq!(daemon.ask("POST", "/auth/api-keys", Some(ada.access()), Some(&past)).await.0, 422);
    assert_eq!(daemon.ask("GET", "/tasks", Some(&narrow), None).await.0, 200);
    assert_eq!(daemon.ask("GET", "/usage", Some(&narrow), None).await.0, 403);
    assert_eq!(daemon.ask("POST", "/auth/logout", Some(&narrow), None).await.0, 409, "a key has no session");
    assert_eq!(daemon.ask("DELETE", &format!("/auth/api-keys/{id}"), Some(ada.access()), None).await.0, 204);
    assert_eq!(daemon.ask("GET", "/tasks", Some(&narrow), None).await.0, 401);
    assert_eq!(daemon.ask("DELETE", &format!("/auth/api-keys/{id}"), Some(ada.access()), None).await.0, 404);
}

#[tokio::test]
async fn a_request_that_outlives_what_let_it_in_changes_nothing() {
    let daemon = daemon().await;
    let root = daemon.person("root@example.org", Role::Admin).await;
    let by = daemon.engine.authenticate(root.access(), ninja_core::api::Origin::default()).unwrap();
    let key = ninja_core::api::CreateApiKey {
        name: "x".to_owned(),
        scopes: [ninja_core::api::Scope::TasksRead].into_iter().collect(),
        expires_at: None,
    };
    let user = ninja_core::api::CreateUser { email: "new@example.org".to_owned(), name: None, role: Role::Admin };
    daemon.engine.create_api_key(&by, key.clone()).await.unwrap();
    assert_eq!(daemon.ask("POST", "/auth/logout", Some(root.access()), None).await.0, 204);
    let refused = [
        daemon.engine.create_api_key(&by, key).await.err(),
        daemon.engine.create_user(&by, user).await.err(),
        daemon.engine.change_settings(&by, Default::default(), None).await.err(),
        daemon.engine.upload_file(&by, "a.txt", futures::stream::iter([Ok("x".into())])).await.err(),
        daemon.engine.submit_task(&by, serde_json::from_value(json!({ "goal": "x" })).unwrap()).await.err(),
    ];
    assert_eq!(refused.map(|error| error.unwrap().code.as_str()), ["unauthorized"; 5]);
}

#[tokio::test]
async fn what_a_key_makes_does_not_outlive_it() {
    let daemon = daemon().await;
    let ada = daemon.person("ada@example.org", Role::User).await;
    let make = async |credential: &str, ends: Option<&str>| {
        let body = json!({ "name": "x", "scopes": ["account:write"], "expires_at": ends });
        daemon.ask("POST", "/auth/api-keys", Some(credential), Some(&body)).await
    };
    let (_, maker) = make(ada.access(), Some("2999-01-01T00:00:00Z")).await;
    let maker = maker["key"].as_str().unwrap();
    let (status, child) = make(maker, None).await;
    assert_eq!((status, &child["info"]["expires_at"]), (201, &json!("2999-01-01T00:00:00Z")));
    assert_eq!(make(maker, Some("2999-01-02T00:00:00Z")).await.0, 422);
    assert_eq!(make(maker, Some("2998-01-01T00:00:00Z")).await.1["info"]["expires_at"], "2998-01-01T00:00:00Z");
}

#[tokio::test]
async fn a_key_loses_with_its_owners_role_what_that_role_was_good_for() {
    let daemon = daemon().await;
    let boss = daemon.person("boss@example.org", Role::Admin).await;
    let (key, _) = daemon.api_key(boss.access(), &["admin:read", "tasks:read"]).await;
    assert_eq!(daemon.ask("GET", "/admin/users", Some(&key), None).await.0, 200);
    let path = format!("/admin/users/{}", boss.id);
    assert_eq!(daemon.owner("PATCH", &path, Some(&json!({ "role": "user" }))).await.0, 200);
    assert_eq!(daemon.ask("GET", "/admin/users", Some(&key), None).await.0, 403);
    assert_eq!(daemon.ask("GET", "/tasks", Some(&key), None).await.0, 200);
    assert_eq!(daemon.ask("GET", "/auth/me", Some(boss.access()), None).await.0, 401, "its sessions have ended");
}

#[tokio::test]
async fn nobody_sees_or_ends_what_is_somebody_elses() {
    let daemon = daemon().await;
    let (ada, grace) =
        (daemon.person("ada@example.org", Role::User).await, daemon.person("grace@example.org", Role::Premium).await);
    let (_, key_of_ada) = daemon.api_key(ada.access(), &["tasks:read"]).await;
    let session_of_ada = ada.tokens["session"].as_str().unwrap();
    for path in [format!("/sessions/{session_of_ada}"), format!("/auth/api-keys/{key_of_ada}")] {
        assert_eq!(daemon.ask("DELETE", &path, Some(grace.access()), None).await.0, 404, "{path}");
        assert_eq!(daemon.owner("DELETE", &path, None).await.0, 204, "an administrator does");
    }
    for path in ["/admin/users", "/admin/settings", "/admin/keys", "/backup", &format!("/admin/users/{}", ada.id)] {
        assert_eq!(daemon.ask("GET", path, Some(grace.access()), None).await.0, 403, "{path}");
    }
}

#[tokio::test]
async fn the_last_administrator_stays_one_however_many_try() {
    let daemon = daemon().await;
    let boss = daemon.person("boss@example.org", Role::Admin).await;
    let (_, me) = daemon.owner("GET", "/auth/me", None).await;
    let owner = format!("/admin/users/{}", me["user"]["id"].as_str().unwrap());
    assert_eq!(daemon.owner("DELETE", &owner, None).await.0, 409, "the local owner stays");
    let demote = json!({ "role": "user" });
    let other = format!("/admin/users/{}", boss.id);
    let both = [
        daemon.ask("PATCH", &owner, Some(boss.access()), Some(&demote)),
        daemon.ask("PATCH", &other, Some(&daemon.key), Some(&demote)),
    ];
    let mut statuses: Vec<u16> = futures::future::join_all(both).await.into_iter().map(|(status, _)| status).collect();
    statuses.sort_unstable();
    // The second of them is no administrator any more, or would be the last.
    assert!(statuses[0] == 200 && matches!(statuses[1], 401 | 403 | 409), "{statuses:?}");
}

#[tokio::test]
async fn changes_name_the_revision_they_mean_and_only_what_may_be_changed() {
    let daemon = daemon().await;
    let ada = daemon.person("ada@example.org", Role::User).await;
    let path = format!("/api/v1/admin/users/{}", ada.id);
    let tag = daemon.request("GET", &path).send().await.unwrap().headers()["etag"].to_str().unwrap().to_owned();
    let patch = |tag: &str, body: Value| daemon.request("PATCH", &path).header("if-match", tag).json(&body).send();
    assert_eq!(patch(&tag, json!({ "name": "Ada L." })).await.unwrap().status(), 200);
    assert_eq!(patch(&tag, json!({ "name": "Ada B." })).await.unwrap().status(), 412);
    assert_eq!(patch("*", json!({ "name": "Ada B." })).await.unwrap().status(), 200);
    assert_eq!(patch("\"x\"", json!({ "name": "Ada C." })).await.unwrap().status(), 412);
    for field in ["password", "password_hash", "has_password", "id", "revision", "is_leaving", "created_at"] {
        assert_eq!(patch("*", json!({ field: "x" })).await.unwrap().status(), 400, "{field}");
    }
    assert_eq!(patch("*", json!({ "email": "grace@example.org" })).await.unwrap().status(), 200);
    assert_eq!(daemon.login(&ada.email, PASSWORD).await.0, 401);
    assert_eq!(daemon.login("grace@example.org", PASSWORD).await.0, 200);
    assert_eq!(
        daemon.owner("POST", "/admin/users", Some(&json!({ "email": ada.email }))).await.0,
        201,
        "it is free again"
    );
    assert_eq!(patch("*", json!({ "email": ada.email })).await.unwrap().status(), 409);
}

#[tokio::test]
async fn a_deleted_account_leaves_nothing_that_lets_anybody_in() {
    let daemon = daemon().await;
    let ada = daemon.person("ada@example.org", Role::User).await;
    let (key, _) = daemon.api_key(ada.access(), &["tasks:read", "tasks:write"]).await;
    let (_, task) = daemon.ask("POST", "/tasks", Some(&key), Some(&json!({ "goal": "x" }))).await;
    assert_eq!(daemon.owner("DELETE", &format!("/admin/users/{}", ada.id), None).await.0, 204);
    for credential in [ada.access(), &key] {
        assert_eq!(daemon.ask("GET", "/auth/me", Some(credential), None).await.0, 401);
    }
    assert_eq!(daemon.login(&ada.email, PASSWORD).await.0, 401);
    assert_eq!(daemon.owner("GET", &format!("/admin/users/{}", ada.id), None).await.0, 404);
    let task = task["id"].as_str().unwrap();
    assert_eq!(daemon.owner("GET", &format!("/tasks/{task}"), None).await.0, 404, "its tasks");
    let again = json!({ "email": ada.email });
    assert_eq!(daemon.owner("POST", "/admin/users", Some(&again)).await.0, 201, "its address is free");
}

#[tokio::test]
async fn settings_are_bounded_and_count_at_once() {
    let daemon = daemon().await;
    insta::assert_json_snapshot!("settings", exchange(daemon.request("GET", "/api/v1/admin/settings")).await);
    for (bad, status) in [
        (json!({ "access_token_minutes": 0 }), 422),
        (json!({ "access_token_minutes": 61 }), 422),
        (json!({ "session_days": 0 }), 422),
        (json!({ "session_idle_days": 91 }), 422),
        (json!({ "quotas": { "user": { "tasks": -1 } } }), 400),
        (json!({ "quotas": { "premium": { "requests_per_minute": 0 } } }), 422),
        (json!({ "quotas": { "root": {} } }), 400),
        (json!({ "revision": 7 }), 400),
    ] {
        assert_eq!(daemon.owner("PATCH", "/admin/settings", Some(&bad)).await.0, status, "{bad}");
    }
    let change = json!({ "access_token_minutes": 5, "quotas": { "user": { "api_keys": 1 } } });
    assert_eq!(daemon.owner("PATCH", "/admin/settings", Some(&change)).await.0, 200);
    let ada = daemon.person("ada@example.org", Role::User).await;
    assert_eq!(ada.tokens["expires_in"], json!(300));
    daemon.api_key(ada.access(), &["tasks:read"]).await;
    let more = json!({ "name": "x", "scopes": ["tasks:read"] });
    let (status, refused) = daemon.ask("POST", "/auth/api-keys", Some(ada.access()), Some(&more)).await;
    assert_eq!((status, &refused["code"]), (429, &json!("quota_exceeded")));
}

#[tokio::test]
async fn an_account_has_no_more_tasks_and_no_better_models_than_its_role() {
    let daemon = Daemon::start(Scripted::new(|_| ninja_core::providers::ScriptStep::Hang)).await;
    let quotas = json!({ "quotas": { "user": { "tasks": 3, "model_classes": ["fast", "balanced"] } } });
    assert_eq!(daemon.owner("PATCH", "/admin/settings", Some(&quotas)).await.0, 200);
    let ada = daemon.person("ada@example.org", Role::User).await;
    let submit = async || daemon.ask("POST", "/tasks", Some(ada.access()), Some(&json!({ "goal": "x" }))).await;
    let answers = futures::future::join_all((0..10).map(|_| submit())).await;
    let made: Vec<&Value> = answers.iter().filter(|(status, _)| *status == 201).map(|(_, task)| &task["id"]).collect();
    assert_eq!(made.len(), 3, "{answers:?}");
    let refused = answers.iter().find(|(status, _)| *status == 429).unwrap();
    assert_eq!(refused.1["code"], "quota_exceeded");
    let cancel = format!("/tasks/{}/cancel", made[0].as_str().unwrap());
    assert_eq!(daemon.ask("POST", &cancel, Some(ada.access()), None).await.0, 200);
    assert_eq!(submit().await.0, 201, "one has ended");
    assert_eq!(submit().await.0, 429);
    assert_eq!(daemon.owner("POST", "/tasks", Some(&json!({ "goal": "x" }))).await.0, 201, "others are not counted");
    let named = json!({ "goal": "x", "model": "scripted/script" });
    assert_eq!(daemon.ask("POST", "/tasks", Some(ada.access()), Some(&named)).await.0, 403);
    let none = json!({ "quotas": { "user": { "model_classes": [] } } });
    assert_eq!(daemon.owner("PATCH", "/admin/settings", Some(&none)).await.0, 200);
    assert_eq!(submit().await.0, 403);
}

#[tokio::test]
async fn an_account_stores_no_more_than_its_role_may() {
    let daemon = daemon().await;
    let ada = daemon.person("ada@example.org", Role::User).await;
    let upload = async |text: &'static str| {
        let file = reqwest::multipart::Part::text(text).file_name("a.txt");
        let sent = daemon.http.post(format!("{}/api/v1/files/upload", daemon.url)).bearer_auth(ada.access());
        sent.multipart(reqwest::multipart::Form::new().part("file", file)).send().await.unwrap().status().as_u16()
    };
    for (quotas, text, status) in [
        (json!({ "file_bytes": 5 }), "123456", 429),
        (json!({ "file_bytes": 6 }), "123456", 201),
        (json!({ "files": 1 }), "1", 429),
        (json!({}), "1", 201),
    ] {
        let change = json!({ "quotas": { "user": quotas } });
        assert_eq!(daemon.owner("PATCH", "/admin/settings", Some(&change)).await.0, 200);
        assert_eq!(upload(text).await, status, "{change}");
    }
}

#[tokio::test]
async fn what_a_role_may_spend_counts_at_once_and_more_of_it_lets_tasks_go_on() {
    let daemon = daemon().await;
    let limit = |tokens: Value| json!({ "quotas": { "user": { "tokens_per_day": tokens } } });
    assert_eq!(daemon.owner("PATCH", "/admin/settings", Some(&limit(json!(1)))).await.0, 200);
    let ada = daemon.person("ada@example.org", Role::User).await;
    let (_, task) = daemon.ask("POST", "/tasks", Some(ada.access()), Some(&json!({ "goal": "x" }))).await;
    let task = task["id"].as_str().unwrap();
    let waiting = daemon.settled(task).await;
    assert_eq!((&waiting["status"], &waiting["waiting"]["for"]), (&json!("waiting"), &json!("budget")), "{waiting}");
    let (_, owners) = daemon.owner("POST", "/tasks", Some(&json!({ "goal": "x" }))).await;
    assert_eq!(daemon.settled(owners["id"].as_str().unwrap()).await["status"], "succeeded", "another role");
    let (_, budgets) = daemon.ask("GET", "/budgets", Some(ada.access()), None).await;
    assert_eq!((&budgets["items"][0]["of"], &budgets["items"][0]["most"]), (&json!("user_day"), &json!(1)));
    assert_eq!(daemon.owner("PATCH", "/admin/settings", Some(&limit(json!(1_000_000)))).await.0, 200);
    while daemon.settled(task).await["status"] == "waiting" {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(daemon.settled(task).await["status"], "succeeded");
}
