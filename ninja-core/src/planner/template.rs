//! Templates: a folder with `template.toml`, scripts and prompts that makes a fixed plan.

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use toml::Table;

use crate::api::{Check, Contract, FileCount, PlanSpec, Retry, SchemaSpec, StepId, StepKind, StepSpec, TemplateInfo};

mod built_in;

/// Files a template may have; it is a recipe, not an archive.
const FILES_MAX: usize = 200;
/// Bytes of all its files.
const BYTES_MAX: u64 = 2 * 1024 * 1024;

/// The files of one template by path within its folder.
pub type TemplateSource = BTreeMap<String, Bytes>;

/// A template that cannot be used, or a request that does not fit one.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// `template.toml` is missing or wrong.
    #[error("template {name}: {what}")]
    Invalid {
        /// The template.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// A folder or file cannot be read.
    #[error("{path}: {error}")]
    Io {
        /// The path.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
}

/// A template, ready to make plans.
#[derive(Debug, Clone)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// A few words for people.
    pub title: String,
    /// One sentence.
    pub description: String,
    /// JSON Schema of its parameters.
    pub parameters: Value,
    /// How many files it takes.
    pub files: FileCount,
    /// Its plan.
    pub plan: PlanSpec,
    /// What holds at the end of its tasks.
    pub contract: Option<Contract>,
    /// Its scripts, as they appear in the sandbox.
    pub scripts: TemplateSource,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    name: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Table,
    #[serde(default)]
    files: FileCount,
    steps: Vec<ManifestStep>,
    #[serde(default)]
    contract: Vec<Check>,
    repair_agent: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestStep {
    id: Option<StepId>,
    kind: StepKind,
    title: Option<String>,
    agent: Option<String>,
    prompt: Option<String>,
    prompt_file: Option<String>,
    tool: Option<String>,
    args: Option<Value>,
    schema: Option<String>,
    schema_file: Option<String>,
    over: Option<String>,
    each: Option<Box<ManifestStep>>,
    retry: Option<Retry>,
    when: Option<String>,
    #[serde(default)]
    optional: bool,
    max_output_tokens: Option<u32>,
    #[serde(default)]
    after: Vec<StepId>,
}

impl Template {
    /// Reads a template from its files.
    ///
    /// # Errors
    ///
    /// Fails where `template.toml` is missing or wrong, or names a prompt that is not there.
    pub fn parse(name: &str, source: &TemplateSource) -> Result<Self, TemplateError> {
        let invalid = |what: String| TemplateError::Invalid { name: name.to_owned(), what };
        let bytes = source.get("template.toml").ok_or_else(|| invalid("it has no template.toml".to_owned()))?;
        let text = std::str::from_utf8(bytes).map_err(|error| invalid(error.to_string()))?;
        let manifest: Manifest = toml::from_str(text).map_err(|error| invalid(error.to_string()))?;
        if manifest.name != name {
            return Err(invalid(format!("its folder and its name differ: `{}`", manifest.name)));
        }
        let parameters = serde_json::to_value(&manifest.parameters).map_err(|error| invalid(error.to_string()))?;
        jsonschema::validator_for(&parameters).map_err(|error| invalid(format!("parameters: {error}")))?;
        let steps = manifest.steps.into_iter().map(|step| step.into_named(source).map_err(invalid));
        let (checks, repair_agent) = (manifest.contract, manifest.repair_agent);
        Ok(Self {
            name: manifest.name,
            title: manifest.title,
            description: manifest.description,
            parameters,
            files: manifest.files,
            plan: PlanSpec { steps: steps.collect::<Result<_, _>>()? },
            contract: (!checks.is_empty()).then_some(Contract { checks, repair_agent }),
            scripts: source.iter().filter(|(path, _)| path.starts_with("scripts/")).map(clone_pair).collect(),
        })
    }

    /// Returns the template as lists show it.
    pub fn info(&self) -> TemplateInfo {
        TemplateInfo {
            name: self.name.clone(),
            title: self.title.clone(),
            description: self.description.clone(),
            parameters: self.parameters.clone(),
            files: self.files,
        }
    }

    /// Checks parameters and fills in their defaults.
    ///
    /// # Errors
    ///
    /// Fails with a sentence where they do not fit the template's schema.
    pub fn check_params(&self, params: &Map<String, Value>) -> Result<Map<String, Value>, String> {
        let mut filled = params.clone();
        let properties = self.parameters.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            if let Some(default) = property.get("default") {
                filled.entry(name).or_insert_with(|| default.clone());
            }
        }
        let schema = jsonschema::validator_for(&self.parameters).map_err(|error| error.to_string())?;
        let known = || properties.map(|all| all.keys().cloned().collect::<Vec<_>>().join(", ")).unwrap_or_default();
        match schema.validate(&Value::Object(filled.clone())) {
            Ok(()) => Ok(filled),
            Err(error) => Err(format!("parameters of {}: {error} (they are: {})", self.name, known())),
        }
    }
}

fn clone_pair((path, bytes): (&String, &Bytes)) -> (String, Bytes) {
    (path.clone(), bytes.clone())
}

impl ManifestStep {
    /// Makes a step of the plan.
    fn into_named(self, source: &TemplateSource) -> Result<StepSpec, String> {
        let id = self.id.clone().ok_or("a step has an `id`")?;
        self.into_spec(source).map_err(|why| format!("step {id}: {why}"))
    }

    fn into_spec(self, source: &TemplateSource) -> Result<StepSpec, String> {
        let prompt = match (self.prompt, self.prompt_file) {
            (Some(_), Some(_)) => return Err("`prompt` or `prompt_file`, not both".to_owned()),
            (prompt, None) => prompt,
            (None, Some(file)) => Some(text_of(source, &file)?),
        };
        let schema = match (self.schema, self.schema_file) {
            (Some(_), Some(_)) => return Err("`schema` or `schema_file`, not both".to_owned()),
            (None, Some(file)) => {
                let schema = serde_json::from_str(&text_of(source, &file)?);
                Some(SchemaSpec::Inline(schema.map_err(|error| format!("{file}: {error}"))?))
            }
            (path, None) => path.map(SchemaSpec::From),
        };
        let each = self.each.map(|each| each.into_spec(source).map(Box::new)).transpose()?;
        Ok(StepSpec {
            id: self.id,
            kind: self.kind,
            title: self.title,
            agent: self.agent,
            prompt,
            tool: self.tool,
            args: self.args,
            schema,
            over: self.over,
            each,
            retry: self.retry,
            when: self.when,
            optional: self.optional,
            max_output_tokens: self.max_output_tokens,
            after: self.after,
        })
    }
}

fn text_of(source: &TemplateSource, file: &str) -> Result<String, String> {
    let bytes = source.get(file).ok_or_else(|| format!("{file} is missing"))?;
    String::from_utf8(bytes.to_vec()).map_err(|error| format!("{file}: {error}"))
}

/// Loads the built-in templates and those of a folder, by name; an operator's own replaces a built-in one.
///
/// # Errors
///
/// Fails where a template cannot be used.
pub fn load_templates(folder: Option<&Path>) -> Result<BTreeMap<String, Template>, TemplateError> {
    let mut templates = BTreeMap::new();
    for (name, source) in built_in::sources() {
        templates.insert(name.to_owned(), Template::parse(name, &source)?);
    }
    for (name, source) in own_sources(folder)? {
        let template = Template::parse(&name, &source)?;
        templates.insert(name, template);
    }
    Ok(templates)
}

fn own_sources(folder: Option<&Path>) -> Result<Vec<(String, TemplateSource)>, TemplateError> {
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else { return Ok(Vec::new()) };
    let mut sources = Vec::new();
    for entry in folder.read_dir().map_err(|error| io(folder, error))? {
        let path = entry.map_err(|error| io(folder, error))?.path();
        if path.join("template.toml").is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let mut source = TemplateSource::new();
            read_folder(&path, "", &mut source)?;
            check_size(&name, &source)?;
            sources.push((name, source));
        }
    }
    sources.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(sources)
}

fn read_folder(folder: &Path, prefix: &str, into: &mut TemplateSource) -> Result<(), TemplateError> {
    for entry in folder.read_dir().map_err(|error| io(folder, error))? {
        let entry = entry.map_err(|error| io(folder, error))?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let kind = entry.file_type().map_err(|error| io(&path, error))?;
        if kind.is_dir() && name != "__pycache__" {
            read_folder(&path, &format!("{prefix}{name}/"), into)?;
        } else if kind.is_file() && into.len() <= FILES_MAX {
            let bytes = std::fs::read(&path).map_err(|error| io(&path, error))?;
            into.insert(format!("{prefix}{name}"), bytes.into());
        }
    }
    Ok(())
}

fn check_size(name: &str, source: &TemplateSource) -> Result<(), TemplateError> {
    let bytes: u64 = source.values().map(|file| file.len() as u64).sum();
    match source.len() <= FILES_MAX && bytes <= BYTES_MAX {
        true => Ok(()),
        false => {
            let what = format!("a template has at most {FILES_MAX} files and {BYTES_MAX} bytes");
            Err(TemplateError::Invalid { name: name.to_owned(), what })
        }
    }
}

fn io(path: &Path, error: std::io::Error) -> TemplateError {
    TemplateError::Io { path: path.display().to_string(), error }
}
