//! Tools: what agents and plans may do, each with a schema of its arguments and the class of its effect.
//!
//! [`Tool`] is the contract and [`ToolSet`] the catalogue. File tools work on the host through the workspace's handle;
//! code runs in the sandbox; what is fetched goes through `egress`. Tools do not know journals: the engine commits intents before and receipts after, by
//! the tool's effect class.

mod ask;
mod check;
mod code;
mod delegate;
mod edit;
mod files;
mod glob;
mod list;
mod read;
mod search;
mod set;
#[cfg(test)]
mod tests;
mod tool;
mod web;
mod write;

pub use ask::Ask;
pub use check::{CheckFile, CheckUrl, check_path_pattern, check_pattern, check_schema};
pub use code::{Python, Shell, TEMPLATE};
pub use delegate::Delegate;
pub use edit::EditFile;
pub use list::ListFiles;
pub use read::ReadFile;
pub use search::SearchFiles;
pub use set::ToolSet;
pub use tool::{ShownFile, Tool, ToolError, ToolOutput, ToolRun};
pub use web::WebFetch;
pub use write::WriteFile;
