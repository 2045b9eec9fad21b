//! A question on this terminal, and the answer a person types.

use std::io::{self, Write};

use ninja_sdk::api::{Approval, ApprovalKind, Decision};

/// Asks and reads until the answer makes sense. Nothing when nobody answers (the input has ended).
/// Blocks its thread while the person thinks.
pub(super) fn ask(approval: &Approval) -> io::Result<Option<Decision>> {
    loop {
        let mut stderr = io::stderr().lock();
        write!(stderr, "{} ", prompt(approval.kind))?;
        stderr.flush()?;
        drop(stderr);
        let mut line = String::new();
        if io::stdin().read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if let Some(decision) = parse(approval.kind, line.trim()) {
            return Ok(Some(decision));
        }
    }
}

fn prompt(kind: ApprovalKind) -> &'static str {
    match kind {
        ApprovalKind::Approval => "approve? [y]es, [n]o:",
        ApprovalKind::Plan => "approve the plan? [y]es, [n]o, or what should be different:",
        ApprovalKind::Ambiguous => "did it happen? [y]es, [n]o, [a]bort the task:",
        ApprovalKind::Question => "your answer:",
    }
}

/// Returns the decision that a line means; nothing when it means none.
fn parse(kind: ApprovalKind, line: &str) -> Option<Decision> {
    let word = line.to_ascii_lowercase();
    match (kind, word.as_str()) {
        (ApprovalKind::Question | ApprovalKind::Plan, "") => None,
        (ApprovalKind::Question, _) => Some(Decision::Answer { text: line.to_owned() }),
        (ApprovalKind::Approval | ApprovalKind::Plan, "y" | "yes") => Some(Decision::Approve),
        (ApprovalKind::Approval | ApprovalKind::Plan, "n" | "no") => Some(Decision::Deny),
        // One letter is a slip, not a wish.
        (ApprovalKind::Plan, word) if word.len() < 4 => None,
        (ApprovalKind::Plan, _) => Some(Decision::Answer { text: line.to_owned() }),
        (ApprovalKind::Ambiguous, "y" | "yes") => Some(Decision::Happened),
        (ApprovalKind::Ambiguous, "n" | "no") => Some(Decision::DidNotHappen),
        (ApprovalKind::Ambiguous, "a" | "abort") => Some(Decision::Abort),
        (ApprovalKind::Approval | ApprovalKind::Ambiguous, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_word_decides() {
        assert_eq!(parse(ApprovalKind::Approval, "Yes"), Some(Decision::Approve));
        assert_eq!(parse(ApprovalKind::Approval, "n"), Some(Decision::Deny));
        for unclear in ["", "yep", "maybe", "a"] {
            assert_eq!(parse(ApprovalKind::Approval, unclear), None, "{unclear}");
        }
        assert_eq!(parse(ApprovalKind::Ambiguous, "n"), Some(Decision::DidNotHappen));
        assert_eq!(parse(ApprovalKind::Question, "No"), Some(Decision::Answer { text: "No".into() }));
        assert_eq!(parse(ApprovalKind::Question, ""), None);
    }
}
