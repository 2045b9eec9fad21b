//! What a task may come to, before it has begun. Prompts are counted as they would be sent; what models and tools say to them
//! is not known and taken to be of a usual size.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    context::{choose, offered_tools},
    contract, models, nest,
    state::{StepState, TaskState},
    turn::PLANNER_TURNS_MAX,
    values::{self, Scope},
};
use crate::{
    api::{ApiError, ErrorCode, Forecast, ForecastStep, Outlook, Span, StepId, Usage},
    journal::record::{Action, Entry, MapStep, PinnedModel, Record},
};

/// Tokens of a short answer.
const ANSWER_LEAST: u64 = 20;
/// Tokens of a usual answer: a tool call with its arguments, or a few paragraphs.
const ANSWER_LIKELY: u64 = 400;
/// Tokens of what a tool usually returns.
const RESULT_LIKELY: u64 = 600;
/// Calls of an agent that has tools.
const TURNS_LIKELY: u32 = 5;
/// Items of a list, and steps of a plan, that nobody knows yet.
const PARTS_LIKELY: u64 = 3;

/// Says what a task that has not begun may come to.
pub fn forecast(state: &TaskState) -> Forecast {
    let mut foreseen = Foreseen { state, assumed: BTreeSet::new() };
    let steps: Vec<ForecastStep> = state.steps.iter().map(|step| foreseen.step(step)).collect();
    let total = steps.iter().fold(Outlook::NOTHING, |sum, step| sum.plus(step.outlook)).plus(foreseen.repair());
    let total = foreseen.within_budget(total);
    Forecast { steps, total, assumed: foreseen.assumed.into_iter().collect() }
}

struct Foreseen<'a> {
    state: &'a TaskState,
    assumed: BTreeSet<String>,
}

impl Foreseen<'_> {
    fn step(&mut self, step: &StepState) -> ForecastStep {
        let planned = &step.planned;
        let (outlook, error) = match self.attempt(step) {
            Ok(outlook) => (outlook, None),
            Err(error) => (Outlook::NOTHING, Some(error)),
        };
        let attempts = planned.retry.map_or(1, |retry| u64::from(retry.attempts));
        let may_be_left_out = planned.when.is_some();
        let bounds = |span: Span| Span {
            least: if may_be_left_out { 0 } else { span.least },
            most: span.most.map(|most| most.saturating_mul(attempts)),
            ..span
        };
        let calls_model = outlook.calls.likely > 0;
        ForecastStep {
            id: planned.id.clone(),
            kind: planned.action.kind(),
            title: planned.title.clone(),
            actor: planned.action.actor().map(str::to_owned),
            after: planned.after.clone(),
            model: self.answering(step).filter(|_| calls_model).map(|first| first.model.clone()),
            outlook: outlook.map(bounds),
            error,
        }
    }

    /// Returns the model that answers a step, or each part of it.
    fn answering(&self, step: &StepState) -> Option<&PinnedModel> {
        match &step.planned.action {
            Action::Map { each, .. } => {
                let part = nest::parts(step, each, vec![Value::Null]).pop().map(StepState::new)?;
                models::line_up(self.state, &part).first()
            }
            _ => models::line_up(self.state, step).first(),
        }
    }

    /// Returns what one attempt of a step comes to.
    fn attempt(&mut self, step: &StepState) -> Result<Outlook, ApiError> {
        match &step.planned.action {
            Action::Agent { agent, .. } => self.agent(step, agent),
            Action::Plan { .. } => self.plan(step),
            Action::Map { over, each } => self.map(step, over, each),
            Action::Tool { .. } | Action::Approval { .. } | Action::Contract => Ok(Outlook::NOTHING),
        }
    }

    fn agent(&mut self, step: &StepState, name: &str) -> Result<Outlook, ApiError> {
        let agent = self.state.pins.agents.get(name);
        let turns = agent.map_or(1, |agent| agent.limits.turns);
        let has_tools = models::line_up(self.state, step)
            .first()
            .is_some_and(|pinned| !offered_tools(self.state, step, &pinned.info).is_empty());
        let likely = if has_tools { TURNS_LIKELY.min(turns) } else { 1 };
        let outlook = self.calls(step, likely, turns)?;
        if has_tools {
            self.assume(format!("{TURNS_LIKELY} model calls in a step of an agent with tools"));
            self.assume(format!("{RESULT_LIKELY} tokens for what a tool returns"));
        }
        let delegates = has_tools && agent.is_some_and(|agent| agent.tools.iter().any(|tool| tool == nest::DELEGATE));
        if delegates {
            self.assume(format!("{name} does everything itself: what agents hand on is not foreseen"));
        }
        Ok(if delegates { outlook.map(|span| Span { most: None, ..span }) } else { outlook })
    }

    /// Returns what the calls of an agent or a planner come to, of which there are so many.
    fn calls(&mut self, step: &StepState, likely: u32, most: u32) -> Result<Outlook, ApiError> {
        let mut refused = ApiError::new(ErrorCode::NoProvider, "there is no model");
        let mut sum: Option<Outlook> = None;
        for pinned in models::line_up(self.state, step) {
            match self.calls_of(step, pinned, likely, most) {
                Ok(outlook) => sum = Some(sum.map_or(outlook, |first| either(first, outlook))),
                Err(error) => refused = error,
            }
        }
        self.assume(format!("{ANSWER_LIKELY} tokens for an answer"));
        sum.ok_or(refused)
    }

    /// Returns what they come to where one of the models answers all of them.
    fn calls_of(&self, step: &StepState, pinned: &PinnedModel, likely: u32, most: u32) -> Result<Outlook, ApiError> {
        let (context, prompt) = choose(self.state, step, pinned, None).checked()?;
        let answer_most = u64::from(context.max_output_tokens);
        let room = u64::from(pinned.info.window_tokens).saturating_sub(answer_most);
        let answer = ANSWER_LIKELY.min(answer_most);
        let first = prompt + answer * step.planned.after.len() as u64;
        let grown = |turn: u32| (first + u64::from(turn) * (answer + RESULT_LIKELY)).min(room);
        let likely_input: u64 = (0..likely).map(grown).sum();
        let (likely, most) = (u64::from(likely), u64::from(most));
        Ok(outlook(
            pinned,
            Use { calls: 1, input: prompt, cached: prompt, output: ANSWER_LEAST.min(answer_most) },
            Use { calls: likely, input: likely_input, cached: 0, output: likely * answer },
            Use { calls: most, input: most.saturating_mul(room), cached: 0, output: most.saturating_mul(answer_most) },
        ))
    }

    /// Returns what making a plan comes to, and what it plans.
    fn plan(&mut self, step: &StepState) -> Result<Outlook, ApiError> {
        let own = self.calls(step, 1, PLANNER_TURNS_MAX)?;
        self.assume(format!("{PARTS_LIKELY} steps in a plan that a model makes, each of the default agent"));
        let part = StepState::new(super::plan_goal(&self.state.pins.default_agent));
        let part = self.agent(&part, &self.state.pins.default_agent)?;
        Ok(own.plus(times(part, PARTS_LIKELY)))
    }

    fn map(&mut self, step: &StepState, over: &str, each: &MapStep) -> Result<Outlook, ApiError> {
        let items = match values::look_up(Scope::of(self.state, &step.planned), over) {
            Some(Value::Array(items)) => Some(nest::check_items(over, items)?),
            Some(_) | None => None,
        };
        let is_known = items.is_some();
        let parts = nest::parts(step, each, items.unwrap_or_else(|| vec![Value::Null]));
        let mut state = self.state.clone();
        let ids: Vec<StepId> = parts.iter().map(|part| part.id.clone()).collect();
        let added = Record::StepsAdded { steps: parts, replaced: Vec::new() };
        let broken = |error: super::FoldError| ApiError::new(ErrorCode::Internal, error.to_string());
        state.apply(&Entry { at: state.last_at, record: added }).map_err(broken)?;
        let mut sum = Outlook::NOTHING;
        let mut within = Foreseen { state: &state, assumed: std::mem::take(&mut self.assumed) };
        for part in ids.iter().filter_map(|id| state.step(id)) {
            let foreseen = within.step(part);
            sum = sum.plus(foreseen.error.map_or(Ok(foreseen.outlook), Err)?);
        }
        self.assumed = within.assumed;
        if is_known {
            return Ok(sum);
        }
        self.assume(format!("{PARTS_LIKELY} items in a list that is not known yet"));
        Ok(times(sum, PARTS_LIKELY))
    }

    /// Returns what mending may come to where the contract is found not to hold.
    fn repair(&mut self) -> Outlook {
        let Some(contract) = &self.state.submitted.contract else { return Outlook::NOTHING };
        if self.state.submitted.model.is_none() {
            return Outlook::NOTHING;
        }
        let agent = contract::repair_agent(contract, &self.state.pins);
        let step = StepState::new(super::plan_goal(agent));
        self.assume("the contract holds at once".to_owned());
        let outlook = self.agent(&step, agent).unwrap_or(Outlook::NOTHING);
        Outlook { unpriced_calls: 0, ..outlook.map(|span| Span { least: 0, likely: 0, ..span }) }
    }

    fn within_budget(&self, total: Outlook) -> Outlook {
        let budget = self.state.submitted.budget;
        let limited = |span: Span, limit: Option<u64>| limit.map_or(span, |limit| span.at_most(limit));
        Outlook {
            tokens: limited(total.tokens, budget.tokens),
            cost_micro_usd: limited(total.cost_micro_usd, budget.cost_micro_usd),
            ..total
        }
    }

    fn assume(&mut self, what: String) {
        self.assumed.insert(what);
    }
}

/// What calls use together.
struct Use {
    calls: u64,
    input: u64,
    /// Of the input: what its vendor may have kept.
    cached: u64,
    output: u64,
}

fn outlook(pinned: &PinnedModel, least: Use, likely: Use, most: Use) -> Outlook {
    let span = |get: &dyn Fn(&Use) -> u64| Span { least: get(&least), likely: get(&likely), most: Some(get(&most)) };
    let cost = |calls: &Use| {
        let (input_tokens, cached_input_tokens, output_tokens) = (calls.input, calls.cached, calls.output);
        let usage = Usage { input_tokens, cached_input_tokens, output_tokens, ..Usage::default() };
        pinned.price.map_or(0, |price| price.cost_micro_usd(&usage))
    };
    Outlook {
        calls: span(&|calls| calls.calls),
        tokens: span(&|calls| calls.input.saturating_add(calls.output)),
        cost_micro_usd: span(&cost),
        unpriced_calls: if pinned.price.is_none() { likely.calls } else { 0 },
    }
}

/// Returns what calls come to that one model is likely to answer, and another one in its place.
fn either(first: Outlook, other: Outlook) -> Outlook {
    let span = |first: Span, other: Span| Span {
        least: first.least.min(other.least),
        likely: first.likely,
        most: first.most.zip(other.most).map(|(first, other)| first.max(other)),
    };
    Outlook {
        calls: span(first.calls, other.calls),
        tokens: span(first.tokens, other.tokens),
        cost_micro_usd: span(first.cost_micro_usd, other.cost_micro_usd),
        unpriced_calls: first.unpriced_calls,
    }
}

/// Returns what parts come to of which nobody knows how many there will be.
fn times(part: Outlook, likely: u64) -> Outlook {
    if part == Outlook::NOTHING {
        return part;
    }
    let parts = part.map(|span| Span { least: 0, likely: span.likely.saturating_mul(likely), most: None });
    Outlook { unpriced_calls: part.unpriced_calls.saturating_mul(likely), ..parts }
}
