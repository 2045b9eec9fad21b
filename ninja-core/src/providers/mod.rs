//! Models behind one trait.
//!
//! A provider answers one [`ChatRequest`] at a time, streams text as it comes and never retries by itself
//! beyond its transport. What a call costs, whether it may be made and what follows from the answer is the machine's business.
//!
//! - [`Providers`]: those there are, in order of choice; chooses a model, limits, retries.
//! - [`HttpProvider`]: those that are reached over HTTP, whatever they speak.
//! - [`Scripted`]: a provider for tests.
//!
//! Nothing here reads the environment or the clock of the day: the first is passed in, the second is not needed.

mod anthropic;
mod config;
mod gemini;
mod http;
mod image;
mod ollama;
mod openai_chat;
mod openai_responses;
mod prices;
mod provider;
mod router;
mod scripted;
mod secret;

pub use self::{
    config::ProviderConfig,
    http::HttpProvider,
    image::{IMAGE_BYTES_MAX, IMAGE_SIDE_MAX, Image, ImageFile, ImageShape, ImageSource, ImageTokens, MediaType},
    prices::{Price, Prices, PricesError},
    provider::{
        Answer, Carry, ChatRequest, DeltaSink, FinishReason, Message, ModelInfo, Provider, ProviderError, ToolCall,
        ToolDefinition,
    },
    router::{Choice, ChooseError, Lineup, Providers, Sources},
    scripted::{ScriptStep, Scripted},
};

pub(crate) use self::router::{CurrentProviders, GateNumbers, StoredProvider};
pub use crate::api::{ProviderKind, Secret, TakesImages, Timeouts};

#[cfg(feature = "local-model")]
pub mod local;
