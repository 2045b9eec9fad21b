//! A small GGUF model in-process, so that a newcomer needs no key.
//!
//! Owns everything between a [`ChatRequest`](crate::providers::ChatRequest) and the words of a model that lies on this
//! disk: where models lie, how they get there, how text becomes tokens and tokens become an [`Answer`](crate::providers::Answer).
//! It knows nothing of tasks, prices or retries, and reads neither the environment nor a home directory: every path is a parameter.
//!
//! The way of a call: [`LocalModel`] finds the file (`catalog`) → hands the call to the model's one thread (`worker`), which
//! loads the weights (`network`) and the vocabulary (`vocabulary`, `split`) on the first call → lays the conversation out as
//! tokens (`template`) → picks one token after another (`generate`), held to a JSON Schema (`constraint`) where one is
//! given and watched for loops (`repetition`) → sends text as soon as it is valid UTF-8 (`byte_text`).
//!
//! The way of an installation: [`plan`] says what would be fetched → [`install`] fetches (`fetch`), verifies, converts
//! (`requantise`) and puts model and sidecar in place (`catalog`).
//!
//! What is deliberately absent: sampling. Decoding is greedy, so the same call gives the same answer. No state of one call
//! reaches the next: candle cannot shorten a key-value cache, and reusing a prefix would make an answer depend on what was asked before.

mod byte_text;
mod catalog;
mod constraint;
mod error;
mod fetch;
mod generate;
mod gguf;
mod install;
mod model;
mod network;
mod repetition;
mod requantise;
mod source;
mod split;
mod template;
mod tool_calls;
mod vocabulary;
mod worker;

#[cfg(test)]
mod tests;

pub use catalog::{InstalledModel, ModelEntry, find, list, verify};
pub use error::ModelError;
pub use install::{InstallPhase, InstallPlan, install, plan};
pub use model::LocalModel;
pub use source::{DEFAULT_MODEL, InstallRequest, ModelSource, PipEnvironment};
