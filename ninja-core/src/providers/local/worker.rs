//! The one thread in which a model lives.
//!
//! A model computes with all cores, so two calls at once would only slow each other down: calls wait in line. The thread ends when
//! its [`Worker`] is dropped. It holds nothing of a call that has ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::constraint::GrammarFactory;
use super::error::ModelError;
use super::generate::{self, End, Shape, Writing, Written};
use super::gguf::GgufFile;
use super::network::{Network, unsupported_architecture};
use super::template::ChatTemplate;
use super::tool_calls;
use super::vocabulary::Vocabulary;
use crate::api::Usage;
use crate::providers::{Answer, ChatRequest, DeltaSink, FinishReason, ProviderError};

/// Calls that wait in line; further callers wait for a place. The engine's own limit of calls per provider is smaller.
const QUEUE_CALLS: usize = 16;

/// A handle to the thread.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    calls: mpsc::Sender<Call>,
}

/// One call on its way to the thread.
struct Call {
    request: ChatRequest,
    window_tokens: u32,
    deltas: DeltaSink,
    stop: CancellationToken,
    /// Set when the thread begins to compute, so that a caller knows whether it must wait for the end.
    begun: Arc<AtomicBool>,
    reply: oneshot::Sender<Result<Answer, ProviderError>>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

impl Worker {
    /// Starts the thread; the model is loaded with the first call.
    pub(super) fn start(path: PathBuf) -> Result<Self, ModelError> {
        let (calls, waiting) = mpsc::channel(QUEUE_CALLS);
        let thread = std::thread::Builder::new().name("local-model".into());
        let started = thread.spawn({
            let path = path.clone();
            move || serve(&path, waiting)
        });
        started.map_err(ModelError::io("start a thread for", &path))?;
        Ok(Self { calls })
    }

    /// Makes one call. Ends early when `cancel` fires or the future is dropped: between two tokens, or two chunks of the prompt.
    pub(super) async fn call(
        &self,
        request: ChatRequest,
        window_tokens: u32,
        deltas: DeltaSink,
        cancel: CancellationToken,
    ) -> Result<Answer, ProviderError> {
        let stop = cancel.child_token();
        let _stops_when_dropped = stop.clone().drop_guard();
        let begun = Arc::new(AtomicBool::new(false));
        let (reply, mut answer) = oneshot::channel();
        let call = Call { request, window_tokens, deltas, stop, begun: begun.clone(), reply };
        let gone = || ProviderError::Unavailable("the local model's thread has ended".into());
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(ProviderError::Cancelled),
            sent = self.calls.send(call) => sent.map_err(|_| gone())?,
        }
        tokio::select! {
            biased;
            answer = &mut answer => return answer.map_err(|_| gone())?,
            () = cancel.cancelled() => {}
        }
        if begun.load(Ordering::Acquire) {
            // Waits until nothing of the call goes on. An answer that was complete just now is dropped like any other.
            drop(answer.await);
        }
        Err(ProviderError::Cancelled)
    }
}

fn serve(path: &Path, mut waiting: mpsc::Receiver<Call>) {
    let mut loaded = None;
    while let Some(call) = waiting.blocking_recv() {
        let Call { request, window_tokens, deltas, stop, begun, reply } = call;
        if stop.is_cancelled() {
            drop(reply.send(Err(ProviderError::Cancelled)));
            continue;
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let model = match &mut loaded {
                Some(model) => model,
                None => loaded.insert(LoadedModel::load(path)?),
            };
            begun.store(true, Ordering::Release);
            model.answer(&request, window_tokens, &deltas, &stop)
        }));
        let outcome = outcome.unwrap_or_else(|_| {
            // What a panic leaves behind is not trusted; the next call loads anew.
            loaded = None;
            Err(ProviderError::Rejected("the local model failed unexpectedly on this call".into()))
        });
        // Nobody receives it if the call was dropped.
        drop(reply.send(outcome));
    }
}

/// A model in memory.
struct LoadedModel {
    network: Network,
    vocabulary: Vocabulary,
    template: ChatTemplate,
    grammars: GrammarFactory,
}

impl LoadedModel {
    fn load(path: &Path) -> Result<Self, ModelError> {
        let file = GgufFile::open(path)?;
        let architecture = file.architecture()?;
        if !Network::supports(architecture) {
            return Err(unsupported_architecture(architecture));
        }
        let vocabulary = Vocabulary::from_gguf(&file)?;
        let template = ChatTemplate::of(&vocabulary, architecture)?;
        let grammars = GrammarFactory::new(&vocabulary)?;
        Ok(Self { network: Network::load(file)?, vocabulary, template, grammars })
    }

    fn answer(
        &mut self,
        request: &ChatRequest,
        window_tokens: u32,
        deltas: &DeltaSink,
        stop: &CancellationToken,
    ) -> Result<Answer, ProviderError> {
        let shape = self.shape(request)?;
        let tools = if matches!(shape, Shape::TextOrCall(_)) { &*request.tools } else { &[] };
        let prompt = self.template.encode(&request.messages, tools, &self.vocabulary)?;
        let (tokens, window) = (prompt.len() as u64, u64::from(window_tokens));
        if tokens + u64::from(request.max_output_tokens) > window {
            return Err(ProviderError::PromptTooLarge { tokens, window });
        }
        let writing = Writing {
            prompt: &prompt,
            tokens_max: request.max_output_tokens as usize,
            shape,
            stop,
            show: deltas.as_ref(),
        };
        let written = generate::write(&mut self.network, &self.vocabulary, &self.grammars, writing)?;
        Ok(answer(request, prompt.len(), written, deltas))
    }

    fn shape(&self, request: &ChatRequest) -> Result<Shape, ProviderError> {
        if let Some(schema) = &request.schema {
            let refused = |error| ProviderError::Rejected(format!("the schema cannot be enforced: {error}"));
            return self.grammars.constrain(schema).map(Box::new).map(Shape::Json).map_err(refused);
        }
        if request.tools.is_empty() {
            return Ok(Shape::Text);
        }
        Ok(Shape::TextOrCall(tool_calls::call_schema(&request.tools)))
    }
}

/// Makes the answer of what was written, and shows what was held back because it looked like a tool call but is none.
fn answer(request: &ChatRequest, input_tokens: usize, written: Written, deltas: &DeltaSink) -> Answer {
    let Written { mut text, shown, has_call, tokens, end } = written;
    let call = text.split_once(tool_calls::CALL_BEGIN).filter(|_| has_call);
    let call = call.and_then(|(_, call)| tool_calls::read(call, &request.messages));
    if call.is_some() {
        text.truncate(shown);
    } else if let Some(rest) = text.get(shown..).filter(|rest| !rest.is_empty()) {
        deltas(rest);
    }
    let finish = match (&call, end) {
        (Some(_), _) => FinishReason::ToolCalls,
        (None, End::Length) => FinishReason::Length,
        (None, End::Turn | End::Cycle) => FinishReason::Stop,
    };
    let usage =
        Usage { input_tokens: input_tokens as u64, output_tokens: tokens as u64, model_calls: 1, ..Usage::default() };
    Answer { text, tool_calls: call.into_iter().collect(), finish, usage, carry: None }
}
