//! What there is to choose from: agents with what they may do, and templates.

use super::Engine;
use crate::{
    api::{Agent, AgentCapabilities, ApiError, ErrorCode, Principal, TemplateInfo, ToolInfo},
    machine::{DELEGATE, may_delegate},
};

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
        let known = || self.0.agents.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let missing =
            || ApiError::new(ErrorCode::NotFound, format!("there is no agent `{name}`; there are: {}", known()));
        self.0.agents.get(name).cloned().ok_or_else(missing)
    }

    /// Returns what an agent may do.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where there is none of that name.
    pub fn agent_capabilities(&self, by: &Principal, name: &str) -> Result<AgentCapabilities, ApiError> {
        let agent = self.agent(by, name)?;
        let tools = self.0.services.tools.iter().map(|tool| {
            let definition = tool.definition();
            ToolInfo { name: definition.name, description: definition.description, effect: tool.effect_class() }
        });
        let tools: Vec<ToolInfo> = tools.filter(|tool| agent.tools.contains(&tool.name)).collect();
        let delegates = tools.iter().any(|tool| tool.name == DELEGATE);
        let others = self.0.agents.values().filter(|to| delegates && may_delegate(&agent, to));
        let delegates = others.map(|to| to.name.clone()).collect();
        Ok(AgentCapabilities {
            agent: agent.name,
            model_class: agent.model_class,
            limits: agent.limits,
            tools,
            delegates,
        })
    }

    /// Lists the templates, by name.
    pub fn templates(&self, _: &Principal) -> Vec<TemplateInfo> {
        self.0.templates.values().map(crate::planner::Template::info).collect()
    }
}
