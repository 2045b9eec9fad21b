//! The guides' examples are what the product takes: each is read by the code that reads a user's. In `description` the API's own
//! description.

#[path = "documents/description.rs"]
mod description;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use ninja_core::{
    agents,
    api::{Contract, PlanSpec, SubmitTask},
    planner::{Template, TemplateSource},
    providers::Scripted,
};
use ninja_tests::{Process, ScriptedEngine, bare_command};

/// Only what hangs takes so long.
const HANG: std::time::Duration = std::time::Duration::from_secs(120);

#[tokio::test]
async fn the_plans_and_the_contract_in_the_guide_are_taken() -> Result<()> {
    let examples = examples("plans.md", "json")?;
    let [graph, map, contract] = examples.as_slice() else {
        anyhow::bail!("the guide has {} examples", examples.len())
    };
    let host = ScriptedEngine::start(Scripted::answering("done")).await;
    let owner = host.engine.local_owner();
    let contract: Contract = serde_json::from_str(contract)?;
    assert_eq!(contract.checks.len(), 3);
    for (plan, steps) in [(graph, 4), (map, 3)] {
        let plan: PlanSpec = serde_json::from_str(plan)?;
        let request = SubmitTask { plan: Some(plan), contract: Some(contract.clone()), ..SubmitTask::default() };
        let task = host.engine.submit_task(&owner, request).await?;
        assert_eq!(task.steps.len(), steps);
        host.engine.cancel_task(&owner, task.id).await.ok();
    }
    host.engine.stop().await;
    Ok(())
}

/// The commands that guides show are commands that there are, with options that there are.
#[test]
fn the_commands_in_the_guides_are_understood() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut count = 0;
    let guides = ["plans", "tasks", "steering", "effects-and-recovery"].map(|guide| format!("docs/guide/{guide}.md"));
    for document in guides.into_iter().chain(["README.md".to_owned()]) {
        let text = fs::read_to_string(root.join(&document))?;
        for block in text.split("```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next()) {
            for line in block.replace("\\\n", "").lines().filter(|line| line.starts_with("ninja ")) {
                understood(line).with_context(|| format!("{document}: {line}"))?;
                count += 1;
            }
        }
    }
    assert!(count > 20, "{count} commands were found");
    Ok(())
}

/// Has the binary read a command line as far as `--help` goes: wrong names are refused before it.
fn understood(line: &str) -> Result<()> {
    let line = line.split("  #").next().unwrap_or(line);
    let output = std::process::Command::new("bash")
        .args(["-c", &format!("ninja() {{ \"$NINJA\" \"$@\" --help; }}; {line}")])
        .env("NINJA", env!("CARGO_BIN_EXE_ninja-under-test"))
        .output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The session of the API's guide, pasted as it stands into a shell, against a daemon that has just been started for the first time.
#[tokio::test]
async fn the_session_in_the_guide_of_the_api_can_be_pasted() -> Result<()> {
    let home = tempfile::tempdir()?;
    let program = Path::new(env!("CARGO_BIN_EXE_ninja-under-test"));
    let args = ["serve", "--listen", "127.0.0.1:0"].map(std::ffi::OsStr::new);
    let daemon = Process::start(program, &args, home.path()).await?;
    let pasted = examples("api.md", "bash session")?;
    assert_eq!(pasted.len(), 5, "the guide's session has other parts");
    let pasted = pasted.join("\n").replace("http://127.0.0.1:7420", &format!("http://{}", daemon.address));
    let mut shell = bare_command(Path::new("/bin/bash"), &[], home.path());
    shell.args(["-e", "-u", "-o", "pipefail", "-c", &pasted]);
    let output = tokio::time::timeout(HANG, shell.output()).await.context("the session hangs")??;
    let said = String::from_utf8_lossy(&output.stdout);
    anyhow::ensure!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for expected in [
        "\"role\":\"admin\"",
        "\"frame\":\"end\"",
        "succeeded\nhello\n",
        "\"ada@example.org\"",
        "that key lets nobody in",
    ] {
        assert!(said.contains(expected), "{expected} is missing of:\n{said}");
    }
    daemon.terminate().await?;
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
    examples(guide, language)?.into_iter().next().context("the guide has no such example")
}

/// Returns the fenced blocks of a language in a guide.
fn examples(guide: &str, language: &str) -> Result<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide").join(guide);
    let text = fs::read_to_string(path)?;
    let opening = format!("```{language}\n");
    let begun = text.split(&opening).skip(1);
    begun.map(|from| Ok(from.split_once("\n```").context("an example does not end")?.0.to_owned())).collect()
}
