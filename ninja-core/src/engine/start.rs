//! Starting an engine.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::Path,
    sync::Arc,
    time::Instant,
};

use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{
    Engine, EngineOptions, Inner, audit_logs::AuditLog, files, health::Findings, idempotency::Keys, observed,
    open_tasks::OpenTaskCount, owner, pins::PinSets, stats::Measures, stored_providers,
};
use crate::{
    accounts::{Accounts, directory, signing_keys},
    actors::{ActorTree, ResumePolicy, Roster, Services},
    agents::{self, AgentError},
    api::{Agent, ApiError, ErrorCode, Role, Timestamp, UserId},
    config::Config,
    journal::{
        disk::{DiskOptions, DiskStore},
        feed::FeedHub,
        numbers::SyncWatch,
        store::{Store, StoreError},
    },
    ledger::{Ledger, RoleOf},
    lives::Lives,
    planner::{self, TemplateError},
    providers::{Prices, PricesError, Providers, Sources},
    questions,
    sandbox::{Bubblewrap, NoSandbox, Sandbox},
    task_log::TaskLog,
    task_rows,
    telemetry::Watch,
    tools::ToolSet,
    usage_rows,
    vault::{Vault, VaultError},
    workspace::Workspaces,
};

/// The part of the work folder that holds what scripts read about their tasks.
const REQUESTS_DIR: &str = "requests";

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An agent file cannot be used.
    #[error(transparent)]
    Agents(#[from] AgentError),
    /// A template cannot be used.
    #[error(transparent)]
    Templates(#[from] TemplateError),
    /// The prices cannot be used.
    #[error(transparent)]
    Prices(#[from] PricesError),
    /// The master keys cannot be used.
    #[error("failed to find the master keys: {0}")]
    Vault(#[from] VaultError),
    /// Something else.
    #[error("failed to {doing}: {what}")]
    Other {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        what: String,
    },
}

impl StartError {
    /// Returns the error as the wire shows it.
    pub fn to_api(&self) -> ApiError {
        let code = match self {
            Self::Store(error) => error.code(),
            Self::Agents(_) | Self::Templates(_) | Self::Prices(_) => ErrorCode::InvalidRequest,
            Self::Vault(error) => error.code(),
            Self::Other { .. } => ErrorCode::Internal,
        };
        let advice = match self {
            Self::Store(StoreError::Corrupt(_)) => {
                "; `ninja db check` says what is damaged, `ninja restore` and `ninja db repair` mend it"
            }
            Self::Store(_)
            | Self::Agents(_)
            | Self::Templates(_)
            | Self::Prices(_)
            | Self::Vault(_)
            | Self::Other { .. } => "",
        };
        ApiError::new(code, format!("{self}{advice}"))
    }

    pub(super) fn other(doing: &'static str, what: impl std::fmt::Display) -> Self {
        Self::Other { doing, what: what.to_string() }
    }
}

impl Engine {
    /// Starts an engine on its data directory, which is made at the first start.
    ///
    /// # Errors
    ///
    /// Fails where another engine holds the directory, its data is damaged or newer, or an agent or template of the operator's
    /// cannot be used.
    pub async fn start(mut options: EngineOptions) -> Result<Self, StartError> {
        let watch = Arc::new(Watch::new(std::mem::take(&mut options.telemetry)));
        let (store, providers, sandbox) = open_parts(&mut options, &watch).await?;
        // Whoever held the directory until now may have changed the keys.
        let vault = Vault::find(&options.env, options.config.master_key_file.as_deref(), &options.data_dir)?;
        let (providers, redaction) = stored_providers::join(store.as_ref(), &vault, providers).await?;
        let audit = AuditLog::open(&store, &vault, options.clock.now()).await?;
        let owner = owner::ensure(&store, options.clock.as_ref(), &options.data_dir).await?;
        let builtin = ToolSet::builtin(options.config.egress.clone());
        let tools = std::mem::take(&mut options.tools).into_iter().fold(builtin, ToolSet::with_shared);
        let agents = load_agents(&options.config, &tools)?;
        let templates = planner::load_templates(options.config.templates_dir.as_deref())?;
        let work_dir = options.data_dir.join("work");
        let lives = lives_of(&options);
        let takes_up_all = options.resume == ResumePolicy::All;
        let (accounts, ledger) = open_books(&options.config, &store, &vault, options.clock.now()).await?;
        count_tasks(&store, owner).await?;
        let services = Arc::new(Services {
            accounts,
            unfinished: Arc::default(),
            ledger,
            tasks: TaskLog::new(Arc::clone(&store)),
            hub: FeedHub::default(),
            clock: Arc::clone(&options.clock),
            redaction,
            providers,
            tools,
            workspaces: open_workspaces(&work_dir, &store).await?,
            sandbox,
            sandbox_limits: options.config.sandbox,
            tasks_at_work_max: options.config.limits.tasks_at_work,
            roster: Roster::new(Arc::clone(&options.clock), options.config.limits.sandboxes),
            watch: Arc::clone(&watch),
            lives,
            layout_dir: work_dir.join(REQUESTS_DIR),
            failpoints: options.failpoints,
            store,
        });
        let tree = ActorTree::start(Arc::clone(&services), options.resume)
            .await
            .map_err(|error| StartError::other("start the actors", error))?;
        let inner = Arc::new_cyclic(|engine| Inner {
            services,
            tree,
            owner,
            submissions: Semaphore::new(options.config.limits.submissions),
            config: options.config,
            agents,
            templates,
            pins: PinSets::default(),
            vault,
            audit,
            stored_settings: Mutex::default(),
            keys: Keys::of(engine.clone()),
            rooms: files::Rooms::default(),
            findings: Findings::default(),
            measures: Measures::default(),
            open_tasks: OpenTaskCount::default(),
            started_at: options.clock.now(),
            started: Instant::now(),
            stopping: CancellationToken::new(),
        });
        observed::observe(&inner);
        let engine = Self(inner);
        if takes_up_all {
            engine.finish_deletions_soon();
        }
        Ok(engine)
    }
}

/// Opens what waits for something else each: the disk, the network, a process. None of them needs the others.
async fn open_parts(
    options: &mut EngineOptions,
    watch: &Arc<Watch>,
) -> Result<(Arc<dyn Store>, Providers, Arc<dyn Sandbox>), StartError> {
    let (given_providers, given_sandbox) = (options.providers.take(), options.sandbox.take());
    let (store, providers, sandbox) = tokio::join!(
        open_store(&options.data_dir, watch),
        providers_of(given_providers, options),
        sandbox_of(given_sandbox, &options.env),
    );
    Ok((store?, providers?, sandbox))
}

async fn providers_of(given: Option<Providers>, options: &EngineOptions) -> Result<Providers, StartError> {
    match given {
        Some(providers) => Ok(providers),
        None => discover_providers(&options.config, &options.env, &options.models_dir).await,
    }
}

async fn sandbox_of(given: Option<Arc<dyn Sandbox>>, env: &BTreeMap<String, String>) -> Arc<dyn Sandbox> {
    match given {
        Some(sandbox) => sandbox,
        None => find_sandbox(env).await,
    }
}

/// Opens the accounts, and the ledger that holds them to their budgets.
async fn open_books(
    config: &Config,
    store: &Arc<dyn Store>,
    vault: &Vault,
    now: Timestamp,
) -> Result<(Accounts, Arc<Ledger>), StartError> {
    let keys = signing_keys::ensure(store, vault, now).await;
    let keys = keys.map_err(|error| StartError::other("find the key that signs access tokens", error))?;
    let accounts = Accounts::open(store.as_ref(), keys)?;
    let quotas = &accounts.settings().quotas;
    let ledger = Ledger::open(config.budgets, quotas, roles(store), store.as_ref())?;
    Ok((accounts, Arc::new(ledger)))
}

/// Starts are counted where all tasks are taken up: only that can take the process down again and again.
fn lives_of(options: &EngineOptions) -> Lives {
    match options.resume {
        ResumePolicy::All => Lives::begin(&options.data_dir, options.config.limits.short_lives),
        ResumePolicy::Only(_) | ResumePolicy::None => Lives::unnoted(),
    }
}

/// Returns who says what role a user has.
fn roles(store: &Arc<dyn Store>) -> RoleOf {
    let store = Arc::clone(store);
    // Whoever is gone, or cannot be read, has what everybody has.
    Arc::new(move |user| directory::read_user(store.as_ref(), user).ok().flatten().map_or(Role::User, |user| user.role))
}

/// Without isolation code steps are refused, with the reason.
async fn find_sandbox(env: &BTreeMap<String, String>) -> Arc<dyn Sandbox> {
    let search = env.get("PATH").map_or("/usr/local/bin:/usr/bin:/bin", String::as_str);
    match Bubblewrap::detect_in(search.as_ref()).await {
        Ok(sandbox) => Arc::new(sandbox),
        Err(error) => Arc::new(NoSandbox { reason: error.to_string() }),
    }
}

/// Looks for providers; the local model is the last in the order of choice.
async fn discover_providers(
    config: &Config,
    env: &BTreeMap<String, String>,
    models_dir: &Path,
) -> Result<Providers, StartError> {
    let env = |name: &str| env.get(name).cloned();
    let prices = Prices::load(config.prices_file.as_deref())?;
    let sources = Sources::of(config, &prices, &env);
    #[cfg_attr(not(feature = "local-model"), expect(unused_mut, reason = "only the local model is added"))]
    let mut providers = Providers::discover(&sources, random_share).await;
    #[cfg(feature = "local-model")]
    add_local_model(&mut providers, models_dir);
    #[cfg(not(feature = "local-model"))]
    let _ = models_dir;
    Ok(providers)
}

/// Returns a number evenly spread over `0.0..1.0`, to keep those who wait together from returning together.
fn random_share() -> f64 {
    let mut bytes = [0; 4];
    // Without random numbers the waits are merely equal.
    getrandom::fill(&mut bytes).ok();
    f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

/// One call at a time: the model has one thread and takes all cores.
#[cfg(feature = "local-model")]
fn add_local_model(providers: &mut Providers, models_dir: &Path) {
    use crate::providers::{
        Price,
        local::{DEFAULT_MODEL, LocalModel, list},
    };
    let installed = list(models_dir).unwrap_or_default();
    let default = installed.iter().map(|entry| entry.name.as_str()).find(|name| *name == DEFAULT_MODEL);
    if let Some(model) = default.or(installed.first().map(|entry| entry.name.as_str())) {
        providers.add_limited("local", Arc::new(LocalModel::new(models_dir)), model, 1);
        providers.set_price(Price::FREE);
        providers.set_built_in();
    }
}

/// Reads the agents, among which the default one must be.
fn load_agents(config: &Config, tools: &ToolSet) -> Result<BTreeMap<String, Agent>, StartError> {
    let agents = agents::load(config.agents_dir.as_deref(), tools)?;
    match agents.contains_key(&config.default_agent) {
        true => Ok(agents),
        false => {
            let what = format!("there is no agent `{}`", config.default_agent);
            Err(StartError::other("find the default agent", what))
        }
    }
}

async fn open_store(data_dir: &Path, watch: &Arc<Watch>) -> Result<Arc<dyn Store>, StartError> {
    let (data_dir, watch) = (data_dir.to_owned(), Arc::clone(watch));
    let mut options = DiskOptions::default();
    options.on_sync = SyncWatch::new(move |synced| watch.instruments.synced(synced));
    let opened = tokio::task::spawn_blocking(move || DiskStore::open(&data_dir, options));
    let store: Arc<dyn Store> = Arc::new(opened.await.map_err(|error| StartError::other("open the store", error))??);
    questions::ensure_index(&store).await;
    match files::take_over(&store).await {
        // At the next start, then. Until there is room nothing is uploaded anyway.
        Err(error) if error.is_disk_full() => tracing::warn!(%error, "files of an earlier version are not listed yet"),
        taken_over => taken_over?,
    }
    Ok(store)
}

/// Counts the tasks that nobody has counted so far.
async fn count_tasks(store: &Arc<dyn Store>, owner: UserId) -> Result<(), StartError> {
    let accounts = directory::read_users(store.as_ref())?.into_iter().map(|user| user.id);
    // Versions before accounts noted users nowhere but where they used something.
    let known = usage_rows::of_all(store.as_ref())?.into_iter().map(|(user, _)| user).chain(accounts).chain([owner]);
    let users: Vec<UserId> = known.collect::<BTreeSet<_>>().into_iter().collect();
    Ok(task_rows::ensure(store.as_ref(), &users).await?)
}

/// Whatever lies in the work folder is a copy of the journal's blobs, left by a process that is gone. Code of a task may have
/// taken away the right to look into its folders, so workspaces are emptied by those who know how.
async fn open_workspaces(work_dir: &Path, store: &Arc<dyn Store>) -> Result<Workspaces, StartError> {
    match tokio::fs::remove_dir_all(work_dir.join(REQUESTS_DIR)).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(StartError::other("empty the work folder", error));
        }
        Ok(()) | Err(_) => {}
    }
    let files = work_dir.join("files");
    // Nobody else's to read, whatever the data directory allows.
    let made = tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(&files).await;
    made.map_err(|error| StartError::other("make the work folder", error))?;
    let workspaces = Workspaces::new(files, Arc::clone(store));
    workspaces.reap(HashSet::new()).await.map_err(|error| StartError::other("empty the work folder", error))?;
    Ok(workspaces)
}
