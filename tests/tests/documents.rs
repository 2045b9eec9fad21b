//! The guides' examples are what the product takes: each is read by the code that reads a user's.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use ninja_core::{
    agents,
    api::PlanSpec,
    planner::{Template, TemplateSource},
};

#[test]
fn the_plan_in_the_guide_is_a_plan() -> Result<()> {
    let plan: PlanSpec = serde_json::from_str(&example("plans.md", "json")?)?;
    assert_eq!(plan.steps.len(), 4);
    Ok(())
}

#[test]
fn the_agent_in_the_guide_is_an_agent() -> Result<()> {
    let agent = agents::parse("poet.md", &example("agents.md", "markdown")?)?;
    assert_eq!((agent.name.as_str(), agent.limits.turns), ("poet", 10));
    Ok(())
}

#[test]
fn the_template_in_the_guide_is_a_template() -> Result<()> {
    let manifest = example("templates.md", "toml")?;
    let files = [("template.toml", manifest.as_str()), ("prompts/comment.md", "Comment.")];
    let source: TemplateSource =
        files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned().into())).collect();
    let template = Template::parse("word-count", &source)?;
    assert_eq!((template.plan.steps.len(), template.files.max), (2, 1));
    Ok(())
}

#[test]
fn links_between_documents_lead_somewhere() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut documents = vec![root.join("README.md"), root.join("ARCHITECTURE.md"), root.join("CONTRIBUTING.md")];
    for entry in fs::read_dir(root.join("docs/guide"))? {
        documents.push(entry?.path());
    }
    for document in documents {
        let text = fs::read_to_string(&document)?;
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = match file.is_empty() {
                true => document.clone(),
                false => document.parent().context("a document lies in a folder")?.join(file),
            };
            assert!(file.exists(), "{}: {target} is not there", document.display());
            assert!(
                heading.is_empty() || has_heading(&file, heading)?,
                "{}: {target} is not there",
                document.display()
            );
        }
    }
    Ok(())
}

/// Returns whether a document has a heading that a link names.
fn has_heading(document: &Path, name: &str) -> Result<bool> {
    let text = fs::read_to_string(document)?;
    let headings = text
        .lines()
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    Ok(headings.map(|heading| heading.to_lowercase().replace(' ', "-")).any(|heading| heading == name))
}

/// Returns the first fenced block of a language in a guide.
fn example(guide: &str, language: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide").join(guide);
    let text = fs::read_to_string(path)?;
    let (_, from) = text.split_once(&format!("```{language}\n")).context("the guide has no such example")?;
    Ok(from.split_once("\n```").context("the example does not end")?.0.to_owned())
}
