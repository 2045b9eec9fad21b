//! What is owed to the world now: used live and after a crash alike.

use super::state::TaskState;
use crate::{api::StepId, journal::record::Intent};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Make a model call.
    CallModel {
        /// The step.
        step: StepId,
        /// The call.
        call: u32,
    },
    /// Make a tool call.
    CallTool {
        /// The step.
        step: StepId,
        /// The call.
        call: u32,
    },
    /// Stop a call that runs, and report when nothing of it is alive.
    StopCall {
        /// The step.
        step: StepId,
        /// The call.
        call: u32,
    },
}

/// Returns what is owed. Nothing once the task has ended; only stops once it is stopping.
pub fn pending(state: &TaskState) -> Vec<Effect> {
    if state.end.is_some() {
        return Vec::new();
    }
    let stopping = state.is_stopping();
    let mut effects = Vec::new();
    for step in &state.steps {
        for (call, intended) in step.in_flight() {
            let step = step.planned.id.clone();
            effects.push(match &intended.intent {
                _ if stopping => Effect::StopCall { step, call },
                Intent::Model { .. } => Effect::CallModel { step, call },
                Intent::Tool { .. } => Effect::CallTool { step, call },
            });
        }
    }
    effects
}
