//! The process whose system calls the fault tests fail, and which they kill.
//!
//! `ninja-fault-host write DATA_DIR LEDGER COUNT BYTES` appends records to one task until it has COUNT, and writes the number of each into the
//! ledger once it is acknowledged. `ninja-fault-host task DATA_DIR LEDGER` takes one task to its end, or goes on with it, and
//! prints what it made.

use std::{io::Write, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use ninja_core::{
    Engine, EngineOptions,
    api::{EffectClass, ListTasks, TaskId, TaskStatus},
    journal::{
        disk::{DiskOptions, DiskStore},
        store::Store,
    },
    providers::{ScriptStep, Scripted},
    sandbox::NoSandbox,
};
use ninja_tests::{Ledger, LedgerTool, fault_append, fault_task, plan, scripted_providers, tool_step};
use serde_json::json;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap_or_else(|error| fail(&error.into()));
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Err(error) = runtime.block_on(run(&args)) {
        fail(&error);
    }
    // The runtime wakes its own threads with system calls, which the tests fail as well: it is left as it is.
    std::process::exit(0)
}

fn fail(error: &anyhow::Error) -> ! {
    // Where this write is failed as well, the exit code says it.
    writeln!(std::io::stderr(), "{error:#}").ok();
    std::process::exit(1)
}

async fn run(args: &[String]) -> Result<()> {
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["write", data_dir, ledger, count, bytes] => {
            write(Path::new(data_dir), &Ledger::at(ledger), count.parse()?, bytes.parse()?).await
        }
        ["task", data_dir, ledger] => task(Path::new(data_dir), &Ledger::at(ledger)).await,
        _ => bail!("usage: ninja-fault-host write|task DATA_DIR LEDGER …"),
    }
}

async fn write(data_dir: &Path, ledger: &Ledger, count: u64, bytes: usize) -> Result<()> {
    // Small and hasty, so that a short run sees rotations, checkpoints and a tree that is opened anew.
    let mut options = DiskOptions::default();
    (options.checkpoint_interval, options.segment_bytes) = (Duration::from_millis(5), 256 * 1024);
    options.renew_bytes = 128 * 1024;
    let store = DiskStore::open(data_dir, options)?;
    let held = store.read_log(fault_task(), 1, usize::MAX)?.len() as u64;
    for seq in held + 1..=count {
        store.commit(fault_append(seq, bytes)).await?;
        ledger.append(&seq.to_string())?;
    }
    store.close().await?;
    Ok(())
}

async fn task(data_dir: &Path, ledger: &Ledger) -> Result<()> {
    let mut options = EngineOptions::new(data_dir);
    options.providers = Some(scripted_providers(Arc::new(Scripted::new(|_| ScriptStep::answer("none")))));
    options.sandbox = Some(Arc::new(NoSandbox { reason: "runs no code".to_owned() }));
    options.tools = vec![Arc::new(LedgerTool::new("post", EffectClass::Idempotent, ledger.clone()))];
    let engine = Engine::start(options).await?;
    let owner = engine.local_owner();
    let known = engine.list_tasks(&owner, ListTasks::default()).await?.items;
    let id = match known.first() {
        Some(task) => task.id,
        None => submit(&engine).await?,
    };
    ledger.append(&format!("accepted {id}"))?;
    let mut events = engine.task_events(&owner, id, None).await?;
    while events.next().await?.is_some() {}
    let task = engine.task(&owner, id).await?;
    if task.status != TaskStatus::Succeeded {
        bail!("the task is {:?}: {:?}", task.status, task.error);
    }
    let made: Vec<String> = task.artifacts.iter().map(|made| format!("{} {}", made.path, made.sha256)).collect();
    engine.stop().await;
    println!("{}", json!({ "task": id, "made": made, "steps": task.steps.len() }));
    Ok(())
}

async fn submit(engine: &Engine) -> Result<TaskId> {
    let file = |path: &str, content: &str| json!({ "path": path, "content": content });
    let steps = vec![
        tool_step("first", &[], "write_file", &file("a.txt", "first")),
        tool_step("post", &["first"], "post", &json!({})),
        tool_step("second", &["post"], "write_file", &file("out/b.txt", &"second ".repeat(2_000))),
    ];
    let task = engine.submit_task(&engine.local_owner(), plan(steps)).await.context("the task is refused")?;
    Ok(task.id)
}
