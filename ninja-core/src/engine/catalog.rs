//! What there is to choose from: agents and templates.

use super::Engine;
use crate::api::{Agent, ApiError, ErrorCode, Principal, TemplateInfo};

impl Engine {
    /// Lists the agents, by name.
    pub fn agents(&self, _: &Principal) -> Vec<Agent> {
        self.0.agents.values().cloned().collect()
    }

    /// Returns an agent.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where there is none of that name.
    pub fn agent(&self, _: &Principal, name: &str) -> Result<Agent, ApiError> {
        let missing = || ApiError::new(ErrorCode::NotFound, format!("there is no agent `{name}`"));
        self.0.agents.get(name).cloned().ok_or_else(missing)
    }

    /// Lists the templates, by name.
    pub fn templates(&self, _: &Principal) -> Vec<TemplateInfo> {
        self.0.templates.values().map(crate::planner::Template::info).collect()
    }
}
