//! What a task promises: a template's checks and the request's own, looked at before anything is accepted.

use super::invalid;
use crate::{
    api::{ApiError, Check, Contract},
    journal::record::Pins,
    machine::{call_of_check, check_args, is_too_deep},
    planner::Template,
    tools::{check_path_pattern, check_pattern, check_schema},
};

/// Checks of one contract.
const CHECKS_MAX: usize = 20;

/// Who mends what a command found, where nobody is named: the default agent may have no shell.
const MENDER: &str = "debugger";

/// Puts the template's checks before the request's.
pub(super) fn combine(template: Option<&Template>, own: Option<Contract>) -> Option<Contract> {
    match (template.and_then(|template| template.contract.clone()), own) {
        (Some(mut contract), Some(own)) => {
            contract.checks.extend(own.checks);
            contract.repair_agent = own.repair_agent.or(contract.repair_agent);
            Some(contract)
        }
        (contract, own) => own.or(contract),
    }
}

/// Names who mends what does not hold, where the contract does not. So it is pinned like the rest.
pub(super) fn complete(contract: &mut Contract, pins: &Pins) {
    let has_command = contract.checks.iter().any(|check| matches!(check, Check::Command { .. }));
    if contract.repair_agent.is_none() && has_command && pins.agents.contains_key(MENDER) {
        contract.repair_agent = Some(MENDER.to_owned());
    }
}

/// Refuses a contract that could not be checked.
pub(super) fn check(contract: &Contract, pins: &Pins) -> Result<(), ApiError> {
    let count = contract.checks.len();
    if !(1..=CHECKS_MAX).contains(&count) {
        return Err(invalid(format!("a contract has 1 to {CHECKS_MAX} checks, this one has {count}")));
    }
    if let Some(agent) = contract.repair_agent.as_ref().filter(|agent| !pins.agents.contains_key(*agent)) {
        return Err(invalid(format!("the contract's `repair_agent`: there is no agent `{agent}`")));
    }
    for (number, check) in (1..).zip(&contract.checks) {
        let (tool, args) = call_of_check(check);
        let checked = match is_too_deep(&args) {
            true => Err("it is nested too deeply".to_owned()),
            false => check_args(pins, tool, &args).map(drop).and_then(|()| check_texts(check)),
        };
        checked.map_err(|why| invalid(format!("check {number} of the contract: {why}")))?;
    }
    Ok(())
}

/// Refuses what could never hold. A text with double braces is not known before it is filled in.
fn check_texts(check: &Check) -> Result<(), String> {
    let Check::File { path, pattern, schema, .. } = check else { return Ok(()) };
    let is_known = |text: &str| !text.contains("{{");
    if is_known(path) {
        check_path_pattern(path)?;
    }
    if let Some(pattern) = pattern.as_ref().filter(|pattern| is_known(pattern)) {
        check_pattern(pattern)?;
    }
    match schema.as_ref().filter(|schema| is_known(&schema.to_string())) {
        Some(schema) => check_schema(schema),
        None => Ok(()),
    }
}
