//! Providers that an administrator stores: they count at once and after a restart, each in its place; their keys are sealed, come
//! back to nobody, and outlive rotations, crashes in the middle of one, and backups.

use std::{
    collections::BTreeMap,
    fs,
    io::Cursor,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use futures::TryStreamExt;
use ninja_core::{
    Engine, EngineOptions,
    api::{
        DollarPrice, ErrorCode, ProviderInfo, ProviderKind, ProviderOrigin, ProviderSettings, RotateKeys, Secret, Task,
        TaskStatus,
    },
    journal::{
        disk::{DiskOptions, DiskStore},
        store::{Commit, DocKey, DocKind, Store},
    },
    maintenance,
    providers::{ProviderConfig, Scripted},
};
use ninja_tests::{ScriptedEngine, agent_step, plan};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, sync::Semaphore};

use super::protocols::{Parrot, answer, events_of, holders, read_request};

const KEY: &str = "sk-canary-0f3a9c-stored";

/// A server that keeps the key of each call, and answers as many as it is let.
struct Server {
    url: String,
    keys: Arc<Mutex<Vec<String>>>,
    arrived: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    /// Somebody asked for its models.
    listed: Arc<Semaphore>,
    /// How often it tells them.
    lists: Arc<Semaphore>,
}

impl Server {
    async fn start(answers: usize) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (keys, arrived) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(Semaphore::new(0)));
        let answers = Arc::new(Semaphore::new(answers));
        let (listed, lists) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(100)));
        let server = Self {
            url,
            keys: keys.clone(),
            arrived: arrived.clone(),
            answers: answers.clone(),
            listed: listed.clone(),
            lists: lists.clone(),
        };
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let request = read_request(&mut socket).await;
                let body = match request.starts_with("POST") {
                    true => {
                        let key = request.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
                        keys.lock().unwrap().push(key.unwrap_or("none").to_owned());
                        arrived.add_permits(1);
                        answers.acquire().await.unwrap().forget();
                        answer(json!({ "content": "it was answered" }))
                    }
                    false => {
                        listed.add_permits(1);
                        lists.acquire().await.unwrap().forget();
                        json!({ "data": [{ "id": "served" }] })
                    }
                };
                let body = body.to_string();
                let head = "HTTP/1.1 200 X\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ";
                socket.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).await.ok();
            }
        });
        server
    }

    fn keys(&self) -> Vec<String> {
        std::mem::take(&mut *self.keys.lock().unwrap())
    }
}

/// Makes options that know no provider; nobody listens where Ollama would be.
fn alone(options: &mut EngineOptions) {
    options.providers = None;
    options.env.insert("OLLAMA_HOST".to_owned(), "127.0.0.1:9".to_owned());
}

/// An engine without a provider.
async fn start() -> ScriptedEngine {
    ScriptedEngine::start_with(Scripted::answering("nobody asks"), alone).await
}

/// Stops the engine and starts another one on its directory.
async fn restart(host: &mut ScriptedEngine, change: impl FnOnce(&mut EngineOptions)) {
    host.engine.stop().await;
    let mut options = EngineOptions::new(host.directory.path());
    options.failpoints = host.failpoints.clone();
    alone(&mut options);
    change(&mut options);
    host.engine = Engine::start(options).await.unwrap();
}

fn settings(name: &str, url: &str, key: Option<&str>) -> ProviderSettings {
    let base_url = Some(url.to_owned());
    ProviderSettings { base_url, api_key: key.map(Secret::new), ..ProviderSettings::new(name, ProviderKind::Openai) }
}

async fn put(host: &ScriptedEngine, settings: ProviderSettings) -> Result<ProviderInfo, ErrorCode> {
    let put = host.engine.put_provider(&host.engine.local_owner(), settings).await;
    put.map_err(|error| {
        assert!(!error.to_string().contains("canary"), "{error}");
        error.code
    })
}

async fn stored(host: &ScriptedEngine) -> Vec<ProviderInfo> {
    let mut infos = host.engine.providers(&host.engine.local_owner()).await.unwrap();
    infos.retain(|info| info.origin == ProviderOrigin::Stored);
    infos
}

/// Returns how the keys end that open.
async fn key_ends(host: &ScriptedEngine) -> Vec<String> {
    stored(host).await.into_iter().filter_map(|info| info.key_end).collect()
}

async fn submit(host: &ScriptedEngine, steps: usize) -> Result<Task, ErrorCode> {
    let two = [agent_step("first", &[], "work"), agent_step("second", &["first"], "work")];
    let steps = two.into_iter().take(steps).collect();
    host.engine.submit_task(&host.engine.local_owner(), plan(steps)).await.map_err(|error| error.code)
}

/// Has one step done, and returns the keys with which that was asked.
async fn asked_with(host: &ScriptedEngine, server: &Server) -> Vec<String> {
    let task = submit(host, 1).await.unwrap();
    assert_eq!(host.finish(task.id).await.status, TaskStatus::Succeeded);
    server.keys()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_provider_answers_at_once_and_after_a_restart() {
    let (mut host, server) = (start().await, Server::start(100).await);
    assert_eq!(submit(&host, 1).await.unwrap_err(), ErrorCode::NoProvider);
    let info = put(&host, settings("mine", &server.url, Some(&format!(" {KEY}\n")))).await.unwrap();
    assert_eq!((info.model.as_deref(), info.key_end.as_deref()), (Some("served"), Some("ored")));
    assert!(info.is_default && info.can_answer && info.has_key && info.settings.is_some(), "{info:?}");
    assert_eq!(asked_with(&host, &server).await, [KEY], "without the spaces around it");

    put(&host, settings("mine", &server.url, Some("sk-another-key-0123"))).await.unwrap();
    assert_eq!(asked_with(&host, &server).await, ["sk-another-key-0123"]);
    let other_model = ProviderSettings { model: Some("m".to_owned()), ..settings("mine", &server.url, None) };
    let info = put(&host, other_model.clone()).await.unwrap();
    assert_eq!((info.model.as_deref(), info.key_end.as_deref()), (Some("m"), Some("0123")), "the key stays");

    let elsewhere = Server::start(100).await;
    let moved = settings("mine", &elsewhere.url, None);
    assert_eq!(put(&host, moved).await, Err(ErrorCode::InvalidRequest), "the key goes nowhere else");
    let before = stored(&host).await;
    restart(&mut host, |_| {}).await;
    assert_eq!(stored(&host).await, before);
    assert_eq!(before[0].settings, Some(other_model));
    assert_eq!(asked_with(&host, &server).await, ["sk-another-key-0123"]);
    put(&host, settings("mine", &elsewhere.url, Some(KEY))).await.unwrap();
    assert_eq!((asked_with(&host, &elsewhere).await, server.keys()), (vec![KEY.to_owned()], Vec::new()));

    let owner = host.engine.local_owner();
    host.engine.remove_provider(&owner, "mine").await.unwrap();
    assert_eq!(submit(&host, 1).await.unwrap_err(), ErrorCode::NoProvider);
    assert_eq!(host.engine.remove_provider(&owner, "mine").await.unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(stored(&host).await, []);
    host.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_changes_is_asked_for_its_models_before_it_counts() {
    let (host, server) = (start().await, Server::start(100).await);
    put(&host, settings("mine", &server.url, Some(KEY))).await.unwrap();
    server.listed.acquire().await.unwrap().forget();
    server.lists.forget_permits(100);
    let changed = put(&host, settings("mine", &server.url, Some("sk-another-key-0123")));
    let meanwhile = async {
        server.listed.acquire().await.unwrap().forget();
        let task = submit(&host, 1).await;
        server.lists.add_permits(100);
        task
    };
    let (changed, task) = tokio::join!(changed, meanwhile);
    assert!(changed.unwrap().can_answer);
    assert_eq!(host.finish(task.unwrap().id).await.status, TaskStatus::Succeeded);
    host.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_as_a_key_is_no_secret() {
    let (host, server) = (start().await, Server::start(100).await);
    let word = settings("other", "http://example.com/v1", Some("answered"));
    assert_eq!(put(&host, word).await, Err(ErrorCode::InvalidRequest));
    put(&host, settings("mine", &server.url, Some(KEY))).await.unwrap();
    let task = submit(&host, 1).await.unwrap();
    assert_eq!(host.finish(task.id).await.steps[0].output, json!("it was answered"));
    host.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_read_is_not_replaced_without_a_key() {
    let mut host = start().await;
    put(&host, settings("mine", "http://127.0.0.1:9/v1", Some(KEY))).await.unwrap();
    host.engine.stop().await;
    alter(host.directory.path(), "mine", |document| document["settings"]["kind"] = json!("of-tomorrow")).await;
    restart(&mut host, |_| {}).await;
    assert!(stored(&host).await[0].reason.contains("cannot be read"));
    assert_eq!(put(&host, settings("mine", "http://127.0.0.1:9/v1", None)).await, Err(ErrorCode::Conflict));
    assert!(stored(&host).await[0].reason.contains("cannot be read"), "it is as it was");
    put(&host, settings("mine", "http://127.0.0.1:9/v1", Some(KEY))).await.unwrap();
    assert_eq!(key_ends(&host).await, ["ored"]);
    host.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_under_way_ends_with_the_provider_that_it_began_with() {
    let (host, server) = (start().await, Server::start(0).await);
    put(&host, settings("mine", &server.url, Some(KEY))).await.unwrap();
    let task = submit(&host, 2).await.unwrap();
    server.arrived.acquire().await.unwrap().forget();
    host.engine.remove_provider(&host.engine.local_owner(), "mine").await.unwrap();
    server.answers.add_permits(1);
    let task = host.finish(task.id).await;
    assert_eq!(task.steps[0].output, json!("it was answered"));
    let error = task.error.unwrap();
    assert_eq!(error.code, ErrorCode::ProviderRejected, "{error}");
    assert!(error.detail.contains("there is no provider named mine any more"), "{error}");
    host.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_configured_comes_before_what_is_stored_and_that_before_what_is_found() {
    let mut host = start().await;
    for name in ["a-stored", "both"] {
        put(&host, settings(name, "http://127.0.0.1:9/v1", Some(KEY))).await.unwrap();
    }
    let names = async |host: &ScriptedEngine| -> Vec<_> {
        let infos = host.engine.providers(&host.engine.local_owner()).await.unwrap();
        let there = infos.into_iter().filter(|info| info.origin != ProviderOrigin::Missing);
        there.map(|info| (info.name, info.origin, info.is_default)).collect()
    };
    let with_variable = |options: &mut EngineOptions| {
        options.env.insert("OPENAI_API_KEY".to_owned(), "k".to_owned());
    };
    restart(&mut host, with_variable).await;
    let row = |name: &str, origin, is_default| (name.to_owned(), origin, is_default);
    let [stored_one, both] = ["a-stored", "both"].map(|name| row(name, ProviderOrigin::Stored, false));
    let variable = row("openai", ProviderOrigin::Environment, false);
    assert_eq!(names(&host).await, [(stored_one.0.clone(), stored_one.1, true), both.clone(), variable.clone()]);
    restart(&mut host, |options| {
        with_variable(options);
        let config = ProviderConfig { model: Some("m".to_owned()), ..ProviderConfig::new(ProviderKind::Ollama) };
        options.config.providers = [("both".to_owned(), config)].into();
    })
    .await;
    let configured = row("both", ProviderOrigin::Configured, true);
    assert_eq!(names(&host).await, [configured, stored_one, both, variable]);
    let hidden = stored(&host).await.into_iter().find(|info| info.name == "both").unwrap();
    assert!(!hidden.can_answer && hidden.reason.contains("comes first: configured"), "{}", hidden.reason);
    host.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_provider_is_refused_and_leaves_nothing() {
    let host = start().await;
    let local = || settings("mine", "http://127.0.0.1:9/v1", Some(KEY));
    let with_key = |key: &str| ProviderSettings { api_key: Some(Secret::new(key)), ..local() };
    let at = |url: &str| settings("mine", url, Some(KEY));
    let named = |name: &str| ProviderSettings { name: name.to_owned(), ..local() };
    let price =
        |input| ProviderSettings { price: Some(DollarPrice { input, cached_input: None, output: 1.0 }), ..local() };
    for (what, settings) in [
        ("no name", named("")),
        ("a path", named("a/b")),
        ("a hidden file", named(".a")),
        ("a control character", named("a\u{1b}b")),
        ("a long name", named(&"a".repeat(65))),
        ("a vendor without a key", ProviderSettings::new("mine", ProviderKind::Anthropic)),
        ("no address", at("canary")),
        ("a file", at("file:///etc/passwd")),
        ("a password in the address", at("https://me:sk-canary@example.com/v1")),
        ("a password behind other slashes", at("https:\\\\me:sk-canary@example.com/v1")),
        ("a query", at("https://example.com/v1?key=sk-canary")),
        ("a link-local address", settings("mine", "http://169.254.169.254/v1", None)),
        ("a key in clear", at("http://example.com/v1")),
        ("no key", with_key(" ")),
        ("a key of two lines", with_key("sk-canary\nx: y")),
        ("a key without end", with_key(&"canary".repeat(1_000))),
        ("a price below nothing", price(-1.0)),
    ] {
        assert_eq!(put(&host, settings).await, Err(ErrorCode::InvalidRequest), "{what}");
    }
    assert_eq!(stored(&host).await, []);
    host.engine.stop().await;
    assert_eq!(holders(host.directory.path(), "canary"), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_key_that_its_provider_repeats_is_in_no_file_event_or_error() {
    let (mut host, parrot) = (start().await, Parrot::start().await);
    let settings = ProviderSettings { model: Some("m".to_owned()), ..settings("parrot", &parrot.url, Some(KEY)) };
    let info = put(&host, settings.clone()).await.unwrap();
    let refused =
        ProviderSettings { price: Some(DollarPrice { input: -1.0, cached_input: None, output: 1.0 }), ..settings };
    assert_eq!(put(&host, refused).await, Err(ErrorCode::InvalidRequest));
    let task = submit(&host, 2).await.unwrap();
    let task = host.finish(task.id).await;
    assert_eq!(task.error.as_ref().unwrap().code, ErrorCode::ProviderRejected);
    assert_eq!(task.steps[0].output, json!("your key is [redacted]"), "the rest is there");
    for text in [serde_json::to_string(&task).unwrap(), format!("{:?}", events_of(&host, task.id).await)] {
        assert!(text.contains("[redacted]") && !text.contains("canary"), "{text}");
    }
    let owner = host.engine.local_owner();
    let rotated = host.engine.rotate_keys(&owner, RotateKeys::default()).await.unwrap();
    let health = host.engine.health(Some(&host.engine.local_owner())).await;
    for text in [format!("{:?}", (&info, &rotated, &health)), json!([info, rotated, health]).to_string()] {
        assert!(!text.contains("canary"), "{text}");
    }
    let backup = backup(&host).await;
    assert!(!String::from_utf8_lossy(&backup).contains("canary"));
    restart(&mut host, |_| {}).await;
    assert_eq!(host.engine.task(&host.engine.local_owner(), task.id).await.unwrap(), task);
    host.engine.stop().await;
    let none = Vec::<PathBuf>::new();
    assert_eq!(holders(host.directory.path(), KEY), none);
    // The master keys are in their file and nowhere else.
    for (_, key) in master_keys(host.directory.path()) {
        assert_eq!(holders(host.directory.path(), &key), [host.directory.path().join("vault.keys")]);
        assert!(!String::from_utf8_lossy(&backup).contains(&key));
    }
}

async fn backup(host: &ScriptedEngine) -> Vec<u8> {
    let pieces = host.engine.backup(&host.engine.local_owner()).await.unwrap();
    pieces.try_fold(Vec::new(), async |all, piece| Ok([&all[..], &piece[..]].concat())).await.unwrap()
}

/// Returns the master keys of a directory by their ids.
fn master_keys(folder: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(folder.join("vault.keys")).unwrap();
    let keys = text.lines().filter_map(|line| line.split_once(':').filter(|_| !line.starts_with('#')));
    keys.map(|(id, key)| (id.to_owned(), key.to_owned())).collect()
}

/// Stores three providers, and returns how their keys end.
async fn store_three(host: &ScriptedEngine) -> [String; 3] {
    for number in 1..=3 {
        let key = format!("sk-canary-long-enough-{number:04}");
        put(host, settings(&format!("p{number}"), "http://127.0.0.1:9/v1", Some(&key))).await.unwrap();
    }
    let ends = ["0001", "0002", "0003"].map(str::to_owned);
    assert_eq!(key_ends(host).await, ends);
    ends
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_seals_everything_anew_and_drops_older_keys_when_told() {
    let mut host = start().await;
    let ends = store_three(&host).await;
    let first = master_keys(host.directory.path());
    let owner = host.engine.local_owner();
    let rotated = host.engine.rotate_keys(&owner, RotateKeys::default()).await.unwrap();
    assert_eq!((rotated.is_new, rotated.resealed, rotated.dropped, rotated.keys), (true, 4, 0, 2), "{rotated:?}");
    assert!(!first.contains_key(&rotated.key));
    let rotated = host.engine.rotate_keys(&owner, RotateKeys { drop_old: true }).await.unwrap();
    assert_eq!((rotated.is_new, rotated.resealed, rotated.dropped, rotated.keys), (true, 4, 2, 1), "{rotated:?}");
    assert_eq!(key_ends(&host).await, ends);
    assert_eq!(master_keys(host.directory.path()).into_keys().collect::<Vec<_>>(), [rotated.key]);
    restart(&mut host, |_| {}).await;
    assert_eq!(key_ends(&host).await, ends, "with the one key that is left");
    host.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_waited_for_the_directory_seals_with_the_keys_that_are_left() {
    let mut host = start().await;
    store_three(&host).await;
    let mut options = EngineOptions::new(host.directory.path());
    alone(&mut options);
    let mut waiting = Box::pin(Engine::start(options));
    assert!(futures::poll!(&mut waiting).is_pending());
    let owner = host.engine.local_owner();
    host.engine.rotate_keys(&owner, RotateKeys { drop_old: true }).await.unwrap();
    host.engine.stop().await;
    host.engine = waiting.await.unwrap();
    put(&host, settings("p4", "http://127.0.0.1:9/v1", Some("sk-canary-long-enough-0004"))).await.unwrap();
    restart(&mut host, |_| {}).await;
    assert_eq!(key_ends(&host).await, ["0001", "0002", "0003", "0004"]);
    host.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_breaks_off_anywhere_is_finished_by_the_next() {
    let mut host = start().await;
    let ends = store_three(&host).await;
    for place in ["rotate: key added", "rotate: resealed", "rotate: audit keys resealed", "rotate: done"] {
        host.failpoints.arm(place, 1);
        let owner = host.engine.local_owner();
        let broken_off = host.engine.rotate_keys(&owner, RotateKeys { drop_old: true }).await.unwrap_err();
        assert_eq!((broken_off.code, host.failpoints.left(place)), (ErrorCode::Internal, 0), "{place}");
        assert_eq!(key_ends(&host).await, ends, "{place}");
        restart(&mut host, |_| {}).await;
        assert_eq!(key_ends(&host).await, ends, "{place}, after a restart");
        let owner = host.engine.local_owner();
        let rotated = host.engine.rotate_keys(&owner, RotateKeys { drop_old: true }).await.unwrap();
        assert_eq!((rotated.resealed, rotated.unopened.len(), rotated.keys), (4, 0, 1), "{place}");
    }
    restart(&mut host, |_| {}).await;
    assert_eq!(key_ends(&host).await, ends);
    host.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_whose_key_is_gone_is_told_of_kept_and_given_again() {
    let mut host = start().await;
    let ends = store_three(&host).await;
    let keys = host.directory.path().join("vault.keys");
    let aside = keys.with_extension("aside");
    fs::rename(&keys, &aside).unwrap();
    restart(&mut host, |_| {}).await;
    let infos = stored(&host).await;
    for info in &infos {
        assert!(info.has_key && !info.can_answer && info.key_end.is_none(), "{info:?}");
        assert!(info.reason.contains("sealed with the master key") && info.reason.contains("vault.keys"), "{info:?}");
    }
    // Everybody may read this.
    let health = json!(host.engine.health(Some(&host.engine.local_owner())).await).to_string();
    assert!(health.contains("the provider p1 cannot be used; `ninja providers` says why"), "{health}");
    assert!(!health.contains("vault.keys") && !health.contains("master key"), "{health}");
    let owner = host.engine.local_owner();
    let again = || settings("p2", "http://127.0.0.1:9/v1", Some("sk-canary-given-again-2222"));
    for refused in [
        host.engine.put_provider(&owner, again()).await.unwrap_err(),
        host.engine.rotate_keys(&owner, RotateKeys::default()).await.unwrap_err(),
    ] {
        assert_eq!(refused.code, ErrorCode::Conflict);
        assert!(refused.detail.contains("no other one is begun") && refused.detail.contains("vault.keys"), "{refused}");
    }
    assert!(!keys.exists());
    // Somebody who means it begins with another one.
    fs::write(&keys, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n").unwrap();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).unwrap();
    restart(&mut host, |_| {}).await;
    let owner = host.engine.local_owner();
    put(&host, again()).await.unwrap();
    let rotated = host.engine.rotate_keys(&owner, RotateKeys { drop_old: true }).await.unwrap();
    assert_eq!((rotated.resealed, rotated.dropped, rotated.keys), (2, 0, 2), "no key goes: {rotated:?}");
    assert_eq!(rotated.unopened, ["p1", "p3", "the key of the audit log from entry 1 on"]);
    assert_eq!(key_ends(&host).await, ["2222"]);
    // The old keys come back, as lines before the newer ones.
    let both = [fs::read_to_string(&aside).unwrap(), fs::read_to_string(&keys).unwrap()].concat();
    host.engine.stop().await;
    fs::write(&keys, both).unwrap();
    restart(&mut host, |_| {}).await;
    assert_eq!(key_ends(&host).await, [&ends[0], "2222", &ends[2]]);
    host.engine.stop().await;
}

/// Changes what is stored of a provider, past the engine, which must be stopped.
async fn alter(folder: &Path, name: &str, change: impl FnOnce(&mut Value)) {
    let store = DiskStore::open(folder, DiskOptions::default()).unwrap();
    let key = DocKey::new(DocKind::Provider, name);
    let mut document: Value = serde_json::from_slice(&store.read_doc(&key).unwrap().unwrap()).unwrap();
    change(&mut document);
    let puts = vec![(key, serde_json::to_vec(&document).unwrap().into())];
    store.commit(Commit { puts, ..Commit::default() }).await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_does_not_open_for_another_address_or_kind() {
    let (mut host, thief) = (start().await, Server::start(100).await);
    for (field, value) in [("base_url", thief.url.as_str()), ("kind", "deepseek")] {
        put(&host, settings("mine", "http://127.0.0.1:9/v1", Some(KEY))).await.unwrap();
        host.engine.stop().await;
        alter(host.directory.path(), "mine", |document| document["settings"][field] = json!(value)).await;
        restart(&mut host, |_| {}).await;
        let info = stored(&host).await.remove(0);
        assert!(info.has_key && !info.can_answer && info.reason.contains("were altered"), "{info:?}");
    }
    assert_eq!(thief.keys(), Vec::<String>::new());
    host.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_given_are_rotated_by_whoever_gives_them() {
    const OLD: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const NEW: &str = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";
    let given = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        move |options: &mut EngineOptions| options.env.extend(pairs)
    };
    let with_old = |options: &mut EngineOptions| {
        alone(options);
        given(&[("NINJA_MASTER_KEY", OLD)])(options);
    };
    let mut host = ScriptedEngine::start_with(Scripted::answering("nobody asks"), with_old).await;
    let ends = store_three(&host).await;
    let owner = host.engine.local_owner();
    let refused = host.engine.rotate_keys(&owner, RotateKeys::default()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Conflict);
    assert!(refused.detail.contains("NINJA_MASTER_KEY_OLD the present one"), "{refused}");
    restart(&mut host, given(&[("NINJA_MASTER_KEY", NEW), ("NINJA_MASTER_KEY_OLD", OLD)])).await;
    assert_eq!(key_ends(&host).await, ends);
    let rotated = host.engine.rotate_keys(&owner, RotateKeys { drop_old: true }).await.unwrap();
    assert_eq!((rotated.is_new, rotated.resealed, rotated.dropped), (false, 4, 0), "{rotated:?}");
    restart(&mut host, given(&[("NINJA_MASTER_KEY", NEW)])).await;
    assert_eq!(key_ends(&host).await, ends, "without the old one");
    assert!(!host.directory.path().join("vault.keys").exists(), "what is given is not written down");
    host.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_gives_secrets_back_to_whoever_has_the_keys() {
    let first = start().await;
    let ends = store_three(&first).await;
    let backup = backup(&first).await;
    first.engine.stop().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let folder = elsewhere.path().to_owned();
    let restored =
        tokio::task::spawn_blocking(move || maintenance::restore(&mut Cursor::new(backup), &folder).unwrap());
    assert_eq!(restored.await.unwrap().unreadable.len(), 0);
    let keys = elsewhere.path().join("vault.keys");
    let mut host = ScriptedEngine { directory: elsewhere, engine: first.engine, ..start().await };
    restart(&mut host, |_| {}).await;
    assert_eq!((stored(&host).await.len(), key_ends(&host).await.len(), keys.exists()), (3, 0, false));
    fs::copy(first.directory.path().join("vault.keys"), keys).unwrap();
    restart(&mut host, |_| {}).await;
    assert_eq!(key_ends(&host).await, ends);
    host.engine.stop().await;
}
