//! Access tokens and the keys that sign them: they outlive a restart and a rotation, and nothing but their own installation's keys
//! makes one.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use ninja_core::{
    Engine, EngineOptions,
    api::{CreateUser, ErrorCode, Login, Origin, RedeemToken, Refresh, Role, RotateKeys, Secret, Tokens},
    providers::Scripted,
};
use ninja_tests::ScriptedEngine;

const PASSWORD: &str = "a long enough passphrase for ada";

/// Stops the engine and starts another one on its directory.
async fn restart(host: &mut ScriptedEngine, change: impl FnOnce(&mut EngineOptions)) {
    host.engine.stop().await;
    let mut options = EngineOptions::new(host.directory.path());
    options.providers = Some(ninja_tests::scripted_providers(Arc::new(Scripted::answering("x"))));
    change(&mut options);
    host.engine = Engine::start(options).await.unwrap();
}

async fn login(engine: &Engine) -> Tokens {
    let request = Login { email: "ada@example.org".to_owned(), password: Secret::new(PASSWORD) };
    engine.login(&Origin::default(), request).await.unwrap()
}

async fn ada(engine: &Engine) -> Tokens {
    let request = CreateUser { email: "ada@example.org".to_owned(), name: None, role: Role::User };
    let invited = engine.create_user(&engine.local_owner(), request).await.unwrap();
    let redeem = RedeemToken { token: invited.token, password: Secret::new(PASSWORD) };
    engine.redeem_token(&Origin::default(), redeem).await.unwrap();
    login(engine).await
}

fn is_good(engine: &Engine, tokens: &Tokens) -> bool {
    engine.authenticate(tokens.access_token.expose(), Origin::default()).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_outlive_a_restart_and_rotations() {
    let mut host = ScriptedEngine::start(Scripted::answering("x")).await;
    let first = ada(&host.engine).await;
    restart(&mut host, |_| {}).await;
    assert!(is_good(&host.engine, &first), "a restart logs nobody out");

    let owner = host.engine.local_owner();
    host.engine.rotate_keys(&owner, RotateKeys { drop_old: true }).await.unwrap();
    let second = login(&host.engine).await;
    assert!(is_good(&host.engine, &first) && is_good(&host.engine, &second), "the key before verifies on");
    restart(&mut host, |_| {}).await;
    assert!(is_good(&host.engine, &first) && is_good(&host.engine, &second));
    host.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_while_keys_are_rotated_notices_nothing() {
    let host = ScriptedEngine::start(Scripted::answering("x")).await;
    let mut tokens = ada(&host.engine).await;
    let over = Arc::new(AtomicBool::new(false));
    let asking = {
        let (engine, over) = (host.engine.clone(), Arc::clone(&over));
        tokio::spawn(async move {
            let mut asked = 0;
            while !over.load(Ordering::Relaxed) {
                assert!(is_good(&engine, &tokens), "request {asked}");
                tokens =
                    engine.refresh(&Origin::default(), Refresh { refresh_token: tokens.refresh_token }).await.unwrap();
                asked += 1;
            }
            asked
        })
    };
    let owner = host.engine.local_owner();
    for _ in 0..10 {
        host.engine.rotate_keys(&owner, RotateKeys::default()).await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    assert!(asking.await.unwrap() > 0);
    host.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_master_keys_tokens_are_worth_nothing_and_sessions_go_on() {
    let mut host = ScriptedEngine::start(Scripted::answering("x")).await;
    let tokens = ada(&host.engine).await;
    restart(&mut host, |options| {
        options.env.insert("NINJA_MASTER_KEY".to_owned(), "11".repeat(32));
    })
    .await;
    let refused = host.engine.authenticate(tokens.access_token.expose(), Origin::default()).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Unauthorized);
    let renewed =
        host.engine.refresh(&Origin::default(), Refresh { refresh_token: tokens.refresh_token.clone() }).await;
    assert!(is_good(&host.engine, &renewed.unwrap()));
    host.engine.stop().await;
}
