//! What a task may use: set aside before each call at the most that it can come to, settled after it at what it came to.
//! Where something would go beyond, the step waits; a person who raises the budget lets it go on.

use std::collections::BTreeSet;

use super::{
    decide::{Draft, Refusal},
    room::Short,
    state::{HoldFor, TaskState},
    turn,
};
use crate::{
    api::{Budget, BudgetLimit, BudgetOf, StepId, StepStatus, Timestamp, Usage, UserId},
    journal::record::{Intent, Outcome, PinnedModel, Record},
};

/// A task is warned when this share of a limit is used, in percent.
const WARNED_AT_PERCENT: u128 = 80;

/// What is set aside for a model call.
#[derive(Clone, Copy)]
pub(super) struct Reserve {
    pub tokens: u64,
    /// `None` where the model's price is not known.
    pub micro_usd: Option<u64>,
}

/// Returns what a call may use at the most, if the budget has room for it.
pub(super) fn reserve(
    state: &TaskState,
    pinned: &PinnedModel,
    input_tokens: u64,
    output_tokens: u64,
    now: Timestamp,
) -> Result<Reserve, Short> {
    check_time(state, now)?;
    let most = Usage { input_tokens, output_tokens, ..Usage::default() };
    let reserve = Reserve { tokens: most.tokens(), micro_usd: pinned.price.map(|price| price.cost_micro_usd(&most)) };
    let Budget { tokens, cost_micro_usd, .. } = state.budget;
    check(BudgetLimit::Tokens, tokens, state.usage.tokens(), state.reserved_tokens, reserve.tokens)?;
    match (cost_micro_usd, reserve.micro_usd) {
        (None, _) => {}
        (Some(_), None) => {
            let detail = format!("the price of {} is not known, and the budget is in money", pinned.model);
            return Err(short(BudgetLimit::Cost, detail));
        }
        (most, Some(wanted)) => {
            check(BudgetLimit::Cost, most, state.usage.cost_micro_usd, state.reserved_micro_usd, wanted)?;
        }
    }
    Ok(reserve)
}

fn check(limit: BudgetLimit, most: Option<u64>, used: u64, reserved: u64, wanted: u64) -> Result<(), Short> {
    match most {
        Some(most) if used.saturating_add(reserved).saturating_add(wanted) > most => {
            let [most, used, reserved, wanted] = [most, used, reserved, wanted].map(|amount| limit.amount(amount));
            let detail = format!("the next call may use {wanted}; of {most} {used} are used and {reserved} set aside");
            Err(short(limit, detail))
        }
        _ => Ok(()),
    }
}

/// Returns why a step must not begin, if the budget says so, `more` others being about to begin.
pub(super) fn may_begin(state: &TaskState, now: Timestamp, more: u64) -> Result<(), Short> {
    check_time(state, now)?;
    match state.budget.steps {
        Some(most) if state.steps_begun + more >= most => {
            let detail = format!("{most} steps have begun, second attempts and parts of steps counted");
            Err(short(BudgetLimit::Steps, detail))
        }
        _ => Ok(()),
    }
}

fn check_time(state: &TaskState, now: Timestamp) -> Result<(), Short> {
    match state.budget.seconds {
        Some(most) if seconds_since(state.created_at, now) >= most => {
            Err(short(BudgetLimit::Seconds, format!("{most} seconds have passed since it was submitted")))
        }
        _ => Ok(()),
    }
}

/// Says what the task's own limits stand against.
fn short(limit: BudgetLimit, detail: String) -> Short {
    Short { limit, of: BudgetOf::Task, detail, until: None }
}

fn seconds_since(from: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.as_second() - from.as_second()).unwrap_or(0)
}

/// Lets a step wait for more. `feedback` is what its model is to be told then.
pub(super) fn pause(draft: &mut Draft<'_>, id: &StepId, short: Short, feedback: Option<String>) {
    let Short { limit, of, detail, until } = short;
    draft.push(Record::BudgetPaused { step: id.clone(), limit, of, detail, until, feedback });
}

/// Goes on with the steps that wait for more, in order, for each limit up to the first for which there is still not enough:
/// what was set aside for others comes back when they are done.
pub(super) fn resume_where_enough(draft: &mut Draft<'_>) {
    let held = draft.state.steps.iter().filter_map(|step| match step.hold?.what {
        HoldFor::Budget { limit, of, until } => Some((step.planned.id.clone(), (limit, of, until))),
        HoldFor::Provider { .. } => None,
    });
    let held: Vec<_> = held.collect();
    let (mut wanting, mut about_to_begin) = (BTreeSet::new(), 0);
    for (id, waits_for) in held {
        let Some(step) = draft.state.step(&id) else { continue };
        let (limit, of, until) = waits_for;
        let is_over = until.is_some_and(|until| until <= draft.now);
        if wanting.contains(&(limit, of)) && !is_over {
            continue;
        }
        let has_begun = step.status != StepStatus::Pending;
        let enough = match has_begun {
            false => may_begin(&draft.state, draft.now, about_to_begin),
            true => turn::check_budget_for_next(draft, step),
        };
        if let Err(short) = enough {
            // What will never have room is in nobody's way.
            if short.of.is_task() || short.until.is_some() {
                wanting.insert((short.limit, short.of));
            }
            // It is another limit now that stands against it, or the same for another time.
            if (short.limit, short.of, short.until) != waits_for {
                let feedback = step.held_feedback.clone();
                pause(draft, &id, short, feedback);
            }
            continue;
        }
        about_to_begin += u64::from(!has_begun);
        draft.push(Record::StepResumed { step: id.clone() });
        turn::continue_turn(draft, &id);
    }
}

/// Changes the limits: a person gives more, or less.
pub(super) fn change(draft: &mut Draft<'_>, by: UserId, wanted: Budget) -> Result<(), Refusal> {
    let old = draft.state.budget;
    let budget = Budget {
        tokens: wanted.tokens.or(old.tokens),
        cost_micro_usd: wanted.cost_micro_usd.or(old.cost_micro_usd),
        seconds: wanted.seconds.or(old.seconds),
        steps: wanted.steps.or(old.steps),
    };
    if budget == old {
        return Err(Refusal::SameBudget);
    }
    if let (Some(_), Some(PinnedModel { model, price: None, .. })) =
        (wanted.cost_micro_usd, &draft.state.submitted.model)
    {
        return Err(Refusal::Unpriced(model.clone()));
    }
    draft.push(Record::BudgetChanged { by, budget });
    Ok(())
}

/// Tells once of each limit that is nearly used up.
pub(super) fn warn(draft: &mut Draft<'_>) {
    for (limit, used, most) in used_of(&draft.state, draft.now) {
        if is_nearly_used(used, most) && !draft.state.warned.contains(&limit) {
            draft.push(Record::BudgetWarned { limit, used, most });
        }
    }
}

/// Returns whether so much of a limit is used that it is to be told.
pub fn is_nearly_used(used: u64, most: u64) -> bool {
    u128::from(used) * 100 >= u128::from(most) * WARNED_AT_PERCENT
}

fn used_of(state: &TaskState, now: Timestamp) -> Vec<(BudgetLimit, u64, u64)> {
    let Budget { tokens, cost_micro_usd, seconds, steps } = state.budget;
    let limits = [
        (BudgetLimit::Tokens, tokens, state.usage.tokens()),
        (BudgetLimit::Cost, cost_micro_usd, state.usage.cost_micro_usd),
        (BudgetLimit::Seconds, seconds, seconds_since(state.created_at, now)),
        (BudgetLimit::Steps, steps, state.steps_begun),
    ];
    limits.into_iter().filter_map(|(limit, most, used)| Some((limit, used, most?))).collect()
}

/// Puts what an answer cost on it, at the price that was pinned.
pub(super) fn price(pinned: Option<&PinnedModel>, outcome: &mut Outcome) {
    let Outcome::Answered(answer) = outcome else { return };
    match pinned.and_then(|pinned| pinned.price) {
        Some(price) => answer.usage.cost_micro_usd = price.cost_micro_usd(&answer.usage),
        None => answer.usage.unpriced_calls = 1,
    }
}

/// Returns the charge for a model call whose outcome is not known: its reserve, marked as estimated.
pub(super) fn charge_of_lost(intent: &Intent) -> Usage {
    let Intent::Model { reserved_tokens, reserved_micro_usd, .. } = intent else {
        return Usage { tool_calls: 1, ..Usage::default() };
    };
    Usage {
        input_tokens: *reserved_tokens,
        estimated_tokens: *reserved_tokens,
        model_calls: 1,
        cost_micro_usd: reserved_micro_usd.unwrap_or(0),
        unpriced_calls: u64::from(reserved_micro_usd.is_none()),
        ..Usage::default()
    }
}
