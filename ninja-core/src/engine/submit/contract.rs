//! What a task promises: a template's checks and the request's own, looked at before anything is accepted.

use super::invalid;
use crate::{
    api::{ApiError, Contract},
    journal::record::Pins,
    machine::{call_of_check, check_args, is_too_deep},
    planner::Template,
};

/// Checks of one contract.
const CHECKS_MAX: usize = 20;

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
            false => check_args(pins, tool, &args).map(drop),
        };
        checked.map_err(|why| invalid(format!("check {number} of the contract: {why}")))?;
    }
    Ok(())
}
