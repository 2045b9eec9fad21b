//! The conversation that a model call sends, within the model's window.
//!
//! [`choose`] decides how the conversation is cut and is recorded; [`assemble`] builds it from the state and that
//! choice and decides nothing, so a recovered prompt equals the live one.

use super::{
    state::{StepState, TaskState},
    turn::{Turn, turns},
    values,
};
use crate::journal::record::{Action, ContextChoice, Message, Outcome, ToolDefinition};

/// Results longer than this are cut before the first attempt to fit: no window profits from more of one result.
const RESULT_BYTES_MAX: u32 = 32 * 1024;
/// Below this a result says nothing, so a prompt that still does not fit is refused.
const RESULT_BYTES_MIN: u32 = 256;
/// Tokens that chat templates add around each message, rounded up over the templates of the providers we speak to.
const TOKENS_PER_MESSAGE: u64 = 8;

/// Estimates the tokens of a text, rather too many than too few: letters four to a token, digits and punctuation one
/// each (small models split numbers into digits), two for each character outside ASCII.
pub fn estimate_tokens(text: &str) -> u64 {
    let (mut tokens, mut letters) = (0_u64, 0_u64);
    for c in text.chars() {
        if c.is_ascii_alphabetic() {
            letters += 1;
            continue;
        }
        tokens += std::mem::take(&mut letters).div_ceil(4)
            + if c == ' ' {
                0
            } else if c.is_ascii() {
                1
            } else {
                2
            };
    }
    tokens + letters.div_ceil(4)
}

/// How a prompt fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It does, cut like this, with that many tokens in it.
    Fits(ContextChoice, u64),
    /// It does not, however it is cut.
    TooLarge {
        /// Tokens of the smallest form.
        tokens: u64,
        /// Tokens there are for it.
        window: u64,
    },
}

/// Chooses how to cut the conversation of a step: all of it if it fits, else without its oldest turns, else with
/// its results cut shorter.
pub(super) fn choose(state: &TaskState, step: &StepState, feedback: Option<&str>) -> Fit {
    let window = u64::from(window_tokens(state));
    let answer = max_output_tokens(state, step);
    let room = window.saturating_sub(u64::from(answer));
    let turn_count = u32::try_from(turns(step).len()).expect("turns are limited");
    let mut choice = ContextChoice { first_turn: 0, result_bytes_max: RESULT_BYTES_MAX, max_output_tokens: answer };
    loop {
        let tokens = prompt_tokens(state, step, &assemble(state, step, &choice, feedback));
        if tokens <= room {
            return Fit::Fits(choice, tokens);
        }
        if choice.first_turn + 1 < turn_count {
            choice.first_turn += (turn_count - choice.first_turn).div_ceil(4).min(turn_count - 1 - choice.first_turn);
        } else if choice.result_bytes_max / 2 >= RESULT_BYTES_MIN {
            choice.result_bytes_max /= 2;
        } else {
            return Fit::TooLarge { tokens, window: room };
        }
    }
}

fn window_tokens(state: &TaskState) -> u32 {
    state.submitted.model.as_ref().map_or(0, |pinned| pinned.info.window_tokens)
}

/// Returns the most tokens an answer may have: what the step says, else the agent's limit, never above half the window.
fn max_output_tokens(state: &TaskState, step: &StepState) -> u32 {
    let Action::Agent { agent, max_output_tokens, .. } = &step.planned.action else { return 0 };
    let limit = state.pins.agents.get(agent).map_or(u32::MAX, |agent| agent.limits.output_tokens);
    max_output_tokens.unwrap_or(limit).min(window_tokens(state) / 2)
}

fn prompt_tokens(state: &TaskState, step: &StepState, messages: &[Message]) -> u64 {
    let text = |message: &Message| match message {
        Message::System { text } | Message::User { text } | Message::Tool { text, .. } => estimate_tokens(text),
        Message::Assistant { text, tool_calls } => {
            let calls =
                tool_calls.iter().map(|call| estimate_tokens(&call.name) + estimate_tokens(&call.args.to_string()));
            estimate_tokens(text) + calls.sum::<u64>()
        }
    };
    let offered = offered_tools(state, step);
    let tools =
        offered.iter().map(|tool| estimate_tokens(&tool.description) + estimate_tokens(&tool.schema.to_string()));
    tools.sum::<u64>() + messages.iter().map(|message| TOKENS_PER_MESSAGE + text(message)).sum::<u64>()
}

/// Returns the tools that a step's agent may ask for: none where its model cannot ask, or its answer has a schema.
pub fn offered_tools<'a>(state: &'a TaskState, step: &StepState) -> Vec<&'a ToolDefinition> {
    let Action::Agent { agent, schema: None, .. } = &step.planned.action else { return Vec::new() };
    let able = state.submitted.model.as_ref().is_some_and(|pinned| pinned.info.tools);
    let names = state.pins.agents.get(agent).filter(|_| able).map(|agent| agent.tools.as_slice()).unwrap_or_default();
    names.iter().filter_map(|name| state.pins.tools.get(name)).map(|tool| &tool.definition).collect()
}

/// Builds the conversation of an agent step as `choice` cuts it.
pub fn assemble(state: &TaskState, step: &StepState, choice: &ContextChoice, feedback: Option<&str>) -> Vec<Message> {
    let Action::Agent { agent, prompt, .. } = &step.planned.action else { return Vec::new() };
    let system = state.pins.agents.get(agent).map(|agent| agent.prompt.clone()).unwrap_or_default();
    let mut messages =
        vec![Message::System { text: system }, Message::User { text: instruction(state, step, prompt, choice) }];
    let all = turns(step);
    if choice.first_turn > 0 {
        let text = format!("({} earlier turns of this step are left out.)", choice.first_turn);
        messages.push(Message::User { text });
    }
    for turn in all.iter().skip(choice.first_turn as usize) {
        push_turn(&mut messages, turn, choice);
    }
    if let Some(feedback) = feedback {
        messages.push(Message::User { text: feedback.to_owned() });
    }
    messages
}

fn push_turn(messages: &mut Vec<Message>, turn: &Turn<'_>, choice: &ContextChoice) {
    // What was wrong with the answer before this turn was told to the model then; it is told again in its place.
    if let Some(feedback) = turn.feedback {
        messages.push(Message::User { text: feedback.to_owned() });
    }
    let Some(answer) = turn.answer else { return };
    let answered: Vec<_> = turn.results.iter().filter(|(_, result)| result.outcome.is_some()).collect();
    let wanted = answer.tool_calls.iter().filter(|call| answered.iter().any(|(id, _)| *id == call.id));
    let tool_calls: Vec<_> = wanted.cloned().collect();
    // Providers refuse a message without content; what was wrong with this answer is told in the next turn.
    if !(answer.text.trim().is_empty() && tool_calls.is_empty()) {
        messages.push(Message::Assistant { text: answer.text.clone(), tool_calls });
    }
    for (id, call) in answered {
        let text = match &call.outcome {
            Some(Outcome::Returned { output, .. }) => cut(&values::as_text(output), choice.result_bytes_max),
            Some(Outcome::Failed { error, .. }) => format!("The call failed: {}", error.detail),
            Some(Outcome::Lost { .. } | Outcome::Stopped { .. } | Outcome::Answered(_)) | None => {
                "The outcome of this call is not known.".to_owned()
            }
        };
        messages.push(Message::Tool { call_id: (*id).to_owned(), name: call.what().to_owned(), text });
    }
}

/// The step's instruction with what it needs around it. A prompt that says itself where earlier results go
/// (`{{steps.…}}`) gets nothing added; any other is given the goal, the inputs and its predecessors' results.
fn instruction(state: &TaskState, step: &StepState, prompt: &str, choice: &ContextChoice) -> String {
    let filled = values::fill_text(state, prompt);
    if prompt.contains("{{steps.") {
        return filled;
    }
    let mut text = filled;
    let goal = &state.submitted.goal;
    if !goal.is_empty() && !text.contains(goal.as_str()) {
        text.push_str(&format!("\n\n## The goal of the whole task\n{goal}"));
    }
    if !state.submitted.inputs.is_empty() {
        text.push_str("\n\n## Input files\n");
        for file in &state.submitted.inputs {
            text.push_str(&format!("- inputs/{} ({} bytes)\n", file.name, file.bytes));
        }
    }
    for before in step.planned.after.iter().filter_map(|id| state.step(id)).filter(|before| !before.output.is_null()) {
        let output = cut(&values::as_text(&before.output), choice.result_bytes_max);
        text.push_str(&format!("\n\n## Result of step {}\n{output}", before.planned.id));
    }
    text
}

/// Cuts a text to about `bytes_max`, keeping its head and its tail and saying what is missing.
fn cut(text: &str, bytes_max: u32) -> String {
    let max = bytes_max as usize;
    if text.len() <= max {
        return text.to_owned();
    }
    let head = text.floor_char_boundary(max * 2 / 3);
    let tail = text.ceil_char_boundary(text.len() - max / 3);
    let (before, after) = (text.get(..head).unwrap_or_default(), text.get(tail..).unwrap_or_default());
    format!("{before}\n[… {} bytes left out …]\n{after}", tail - head)
}
