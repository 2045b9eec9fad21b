//! What `GET /health` and `GET /ready` say.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// How a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ComponentState {
    /// It works.
    Ok,
    /// It works in part; `detail` says what does not.
    Degraded,
    /// It does not work.
    Down,
}

/// One component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ComponentHealth {
    /// `store`, `journal`, `disk`, `sandbox`, `providers` or `actors`.
    pub name: String,
    /// How it is.
    pub state: ComponentState,
    /// What a person should know. Names, numbers and what went wrong are for administrators; everybody else reads what the
    /// state means.
    pub detail: String,
    /// When it was first found in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<Timestamp>,
}

impl ComponentHealth {
    /// Makes one that tells of this moment alone.
    pub fn new(name: &str, state: ComponentState, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state, detail: detail.into(), since: None, checked_at: None }
    }
}

/// The whole engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// The worst of the components. The engine serves what it can without a sandbox or a provider: that is degraded, not down.
    pub state: ComponentState,
    /// The version of the binary.
    pub version: String,
    /// Each component.
    pub components: Vec<ComponentHealth>,
}

/// Whether requests are to be sent here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Readiness {
    /// Whether they are.
    pub ready: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<Unready>,
}

/// Why no requests are to be sent here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Unready {
    /// Unfinished tasks are still looked for.
    Recovering,
    /// It stops.
    Stopping,
    /// The store takes no writes.
    ReadOnly,
    /// An actor failed too often and is not started again.
    GaveUp,
}
