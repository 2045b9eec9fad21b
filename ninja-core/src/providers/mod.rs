//! Models behind one trait.
//!
//! A provider answers one [`ChatRequest`] at a time, streams text as it comes and never retries by itself
//! beyond its transport. What a call costs, whether it may be made and what follows from the answer is the machine's business.
//!
//! - [`Providers`]: those there are, in order of choice; chooses a model, limits, retries.
//! - [`OpenaiProvider`]: those that speak OpenAI's chat completions.
//! - [`Scripted`]: a provider for tests.
//!
//! Nothing here reads the environment or the clock of the day: the first is passed in, the second is not needed.

mod config;
mod openai;
mod provider;
mod router;
mod scripted;
mod secret;

pub use self::{
    config::{ProviderConfig, ProviderKind},
    openai::OpenaiProvider,
    provider::{
        Answer, ChatRequest, DeltaSink, FinishReason, Message, ModelInfo, Provider, ProviderError, ToolCall,
        ToolDefinition,
    },
    router::{ChooseError, ProviderNote, Providers, Sources},
    scripted::{ScriptStep, Scripted},
    secret::Secret,
};

#[cfg(feature = "local-model")]
pub mod local;
