//! [`LocalModel`]: the models of a directory behind the [`Provider`] trait.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::catalog;
use super::error::ModelError;
use super::network::POSITIONS_MAX;
use super::worker::Worker;
use crate::providers::{Answer, ChatRequest, DeltaSink, ModelInfo, Provider, ProviderError};

/// From this many weights on a model counts as larger: it is offered tools. Below, it takes the wrong one too often
/// (SmolLM2-135M: 7 of 40), so code chooses the tool and the model only fills in text.
const LARGER_PARAMETERS: u64 = 1_000_000_000;

/// The window of a small model, whatever it was trained for.
///
/// Each token is computed against all before it, and candle copies the whole key-value cache for each: after 1,500 tokens the
/// default model needs two to four times as long for a token as after 100, and has spent some ten seconds reading.
/// What it makes of longer prompts is not worth that.
const SMALL_WINDOW_TOKENS: u64 = 2_048;

/// Answers with the models in a directory. Cheap to make: a model is loaded by the first call that names it.
///
/// Answers are deterministic. A small model that begins to repeat itself word for word is stopped, with
/// [`FinishReason::Stop`](crate::providers::FinishReason::Stop). With a schema the answer's text is valid JSON unless the token limit was reached; a schema that
/// cannot be enforced is refused. An output token count does not include the token that ends the turn.
#[derive(Debug)]
pub struct LocalModel {
    models_dir: PathBuf,
    workers: Mutex<BTreeMap<String, Worker>>,
}

impl LocalModel {
    /// Makes a provider of the models installed in a directory, which need not exist yet.
    pub fn new(models_dir: impl Into<PathBuf>) -> Self {
        Self { models_dir: models_dir.into(), workers: Mutex::default() }
    }

    fn worker(&self, name: &str, path: PathBuf) -> Result<Worker, ModelError> {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = workers.get(name) {
            return Ok(worker.clone());
        }
        let worker = Worker::start(path)?;
        workers.insert(name.to_owned(), worker.clone());
        Ok(worker)
    }

    async fn call(
        &self,
        request: ChatRequest,
        deltas: DeltaSink,
        cancel: CancellationToken,
    ) -> Result<Answer, ProviderError> {
        let (model, path) = catalog::find(&self.models_dir, &request.model)?;
        let info = info(model.parameters, model.context_tokens);
        if !info.tools && !request.tools.is_empty() {
            return Err(ProviderError::Rejected(format!("the model `{}` is too small to use tools", request.model)));
        }
        let worker = self.worker(&request.model, path)?;
        worker.call(request, info.window_tokens, deltas, cancel).await
    }
}

impl Provider for LocalModel {
    /// Returns what is known of a model; of one that is not installed, what would be known of the default one.
    fn model_info(&self, model: &str) -> ModelInfo {
        let found = catalog::find(&self.models_dir, model);
        found.map_or_else(|_| info(0, SMALL_WINDOW_TOKENS), |(model, _)| info(model.parameters, model.context_tokens))
    }

    fn chat<'a>(
        &'a self,
        request: ChatRequest,
        deltas: DeltaSink,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<Answer, ProviderError>> {
        Box::pin(self.call(request, deltas, cancel))
    }

    fn check(&self) -> BoxFuture<'_, Result<String, ProviderError>> {
        Box::pin(async {
            let entries = catalog::list(&self.models_dir)?;
            let mut sound = Vec::new();
            let mut damage = None;
            for entry in entries {
                match entry.model {
                    Ok(model) => sound.push(format!("{} ({} M weights)", model.name, model.parameters / 1_000_000)),
                    Err(error) => damage = Some(error),
                }
            }
            match (sound.is_empty(), damage) {
                (false, _) => Ok(format!("installed: {}", sound.join(", "))),
                (true, Some(error)) => Err(error.into()),
                (true, None) => Err(ModelError::NotInstalled { name: super::DEFAULT_MODEL.to_owned() }.into()),
            }
        })
    }
}

fn info(parameters: u64, context_tokens: u64) -> ModelInfo {
    let is_small = parameters < LARGER_PARAMETERS;
    let window = context_tokens.min(if is_small { SMALL_WINDOW_TOKENS } else { POSITIONS_MAX });
    let label = if is_small { "small local model" } else { "local model" };
    ModelInfo {
        window_tokens: u32::try_from(window).unwrap_or(u32::MAX),
        tools: !is_small,
        images: None,
        label: label.to_owned(),
    }
}
