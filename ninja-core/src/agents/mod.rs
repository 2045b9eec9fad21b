//! Agent files: Markdown with TOML front matter between `+++` lines, the body being the system prompt.
//!
//! Five are built in; a folder of the operator's own adds to them, and replaces those of the same name. The turn loop itself is the
//! machine's (`machine::turn`): what an agent may do next is a decision, and decisions are pure.

use std::{collections::BTreeMap, path::Path};

use crate::{api::Agent, tools::ToolSet};

/// The built-in agents' files.
const BUILT_IN: [(&str, &str); 5] = [
    ("analyst.md", include_str!("../../../config/agents/analyst.md")),
    ("coder.md", include_str!("../../../config/agents/coder.md")),
    ("debugger.md", include_str!("../../../config/agents/debugger.md")),
    ("researcher.md", include_str!("../../../config/agents/researcher.md")),
    ("writer.md", include_str!("../../../config/agents/writer.md")),
];

/// An agent file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No front matter.
    #[error("{file}: an agent file begins with front matter between two `+++` lines")]
    NoFrontMatter {
        /// The file.
        file: String,
    },
    /// The front matter is wrong.
    #[error("{file}: {error}")]
    FrontMatter {
        /// The file.
        file: String,
        /// What is wrong.
        error: toml::de::Error,
    },
    /// It names a tool that does not exist.
    #[error("{file}: there is no tool `{tool}`; the tools are: {known}")]
    UnknownTool {
        /// The file.
        file: String,
        /// What it names.
        tool: String,
        /// What there is.
        known: String,
    },
    /// The folder or file cannot be read.
    #[error("{file}: {error}")]
    Io {
        /// The file.
        file: String,
        /// What the system said.
        error: std::io::Error,
    },
}

/// Reads one agent file.
///
/// # Errors
///
/// Fails where the front matter is missing or wrong.
pub fn parse(file: &str, text: &str) -> Result<Agent, AgentError> {
    let missing = || AgentError::NoFrontMatter { file: file.to_owned() };
    let text = text.replace("\r\n", "\n");
    let rest = text.strip_prefix("+++\n").ok_or_else(missing)?;
    let (front, body) = rest.split_once("\n+++").ok_or_else(missing)?;
    let mut agent: Agent =
        toml::from_str(front).map_err(|error| AgentError::FrontMatter { file: file.to_owned(), error })?;
    agent.prompt = body.trim().to_owned();
    Ok(agent)
}

/// Loads the built-in agents and those of a folder, by name.
///
/// # Errors
///
/// Fails where a file cannot be used: an operator learns it at start, not in the middle of a task.
pub fn load(folder: Option<&Path>, tools: &ToolSet) -> Result<BTreeMap<String, Agent>, AgentError> {
    let mut agents = BTreeMap::new();
    let built_in = BUILT_IN.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned()));
    for (file, text) in built_in.chain(own_files(folder)?) {
        let agent = parse(&file, &text)?;
        if let Some(tool) = agent.tools.iter().find(|tool| tools.get(tool).is_none()) {
            let known = tools.names().collect::<Vec<_>>().join(", ");
            return Err(AgentError::UnknownTool { file, tool: tool.clone(), known });
        }
        agents.insert(agent.name.clone(), agent);
    }
    Ok(agents)
}

fn own_files(folder: Option<&Path>) -> Result<Vec<(String, String)>, AgentError> {
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else { return Ok(Vec::new()) };
    let failed = |path: &Path| {
        let file = path.display().to_string();
        move |error| AgentError::Io { file, error }
    };
    let mut files = Vec::new();
    for entry in folder.read_dir().map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let text = std::fs::read_to_string(&path).map_err(failed(&path))?;
            files.push((path.display().to_string(), text));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::EgressConfig;

    #[test]
    fn the_built_in_agents_load() {
        let agents = load(None, &ToolSet::builtin(EgressConfig::default())).unwrap();
        let names: Vec<_> = agents.keys().map(String::as_str).collect();
        assert_eq!(names, ["analyst", "coder", "debugger", "researcher", "writer"]);
        assert!(agents.values().all(|agent| agent.limits.turns >= 5 && agent.prompt.len() > 200));
    }

    #[test]
    fn a_sixth_agent_is_a_file_and_a_wrong_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("poet.md");
        std::fs::write(&file, "+++\nname = \"poet\"\ndescription = \"Writes verse.\"\n+++\nRhyme.\n").unwrap();
        let agents = load(Some(folder.path()), &ToolSet::builtin(EgressConfig::default())).unwrap();
        assert_eq!(agents["poet"].prompt, "Rhyme.");

        std::fs::write(&file, "+++\nname = \"poet\"\ndescription = \"\"\ntools = [\"fly\"]\n+++\n").unwrap();
        let error = load(Some(folder.path()), &ToolSet::builtin(EgressConfig::default())).unwrap_err().to_string();
        assert!(error.contains("there is no tool `fly`"), "{error}");
        std::fs::write(&file, "Rhyme.").unwrap();
        assert!(load(Some(folder.path()), &ToolSet::builtin(EgressConfig::default())).is_err());
    }
}
