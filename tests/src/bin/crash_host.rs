//! The process that the crash test kills: a daemon with a scripted model and a tool of each class that keeps a ledger.
//!
//! Usage: `ninja-crash-host DATA_DIR LEDGER [suspicious]`. Serves on `DATA_DIR/ninja.sock` until it is killed, or a task asks its
//! model to abort the process. Without `suspicious` it makes nothing of short lives, of which a test of kills has many.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use ninja_core::{
    Config, Engine, EngineOptions,
    api::EffectClass,
    providers::{ChatRequest, Message, Price, ScriptStep, Scripted, ToolCall},
};
use ninja_daemon::{ServeOptions, serve};
use ninja_tests::{Ledger, LedgerTool, scripted_providers};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// Long enough that kills often fall into a model call.
const THINKING: Duration = Duration::from_millis(8);
/// What makes the model end the process.
const ABORT: &str = "abort the process";
/// What makes the model write its bill, before it answers: in a file beside the ledger, with the ending `calls`.
const BILL: &str = "write your bill";
/// A millionth of a dollar for each token of a prompt.
const PRICE: Price = Price { input: 1_000_000, ..Price::FREE };

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1).map(PathBuf::from);
    let data_dir = args.next().context("the data directory is missing")?;
    let path = args.next().context("the ledger is missing")?;
    let (ledger, bills) = (Ledger::at(&path), Ledger::at(path.with_extension("calls")));
    let mut options = EngineOptions::new(&data_dir);
    if args.next().is_none() {
        options.config.limits.short_lives = 0;
    }
    options.config.budgets = Config::load(&[], &std::env::vars().collect())?.budgets;
    options.env = std::env::vars().filter(|(name, _)| name == "PATH").collect();
    let mut providers = scripted_providers(Arc::new(Scripted::new(move |request| think(request, &bills))));
    providers.set_price(PRICE);
    options.providers = Some(providers);
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
fn think(request: &ChatRequest, bills: &Ledger) -> ScriptStep {
    let is_told = |words: &str| request.messages.iter().any(|message| message.text().contains(words));
    if is_told(ABORT) {
        std::process::abort();
    }
    let is_billed = is_told(BILL);
    if is_billed {
        bills.append("a call").expect("the bill can be written");
    }
    let answered = is_billed || request.messages.iter().any(|message| matches!(message, Message::Tool { .. }));
    let (text, tool_calls) = if answered {
        ("done".to_owned(), Vec::new())
    } else {
        let args = json!({ "command": "echo agent >> trail" });
        (String::new(), vec![ToolCall { id: "x".to_owned(), name: "shell".to_owned(), args }])
    };
    ScriptStep::Answer { text, tool_calls, delay: THINKING }
}
