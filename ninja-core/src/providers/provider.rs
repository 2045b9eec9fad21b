//! The [`Provider`] trait and what goes in and out of it.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::image::{Image, ImageSource, ImageTokens};
use crate::api::Usage;

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Message {
    /// Standing instructions; first and at most once.
    System {
        /// The text.
        text: String,
    },
    /// What the task says.
    User {
        /// The text.
        text: String,
        /// What it shows, after the text.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        images: Vec<Image>,
    },
    /// What the model said before.
    Assistant {
        /// Its text, possibly empty.
        text: String,
        /// Tools it asked for. Each is answered by a `Tool` message before the next `Assistant`.
        tool_calls: Vec<ToolCall>,
        /// What its provider wants back with them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        carry: Option<Carry>,
    },
    /// The result of a tool call.
    Tool {
        /// The [`ToolCall::id`] that it answers.
        call_id: String,
        /// The tool's name.
        name: String,
        /// The result as text.
        text: String,
        /// What it shows, after the text.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        images: Vec<Image>,
    },
}

impl Message {
    /// Makes one of the user's that is text alone.
    pub fn user(text: impl Into<String>) -> Self {
        Self::User { text: text.into(), images: Vec::new() }
    }

    /// Returns its text.
    pub fn text(&self) -> &str {
        match self {
            Self::System { text }
            | Self::User { text, .. }
            | Self::Assistant { text, .. }
            | Self::Tool { text, .. } => text,
        }
    }

    /// Returns what it shows.
    pub fn images(&self) -> &[Image] {
        match self {
            Self::User { images, .. } | Self::Tool { images, .. } => images,
            Self::System { .. } | Self::Assistant { .. } => &[],
        }
    }
}

/// What a provider wants back with an answer in the same conversation, such as thinking that it signed. Only the one that
/// gave it reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Carry {
    /// The protocol and the model that it is of, as `anthropic/claude-…`: to any other it means nothing.
    pub of: String,
    /// The content.
    pub data: Value,
}

impl Carry {
    /// Returns whether a model reads it.
    pub fn is_of(&self, protocol: &str, model: &str) -> bool {
        self.of.split_once('/') == Some((protocol, model))
    }
}

/// A tool call as the model asks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The model's or our own id, unique within the conversation.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// Its arguments; not yet validated. A string where the model's JSON could not be read.
    pub args: Value,
}

/// A tool as the model sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolDefinition {
    /// Its name.
    pub name: String,
    /// What it does, in a sentence or two.
    pub description: String,
    /// JSON Schema of its arguments.
    pub schema: Value,
}

/// One call.
#[derive(Debug, Clone)]
pub struct ChatRequest {
    /// The model's name at this provider.
    pub model: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Where the bytes of its images are.
    pub images: ImageSource,
    /// Tools the model may ask for.
    pub tools: Arc<[ToolDefinition]>,
    /// JSON Schema that the answer's text must match.
    pub schema: Option<Value>,
    /// The most tokens the answer may have.
    pub max_output_tokens: u32,
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It was done.
    Stop,
    /// It reached `max_output_tokens`.
    Length,
    /// It asks for tools.
    ToolCalls,
}

/// A complete answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Its text, possibly empty.
    pub text: String,
    /// Tools it asks for.
    pub tool_calls: Vec<ToolCall>,
    /// Why it stopped.
    pub finish: FinishReason,
    /// Tokens used; `model_calls` is 1.
    pub usage: Usage,
    /// What its provider wants back with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carry: Option<Carry>,
}

/// What is known of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Its context window in tokens, prompt and answer together.
    pub window_tokens: u32,
    /// Whether it can ask for tools.
    pub tools: bool,
    /// How it counts images; `None` where it takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<ImageTokens>,
    /// A label for people, such as `small local model`.
    pub label: String,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// Could not be reached, or broke off; worth another try.
    #[error("the provider is unavailable: {0}")]
    Unavailable(String),
    /// Takes no calls now, and says when it does; worth another try then.
    #[error("the provider is unavailable: {detail}")]
    Overloaded {
        /// What it said.
        detail: String,
        /// What `Retry-After` said, in milliseconds.
        retry_after_ms: u64,
    },
    /// Too many requests; worth another try after the given time.
    #[error("the provider limits the rate")]
    RateLimited {
        /// What `Retry-After` said, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The stream ended without its final event; what came is discarded. Worth another try.
    #[error("the answer was cut off")]
    Truncated,
    /// The key is missing, wrong or without rights.
    #[error("the provider refused the key: {0}")]
    Unauthorized(String),
    /// The request itself was refused.
    #[error("the provider refused the request: {0}")]
    Rejected(String),
    /// The prompt is larger than the model's window.
    #[error("the prompt has {tokens} tokens, the model takes {window}")]
    PromptTooLarge {
        /// The prompt's size.
        tokens: u64,
        /// The window.
        window: u64,
    },
    /// An image of the conversation cannot be read.
    #[error("the image {0}")]
    UnreadableImage(String),
    /// The call was cancelled.
    #[error("the call was cancelled")]
    Cancelled,
}

impl ProviderError {
    /// Returns whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Overloaded { .. } | Self::RateLimited { .. } | Self::Truncated => true,
            Self::Unauthorized(_)
            | Self::Rejected(_)
            | Self::PromptTooLarge { .. }
            | Self::UnreadableImage(_)
            | Self::Cancelled => false,
        }
    }

    /// Returns when the provider wants to be asked again, in milliseconds, if it said so.
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::Overloaded { retry_after_ms, .. } => Some(*retry_after_ms),
            Self::RateLimited { retry_after_ms } => *retry_after_ms,
            _ => None,
        }
    }
}

/// Receives text as the model produces it. Must not block.
pub type DeltaSink = Arc<dyn Fn(&str) + Send + Sync>;

/// Something that answers.
pub trait Provider: Send + Sync + 'static {
    /// Returns what is known of one of its models.
    fn model_info(&self, model: &str) -> ModelInfo;

    /// Says what a person should know of one of its models, if anything, such as that its window is smaller than configured.
    fn note(&self, _model: &str) -> Option<String> {
        None
    }

    /// Makes one call. When `cancel` fires the call ends with [`ProviderError::Cancelled`] and nothing of it goes on.
    /// Dropping the future also ends the call.
    fn chat<'a>(
        &'a self,
        request: ChatRequest,
        deltas: DeltaSink,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<Answer, ProviderError>>;

    /// Checks whether the provider could answer now, without spending anything.
    fn check(&self) -> BoxFuture<'_, Result<String, ProviderError>>;
}
