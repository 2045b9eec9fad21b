//! `shell` and `python`: code in the sandbox.
//!
//! What a model writes is one argument of one program inside, or its standard input: it never meets a shell of the
//! host.

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Tool, ToolError, ToolOutput, ToolRun, files::parse_path, tool::define};
use crate::{
    api::EffectClass,
    providers::ToolDefinition,
    sandbox::{ProcessEnd, ProcessOutput, ProcessSpec, SandboxError},
};

/// Where a task's template is mounted.
pub const TEMPLATE: &str = "/ninja/template";

/// What every process starts with; a call's own variables come after.
const PLAIN_ENV: [(&str, &str); 6] = [
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("HOME", "/tmp"),
    ("LANG", "C.UTF-8"),
    ("TMPDIR", "/tmp"),
    // Compiled modules would show up as changes of the workspace.
    ("PYTHONDONTWRITEBYTECODE", "1"),
    // What was printed before a kill is told.
    ("PYTHONUNBUFFERED", "1"),
];

/// What a shell calls the end by signal 9, which is how a limit ends a process.
const KILLED_EXIT: i32 = 137;

/// Runs a command with bash.
#[derive(Debug, Clone, Copy)]
pub struct Shell;

#[derive(Deserialize)]
struct ShellArgs {
    command: String,
    timeout_seconds: Option<u64>,
}

impl Tool for Shell {
    fn definition(&self) -> ToolDefinition {
        define(
            "shell",
            "Runs a bash command in a sandbox without network. The working folder is the workspace; `/tmp` does not last.",
            json!({
                "command": { "type": "string", "minLength": 1, "description": "The command" },
                "timeout_seconds": { "type": "integer", "minimum": 1, "description": "Kill it after this time" },
            }),
            &["command"],
        )
    }

    fn effect_class(&self) -> EffectClass {
        EffectClass::Workspace
    }

    fn run<'a>(&'a self, call: ToolRun<'a>) -> BoxFuture<'a, Result<ToolOutput, ToolError>> {
        Box::pin(async move {
            let args: ShellArgs = call.parse()?;
            let argv = ["/bin/bash", "-c", &args.command];
            let output = execute(&call, &argv, Vec::new(), args.timeout_seconds).await?;
            report(&call, &output, args.timeout_seconds)
        })
    }
}

/// Runs Python code, or a script of the template.
#[derive(Debug, Clone, Copy)]
pub struct Python;

#[derive(Deserialize)]
struct PythonArgs {
    code: Option<String>,
    script: Option<String>,
    timeout_seconds: Option<u64>,
}

impl Tool for Python {
    fn definition(&self) -> ToolDefinition {
        define(
            "python",
            "Runs Python 3 code in a sandbox without network. The working folder is the workspace. Print what you want to know.",
            json!({
                "code": { "type": "string", "minLength": 1, "description": "The program" },
                "script": { "type": "string", "minLength": 1, "description": "Instead of `code`: a script of the task's template" },
                "timeout_seconds": { "type": "integer", "minimum": 1, "description": "Kill it after this time" },
            }),
            &[],
        )
    }

    fn effect_class(&self) -> EffectClass {
        EffectClass::Workspace
    }

    fn run<'a>(&'a self, call: ToolRun<'a>) -> BoxFuture<'a, Result<ToolOutput, ToolError>> {
        Box::pin(async move {
            let args: PythonArgs = call.parse()?;
            let (script, stdin) = match (args.code, args.script) {
                (Some(code), None) => ("-".to_owned(), code.into_bytes()),
                (None, Some(script)) => match parse_path(&script) {
                    Ok(script) => (format!("{TEMPLATE}/{script}"), Vec::new()),
                    Err(refused) => return Ok(refused),
                },
                (Some(_), Some(_)) | (None, None) => {
                    return Err(ToolError::InvalidArgs("give either `code` or `script`".to_owned()));
                }
            };
            let output = execute(&call, &["/usr/bin/python3", &script], stdin, args.timeout_seconds).await?;
            let told = report(&call, &output, args.timeout_seconds)?;
            let whole = told.ok && !output.stdout.truncated;
            Ok(match serde_json::from_str::<Value>(&output.stdout.text) {
                Ok(json) if whole => told.with("json", json),
                Ok(_) | Err(_) => told,
            })
        })
    }
}

async fn execute(
    call: &ToolRun<'_>,
    argv: &[&str],
    stdin: Vec<u8>,
    timeout_seconds: Option<u64>,
) -> Result<ProcessOutput, ToolError> {
    let plain = PLAIN_ENV.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut limits = call.limits;
    limits.wall_seconds = limits.wall_seconds.min(timeout_seconds.unwrap_or(u64::MAX));
    let spec = ProcessSpec {
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        env: plain.chain(call.env.iter().cloned()).collect(),
        stdin,
        workspace: call.workspace.path().to_owned(),
        mounts: call.mounts.to_vec(),
        limits,
    };
    call.sandbox.run(spec, call.cancel.clone()).await.map_err(|error| match error {
        SandboxError::Unavailable(reason) => ToolError::NoSandbox(reason),
        SandboxError::Interrupted { blamed } => ToolError::Interrupted { blamed },
        SandboxError::Failed(reason) => ToolError::Internal(reason),
    })
}

/// Says what a process did: `{"exit", "stdout", "stderr", "truncated"}`, and `error` where a limit ended it.
fn report(call: &ToolRun<'_>, process: &ProcessOutput, timeout_seconds: Option<u64>) -> Result<ToolOutput, ToolError> {
    let limits = call.limits;
    let (exit, error) = match process.end {
        ProcessEnd::Exited(code) => (code, None),
        ProcessEnd::Signaled(25) => (
            128 + 25,
            Some(format!(
                "it wrote more than allowed: {} MiB in a file, 512 MiB or 10,000 files in all",
                limits.file_mib
            )),
        ),
        ProcessEnd::Signaled(signal) => (128 + signal, None),
        ProcessEnd::OutOfMemory => {
            (KILLED_EXIT, Some(format!("it used more than {} MiB of memory and was killed", limits.memory_mib)))
        }
        ProcessEnd::TimedOut => {
            let seconds = limits.wall_seconds.min(timeout_seconds.unwrap_or(u64::MAX));
            (KILLED_EXIT, Some(format!("it was not done after {seconds} s and was killed")))
        }
        ProcessEnd::Cancelled => return Err(ToolError::Cancelled { killed: process.killed }),
    };
    let output = json!({
        "exit": exit,
        "stdout": process.stdout.text,
        "stderr": process.stderr.text,
        "truncated": process.stdout.truncated || process.stderr.truncated,
    });
    let told =
        ToolOutput { ok: process.end == ProcessEnd::Exited(0), output, killed: process.killed, images: Vec::new() };
    Ok(match error {
        Some(error) => told.with("error", error),
        None => told,
    })
}
