//! Choosing, limiting, retrying and discovering.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures::future::BoxFuture;
use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::providers::{
    Message, ProviderConfig, ProviderKind, ScriptStep, Scripted,
    http::test_server::{Reply, TestServer, response},
};

fn providers(entries: &[(&str, &Arc<Scripted>)]) -> Providers {
    let mut providers = Providers::new(|| 0.0);
    for (name, provider) in entries {
        providers.add(name, (*provider).clone(), "m");
    }
    providers
}

fn request() -> ChatRequest {
    let messages = vec![Message::user("hello")];
    ChatRequest {
        model: String::new(),
        messages,
        tools: Arc::default(),
        schema: None,
        images: Default::default(),
        max_output_tokens: 8,
    }
}

fn model(provider: &str, model: &str) -> ModelRef {
    ModelRef { provider: provider.into(), model: model.into() }
}

async fn call(providers: &Providers, name: &str) -> Result<Answer, ProviderError> {
    providers.chat(&model(name, "m"), request(), Arc::new(|_| {}), CancellationToken::new()).await
}

fn failing(errors: &[ProviderError]) -> Arc<Scripted> {
    let steps = errors.iter().cloned().map(ScriptStep::Fail).chain([const { "done" }; 2].map(ScriptStep::answer));
    Arc::new(Scripted::sequence(steps.collect::<Vec<_>>()))
}

#[test]
fn a_model_is_chosen_by_provider_by_name_or_by_default() {
    let scripted = Arc::new(Scripted::answering("x"));
    let providers = providers(&[("first", &scripted), ("second", &scripted)]);
    for (wanted, provider, name) in [
        (None, "first", "m"),
        (Some(""), "first", "m"),
        (Some("second"), "second", "m"),
        (Some("second/"), "second", "m"),
        (Some("second/a/b"), "second", "a/b"),
        (Some("a"), "first", "a"),
        (Some("org/a"), "first", "org/a"),
    ] {
        let Choice { model: chosen, info, .. } = providers.choose(wanted).unwrap();
        assert_eq!(chosen, model(provider, name), "{wanted:?}");
        assert_eq!(info.label, "scripted");
    }
    assert_eq!(Providers::new(|| 0.0).choose(None), Err(ChooseError::NoProvider));
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_after_growing_waits() {
    let scripted = failing(&[
        ProviderError::Truncated,
        ProviderError::Unavailable(String::new()),
        ProviderError::RateLimited { retry_after_ms: Some(7_000) },
    ]);
    let start = Instant::now();
    assert_eq!(call(&providers(&[("p", &scripted)]), "p").await.unwrap().text, "done");
    assert_eq!(start.elapsed(), Duration::from_millis(250 + 500 + 7_000));
    assert_eq!(scripted.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_fifth_failure_is_the_last() {
    let scripted = failing(&[const { ProviderError::Truncated }; 9]);
    assert_eq!(call(&providers(&[("p", &scripted)]), "p").await, Err(ProviderError::Truncated));
    assert_eq!(scripted.calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn one_in_trouble_fails_at_once_and_is_tried_again_later() {
    let scripted = failing(&[const { ProviderError::Truncated }; 8]);
    let providers = providers(&[("p", &scripted)]);
    for _ in 0..2 {
        call(&providers, "p").await.unwrap_err();
    }
    assert_eq!(scripted.calls(), 8, "the second call stopped trying when the provider was given up");
    let begun = Instant::now();
    let error = call(&providers, "p").await.unwrap_err();
    assert!(matches!(&error, ProviderError::Unavailable(why) if why.contains("left alone")), "{error}");
    assert_eq!((begun.elapsed(), scripted.calls()), (Duration::ZERO, 8));
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(call(&providers, "p").await.unwrap().text, "done");
    assert_eq!(call(&providers, "p").await.unwrap().text, "done");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_a_provider_asks_of_one_call_is_kept_by_all() {
    let scripted = failing(&[ProviderError::RateLimited { retry_after_ms: Some(7_000) }]);
    let providers = providers(&[("p", &scripted)]);
    let begun = Instant::now();
    let ended = || async {
        call(&providers, "p").await.unwrap();
        begun.elapsed()
    };
    let later = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        ended().await
    };
    let (first, second) = tokio::join!(ended(), later);
    assert_eq!((first, second), (Duration::from_secs(7), Duration::from_secs(7)));

    let scripted = failing(&[ProviderError::RateLimited { retry_after_ms: Some(90_000) }]);
    let providers = self::providers(&[("p", &scripted)]);
    call(&providers, "p").await.unwrap_err();
    let told = ProviderError::RateLimited { retry_after_ms: Some(90_000) };
    assert_eq!(call(&providers, "p").await, Err(told), "longer than a call waits");
    assert_eq!(scripted.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_and_tokens_are_spread_over_the_minute() {
    let scripted = Arc::new(Scripted::answering("done"));
    let limited = |limits: &str| {
        let mut providers = providers(&[("p", &scripted)]);
        let config: ProviderConfig = toml::from_str(&format!("kind = \"openai\"\n{limits}")).unwrap();
        Arc::get_mut(&mut providers.entries[0]).unwrap().gate = Gate::new(8).with_rates(&config);
        providers
    };
    let three_calls = async |providers: Providers| {
        let begun = Instant::now();
        let mut used = 0;
        for _ in 0..3 {
            used = call(&providers, "p").await.unwrap().usage.tokens();
        }
        (begun.elapsed().as_secs(), used)
    };
    // One second is saved up.
    let (took, used) = three_calls(limited("requests_per_minute = 30")).await;
    assert_eq!(took, 3);
    let (took, _) = three_calls(limited("tokens_per_minute = 6")).await;
    assert_eq!(took, 2 * used * 10 - 1, "what an answer might have taken and did not is given back");
}

#[test]
fn a_class_has_its_model_and_what_nobody_named_has_others_to_stand_in() {
    let scripted = Arc::new(Scripted::answering("x"));
    let mut providers = providers(&[("one", &scripted), ("two", &scripted)]);
    Arc::get_mut(&mut providers.entries[0]).unwrap().models = [(ModelClass::Best, "large".to_owned())].into();
    providers.fallback = ["two", "gone", "one", "one/spare", "two/m", "one/m"].map(str::to_owned).to_vec();
    let line = |wanted, class| -> Vec<String> {
        providers.line_up(wanted).unwrap()[&class].iter().map(|choice| choice.model.to_string()).collect()
    };
    assert_eq!(line(None, ModelClass::Fast), ["one/m", "two/m", "one/spare"]);
    assert_eq!(line(None, ModelClass::Best), ["one/large", "two/m", "one/spare", "one/m"]);
    assert_eq!(line(Some("one"), ModelClass::Best), ["one/large"], "a provider that is named answers alone");
    assert_eq!(line(Some("one/m"), ModelClass::Best), ["one/m"]);
    assert!(matches!(Providers::new(|| 0.0).line_up(None), Err(ChooseError::NoProvider)));
}

#[tokio::test]
async fn a_refusal_is_final() {
    for error in [ProviderError::Unauthorized("no".into()), ProviderError::Rejected("no".into())] {
        let scripted = failing(std::slice::from_ref(&error));
        assert_eq!(call(&providers(&[("p", &scripted)]), "p").await, Err(error));
        assert_eq!(scripted.calls(), 1);
    }
}

#[tokio::test]
async fn each_wait_can_be_cancelled() {
    let hang = Arc::new(Scripted::new(|_| ScriptStep::Hang));
    let limited = failing(&[ProviderError::RateLimited { retry_after_ms: Some(50_000) }]);
    let mut providers = providers(&[("limited", &limited)]);
    providers.add_limited("hang", hang.clone(), "m", 1);
    // One that hangs, one that waits for its turn behind it, one that waits for its next try.
    for names in [vec!["hang", "hang"], vec!["limited"]] {
        let cancel = CancellationToken::new();
        let calls = names.into_iter().map(|name| {
            let (cancel, providers) = (cancel.clone(), &providers);
            async move { providers.chat(&model(name, "m"), request(), Arc::new(|_| {}), cancel).await }
        });
        let calls = futures::future::join_all(calls);
        let (results, ()) = tokio::join!(calls, async {
            tokio::task::yield_now().await;
            cancel.cancel();
        });
        assert!(results.iter().all(|result| *result == Err(ProviderError::Cancelled)), "{results:?}");
    }
    assert_eq!((hang.calls(), limited.calls()), (1, 1));
}

/// Counts how many calls it has at once.
#[derive(Default)]
struct Busy {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Provider for Busy {
    fn model_info(&self, _model: &str) -> ModelInfo {
        ModelInfo { window_tokens: 1, tools: false, images: None, label: "busy".into() }
    }

    fn chat<'a>(
        &'a self,
        _request: ChatRequest,
        _deltas: DeltaSink,
        _cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<Answer, ProviderError>> {
        Box::pin(async {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            tokio::task::yield_now().await;
            self.now.fetch_sub(1, Ordering::SeqCst);
            Err(ProviderError::Rejected(String::new()))
        })
    }

    fn check(&self) -> BoxFuture<'_, Result<String, ProviderError>> {
        Box::pin(async { Ok(String::new()) })
    }
}

#[tokio::test]
async fn no_provider_has_more_calls_at_once_than_it_may() {
    for limit in [0, 1, 3] {
        let busy = Arc::new(Busy::default());
        let mut providers = Providers::new(|| 0.0);
        providers.add_limited("busy", busy.clone(), "m", limit);
        futures::future::join_all((0..20).map(|_| call(&providers, "busy"))).await;
        assert_eq!(busy.most.load(Ordering::SeqCst), limit.max(1));
    }
}

async fn discover(configs: &[(&str, ProviderConfig)], preferred: Option<&str>, env: &[(&str, &str)]) -> Providers {
    let configs: BTreeMap<_, _> = configs.iter().map(|(name, config)| ((*name).to_owned(), config.clone())).collect();
    // Nobody listens on the discard port, so a machine that runs Ollama does not disturb.
    let mut map = HashMap::from([("OLLAMA_HOST", "127.0.0.1:9")]);
    map.extend(env.iter().copied());
    let env = |name: &str| map.get(name).map(|value| (*value).to_owned());
    Providers::discover(
        &Sources { configs: &configs, preferred, fallback: &[], prices: &Prices::default(), env: &env },
        || 0.0,
    )
    .await
}

fn at(url: &str) -> ProviderConfig {
    ProviderConfig { base_url: Some(url.into()), ..ProviderConfig::new(ProviderKind::Openai) }
}

async fn list_server() -> TestServer {
    let openai = json!({ "data": [{ "id": "an-embedder" }, { "id": "dir/chat", "meta": { "n_ctx": 4321 } }] });
    let ollama = json!({ "models": [{ "name": "nomic-embed-text" }, { "name": "llama3.2:1b" }] });
    let (openai, ollama) = (openai.to_string(), ollama.to_string());
    TestServer::start(move |request| {
        let body = if request.starts_with("GET /api/tags ") { &ollama } else { &openai };
        Reply::Send(response(200, "", body))
    })
    .await
}

#[tokio::test]
async fn nothing_around_leaves_the_reasons() {
    let providers = discover(&[], None, &[("OPENAI_API_KEY", " ")]).await;
    assert_eq!(providers.choose(None), Err(ChooseError::NoProvider));
    let reasons: Vec<_> = providers.describe().into_iter().map(|note| (note.name, note.reason)).collect();
    assert_eq!(reasons[0], ("openai".to_owned(), "OPENAI_API_KEY is not set".to_owned()));
    assert_eq!(reasons[3], ("deepseek".to_owned(), "DEEPSEEK_API_KEY is not set".to_owned()));
    assert!(reasons[4].1.starts_with("not running: "), "{reasons:?}");
}

#[tokio::test]
async fn a_key_in_the_environment_uses_the_vendor() {
    let providers = discover(&[], None, &[("OPENAI_API_KEY", "sk-1234")]).await;
    let Choice { model: chosen, info, .. } = providers.choose(None).unwrap();
    assert_eq!(chosen, model("openai", "gpt-5.4-mini"));
    assert_eq!(info.label, "gpt-5.4-mini at api.openai.com");
    assert!(!format!("{:?}", providers.describe()).contains("sk-1234"));
    let providers = discover(&[], None, &[("OPENAI_API_KEY", "k"), ("OPENAI_MODEL", "mine")]).await;
    assert_eq!(providers.choose(None).unwrap().model.model, "mine");
}

#[tokio::test]
async fn a_server_of_ones_own_is_asked_for_its_model_and_window() {
    let server = list_server().await;
    let providers = discover(&[], None, &[("OPENAI_BASE_URL", &server.url)]).await;
    let Choice { model: chosen, info, .. } = providers.choose(None).unwrap();
    assert_eq!((chosen, info.window_tokens), (model("openai", "dir/chat"), 4_321));
    assert_eq!(server.requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_running_ollama_is_found() {
    let server = list_server().await;
    let host = server.url.trim_end_matches("/v1");
    let providers = discover(&[], None, &[("OLLAMA_HOST", host)]).await;
    let Choice { model: chosen, info, .. } = providers.choose(None).unwrap();
    assert_eq!(chosen, model("ollama", "llama3.2:1b"));
    assert_eq!((info.label.as_str(), info.window_tokens), ("llama3.2:1b at Ollama", 4_096));
}

#[tokio::test]
async fn what_is_configured_comes_first_and_what_is_preferred_before_that() {
    let server = list_server().await;
    let named = ProviderConfig { model: Some("b".into()), context_window: Some(99), ..at(&server.url) };
    let configs = [("one", at(&server.url)), ("two", named)];
    let env = [("OPENAI_API_KEY", "k")];
    let providers = discover(&configs, None, &env).await;
    assert_eq!(providers.choose(None).unwrap().model, model("one", "dir/chat"));
    let notes: Vec<_> = providers.describe().into_iter().map(|note| (note.name, note.is_default)).collect();
    let names = ["one", "two", "openai", "anthropic", "gemini", "deepseek", "ollama"].map(|name| (name, name == "one"));
    assert_eq!(notes, names.map(|(name, is_default)| (name.to_owned(), is_default)));
    let providers = discover(&configs, Some("two"), &env).await;
    let Choice { model: chosen, info, .. } = providers.choose(None).unwrap();
    assert_eq!((chosen, info.window_tokens), (model("two", "b"), 99));
    let providers = discover(&configs, Some("two/c"), &env).await;
    assert_eq!(providers.choose(Some("d")).unwrap().model, model("two", "d"));
    assert_eq!(providers.choose(Some("openai/e")).unwrap().model, model("openai", "e"));
}

#[tokio::test]
async fn a_provider_in_trouble_is_not_replaced_in_silence() {
    let keyless = ProviderConfig { api_key_env: Some("MY_KEY".into()), ..ProviderConfig::new(ProviderKind::Openai) };
    let providers = discover(&[("mine", keyless)], None, &[("OPENAI_API_KEY", "k")]).await;
    let error = providers.choose(None).unwrap_err().to_string();
    assert_eq!(error, "the provider mine cannot answer: MY_KEY is not set");
    assert_eq!(providers.describe()[0].reason, "configured, but MY_KEY is not set");
    assert!(matches!(call(&providers, "mine").await, Err(ProviderError::Rejected(_))));
    assert!(providers.choose(Some("openai")).is_ok());
}

#[tokio::test]
async fn a_server_that_comes_up_later_is_found_on_asking_again() {
    let up = Arc::new(AtomicUsize::new(0));
    let state = up.clone();
    let server = TestServer::start(move |_| match state.load(Ordering::SeqCst) {
        0 => Reply::Send(response(503, "", "{\"error\":{\"message\":\"Loading model\"}}")),
        _ => Reply::Send(response(200, "", "{\"data\":[{\"id\":\"late\"}]}")),
    })
    .await;
    let providers = discover(&[("mine", at(&server.url))], None, &[]).await;
    let error = providers.choose(None).unwrap_err().to_string();
    assert!(error.ends_with("503 from 127.0.0.1: Loading model"), "{error}");
    up.store(1, Ordering::SeqCst);
    providers.refresh().await;
    assert_eq!(providers.choose(None).unwrap().model, model("mine", "late"));
}

#[tokio::test]
async fn a_server_that_was_down_is_asked_again_at_most_once_in_some_seconds() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = TestServer::start(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => Reply::Send(response(503, "", "{}")),
        _ => Reply::Send(response(200, "", r#"{"data":[{"id":"served"}]}"#)),
    })
    .await;
    let config = ProviderConfig { base_url: Some(server.url.clone()), ..ProviderConfig::new(ProviderKind::Openai) };
    let mut providers = Providers::new(|| 0.0);
    let entry = discover::entry("mine", &config, None, ProviderOrigin::Configured, "configured");
    providers.entries.push(Arc::new(entry));
    providers.refresh().await;
    let times = || asked.load(Ordering::Relaxed);
    providers.ask_again(None).await;
    assert_eq!((times(), providers.choose(None).is_err()), (1, true), "it was asked just now");
    for (wanted, asked) in [(Some("mine"), 2), (None, 3), (None, 3)] {
        tokio::time::pause();
        tokio::time::advance(ASK_PAUSE).await;
        tokio::time::resume();
        tokio::join!(providers.ask_again(wanted), providers.ask_again(wanted));
        assert_eq!(times(), asked, "two that come at once ask once");
    }
    assert_eq!(providers.choose(None).unwrap().model, model("mine", "served"));
    providers.ask_again(Some("mine/other")).await;
    assert_eq!(times(), 3);
}
