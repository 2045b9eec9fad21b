//! Models behind one trait.
//!
//! A provider answers one [`ChatRequest`] at a time, streams text as it comes and never retries by itself
//! beyond its transport. What a call costs, whether it may be made and what follows from the answer is the machine's business.
//!
//! - [`Scripted`]: a provider for tests.
//!

mod provider;
mod scripted;

pub use self::{
    provider::{
        Answer, ChatRequest, DeltaSink, FinishReason, Message, ModelInfo, Provider, ProviderError, ToolCall,
        ToolDefinition,
    },
    scripted::{ScriptStep, Scripted},
};
