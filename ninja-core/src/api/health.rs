//! What `GET /health` says.

use serde::{Deserialize, Serialize};

/// How a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// `store`, `sandbox`, `providers` or `actors`.
    pub name: String,
    /// How it is.
    pub state: ComponentState,
    /// What a person should know.
    pub detail: String,
}

/// The whole engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// The worst of the components.
    pub state: ComponentState,
    /// The version of the binary.
    pub version: String,
    /// Each component.
    pub components: Vec<ComponentHealth>,
}
