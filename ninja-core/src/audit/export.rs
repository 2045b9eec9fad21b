//! The audit log as text for others: lines of JSON, or a table that a spreadsheet may open without carrying anything out.

use crate::api::{AuditEntry, AuditFormat};

/// The first line of a table.
const HEADINGS: [&str; 12] = [
    "seq",
    "at",
    "action",
    "outcome",
    "user",
    "role",
    "credential",
    "target",
    "ip",
    "user_agent",
    "request_id",
    "detail",
];

/// Returns what comes before the first entry.
pub(crate) fn heading(format: AuditFormat) -> Vec<u8> {
    match format {
        AuditFormat::Ndjson => Vec::new(),
        AuditFormat::Csv => row(HEADINGS.map(str::to_owned)),
    }
}

/// Returns the line of an entry.
pub(crate) fn line(format: AuditFormat, entry: &AuditEntry) -> Vec<u8> {
    match format {
        AuditFormat::Ndjson => {
            let mut line = serde_json::to_vec(entry).expect("an entry has string keys only");
            line.push(b'\n');
            line
        }
        AuditFormat::Csv => row(cells(entry)),
    }
}

fn cells(entry: &AuditEntry) -> [String; 12] {
    let AuditEntry { seq, at, action, outcome, actor, target, ip, user_agent, request_id, detail } = entry;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let actor = actor.as_ref();
    [
        seq.to_string(),
        at.to_string(),
        action.to_string(),
        outcome.as_str().to_owned(),
        actor.map(|actor| actor.user.to_string()).unwrap_or_default(),
        actor.map(|actor| actor.role.as_str().to_owned()).unwrap_or_default(),
        actor.map(|actor| actor.credential.clone()).unwrap_or_default(),
        text(target),
        ip.map(|ip| ip.to_string()).unwrap_or_default(),
        text(user_agent),
        text(request_id),
        text(detail),
    ]
}

/// Writes a row as RFC 4180 has it, with every cell in quotes.
fn row(cells: [String; 12]) -> Vec<u8> {
    let mut line = cells.map(|cell| quoted(&cell)).join(",");
    line.push_str("\r\n");
    line.into_bytes()
}

/// A spreadsheet takes what begins with these for a formula; behind an apostrophe it is text.
fn quoted(cell: &str) -> String {
    let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("\"{guard}{}\"", cell.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{AuditAction, AuditActor, AuditOutcome, Role, Timestamp, UserId};

    #[test]
    fn what_a_client_says_is_text_in_every_cell() {
        let entry = |target: &str, user_agent: &str| AuditEntry {
            seq: 1,
            at: Timestamp::UNIX_EPOCH,
            action: AuditAction::Login,
            outcome: AuditOutcome::Refused,
            actor: Some(AuditActor {
                user: UserId::from_uuid(uuid::Uuid::nil()),
                role: Role::Admin,
                credential: "local".to_owned(),
            }),
            target: Some(target.to_owned()),
            ip: Some([127, 0, 0, 1].into()),
            user_agent: Some(user_agent.to_owned()),
            request_id: None,
            detail: None,
        };
        let entries = [
            entry("=cmd|'/C calc'!A0", "+1"),
            entry("-1", "@SUM(1)"),
            entry("\t=1", "\r=1"),
            entry("a \"quoted\", word", "two\nlines"),
            entry("plain", " =1"),
        ];
        let csv =
            entries.iter().fold(heading(AuditFormat::Csv), |all, entry| [all, line(AuditFormat::Csv, entry)].concat());
        insta::assert_snapshot!("csv", String::from_utf8(csv).unwrap().replace('\r', "␍").replace('\t', "␉"));
        let json = entries.iter().flat_map(|entry| line(AuditFormat::Ndjson, entry)).collect();
        insta::assert_snapshot!("ndjson", String::from_utf8(json).unwrap());
    }
}
