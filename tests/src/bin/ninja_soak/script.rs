//! What the model is to do, written into the prompt of the step itself: the same question gets the same answer, whenever
//! and however often it is asked.

use serde_json::{Value, json};

/// What a script begins with; it ends with its line.
const MARK: &str = "SCRIPT:";

/// One answer of the model.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turn {
    text: String,
    tools: Vec<Value>,
    errors: Vec<u16>,
    delay_ms: u64,
}

impl Turn {
    /// Says something.
    pub(crate) fn says(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Asks for a tool.
    pub(crate) fn calls(tool: &str, args: &Value) -> Self {
        Self::default().and_calls(tool, args)
    }

    /// Asks for another tool beside.
    pub(crate) fn and_calls(mut self, tool: &str, args: &Value) -> Self {
        self.tools.push(json!({ "name": tool, "args": args }));
        self
    }

    /// Fails with these statuses first, one a try.
    pub(crate) fn after_errors(mut self, errors: &[u16]) -> Self {
        self.errors = errors.to_vec();
        self
    }

    /// Thinks before the first word.
    pub(crate) fn thinking(mut self, delay_ms: u64) -> Self {
        self.delay_ms = delay_ms;
        self
    }

    fn json(&self) -> Value {
        json!({ "text": self.text, "tools": self.tools, "errors": self.errors, "delay_ms": self.delay_ms })
    }
}

/// Returns a prompt whose answers are these, in this order. The key is unlike all others.
pub(crate) fn prompt(key: &str, turns: &[Turn]) -> String {
    let turns: Vec<Value> = turns.iter().map(Turn::json).collect();
    format!("{key}: do as you are told.\n{MARK}{}\n", json!({ "key": key, "turns": turns }))
}

/// Returns a goal for which the planner answers with a text, and one agent alone with these turns.
pub(crate) fn goal(key: &str, plan: &str, alone: &[Turn]) -> String {
    let turns: Vec<Value> = alone.iter().map(Turn::json).collect();
    format!("{key}: reach the goal.\n{MARK}{}\n", json!({ "key": key, "turns": turns, "plan": plan }))
}

/// Finds the script in a prompt. The first is the step's own: what comes after is the goal, and results of others.
pub(crate) fn find(text: &str) -> Option<Value> {
    let (_, rest) = text.split_once(MARK)?;
    serde_json::from_str(rest.lines().next()?).ok()
}
