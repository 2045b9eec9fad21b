//! The audit log: every action with who did it and from where, in the commit of what came of it; nothing secret in it; lists and
//! exports of it; and what becomes of actions where it cannot be written.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::Arc,
};

use futures::{TryStreamExt, stream};
use ninja_core::{
    Engine, EngineOptions,
    api::{
        AuditAction, AuditEntry, AuditFilter, AuditFormat, AuditOutcome, Budget, ChangePassword, ChangeSettings,
        ChangeUser, ComponentState, CreateApiKey, CreateUser, Decision, ErrorCode, ForkTask, ListApprovals, ListAudit,
        Login, Origin, Principal, ProviderKind, ProviderSettings, RedeemToken, Refresh, Register, Role, RotateKeys,
        Scope, Secret, StreamFrame, Task, TaskId, TaskStatus, Tokens, UserId,
    },
    maintenance,
    providers::{ScriptStep, Scripted},
    vault::Vault,
};
use ninja_tests::{ScriptedEngine, agent_step, approval_step, plan, scripted_providers};

use super::{deleting::stranger, started};

/// What is in no entry: everything here that proves who somebody is begins or ends with it, or is added where it is made.
const PASSWORD: &str = "canary sailing over quiet umbrellas";
const NEW_PASSWORD: &str = "seven copper canary kettles whistle";
const WRONG_PASSWORD: &str = "no canary of this house at all";
const PROVIDER_KEY: &str = "sk-canary-0f3a9c-audited";

fn origin() -> Origin {
    Origin {
        ip: Some([203, 0, 113, 7].into()),
        user_agent: Some("prober/1.0".into()),
        request_id: Some("req-7".into()),
        traceparent: None,
    }
}

/// The local owner, with an origin.
fn owner(host: &ScriptedEngine) -> Principal {
    Principal { origin: origin(), ..host.engine.local_owner() }
}

/// Hangs in what is to hang, and answers all else.
async fn start() -> ScriptedEngine {
    let model = Scripted::new(|request| match format!("{:?}", request.messages).contains("hang") {
        true => ScriptStep::Hang,
        false => ScriptStep::answer("fine"),
    });
    ScriptedEngine::start(model).await
}

async fn restart(host: &mut ScriptedEngine) {
    host.engine.stop().await;
    let mut options = EngineOptions::new(host.directory.path());
    options.providers = Some(scripted_providers(Arc::new(Scripted::answering("fine"))));
    host.engine = Engine::start(options).await.unwrap();
}

/// Returns all entries, the oldest first.
async fn entries(engine: &Engine) -> Vec<AuditEntry> {
    let (mut all, mut query) = (Vec::new(), ListAudit { limit: Some(7), ..ListAudit::default() });
    loop {
        let page = engine.list_audit(&engine.local_owner(), query.clone()).await.unwrap();
        all.extend(page.items);
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            all.reverse();
            return all;
        }
    }
}

async fn export(engine: &Engine, filter: AuditFilter, format: AuditFormat) -> String {
    let pieces = engine.export_audit(&engine.local_owner(), filter, format).await.unwrap();
    let pieces: Vec<_> = pieces.try_collect().await.unwrap();
    String::from_utf8(pieces.concat()).unwrap()
}

async fn asking(host: &ScriptedEngine, by: &Principal) -> Task {
    let task = host.engine.submit_task(by, plan(vec![approval_step("ok", &[], "may I?")])).await.unwrap();
    host.wait_for(task.id, |frame| matches!(frame, StreamFrame::Event { event } if event.seq == 4)).await;
    host.engine.task(by, task.id).await.unwrap()
}

async fn hanging(host: &ScriptedEngine, by: &Principal) -> TaskId {
    let task = host.engine.submit_task(by, plan(vec![agent_step("a", &[], "hang")])).await.unwrap();
    host.wait_for(task.id, started("a")).await;
    task.id
}

/// Everything that proves something and was handed out.
#[derive(Default)]
struct Secrets(Vec<String>);

impl Secrets {
    fn note(&mut self, secret: &Secret) -> Secret {
        self.0.push(secret.expose().to_owned());
        secret.clone()
    }

    fn note_all(&mut self, tokens: &Tokens) {
        self.note(&tokens.access_token);
        self.note(&tokens.refresh_token);
    }
}

/// Somebody's own account: all there is to do with it.
async fn account(host: &ScriptedEngine, secrets: &mut Secrets) -> Principal {
    let engine = &host.engine;
    let open = ChangeSettings { registration_open: Some(true), ..ChangeSettings::default() };
    let (email, from) = ("ada@example.org".to_owned(), origin());
    let register = Register { email: email.clone(), password: Secret::new(PASSWORD), name: None };
    assert_eq!(engine.register(&from, register.clone()).await.unwrap_err().code, ErrorCode::Forbidden);
    engine.change_settings(&owner(host), open, None).await.unwrap();
    let user = engine.register(&from, register).await.unwrap();
    let login = |password: &str| Login { email: email.clone(), password: Secret::new(password) };
    assert!(engine.login(&from, login(WRONG_PASSWORD)).await.is_err());
    let first = engine.login(&from, login(PASSWORD)).await.unwrap();
    secrets.note_all(&first);
    let second = engine.refresh(&from, Refresh { refresh_token: first.refresh_token.clone() }).await.unwrap();
    secrets.note_all(&second);
    assert!(engine.refresh(&from, Refresh { refresh_token: first.refresh_token }).await.is_err(), "used before");
    assert!(engine.refresh(&from, Refresh { refresh_token: second.refresh_token }).await.is_err(), "gone with it");
    let (leaving, tokens) = (engine.login(&from, login(PASSWORD)).await, engine.login(&from, login(PASSWORD)).await);
    let (leaving, tokens) = (leaving.unwrap(), tokens.unwrap());
    secrets.note_all(&leaving);
    secrets.note_all(&tokens);
    let by = |tokens: &Tokens| engine.authenticate(tokens.access_token.expose(), origin()).unwrap();
    engine.logout(&by(&leaving)).await.unwrap();
    let ended = engine.login(&from, login(PASSWORD)).await.unwrap();
    engine.revoke_session(&by(&tokens), ended.session).await.unwrap();
    let by = by(&tokens);
    let change = |current: &str| ChangePassword {
        current: Secret::new(current),
        new: Secret::new(NEW_PASSWORD),
        end_other_sessions: false,
    };
    assert!(engine.change_password(&by, change(WRONG_PASSWORD)).await.is_err());
    engine.change_password(&by, change(PASSWORD)).await.unwrap();
    let scopes = [Scope::TasksRead].into_iter().collect();
    let create = CreateApiKey { name: "a key".to_owned(), scopes, expires_at: None };
    let key = engine.create_api_key(&by, create).await.unwrap();
    secrets.note(&key.key);
    engine.revoke_api_key(&by, key.info.id).await.unwrap();
    assert_eq!(by.user, user.id);
    by
}

/// What an administrator does with accounts.
async fn administration(host: &ScriptedEngine, secrets: &mut Secrets) -> UserId {
    let (engine, by) = (&host.engine, owner(host));
    let create = CreateUser { email: "grace@example.org".to_owned(), name: None, role: Role::User };
    let user = engine.create_user(&by, create).await.unwrap();
    secrets.note(&user.token);
    let invited = engine.invite_user(&by, user.user.id).await.unwrap();
    let redeem = |token: &Secret| RedeemToken { token: token.clone(), password: Secret::new(PASSWORD) };
    assert!(engine.redeem_token(&origin(), redeem(&user.token)).await.is_err(), "there is a newer one");
    engine.redeem_token(&origin(), redeem(&secrets.note(&invited.token))).await.unwrap();
    let change = ChangeUser { role: Some(Role::Premium), ..ChangeUser::default() };
    engine.change_user(&by, user.user.id, change, None).await.unwrap();
    engine.end_sessions(&by, user.user.id).await.unwrap();
    engine.delete_user(&by, user.user.id).await.unwrap();
    user.user.id
}

/// What is done with tasks and files.
async fn work(host: &ScriptedEngine) {
    let (engine, by) = (&host.engine, owner(host));
    let asked = asking(host, &by).await;
    engine.decide_approval(&by, asked.id, asked.approvals.first().unwrap().id, Decision::Deny).await.unwrap();
    engine.retry_task(&by, asked.id).await.unwrap();
    engine.fork_task(&by, asked.id, ForkTask { at: Some("ok".parse().unwrap()), model: None }).await.unwrap();
    let task = hanging(host, &by).await;
    engine.pause_task(&by, task).await.unwrap();
    engine.resume_task(&by, task).await.unwrap();
    engine.change_budget(&by, task, Budget { steps: Some(77), ..Budget::default() }).await.unwrap();
    engine.cancel_task(&by, task).await.unwrap();
    engine.delete_task(&by, task).await.unwrap();
    let content = stream::iter([Ok(bytes::Bytes::from_static(b"a,b\n1,2\n"))]);
    let file = engine.upload_file(&by, "numbers.csv", content).await.unwrap();
    engine.delete_file(&by, &file.id.to_string()).await.unwrap();
}

/// What is done with the installation.
async fn upkeep(host: &ScriptedEngine) {
    let (engine, by) = (&host.engine, owner(host));
    let settings = ProviderSettings {
        base_url: Some("http://127.0.0.1:9/v1".to_owned()),
        api_key: Some(Secret::new(PROVIDER_KEY)),
        ..ProviderSettings::new("mine", ProviderKind::Openai)
    };
    engine.put_provider(&by, settings).await.unwrap();
    engine.test_provider(&by, "mine").await.unwrap();
    engine.remove_provider(&by, "mine").await.unwrap();
    engine.rotate_keys(&by, RotateKeys::default()).await.unwrap();
    let _: Vec<_> = engine.backup(&by).await.unwrap().try_collect().await.unwrap();
    let _: Vec<_> =
        engine.export_audit(&by, AuditFilter::default(), AuditFormat::Csv).await.unwrap().try_collect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_is_written_with_who_did_it_from_where_and_how_it_ended() {
    let (mut host, mut secrets) = (start().await, Secrets::default());
    let ada = account(&host, &mut secrets).await;
    let all = ListApprovals { all: true, ..ListApprovals::default() };
    assert_eq!(host.engine.list_approvals(&ada, all).await.unwrap_err().code, ErrorCode::Forbidden);
    host.engine.note_unknown(&origin(), "nj_not_a_key", "GET /api/v1/tasks").await;
    let grace = administration(&host, &mut secrets).await;
    work(&host).await;
    upkeep(&host).await;

    let written = entries(&host.engine).await;
    let actions: BTreeSet<AuditAction> = written.iter().map(|entry| entry.action).collect();
    let unwritten: Vec<_> = AuditAction::ALL.iter().filter(|action| !actions.contains(action)).collect();
    assert_eq!(unwritten, Vec::<&AuditAction>::new(), "an action that no verb writes is none");
    assert_eq!(
        written.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        (1..=written.len() as u64).collect::<Vec<_>>()
    );
    // The engine itself is nowhere.
    for entry in written.iter().filter(|entry| entry.action != AuditAction::BeginAudit) {
        let from = (entry.ip, entry.user_agent.as_deref(), entry.request_id.as_deref());
        assert_eq!(from, (origin().ip, Some("prober/1.0"), Some("req-7")), "{entry:?}");
    }
    let refused: BTreeMap<AuditAction, usize> = written.iter().fold(BTreeMap::new(), |mut counts, entry| {
        *counts.entry(entry.action).or_default() += usize::from(entry.outcome == AuditOutcome::Refused);
        counts
    });
    let refused: Vec<_> = refused.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(
        refused,
        [
            (AuditAction::Register, 1),
            (AuditAction::Login, 1),
            (AuditAction::Refresh, 2),
            (AuditAction::ChangePassword, 1),
            (AuditAction::RedeemToken, 1),
            (AuditAction::Denied, 2),
        ]
    );
    assert_who(&written, &host, &ada, grace);

    let (json, csv) = (
        export(&host.engine, AuditFilter::default(), AuditFormat::Ndjson).await,
        export(&host.engine, AuditFilter::default(), AuditFormat::Csv).await,
    );
    assert_eq!((json.lines().count() + 1, csv.lines().count()), (written.len() + 2, written.len() + 3));
    for secret in secrets.0.iter().map(String::as_str).chain(["canary"]) {
        assert!(!json.contains(secret) && !csv.contains(secret), "{secret}");
    }
    assert!(host.engine.verify_audit(&owner(&host), None).await.unwrap().is_whole());
    let before = entries(&host.engine).await;
    restart(&mut host).await;
    assert_eq!(entries(&host.engine).await, before);
    assert!(host.engine.verify_audit(&owner(&host), None).await.unwrap().is_whole());
    host.engine.stop().await;
    let vault = Vault::find(&BTreeMap::new(), None, host.directory.path()).unwrap();
    let verified = maintenance::verify_audit(host.directory.path(), &vault, None).unwrap();
    assert_eq!((verified.entries, verified.is_whole()), (before.len() as u64, true), "{verified:?}");
}

/// Checks whose deed each was, and to what.
fn assert_who(written: &[AuditEntry], host: &ScriptedEngine, ada: &Principal, grace: UserId) {
    let who = |action: AuditAction| {
        let entry = written.iter().find(|entry| entry.action == action && entry.outcome == AuditOutcome::Done).unwrap();
        let actor = entry.actor.as_ref().map(|actor| (actor.user, actor.role, actor.credential.as_str().to_owned()));
        (actor.unwrap(), entry.target.clone().unwrap_or_default(), entry.detail.clone().unwrap_or_default())
    };
    let own = host.engine.local_owner().user;
    let ((user, role, credential), target, _) = who(AuditAction::Register);
    assert_eq!((user, role, credential.as_str(), target), (ada.user, Role::User, "registration", ada.user.to_string()));
    let ((user, _, credential), target, _) = who(AuditAction::RedeemToken);
    assert_eq!((user, credential.as_str(), target), (grace, "token", grace.to_string()));
    let ((user, _, credential), _, _) = who(AuditAction::CreateApiKey);
    assert!(user == ada.user && credential.starts_with("sess_"), "{credential}");
    let ((user, role, credential), target, said) = who(AuditAction::ChangeUser);
    assert_eq!((user, role, credential.as_str(), target), (own, Role::Admin, "local", grace.to_string()));
    assert_eq!(said, "role from user to premium");
    assert_eq!(who(AuditAction::DeleteUser).1, grace.to_string(), "it stays, and so does all that she did");
    assert_eq!(who(AuditAction::ChangeSettings).2, r#"{"registration_open":true}"#);
    let (_, task, said) = who(AuditAction::DecideApproval);
    assert!(task.starts_with("task_") && said.starts_with("deny of appr_"), "{said}");
    let stranger = written.iter().find(|entry| entry.action == AuditAction::Login && entry.actor.is_none()).unwrap();
    assert_eq!((stranger.outcome, stranger.target.as_deref()), (AuditOutcome::Refused, Some("ada@example.org")));
}

/// What changes nothing is no action, and one that is sent again is one.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_task_refuses_is_not_written_and_what_it_took_is_written_once() {
    let host = start().await;
    let by = owner(&host);
    let task = hanging(&host, &by).await;
    host.engine.pause_task(&by, task).await.unwrap();
    assert_eq!(host.engine.pause_task(&by, task).await.unwrap_err().code, ErrorCode::Conflict);
    // The actor fails of the next message, once: the word is sent again.
    host.failpoints.arm("task.handle", 1);
    host.engine.cancel_task(&by, task).await.unwrap();
    assert_eq!(host.engine.cancel_task(&by, task).await.unwrap_err().code, ErrorCode::Conflict);
    assert_eq!(host.engine.resume_task(&stranger(&by), task).await.unwrap_err().code, ErrorCode::NotFound);
    let written = entries(&host.engine).await;
    let actions: Vec<_> = written.iter().map(|entry| entry.action).collect();
    let expected = [AuditAction::BeginAudit, AuditAction::SubmitTask, AuditAction::PauseTask, AuditAction::CancelTask];
    assert_eq!(actions, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_engine_removes_of_a_deleted_account_is_told_as_its_own_doing() {
    let host = start().await;
    let by = owner(&host);
    let create = CreateUser { email: "grace@example.org".to_owned(), name: None, role: Role::User };
    let grace = host.engine.create_user(&by, create).await.unwrap().user.id;
    let principal = Principal { user: grace, ..stranger(&by) };
    let task = hanging(&host, &principal).await;
    host.engine.delete_user(&by, grace).await.unwrap();
    let filter = AuditFilter { user: Some(grace), ..AuditFilter::default() };
    let query = ListAudit { filter, ..ListAudit::default() };
    let hers = host.engine.list_audit(&by, query).await.unwrap().items;
    let told: Vec<_> = hers
        .iter()
        .map(|entry| (entry.action, entry.target.clone().unwrap(), entry.actor.as_ref().unwrap().credential.as_str()))
        .collect();
    let task = task.to_string();
    assert_eq!(
        told,
        [
            (AuditAction::DeleteTask, task.clone(), "engine"),
            (AuditAction::CancelTask, task.clone(), "engine"),
            (AuditAction::SubmitTask, task, "local"),
        ]
    );
    assert!(hers[0].ip.is_none() && hers[2].ip.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_found_by_what_is_asked_and_by_administrators_alone() {
    let host = start().await;
    let by = owner(&host);
    let tasks = [asking(&host, &by).await.id, asking(&host, &by).await.id, asking(&host, &by).await.id];
    host.engine.cancel_task(&by, tasks[1]).await.unwrap();
    host.engine.note_denied(&stranger(&by), "GET /api/v1/admin/users").await;
    let all = entries(&host.engine).await;
    let list = async |filter: AuditFilter| {
        let query = ListAudit { filter, ..ListAudit::default() };
        let page = host.engine.list_audit(&by, query).await.unwrap();
        page.items.iter().map(|entry| entry.seq).collect::<Vec<_>>()
    };
    let any = AuditFilter::default;
    assert_eq!(list(any()).await, [6, 5, 4, 3, 2, 1]);
    assert_eq!(list(AuditFilter { action: Some(AuditAction::SubmitTask), ..any() }).await, [4, 3, 2]);
    assert_eq!(list(AuditFilter { target: Some(tasks[1].to_string()), ..any() }).await, [5, 3]);
    assert_eq!(list(AuditFilter { outcome: Some(AuditOutcome::Refused), ..any() }).await, [6]);
    assert_eq!(list(AuditFilter { user: Some(by.user), ..any() }).await, [5, 4, 3, 2]);
    assert_eq!(list(AuditFilter { ip: Some([203, 0, 113, 8].into()), ..any() }).await, [0; 0]);
    assert_eq!(list(AuditFilter { ip: origin().ip, action: Some(AuditAction::CancelTask), ..any() }).await, [5]);
    assert_eq!(list(AuditFilter { from: Some(all[4].at), ..any() }).await, [6, 5]);
    assert_eq!(list(AuditFilter { to: Some(all[4].at), ..any() }).await, [4, 3, 2, 1]);
    let json =
        export(&host.engine, AuditFilter { target: Some(tasks[1].to_string()), ..any() }, AuditFormat::Ndjson).await;
    let lines: Vec<AuditEntry> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, [all[2].clone(), all[4].clone()]);

    let code = async |by: &Principal, query: ListAudit| host.engine.list_audit(by, query).await.unwrap_err().code;
    for limit in [0, 201] {
        let query = ListAudit { limit: Some(limit), ..ListAudit::default() };
        assert_eq!(code(&by, query).await, ErrorCode::InvalidRequest);
    }
    for cursor in ["", "5", "below_", "below_0", "below_1", "below_x", "task_1"] {
        let query = ListAudit { cursor: Some(cursor.to_owned()), ..ListAudit::default() };
        assert_eq!(code(&by, query).await, ErrorCode::InvalidRequest, "{cursor}");
    }
    let other = stranger(&by);
    assert_eq!(code(&other, ListAudit::default()).await, ErrorCode::Forbidden);
    let exported = host.engine.export_audit(&other, any(), AuditFormat::Csv).await;
    assert_eq!(exported.err().map(|error| error.code), Some(ErrorCode::Forbidden));
    assert_eq!(host.engine.verify_audit(&other, None).await.unwrap_err().code, ErrorCode::Forbidden);
    assert_eq!(host.engine.checkpoint_audit(&other).await.unwrap_err().code, ErrorCode::Forbidden);
}

/// A flood of refusals makes ten entries and one that counts the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refusals_does_not_flood_the_log() {
    let mut host = start().await;
    let by = stranger(&owner(&host));
    for n in 0..500 {
        host.engine.note_denied(&by, &format!("GET /{n}")).await;
        host.engine.note_unknown(&origin(), "nj_wrong", "GET /").await;
    }
    restart(&mut host).await;
    let written = entries(&host.engine).await;
    let rest: Vec<_> =
        written.iter().filter_map(|entry| entry.detail.as_deref()).filter(|said| said.contains("more")).collect();
    assert_eq!(rest, ["490 more within a minute, which are not listed"; 2]);
    assert_eq!(written.len(), 1 + 2 * 11);
}

/// Something stored is sealed with a key that is not there, so none is made over it: the log cannot be written, and nothing is done
/// that has to stand in it.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_not_done_and_harms_no_task() {
    let mut host = start().await;
    let by = owner(&host);
    upkeep(&host).await;
    let settings = ProviderSettings {
        base_url: Some("http://127.0.0.1:9/v1".to_owned()),
        api_key: Some(Secret::new(PROVIDER_KEY)),
        ..ProviderSettings::new("mine", ProviderKind::Openai)
    };
    host.engine.put_provider(&by, settings).await.unwrap();
    let asked = asking(&host, &by).await;
    let checkpoint = host.engine.checkpoint_audit(&by).await.unwrap();
    let (keys, aside) = (host.directory.path().join("vault.keys"), host.directory.path().join("aside"));
    host.engine.stop().await;
    fs::rename(&keys, &aside).unwrap();
    restart(&mut host).await;
    let (engine, approval) = (&host.engine, asked.approvals[0].id);
    let refused = [
        engine.submit_task(&by, plan(vec![agent_step("a", &[], "go")])).await.unwrap_err(),
        engine.cancel_task(&by, asked.id).await.unwrap_err(),
        engine.pause_task(&by, asked.id).await.unwrap_err(),
        engine.decide_approval(&by, asked.id, approval, Decision::Approve).await.unwrap_err(),
        engine.change_settings(&by, ChangeSettings::default(), None).await.unwrap_err(),
        engine.backup(&by).await.err().unwrap(),
        engine.checkpoint_audit(&by).await.unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.code, ErrorCode::Conflict, "{error}");
        assert!(error.detail.contains("audit"), "{error}");
    }
    let store = engine
        .health(Some(&engine.local_owner()))
        .await
        .components
        .into_iter()
        .find(|component| component.name == "store")
        .unwrap();
    assert_eq!(store.state, ComponentState::Degraded, "{store:?}");
    let problems = engine.verify_audit(&by, None).await.unwrap().problems;
    assert!(problems[0].starts_with("nothing can be written to it"), "{problems:?}");
    assert_eq!(entries(engine).await.len() as u64, checkpoint.seq, "it can be read");
    let waiting = engine.task(&by, asked.id).await.unwrap();
    assert_eq!((waiting.status, waiting.approvals.len()), (TaskStatus::Waiting, 1));
    host.engine.stop().await;
    fs::rename(&aside, &keys).unwrap();
    restart(&mut host).await;
    host.engine.decide_approval(&by, asked.id, approval, Decision::Approve).await.unwrap();
    assert!(host.engine.verify_audit(&by, Some(checkpoint)).await.unwrap().is_whole());
}

/// No backup holds master keys. What comes back without them works at once, and says what it cannot check until they come back too.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_restored_without_its_key_goes_on_and_is_whole_once_that_is_back() {
    let host = start().await;
    let by = owner(&host);
    let asked = asking(&host, &by).await;
    let pieces: Vec<_> = host.engine.backup(&by).await.unwrap().try_collect().await.unwrap();
    let kept = entries(&host.engine).await;
    host.engine.stop().await;
    let keys = fs::read(host.directory.path().join("vault.keys")).unwrap();

    let mut restored = start().await;
    restored.engine.stop().await;
    fs::remove_dir_all(restored.directory.path()).unwrap();
    let directory = restored.directory.path().to_owned();
    let backup = pieces.concat();
    let back = tokio::task::spawn_blocking(move || maintenance::restore(&mut backup.as_slice(), &directory).map(drop));
    back.await.unwrap().unwrap();
    restart(&mut restored).await;
    let written = entries(&restored.engine).await;
    assert_eq!(written[..kept.len()], kept);
    assert_eq!(written[kept.len()].action, AuditAction::BeginAudit);
    let by = owner(&restored);
    restored.engine.cancel_task(&by, asked.id).await.unwrap();
    let problems = restored.engine.verify_audit(&by, None).await.unwrap().problems;
    assert!(problems.len() == 1 && problems[0].starts_with("the entries from 1 on cannot be checked"), "{problems:?}");
    restored.engine.stop().await;
    let path = restored.directory.path().join("vault.keys");
    fs::write(&path, [keys, fs::read(&path).unwrap()].concat()).unwrap();
    restart(&mut restored).await;
    let verified = restored.engine.verify_audit(&owner(&restored), None).await.unwrap();
    assert_eq!((verified.problems.len(), verified.entries), (0, kept.len() as u64 + 2), "{verified:?}");
}
