//! `ninja templates [NAME]`: what a task can be made from, and how.

use ninja_sdk::api::TemplateInfo;
use serde_json::{Map, Value};

use super::{Exit, Failure, Output};
use crate::{
    Connector, Need,
    format::{cut, one_line},
};

/// What is left of a line beside the name.
const DESCRIPTION_CHARACTERS: usize = 160;

/// The arguments of `ninja templates`.
#[derive(Debug, clap::Args)]
pub struct Templates {
    /// One template: its parameters, and a command to paste
    name: Option<String>,
    /// Print what is listed as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Templates {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let session = connector.connect(Need::Store).await?;
        let templates = session.ninja().templates().await;
        session.close().await;
        let templates = templates?;
        match &self.name {
            Some(name) => {
                let template = find(&templates, name)?;
                output.json_if_wanted(template);
                show(output, template);
            }
            None => {
                output.json_if_wanted(&templates);
                templates.iter().for_each(|template| output.say(&line(output, template)));
                if !output.json {
                    output.note("more about one: ninja templates NAME");
                }
            }
        }
        Ok(Exit::Done)
    }
}

fn find<'a>(templates: &'a [TemplateInfo], name: &str) -> Result<&'a TemplateInfo, Failure> {
    templates.iter().find(|template| template.name == name).ok_or_else(|| {
        Failure::new(Exit::Failed, format!("there is no template {name:?}"), "`ninja templates` lists them")
    })
}

fn line(output: &Output, template: &TemplateInfo) -> String {
    let description = cut(&one_line(&template.description), DESCRIPTION_CHARACTERS);
    format!("{}  {description}", output.paint().bold(&one_line(&template.name)))
}

fn show(output: &Output, template: &TemplateInfo) {
    output.say(&format!("{}  {}", output.paint().bold(&one_line(&template.name)), one_line(&template.title)));
    output.say(&format!("  {}", one_line(&template.description)));
    output.say(&format!("  files: {}", files(template)));
    let parameters = parameters(template);
    if !parameters.is_empty() {
        output.say("  parameters:");
    }
    for (name, schema) in &parameters {
        let required = if is_required(template, name) { ", required" } else { "" };
        output.say(&format!("    {}  {}{required}", output.paint().bold(&one_line(name)), kind(schema)));
        if let Some(text) = schema.get("description").and_then(Value::as_str) {
            output.say(&format!("      {}", one_line(text)));
        }
    }
    output.say("");
    output.say(&command(template));
}

fn parameters(template: &TemplateInfo) -> Map<String, Value> {
    template.parameters.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
}

fn is_required(template: &TemplateInfo, name: &str) -> bool {
    let required = template.parameters.get("required").and_then(Value::as_array);
    required.is_some_and(|names| names.iter().any(|required| required == name))
}

fn files(template: &TemplateInfo) -> String {
    match (template.files.min, template.files.max) {
        (_, 0) => "none".to_owned(),
        (min, max) if min == max => format!("{min}"),
        (min, max) => format!("{min} to {max}"),
    }
}

/// Writes a parameter's type and default, as its schema says them.
fn kind(schema: &Value) -> String {
    let one_of = schema.get("enum").and_then(Value::as_array).map(|values| {
        let values: Vec<String> = values.iter().map(plain).collect();
        format!("one of {}", values.join(", "))
    });
    let kind = one_of.or_else(|| schema.get("type").map(plain)).unwrap_or_else(|| "any value".to_owned());
    match schema.get("default") {
        Some(default) => format!("{kind}; {} unless said otherwise", plain(default)),
        None => kind,
    }
}

fn plain(value: &Value) -> String {
    one_line(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// Writes a command that says all that must be said.
fn command(template: &TemplateInfo) -> String {
    let mut words = vec!["ninja run --template".to_owned(), one_line(&template.name)];
    words.extend((0..template.files.min).map(|_| "--file FILE".to_owned()));
    let parameters = parameters(template);
    let required = parameters.keys().filter(|name| is_required(template, name));
    words.extend(required.map(|name| format!("--param {}=VALUE", one_line(name))));
    words.push("\"GOAL\"".to_owned());
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ninja_sdk::api::FileCount;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_is_told_with_the_command_that_uses_it() {
        let template = TemplateInfo {
            name: "t".to_owned(),
            title: "T".to_owned(),
            description: "D.".to_owned(),
            parameters: json!({ "required": ["city"], "properties": {
                "city": { "type": "string" },
                "unit": { "type": "string", "enum": ["c", "f"], "default": "c" },
                "days": { "type": "integer", "default": 3 },
            } }),
            files: FileCount { min: 1, max: 2 },
        };
        assert_eq!(command(&template), "ninja run --template t --file FILE --param city=VALUE \"GOAL\"");
        let kinds: Vec<_> = parameters(&template).values().map(kind).collect();
        let wanted = ["string", "integer; 3 unless said otherwise", "one of c, f; c unless said otherwise"];
        assert_eq!(kinds.iter().collect::<BTreeSet<_>>(), wanted.map(str::to_owned).iter().collect::<BTreeSet<_>>());
        assert_eq!(files(&template), "1 to 2");
    }
}
