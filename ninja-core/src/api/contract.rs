//! Contracts: what must hold before a task may say that it succeeded.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What must hold at the end of a task. Where it does not, the model gets one round to mend it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// The checks, made in this order: 1 to 20.
    pub checks: Vec<Check>,
    /// The agent that mends what does not hold. Where none is given: `debugger` if a command is among the checks, else the
    /// configured default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair_agent: Option<String>,
}

/// One thing that must hold. Texts are filled in like prompts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Check {
    /// A file of the workspace is there.
    File {
        /// Where; `*` stands for any part of one name.
        path: String,
        /// It has at least this many bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_bytes: Option<u64>,
        /// A regular expression that stands somewhere in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pattern: Option<String>,
        /// It is JSON that matches this schema.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema: Option<Value>,
    },
    /// A command passes in the sandbox. What it changes is thrown away.
    Command {
        /// The command, run by bash in the workspace.
        command: String,
        /// It is killed after this time, and then did not pass.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_seconds: Option<u64>,
    },
    /// A URL answers.
    Url {
        /// Which.
        url: String,
        /// With this status; any of 200 to 299 where none is given.
        #[cfg_attr(feature = "openapi", schema(minimum = 100, maximum = 599))]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// With this text somewhere in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contains: Option<String>,
    },
}
