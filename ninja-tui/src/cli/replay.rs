//! `ninja replay TASK`: what a task did, decided once more from its log, without a model.

use ninja_sdk::api::{EventBody, FieldDifference, ReplayReport};

use super::{Exit, Failure, Output, name::ask_of};
use crate::{
    Connector, Session,
    format::{number, one_line},
    progress,
};

/// The arguments of `ninja replay`.
#[derive(Debug, clap::Args)]
pub struct Replay {
    /// The task's id, or four or more characters of its beginning or end
    task: String,
    /// Print the report as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Replay {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let ask = async |session: &Session, id| Ok(session.ninja().replay_task(id).await?);
        let report = ask_of(connector, &self.task, ask).await?;
        match output.json {
            true => output.json(&report),
            false => tell(output, &report),
        }
        Ok(if report.same { Exit::Done } else { Exit::Failed })
    }
}

fn tell(output: &Output, report: &ReplayReport) {
    let verdict = match report.same {
        true => output.good("the same"),
        false => output.bad("not the same"),
    };
    output.say(&format!("{} replayed: {verdict}", report.task));
    let mut parts = vec![format!("{} decided again as recorded", number(report.decided))];
    parts.push(format!("{} taken as given", number(report.given)));
    if report.external > 0 {
        parts.push(format!("{} written when it was set aside", number(report.external)));
    }
    output.say(&format!("  {} records: {}", number(report.records), parts.join(", ")));
    output.say(&format!(
        "  {} results of calls taken from the log; {} calls to a model",
        number(report.outcomes_reused),
        number(report.provider_calls)
    ));
    output.say(&format!("  {} files read and hashed", number(report.artifacts_checked)));
    for path in &report.artifacts_damaged {
        output.say(&format!("  {} {}", output.bad("damaged:"), one_line(path)));
    }
    output.say(&format!("  it stands at: {}", report.status.as_str()));
    if let Some(difference) = &report.first_difference {
        output.say(&format!("  record {} is not what is decided now:", difference.seq));
        output.say(&format!("    recorded: {}", event(difference.recorded.as_ref(), "nothing: the log ends")));
        output.say(&format!("    now:      {}", event(difference.decided.as_ref(), "nothing")));
        difference.field.iter().for_each(|found| output.say(&format!("    {}", field(found))));
    }
}

fn event(event: Option<&EventBody>, otherwise: &str) -> String {
    event.map_or_else(|| otherwise.to_owned(), progress::words)
}

/// Writes the field in which two things differ.
pub(super) fn field(found: &FieldDifference) -> String {
    let side = |value: &Option<String>| value.as_deref().map_or_else(|| "(nothing)".to_owned(), one_line);
    format!("{}: {} | {}", one_line(&found.path), side(&found.a), side(&found.b))
}
