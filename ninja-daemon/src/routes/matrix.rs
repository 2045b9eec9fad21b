//! The access matrix: every row of the table, tried by everybody there is, over a real socket.
//!
//! Nothing here says what a path is for: whom it lets through follows from its [`Access`] alone. Requests have no body, so where
//! one is needed the answer of whoever gets through is that it is missing.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use axum::http::Method;
use ninja_core::{
    Engine, EngineOptions,
    api::{
        Access, ChangeUser, CreateApiKey, CreateUser, Login, Origin, Principal, RedeemToken, Role, Scope, Scopes,
        Secret, SubmitTask, Timestamp, UserId,
    },
    clock::{Clock, SystemClock},
    config::RequestsPerMinute,
    providers::{Providers, Scripted},
    sandbox::NoSandbox,
};
use reqwest::{Client, StatusCode};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Route, table};
use crate::{ServeOptions, Server};

const PASSWORD: &str = "plums sailing over quiet umbrellas";

/// A clock that can be set back: what was made then has expired now.
#[derive(Default)]
struct Shifted(AtomicI64);

impl Clock for Shifted {
    fn now(&self) -> Timestamp {
        SystemClock.now() - jiff_days(self.0.load(Ordering::Relaxed))
    }

    fn new_uuid(&self) -> Uuid {
        SystemClock.new_uuid()
    }
}

fn jiff_days(days: i64) -> std::time::Duration {
    std::time::Duration::from_secs(u64::try_from(days).unwrap_or_default() * 24 * 60 * 60)
}

/// Somebody with an account and a session.
struct Person {
    principal: Principal,
    token: String,
}

struct House {
    engine: Engine,
    url: String,
    http: Client,
    shutdown: CancellationToken,
    _directory: tempfile::TempDir,
    clock: Arc<Shifted>,
}

impl House {
    async fn open() -> Self {
        let (directory, clock) = (tempfile::tempdir().unwrap(), Arc::new(Shifted::default()));
        let mut options = EngineOptions::new(directory.path());
        let mut providers = Providers::new(|| 0.5);
        providers.add_limited("scripted", Arc::new(Scripted::answering("done")), "script", 64);
        options.providers = Some(providers);
        options.sandbox = Some(Arc::new(NoSandbox { reason: "tests run no code".to_owned() }));
        options.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let engine = Engine::start(options).await.unwrap();
        let listen = Some("127.0.0.1:0".parse().unwrap());
        let mut options = ServeOptions { listen, ..ServeOptions::default() };
        // All of them ask from one address, and more often than anybody may.
        options.http.requests_per_minute = RequestsPerMinute { anonymous: 0, sign_in: 0, refused: 0 };
        let server = Server::bind(engine.clone(), options).await.unwrap();
        let (url, shutdown) = (format!("http://{}", server.address().unwrap()), CancellationToken::new());
        tokio::spawn(server.run(shutdown.clone()));
        let http = Client::builder().no_proxy().build().unwrap();
        Self { engine, url, http, shutdown, _directory: directory, clock }
    }

    async fn person(&self, email: &str, role: Role) -> Person {
        let create = CreateUser { email: email.to_owned(), name: None, role };
        let invited = self.engine.create_user(&self.engine.local_owner(), create).await.unwrap();
        let redeem = RedeemToken { token: invited.token, password: Secret::new(PASSWORD) };
        self.engine.redeem_token(&Origin::default(), redeem).await.unwrap();
        let token = self.login(email).await;
        let principal = self.engine.authenticate(&token, Origin::default()).unwrap();
        Person { principal, token }
    }

    async fn login(&self, email: &str) -> String {
        let login = Login { email: email.to_owned(), password: Secret::new(PASSWORD) };
        self.engine.login(&Origin::default(), login).await.unwrap().access_token.expose().to_owned()
    }

    async fn key(&self, by: &Principal, scopes: Scopes, expires_at: Option<Timestamp>) -> String {
        let create = CreateApiKey { name: "key".to_owned(), scopes, expires_at };
        self.engine.create_api_key(by, create).await.unwrap().key.expose().to_owned()
    }

    async fn ask(&self, method: &Method, path: &str, credential: Option<&str>) -> StatusCode {
        let request = self.http.request(method.clone(), format!("{}{path}", self.url));
        let request = match credential {
            Some(credential) => request.bearer_auth(credential),
            None => request,
        };
        request.send().await.unwrap().status()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// What becomes of somebody at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Whatever is said there, it is said about the request.
    Through,
    Unknown,
    Forbidden,
}

impl Fate {
    fn fits(self, status: StatusCode) -> bool {
        match self {
            Self::Through => {
                !status.is_server_error()
                    && !matches!(
                        status,
                        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED
                    )
            }
            Self::Unknown => status == StatusCode::UNAUTHORIZED,
            Self::Forbidden => status == StatusCode::FORBIDDEN,
        }
    }
}

/// What somebody known meets at a way in.
fn fate_of(access: Access, role: Role, scopes: Scopes) -> Fate {
    let (scope, role_fits) = match access {
        Access::Public => return Fate::Through,
        Access::User(scope) => (scope, true),
        Access::Admin(scope) => (scope, role == Role::Admin),
    };
    if role_fits && scopes.contains(scope) { Fate::Through } else { Fate::Forbidden }
}

/// Puts ids into a path. One that nobody thought of here is a mistake of whoever added it.
fn fill(path: &str, id: impl Fn(&str, &str) -> String) -> String {
    let mut filled = String::new();
    for part in path.split('/').skip(1) {
        filled.push('/');
        match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) => filled.push_str(&id(path, name)),
            None => filled.push_str(part),
        }
    }
    filled
}

/// Returns an id of the right form of which there is nothing.
fn nothing(path: &str, name: &str) -> String {
    let none = Uuid::from_u128(7).simple();
    match (path, name) {
        (_, "type" | "*path" | "name" | "filename" | "file") => "none".to_owned(),
        (_, "approval_id") => format!("appr_{none}"),
        (_, "other") => format!("task_{none}"),
        (_, "user_id") => format!("user_{none}"),
        (path, "id") if path.starts_with("/api/v1/tasks/") => format!("task_{none}"),
        (path, "id") if path.starts_with("/api/v1/auth/api-keys/") => "0123456789ab".to_owned(),
        (path, "id") if path.starts_with("/api/v1/sessions/") => format!("sess_{none}"),
        (path, "id") if path.starts_with("/api/v1/admin/users/") => format!("user_{none}"),
        (path, name) => panic!("the matrix does not know what `{name}` is in {path}"),
    }
}

/// Those rows at which a request without a body does what the path is for, to the one who asks.
fn ends_itself(path: &str) -> bool {
    path == "/api/v1/auth/logout"
}

#[tokio::test]
async fn every_path_lets_through_whom_its_rule_names_and_nobody_else() {
    let house = House::open().await;
    let owner = house.engine.local_owner();
    // Ten days ago.
    house.clock.0.store(10, Ordering::Relaxed);
    let ada = house.person("ada@example.org", Role::User).await;
    let expired_session = ada.token.clone();
    let tomorrow = house.clock.now() + jiff_days(1);
    let expired_key = house.key(&owner, Scopes::ALL, Some(tomorrow)).await;
    house.clock.0.store(0, Ordering::Relaxed);

    let premium = house.person("premium@example.org", Role::Premium).await;
    let admin = house.person("admin@example.org", Role::Admin).await;
    let disabled = house.person("disabled@example.org", Role::Admin).await;
    let change = ChangeUser { disabled: Some(true), ..ChangeUser::default() };
    house.engine.change_user(&owner, disabled.principal.user, change, None).await.unwrap();
    let revoked = house.key(&owner, Scopes::ALL, None).await;
    let id = revoked[3..15].parse().unwrap();
    house.engine.revoke_api_key(&owner, id).await.unwrap();
    let ada_token = house.login("ada@example.org").await;
    let ada = house.engine.authenticate(&ada_token, Origin::default()).unwrap();

    let key_of_ada = house.key(&ada, ada.scopes, None).await;

    for Route { method, path, access, .. } in table() {
        if path == "/ws" {
            continue;
        }
        let at = fill(path, nothing);
        let scope = match access {
            Access::Public => Scope::TasksRead,
            Access::User(scope) | Access::Admin(scope) => scope,
        };
        let without: Scopes = Scope::ALL.into_iter().filter(|other| *other != scope).collect();
        let only: Scopes = [scope].into_iter().collect();
        let mut who = vec![
            ("nobody", None, if access == Access::Public { Fate::Through } else { Fate::Unknown }),
            ("a revoked key", Some(revoked.clone()), known_or(access, Fate::Unknown)),
            ("an expired key", Some(expired_key.clone()), known_or(access, Fate::Unknown)),
            ("an expired session", Some(expired_session.clone()), known_or(access, Fate::Unknown)),
            ("a disabled administrator", Some(disabled.token.clone()), known_or(access, Fate::Unknown)),
            ("an administrator's key with that scope alone", Some(house.key(&owner, only, None).await), Fate::Through),
            (
                "an administrator's key with every other scope",
                Some(house.key(&owner, without, None).await),
                fate_of(access, Role::Admin, without),
            ),
            ("a user's key", Some(key_of_ada.clone()), fate_of(access, Role::User, ada.scopes)),
        ];
        if !ends_itself(path) {
            let people = [("a user", &ada, &ada_token), ("premium", &premium.principal, &premium.token)];
            let people = people.into_iter().chain([("an administrator", &admin.principal, &admin.token)]);
            who.extend(people.map(|(name, principal, token)| {
                (name, Some(token.clone()), fate_of(access, principal.role, principal.scopes))
            }));
        }
        for (name, credential, fate) in who {
            let status = house.ask(&method, &at, credential.as_deref()).await;
            assert!(fate.fits(status), "{method} {path} for {name}: {status}, expected {fate:?}");
        }
        for text in ["nj_", "nr_x", "not.a.token", "null"] {
            let status = house.ask(&method, &at, Some(text)).await;
            assert!(known_or(access, Fate::Unknown).fits(status), "{method} {path} for {text:?}: {status}");
        }
    }
}

/// Open paths do not look at credentials.
fn known_or(access: Access, fate: Fate) -> Fate {
    if access == Access::Public { Fate::Through } else { fate }
}

#[tokio::test]
async fn what_is_somebody_elses_is_not_there() {
    let house = House::open().await;
    let ada = house.person("ada@example.org", Role::User).await;
    let grace = house.person("grace@example.org", Role::Premium).await;
    let request = SubmitTask { goal: "mine".to_owned(), ..SubmitTask::default() };
    let task = house.engine.submit_task(&ada.principal, request).await.unwrap().id;
    let hers = house.engine.submit_task(&grace.principal, SubmitTask { goal: "x".to_owned(), ..SubmitTask::default() });
    let hers = hers.await.unwrap().id;
    let key = house.key(&ada.principal, ada.principal.scopes, None).await;
    let session = house.engine.sessions(&ada.principal).await.unwrap().items[0].id;
    let user: UserId = ada.principal.user;
    let object = |path: &str, name: &str| match (path, name) {
        (_, "other") => hers.to_string(),
        (path, "id") if path.starts_with("/api/v1/tasks/") => task.to_string(),
        (path, "id") if path.starts_with("/api/v1/auth/api-keys/") => key[3..15].to_owned(),
        (path, "id") if path.starts_with("/api/v1/sessions/") => session.to_string(),
        (_, "user_id") => user.to_string(),
        (path, name) => nothing(path, name),
    };
    let mut tried = 0;
    for Route { method, path, access, .. } in table() {
        // What everybody may see is nobody's.
        let is_of_somebody = path.contains("{id}") || path.contains("{user_id}");
        if !is_of_somebody || !matches!(access, Access::User(_)) {
            continue;
        }
        let needs_body = ["/budget", "/fork", "/approvals/{approval_id}"].iter().any(|end| path.ends_with(end));
        let at = format!("{}{}", house.url, fill(path, object));
        let request = house.http.request(method.clone(), at).bearer_auth(&grace.token);
        let request = if needs_body { request.json(&body_of(path)) } else { request };
        let status = request.send().await.unwrap().status();
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}");
        tried += 1;
    }
    assert!(tried > 15, "{tried}");
    assert!(house.engine.task(&ada.principal, task).await.is_ok() && house.engine.me(&ada.principal).await.is_ok());
}

/// Returns a body that would be understood.
fn body_of(path: &str) -> serde_json::Value {
    match path {
        path if path.ends_with("/budget") => serde_json::json!({ "steps": 5 }),
        path if path.ends_with("/fork") => serde_json::json!({}),
        _ => serde_json::json!({ "decision": "approve" }),
    }
}
