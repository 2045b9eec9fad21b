//! The conversation that a model call sends, within the model's window.
//!
//! [`choose`] decides how the conversation is cut and is recorded; [`assemble`] builds it from the state and that
//! choice and decides nothing, so a recovered prompt equals the live one. Whatever is cut, the instructions, the goal and
//! the calls of the newest turn stay; what an agent may do is no part of the conversation and cannot be cut from it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    images, models, plan,
    state::{CallState, StepState, TaskState, TextSize},
    turn::{self, Turn, turns},
    values::{self, Piece, Scope},
};
use crate::{
    api::{ApiError, ErrorCode},
    journal::record::{
        Action, Answer, Carry, ContextChoice, Intent, Message, ModelInfo, Offer, Outcome, PinnedModel, Pins, ToolCall,
        ToolDefinition,
    },
};

/// Results longer than this are cut before the first attempt to fit: no window profits from more of one result.
const RESULT_BYTES_MAX: u32 = 32 * 1024;
/// Below this a result says nothing, so a prompt that still does not fit is refused.
const RESULT_BYTES_MIN: u32 = 256;
/// A plan of the most steps that a model may make fits.
const PLAN_OUTPUT_TOKENS_MAX: u32 = 8_192;
/// Tokens that chat templates add around each message, rounded up over the templates of the providers we speak to.
const TOKENS_PER_MESSAGE: u64 = 8;

/// Estimates the tokens of a text, rather too many than too few: letters four to a token, digits and punctuation one
/// each (small models split numbers into digits), two for each character outside ASCII.
pub fn estimate_tokens(text: &str) -> u64 {
    let (mut tokens, mut letters) = (0_u64, 0_u64);
    for byte in text.bytes() {
        if byte.is_ascii_alphabetic() {
            letters += 1;
            continue;
        }
        let own = match byte {
            // The later bytes of a character count with its first.
            b' ' | 0x80..=0xbf => 0,
            0..=0x7f => 1,
            0xc0..=0xff => 2,
        };
        tokens += std::mem::take(&mut letters).div_ceil(4) + own;
    }
    tokens + letters.div_ceil(4)
}

/// Where old turns are left out, this share of the room for turns stays free in percent, so that the prompt's beginning is
/// the same for some calls and providers can reuse it.
const FREED_PERCENT: u64 = 40;

/// Returns how large what a call came to is in a conversation.
pub(super) fn size_of(outcome: &Outcome) -> TextSize {
    let size = |text: &str| TextSize { bytes: text.len() as u64, tokens: estimate_tokens(text) };
    match outcome {
        Outcome::Answered(answer) => size_of_answer(answer),
        Outcome::Returned { output, .. } => size(&values::as_text(output)),
        Outcome::Failed { error, .. } => size(&error.detail),
        Outcome::Lost { .. } | Outcome::Stopped { .. } => TextSize::default(),
    }
}

fn size_of_answer(answer: &Answer) -> TextSize {
    let tokens = estimate_answer(&answer.text, &answer.tool_calls, answer.carry.as_ref());
    TextSize { bytes: answer.text.len() as u64, tokens }
}

fn estimate_answer(text: &str, tool_calls: &[ToolCall], carry: Option<&Carry>) -> u64 {
    let calls = tool_calls.iter().map(|call| estimate_tokens(&call.name) + estimate_tokens(&call.args.to_string()));
    let carried = carry.map_or(0, |carry| estimate_tokens(&carry.data.to_string()));
    estimate_tokens(text) + calls.sum::<u64>() + carried
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

impl Fit {
    /// Returns how it is cut and how many tokens it has.
    ///
    /// # Errors
    ///
    /// Fails with `prompt_too_large` where it does not fit.
    pub(super) fn checked(self) -> Result<(ContextChoice, u64), ApiError> {
        match self {
            Self::Fits(context, tokens) => Ok((context, tokens)),
            Self::TooLarge { tokens, window } => {
                let detail = format!("the prompt has about {tokens} tokens at its smallest; the model takes {window}");
                Err(ApiError::new(ErrorCode::PromptTooLarge, detail))
            }
        }
    }
}

/// Chooses how to cut the conversation of a step: as it was cut before if that fits, else with fewer images where more than one
/// take most of the room, else without more of its oldest turns, else with its results cut shorter, else with fewer images in
/// any case. Images that were left out return where room was made for them: after turns went, and with each that is newer. Turns
/// do not return, and between two cuts of them each try is smaller than the one before, so it comes to an end.
pub(super) fn choose(state: &TaskState, step: &StepState, pinned: &PinnedModel, feedback: Option<&str>) -> Fit {
    let info = &pinned.info;
    let answer = max_output_tokens(state, step, info);
    let scale = Scale::of(step);
    let room = u64::from(info.window_tokens).saturating_sub(u64::from(answer));
    let room = refused_tokens(state, step, pinned).map_or(room, |tokens| room.min(scale.apply(tokens)));
    let turns = turns(step);
    let last = u32::try_from(turns.len()).expect("turns are limited").saturating_sub(1);
    let before = last_choice(state, step, pinned);
    let images_max = images_after_refusal(state, step, pinned);
    let images_before = before.filter(|(_, newer)| *newer == 0).and_then(|(choice, _)| choice.images_max);
    let mut choice = ContextChoice {
        first_turn: before.map_or(0, |(choice, _)| choice.first_turn.min(last)),
        result_bytes_max: RESULT_BYTES_MAX,
        images_max: images_before.into_iter().chain(images_max).min(),
        max_output_tokens: answer,
        estimated_tokens: 0,
    };
    loop {
        let messages = assemble(state, step, pinned, &choice, feedback);
        choice.estimated_tokens = prompt_tokens(state, step, info, &messages);
        let shown = images::shown(&messages);
        let takes_most = scale.apply(images::tokens_of(&messages)) > room / 2;
        let tokens = scale.apply(choice.estimated_tokens);
        if tokens <= room {
            return Fit::Fits(choice, tokens);
        }
        if shown > 1 && takes_most {
            choice.images_max = Some(shown / 2);
        } else if choice.first_turn < last {
            let surplus = tokens - room + room * FREED_PERCENT / 100;
            choice.first_turn = leave_out(&turns, pinned, &choice, surplus).min(last);
            choice.images_max = images_max;
        } else if choice.result_bytes_max / 2 >= RESULT_BYTES_MIN {
            choice.result_bytes_max /= 2;
        } else if shown > 0 {
            choice.images_max = Some(shown / 2);
        } else {
            return Fit::TooLarge { tokens, window: room };
        }
    }
}

/// Returns the first turn to keep so that about `surplus` tokens go.
fn leave_out(turns: &[Turn<'_>], pinned: &PinnedModel, choice: &ContextChoice, surplus: u64) -> u32 {
    let mut freed = 0;
    let mut first = choice.first_turn;
    for turn in turns.iter().skip(first as usize) {
        if freed >= surplus && first > choice.first_turn {
            break;
        }
        let results = turn.results.iter().map(|(_, call)| {
            let images = images::tokens_of_call(call, pinned);
            cut_tokens(call, choice.result_bytes_max) + images + TOKENS_PER_MESSAGE
        });
        let said = turn.answer.map_or(0, |answer| size_of_answer(answer).tokens);
        freed += said + TOKENS_PER_MESSAGE + results.sum::<u64>();
        first += 1;
    }
    first
}

/// Returns about how many tokens a result has when it is cut.
fn cut_tokens(call: &CallState, bytes_max: u32) -> u64 {
    let TextSize { bytes, tokens } = call.size;
    if bytes <= u64::from(bytes_max) { tokens } else { tokens.saturating_mul(u64::from(bytes_max)) / bytes.max(1) }
}

/// Returns how the conversation was last cut for a model, and how many images came since: a model with a small window that
/// stood in for it cut more.
fn last_choice<'a>(state: &TaskState, step: &'a StepState, pinned: &PinnedModel) -> Option<(&'a ContextChoice, u32)> {
    choices(state, step, pinned).next().map(|(context, newer, _)| (context, newer))
}

/// Returns how many images a model may be shown that refused a call with some: those that came since, for the newest of a
/// conversation are shown. What it refused may be any of the others.
fn images_after_refusal(state: &TaskState, step: &StepState, pinned: &PinnedModel) -> Option<u32> {
    let refused = |call: &CallState| matches!(&call.outcome, Some(Outcome::Failed { error, .. }) if error.code == ErrorCode::ProviderRejected);
    let mut choices = choices(state, step, pinned);
    choices.find(|(context, _, call)| context.images_max != Some(0) && refused(call)).map(|(_, newer, _)| newer)
}

/// Returns how the conversation was cut for a model, the newest call first, with the number of images that came after it.
fn choices<'a>(
    state: &TaskState,
    step: &'a StepState,
    pinned: &PinnedModel,
) -> impl Iterator<Item = (&'a ContextChoice, u32, &'a CallState)> {
    let asked = |intent| models::model_of(state, step, intent).is_some_and(|asked| asked.model == pinned.model);
    let mut newer = BTreeSet::new();
    step.attempt_calls().iter().rev().filter_map(move |call| match &call.intent {
        Intent::Model { context, .. } if asked(&call.intent) => {
            Some((context, u32::try_from(newer.len()).unwrap_or(u32::MAX), call.as_ref()))
        }
        Intent::Model { .. } => None,
        Intent::Tool { .. } => {
            newer.extend(images::of_call(call).into_iter().map(|image| image.file.blob));
            None
        }
    })
}

/// What may be sent, in percent, of a prompt that was refused as too large.
const AFTER_REFUSAL_PERCENT: u64 = 75;

/// Returns the most that a prompt may have, by our own estimate, after its model or one with as large a window refused one
/// as too large, whatever that window was said to be.
fn refused_tokens(state: &TaskState, step: &StepState, pinned: &PinnedModel) -> Option<u64> {
    let refused = step.attempt_calls().iter().filter_map(|call| match (&call.intent, &call.outcome) {
        (Intent::Model { context, .. }, Some(Outcome::Failed { error, .. }))
            if error.code == ErrorCode::PromptTooLarge =>
        {
            let asked = models::model_of(state, step, &call.intent)?;
            (asked.info.window_tokens >= pinned.info.window_tokens).then_some(context.estimated_tokens)
        }
        _ => None,
    });
    refused.min().map(|tokens| tokens * AFTER_REFUSAL_PERCENT / 100)
}

/// An estimate is not off by more than this, whatever a provider says.
const SCALE_MAX: u64 = 3;

/// What a model's own count says of our estimates: tokens it counted for tokens that we estimated.
#[derive(Debug, Clone, Copy)]
struct Scale {
    counted: u64,
    estimated: u64,
}

impl Scale {
    /// Takes the newest answer of the step for which the provider told its count.
    fn of(step: &StepState) -> Self {
        let told = step.attempt_calls().iter().rev().find_map(|call| match (&call.intent, &call.outcome) {
            (Intent::Model { context, .. }, Some(Outcome::Answered(answer))) => {
                let (counted, estimated) = (answer.usage.input_tokens, context.estimated_tokens);
                let is_told = counted > 0 && estimated > 0 && answer.usage.estimated_tokens == 0;
                // Never below our own estimate: what one prompt was made of says little about the next one.
                is_told.then(|| Self { counted: counted.clamp(estimated, estimated * SCALE_MAX), estimated })
            }
            _ => None,
        });
        told.unwrap_or(Self { counted: 1, estimated: 1 })
    }

    fn apply(self, tokens: u64) -> u64 {
        tokens.saturating_mul(self.counted).div_ceil(self.estimated)
    }
}

/// Returns the most tokens an answer may have: what the step says, else the agent's limit, never above half the window.
fn max_output_tokens(state: &TaskState, step: &StepState, info: &ModelInfo) -> u32 {
    let wanted = match &step.planned.action {
        Action::Agent { agent, max_output_tokens, .. } => {
            let limit = || state.pins.agents.get(agent).map_or(u32::MAX, |agent| agent.limits.output_tokens);
            max_output_tokens.unwrap_or_else(limit)
        }
        Action::Plan { .. } => PLAN_OUTPUT_TOKENS_MAX,
        Action::Tool { .. } | Action::Approval { .. } | Action::Map { .. } | Action::Contract => 0,
    };
    wanted.min(info.window_tokens / 2)
}

fn prompt_tokens(state: &TaskState, step: &StepState, info: &ModelInfo, messages: &[Message]) -> u64 {
    let text = |message: &Message| match message {
        Message::System { text } | Message::User { text, .. } | Message::Tool { text, .. } => estimate_tokens(text),
        Message::Assistant { text, tool_calls, carry } => estimate_answer(text, tool_calls, carry.as_ref()),
    };
    let schema = turn::schema_of_step(state, step).map_or(0, |schema| estimate_tokens(&schema.to_string()));
    offer(state, step, info).tokens
        + schema
        + images::tokens_of(messages)
        + messages.iter().map(|message| TOKENS_PER_MESSAGE + text(message)).sum::<u64>()
}

/// Returns the tools that a step's agent may ask for: none where its model cannot ask, or its answer has a schema.
pub fn offered_tools(state: &TaskState, step: &StepState, info: &ModelInfo) -> Arc<[ToolDefinition]> {
    offer(state, step, info).tools
}

fn offer(state: &TaskState, step: &StepState, info: &ModelInfo) -> Offer {
    let Action::Agent { agent, schema: None, .. } = &step.planned.action else { return Offer::default() };
    if !info.tools {
        return Offer::default();
    }
    state.pins.offers.of(agent, || make_offer(&state.pins, agent))
}

fn make_offer(pins: &Pins, agent: &str) -> Offer {
    let names = pins.agents.get(agent).map(|agent| agent.tools.as_slice()).unwrap_or_default();
    let tools = names.iter().filter_map(|name| pins.tools.get(name)).map(|tool| tool.definition.clone());
    let tools: Arc<[ToolDefinition]> = tools.collect();
    let size = |tool: &ToolDefinition| estimate_tokens(&tool.description) + estimate_tokens(&tool.schema.to_string());
    Offer { tokens: tools.iter().map(size).sum(), tools }
}

/// Builds the conversation of a step as `choice` cuts it for a model.
pub fn assemble(
    state: &TaskState,
    step: &StepState,
    pinned: &PinnedModel,
    choice: &ContextChoice,
    feedback: Option<&str>,
) -> Vec<Message> {
    let mut messages = match &step.planned.action {
        Action::Agent { agent, prompt, .. } => {
            let system = state.pins.agents.get(agent).map(|agent| agent.prompt.clone()).unwrap_or_default();
            let text = instruction(state, step, prompt, choice);
            let images = if says_what_it_needs(prompt) { Vec::new() } else { images::of_inputs(state) };
            vec![Message::System { text: system }, Message::User { text, images }]
        }
        Action::Plan { after_failure } => plan::conversation(state, after_failure.as_ref(), choice.result_bytes_max),
        Action::Tool { .. } | Action::Approval { .. } | Action::Map { .. } | Action::Contract => return Vec::new(),
    };
    let all = turns(step);
    let (left_out, kept) = all.split_at((choice.first_turn as usize).min(all.len()));
    if !left_out.is_empty() {
        messages.push(Message::user(digest(left_out)));
    }
    for turn in kept {
        push_turn(&mut messages, turn, choice);
    }
    if let Some(feedback) = feedback {
        messages.push(Message::user(feedback));
    }
    images::place(&mut messages, pinned, choice.images_max);
    messages
}

/// Says what the turns that are left out did.
fn digest(left_out: &[Turn<'_>]) -> String {
    let mut called: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, call) in left_out.iter().flat_map(|turn| &turn.results) {
        *called.entry(call.what()).or_default() += 1;
    }
    let called: Vec<String> = called.iter().map(|(tool, times)| format!("{tool} {times} times")).collect();
    let calls = if called.is_empty() { String::new() } else { format!(" They called {}.", called.join(", ")) };
    format!(
        "({} earlier turns of this step are left out.{calls} What they changed in the workspace is there.)",
        left_out.len()
    )
}

fn push_turn(messages: &mut Vec<Message>, turn: &Turn<'_>, choice: &ContextChoice) {
    // What was wrong with the answer before this turn was told to the model then; it is told again in its place.
    if let Some(feedback) = turn.feedback {
        messages.push(Message::user(feedback));
    }
    let Some(answer) = turn.answer else { return };
    let answered: Vec<_> = turn.results.iter().filter(|(_, result)| result.outcome.is_some()).collect();
    let wanted = answer.tool_calls.iter().filter(|call| answered.iter().any(|(id, _)| *id == call.id));
    let tool_calls: Vec<_> = wanted.cloned().collect();
    // Providers refuse a message without content; what was wrong with this answer is told in the next turn.
    if !(answer.text.trim().is_empty() && tool_calls.is_empty()) {
        let text = cut(&answer.text, choice.result_bytes_max);
        // What is carried is of the whole answer.
        let carry = answer.carry.clone().filter(|_| tool_calls.len() == answer.tool_calls.len());
        messages.push(Message::Assistant { text, tool_calls, carry });
    }
    for (id, call) in answered {
        let text = match &call.outcome {
            Some(Outcome::Returned { output, .. }) => cut(&values::as_text(output), choice.result_bytes_max),
            Some(Outcome::Failed { error, .. }) => format!("The call failed: {}", error.detail),
            Some(Outcome::Lost { .. } | Outcome::Stopped { .. } | Outcome::Answered(_)) | None => {
                "The outcome of this call is not known.".to_owned()
            }
        };
        let (call_id, name, images) = ((*id).to_owned(), call.what().to_owned(), images::of_call(call));
        messages.push(Message::Tool { call_id, name, text, images });
    }
}

/// The step's instruction with what it needs around it. A prompt that says itself where earlier results go
/// (`{{steps.…}}`) gets nothing added; any other is given the goal, the inputs and its predecessors' results.
fn instruction(state: &TaskState, step: &StepState, prompt: &str, choice: &ContextChoice) -> String {
    let mut text = values::fill_text(Scope::of(state, &step.planned), prompt);
    if says_what_it_needs(prompt) {
        return text;
    }
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

fn says_what_it_needs(prompt: &str) -> bool {
    values::pieces(prompt).any(|piece| matches!(piece, Piece::Path(path) if path.starts_with("steps.")))
}

/// Cuts a text to about `bytes_max`, keeping its head and its tail and saying what is missing.
pub(super) fn cut(text: &str, bytes_max: u32) -> String {
    let max = bytes_max as usize;
    if text.len() <= max {
        return text.to_owned();
    }
    let head = text.floor_char_boundary(max * 2 / 3);
    let tail = text.ceil_char_boundary(text.len() - max / 3);
    let (before, after) = (text.get(..head).unwrap_or_default(), text.get(tail..).unwrap_or_default());
    format!("{before}\n[… {} bytes left out …]\n{after}", tail - head)
}
