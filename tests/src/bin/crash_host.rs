//! The process that the crash test kills: a daemon with a scripted model and a tool of each class that keeps a ledger.
//!
//! Usage: `ninja-crash-host DATA_DIR LEDGER [suspicious]`. Serves on `DATA_DIR/ninja.sock` until it is killed, or a task asks its
//! model to abort the process. Without `suspicious` it makes nothing of short lives, of which a test of kills has many.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use ninja_core::{
    Engine, EngineOptions,
    api::EffectClass,
    providers::{ChatRequest, Message, ScriptStep, Scripted, ToolCall},
};
use ninja_daemon::{ServeOptions, serve};
use ninja_tests::{Ledger, LedgerTool, scripted_providers};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// Long enough that kills often fall into a model call.
const THINKING: Duration = Duration::from_millis(8);
/// What makes the model end the process.
const ABORT: &str = "abort the process";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1).map(PathBuf::from);
    let data_dir = args.next().context("the data directory is missing")?;
    let ledger = Ledger::at(args.next().context("the ledger is missing")?);
    let mut options = EngineOptions::new(&data_dir);
    if args.next().is_none() {
        options.config.limits.short_lives = 0;
    }
    options.env = std::env::vars().filter(|(name, _)| name == "PATH").collect();
    options.providers = Some(scripted_providers(Arc::new(Scripted::new(think))));
    options.tools = vec![
        Arc::new(LedgerTool::new("pay", EffectClass::Unsafe, ledger.clone())),
        Arc::new(LedgerTool::new("post", EffectClass::Idempotent, ledger)),
    ];
    let engine = Engine::start(options).await?;
    let options = ServeOptions { socket: Some(data_dir.join("ninja.sock")), ..ServeOptions::default() };
    serve(engine, options, CancellationToken::new()).await?;
    Ok(())
}

/// Asks for one command, then sums up.
fn think(request: &ChatRequest) -> ScriptStep {
    if request.messages.iter().any(|message| message.text().contains(ABORT)) {
        std::process::abort();
    }
    let answered = request.messages.iter().any(|message| matches!(message, Message::Tool { .. }));
    let (text, tool_calls) = if answered {
        ("done".to_owned(), Vec::new())
    } else {
        let args = json!({ "command": "echo agent >> trail" });
        (String::new(), vec![ToolCall { id: "x".to_owned(), name: "shell".to_owned(), args }])
    };
    ScriptStep::Answer { text, tool_calls, delay: THINKING }
}
