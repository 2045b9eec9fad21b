//! What `ninja run` is given in files and in words of its own: plans, contracts, agents, parameters.

use std::path::Path;

use ninja_sdk::api::{Contract, PlanSpec, Planning};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Exit, Failure};

/// What the daemon takes as the body of a submission.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads a plan.
pub(super) async fn read_plan(path: &Path) -> Result<PlanSpec, Failure> {
    let hint = "give a JSON file such as {\"steps\": [{\"kind\": \"agent\", \"prompt\": \"…\"}]}";
    read_json(path, "a plan", hint).await
}

/// Reads a contract.
pub(super) async fn read_contract(path: &Path) -> Result<Contract, Failure> {
    let hint = "give a JSON file such as {\"checks\": [{\"kind\": \"command\", \"command\": \"…\"}]}";
    read_json(path, "a contract", hint).await
}

/// Returns what a submission says of an agent: the text of a file, or a name.
pub(super) async fn read_agent(given: &str) -> Result<String, Failure> {
    if Path::new(given).extension().is_none() {
        return Ok(given.to_owned());
    }
    let hint = "give the name of an agent, or a Markdown file that begins with front matter between two `+++` lines";
    let bytes = read(Path::new(given), "an agent file", hint).await?;
    match String::from_utf8(bytes).map(|text| text.replace("\r\n", "\n")) {
        Ok(text) if text.starts_with("+++") => Ok(text),
        Ok(_) | Err(_) => Err(Failure::new(Exit::Usage, format!("{given} is not an agent file"), hint)),
    }
}

async fn read_json<T: DeserializeOwned>(path: &Path, what: &str, hint: &str) -> Result<T, Failure> {
    let bytes = read(path, what, hint).await?;
    let wrong = |error| Failure::new(Exit::Usage, format!("{} is not {what}: {error}", path.display()), hint);
    serde_json::from_slice(&bytes).map_err(wrong)
}

async fn read(path: &Path, what: &str, hint: &str) -> Result<Vec<u8>, Failure> {
    let usage = |why: String| Failure::new(Exit::Usage, why, hint);
    let unreadable = |error: std::io::Error| usage(format!("{} cannot be read: {error}", path.display()));
    let metadata = tokio::fs::metadata(path).await.map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        return Err(usage(format!("{} is not {what}: that is a file of at most 1 MiB", path.display())));
    }
    tokio::fs::read(path).await.map_err(unreadable)
}

/// Reads `NAME=VALUE`.
pub(super) fn parse_param(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("a parameter is written NAME=VALUE")?;
    if name.is_empty() {
        return Err("a parameter is written NAME=VALUE".into());
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

/// Reads who makes the plan.
pub(super) fn parse_planning(text: &str) -> Result<Planning, String> {
    match text {
        "auto" => Ok(Planning::Auto),
        "model" => Ok(Planning::Model),
        "none" => Ok(Planning::None),
        _ => Err("the model makes the plan (`model`), or nobody (`none`)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_parameter_is_json_where_it_can_be_and_text_otherwise() {
        for (text, value) in [
            ("a=1", json!(1)),
            ("a=[1,2]", json!([1, 2])),
            ("a=\"1\"", json!("1")),
            ("a=x=y", json!("x=y")),
            ("a=", json!("")),
            ("a=007", json!("007")),
        ] {
            assert_eq!(parse_param(text), Ok(("a".into(), value)), "{text}");
        }
        assert!(parse_param("a").is_err() && parse_param("=1").is_err());
    }
}
