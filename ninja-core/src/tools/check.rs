//! `check_file` and `check_url`: what a step's contract promises, looked at.
//!
//! They prove and change nothing: the machine calls them when a step says that it is done, and keeps what they saw as the
//! evidence. `ok` says whether the promise is kept; a promise that is broken is an answer, with the reason in `why`. The
//! third kind of check is a command, which is the tool `shell`.

mod file;
mod rules;
mod url;

use serde_json::{Value, json};

pub use file::CheckFile;
pub use rules::{check_path_pattern, check_pattern, check_schema};
pub use url::CheckUrl;

use super::ToolOutput;

/// Says what was seen, and with what `why` it is not what was promised.
fn verdict(seen: Value, why: Option<String>) -> ToolOutput {
    let mut output = ToolOutput::done(json!({ "held": why.is_none() }));
    if let (Value::Object(seen), Value::Object(told)) = (seen, &mut output.output) {
        told.extend(seen);
    }
    match why {
        None => output,
        Some(why) => ToolOutput { ok: false, ..output }.with("why", why),
    }
}
