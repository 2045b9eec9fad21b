//! `ninja agents [NAME]`: who works on steps, and what each may do.

use ninja_sdk::{
    Ninja, SdkError,
    api::{Agent, AgentCapabilities, EffectClass, ErrorCode, ModelClass},
};
use serde_json::json;

use super::{Exit, Failure, Output};
use crate::{
    Connector, Need,
    format::{cut, lines, one_line},
};

/// What is left of a line beside a name.
const DESCRIPTION_CHARACTERS: usize = 160;

/// The arguments of `ninja agents`.
#[derive(Debug, clap::Args)]
pub struct Agents {
    /// One agent: its tools, limits and instructions
    name: Option<String>,
    /// Print what is listed as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Agents {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let session = connector.connect(Need::Store).await?;
        let told = match &self.name {
            Some(name) => one(session.ninja(), output, name).await,
            None => all(session.ninja(), output).await,
        };
        session.close().await;
        told.map(|()| Exit::Done)
    }
}

async fn all(ninja: &Ninja, output: &Output) -> Result<(), Failure> {
    let agents = ninja.agents().await?;
    output.json_if_wanted(&agents);
    for agent in &agents {
        let description = cut(&one_line(&agent.description), DESCRIPTION_CHARACTERS);
        output.say(&format!("{}  {description}", output.paint().bold(&one_line(&agent.name))));
    }
    if !output.json {
        output.note("more about one: ninja agents NAME");
    }
    Ok(())
}

async fn one(ninja: &Ninja, output: &Output, name: &str) -> Result<(), Failure> {
    let (agent, may) = match (ninja.agent(name).await, ninja.agent_capabilities(name).await) {
        (Err(SdkError::Api(error)), _) if error.code == ErrorCode::NotFound => {
            return Err(Failure::new(Exit::Failed, one_line(&error.detail), "`ninja agents` lists them"));
        }
        (agent, may) => (agent?, may?),
    };
    output.json_if_wanted(&json!({ "agent": agent, "capabilities": may }));
    show(output, &agent, &may);
    Ok(())
}

fn show(output: &Output, agent: &Agent, may: &AgentCapabilities) {
    let paint = output.paint();
    output.say(&paint.bold(&one_line(&agent.name)));
    output.say(&format!("  {}", one_line(&agent.description)));
    let class = match agent.model_class {
        ModelClass::Fast => "fast",
        ModelClass::Balanced => "balanced",
        ModelClass::Best => "best",
    };
    let limits = agent.limits;
    output.say(&format!(
        "  model class {class}; at most {} turns in a step, {} tokens in an answer",
        limits.turns, limits.output_tokens
    ));
    output.say(if may.tools.is_empty() { "  no tools" } else { "  tools:" });
    for tool in &may.tools {
        output.say(&format!("    {}  {}", paint.bold(&one_line(&tool.name)), paint.dim(effect(tool.effect))));
        output.say(&format!("      {}", cut(&one_line(&tool.description), DESCRIPTION_CHARACTERS)));
    }
    if !may.delegates.is_empty() {
        output.say(&format!("  hands work to: {}", one_line(&may.delegates.join(", "))));
    }
    output.say("");
    output.say(lines(&agent.prompt).trim());
}

/// Says what becomes of a call that a crash cut short.
fn effect(class: EffectClass) -> &'static str {
    match class {
        EffectClass::Pure => "pure: changes nothing",
        EffectClass::Charged => "charged: costs each time",
        EffectClass::Workspace => "workspace: changes the task's files only",
        EffectClass::Idempotent => "idempotent: may be repeated",
        EffectClass::Probe => "probe: can be asked whether it happened",
        EffectClass::Unsafe => "unsafe: never repeated without a person's word",
    }
}
