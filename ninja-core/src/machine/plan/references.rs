//! Paths in a plan: each names something that is there when its step starts.
//!
//! A mistyped name would be filled in as nothing, and a step that runs side by side may or may not have ended; both are
//! mistakes that only the author can mend, so they are told at submission.

use std::collections::HashMap;

use crate::{
    api::{SchemaSpec, StepId},
    journal::record::{Action, PlannedStep},
    machine::{
        PlanError,
        values::{self, Piece},
    },
};

/// Checks every path of a plan whose predecessors come first.
///
/// # Errors
///
/// Fails with the first step that refers to something unknown, or to a step that does not end before it.
pub(super) fn check(steps: &[PlannedStep]) -> Result<(), PlanError> {
    let index: HashMap<&str, usize> = steps.iter().enumerate().map(|(at, step)| (step.id.as_str(), at)).collect();
    let mut before: Vec<Vec<bool>> = Vec::with_capacity(steps.len());
    for step in steps {
        let known = ends_before(step, &index, &before);
        for path in paths(step) {
            check_path(&path, &index, &known)
                .map_err(|what| PlanError::Step { step: step.id.clone(), what: format!("`{path}` {what}") })?;
        }
        before.push(known);
    }
    Ok(())
}

/// Returns for each step of the plan whether it ends before this one starts, near or far.
fn ends_before(step: &PlannedStep, index: &HashMap<&str, usize>, before: &[Vec<bool>]) -> Vec<bool> {
    let mut known = vec![false; index.len()];
    for at in step.after.iter().filter_map(|id: &StepId| index.get(id.as_str()).copied()) {
        let farther = before.get(at).into_iter().flatten();
        for (mark, is_before) in known.iter_mut().zip(farther) {
            *mark |= is_before;
        }
        if let Some(mark) = known.get_mut(at) {
            *mark = true;
        }
    }
    known
}

fn check_path(path: &str, index: &HashMap<&str, usize>, known: &[bool]) -> Result<(), String> {
    let mut parts = path.trim().split('.');
    match parts.next() {
        Some("steps") => {
            let name = parts.next().unwrap_or_default();
            let at = index.get(name).ok_or_else(|| format!("names a step `{name}` that is not in the plan"))?;
            match (known.get(*at), parts.next()) {
                (Some(true), Some("output" | "status")) => Ok(()),
                (Some(true), _) => Err("ends neither in `output` nor in `status`".to_owned()),
                (Some(false) | None, _) => Err(format!("needs `{name}` in `after`: it may not have ended yet")),
            }
        }
        // What names nothing of ours is text: other languages have double braces too.
        Some(_) | None => Ok(()),
    }
}

/// Returns every path that a step names.
pub(super) fn paths(step: &PlannedStep) -> Vec<String> {
    let mut found: Vec<String> = step.when.clone().into_iter().collect();
    paths_of_action(&step.action, &mut found);
    found
}

fn paths_of_action(action: &Action, found: &mut Vec<String>) {
    let mut of_text = |text: &str| {
        found.extend(values::pieces(text).filter_map(|piece| match piece {
            Piece::Path(path) => Some(path.to_owned()),
            Piece::Text(_) => None,
        }));
    };
    match action {
        Action::Agent { prompt, schema, .. } => {
            of_text(prompt);
            if let Some(SchemaSpec::From(path)) = schema {
                found.push(path.clone());
            }
        }
        Action::Tool { args, .. } => values::paths_in(args, &mut |path| found.push(path.to_owned())),
        Action::Approval { prompt } => of_text(prompt),
        Action::Map { over, each } => {
            found.push(over.clone());
            paths_of_action(&each.action, found);
        }
        Action::Plan { .. } | Action::Contract => {}
    }
}

/// Returns the step that a path leads to, if to one.
pub(super) fn step_of(path: &str) -> Option<&str> {
    path.trim().strip_prefix("steps.")?.split('.').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(id: &str, after: &[&str], prompt: &str) -> PlannedStep {
        PlannedStep {
            after: after.iter().map(|id| id.parse().unwrap()).collect(),
            ..super::super::spec::bare_step(id.parse().unwrap(), Action::Approval { prompt: prompt.to_owned() })
        }
    }

    #[test]
    fn a_path_names_what_is_there_when_its_step_starts() {
        let told = |prompt: &str| {
            let steps =
                [step("a", &[], "?"), step("b", &["a"], "?"), step("side", &[], "?"), step("c", &["b"], prompt)];
            check(&steps).map_err(|error| error.to_string())
        };
        for right in [
            "{{.Name}} {{ x }}",
            "{{goal}}",
            "{{ params.x }} {{inputs.0.name}}",
            "{{steps.a.output.deep.er}} {{steps.b.status}}",
        ] {
            assert_eq!(told(right), Ok(()), "{right}");
        }
        for (wrong, why) in [
            ("{{steps.typo.output}}", "a step `typo` that is not in the plan"),
            ("{{steps.side.output}}", "needs `side` in `after`"),
            ("{{steps.c.output}}", "needs `c` in `after`"),
            ("{{steps.a.result}}", "neither in `output` nor in `status`"),
        ] {
            let error = told(wrong).unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }
}
