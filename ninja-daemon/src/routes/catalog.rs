//! What there is to choose from: templates, agents, what each agent may do; and what was used.

use axum::{
    Json,
    extract::{Path, State},
};
use ninja_core::api::{Agent, AgentCapabilities, BudgetReport, Page, TemplateInfo, UsageQuery, UsageReport};

use crate::{app::App, auth::Caller, error::Refusal, extract::Params};

/// Answers with the templates, by name.
pub(super) async fn templates(State(app): State<App>, Caller(by): Caller) -> Json<Page<TemplateInfo>> {
    Json(Page { items: app.engine.templates(&by), next_cursor: None })
}

/// Answers with the agents, by name.
pub(super) async fn agents(State(app): State<App>, Caller(by): Caller) -> Json<Page<Agent>> {
    Json(Page { items: app.engine.agents(&by), next_cursor: None })
}

/// Answers with an agent.
pub(super) async fn agent(
    State(app): State<App>,
    Caller(by): Caller,
    Path(agent): Path<String>,
) -> Result<Json<Agent>, Refusal> {
    Ok(Json(app.engine.agent(&by, &agent)?))
}

/// Answers with what an agent may do.
pub(super) async fn agent_capabilities(
    State(app): State<App>,
    Caller(by): Caller,
    Path(agent): Path<String>,
) -> Result<Json<AgentCapabilities>, Refusal> {
    Ok(Json(app.engine.agent_capabilities(&by, &agent)?))
}

/// Answers with what the caller's tasks used.
pub(super) async fn usage(
    State(app): State<App>,
    Caller(by): Caller,
    Params(query): Params<UsageQuery>,
) -> Result<Json<UsageReport>, Refusal> {
    Ok(Json(app.engine.usage(&by, query).await?))
}

/// Answers with how the limits stand that the caller's tasks share.
pub(super) async fn budgets(State(app): State<App>, Caller(by): Caller) -> Json<BudgetReport> {
    Json(app.engine.budgets(&by))
}
