//! Journal records: the facts of a task, append-only in meaning.
//!
//! Stored as one version byte and JSON. Variants and fields are added, never renamed, renumbered or given another
//! meaning; a new field has a default, so that an old journal reads. Nothing here decides anything.

mod offers;
mod plan;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use crate::providers::{
    Answer, Carry, FinishReason, IMAGE_BYTES_MAX, IMAGE_SIDE_MAX, Image, ImageFile, ImageShape, ImageTokens, MediaType,
    Message, ModelInfo, Price, ToolCall, ToolDefinition,
};
pub use crate::workspace::{Manifest, ManifestDelta};
pub use offers::{Offer, Offers};
pub use plan::{Action, MapStep, Parent, PlannedStep};

use crate::api::{
    Agent, ApiError, ApprovalId, ApprovalKind, Autonomy, BlobHash, Budget, BudgetLimit, BudgetOf, CancelReceipt,
    Contract, Decision, EffectClass, FileId, ForkPoint, ModelClass, ModelRef, PlanSpec, ProposedCall, StepId,
    TaskStatus, Timestamp, Usage, UserId,
};

/// The version byte in front of a stored record.
pub const RECORD_VERSION: u8 = 1;
/// What most records take.
const ENCODED_BYTES: usize = 512;

/// A record and when it was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub record: Record,
}

/// One fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The task was accepted, with all that it will use.
    TaskSubmitted(Box<TaskSubmitted>),
    /// The plan stands; predecessors come first.
    PlanMade {
        /// Its steps.
        steps: Vec<PlannedStep>,
    },
    /// Steps were added to the plan, predecessors first.
    StepsAdded {
        /// The new ones.
        steps: Vec<PlannedStep>,
        /// Those that will not be done any more.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        replaced: Vec<StepId>,
    },
    /// A step failed and is tried again from its beginning.
    StepRetried {
        /// Which.
        step: StepId,
        /// The attempt that comes next, from 2.
        attempt: u32,
        /// Why the one before failed.
        error: ApiError,
        /// When the next begins at the earliest.
        not_before: Timestamp,
    },
    /// A step began.
    StepStarted {
        /// Which.
        step: StepId,
        /// Its agent or tool.
        actor: Option<String>,
    },
    /// A call is about to be made.
    CallIntended {
        /// The step.
        step: StepId,
        /// Its number within the step, from 0.
        call: u32,
        /// What will be done.
        intent: Intent,
    },
    /// A call ended.
    CallEnded {
        /// The step.
        step: StepId,
        /// Its number.
        call: u32,
        /// What came of it.
        outcome: Outcome,
    },
    /// Every model that could answer failed; the step waits and then asks them again.
    ProviderPaused {
        /// The step.
        step: StepId,
        /// What the last of them failed of.
        error: ApiError,
        /// When they are asked again.
        until: Timestamp,
    },
    /// The budget does not cover what comes next: the step waits for more.
    BudgetPaused {
        /// The step.
        step: StepId,
        /// The limit that stands against it.
        limit: BudgetLimit,
        /// Whose limit that is.
        #[serde(default, skip_serializing_if = "BudgetOf::is_task")]
        of: BudgetOf,
        /// In words.
        detail: String,
        /// When the time is over that the limit is for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// What the model is to be told of its answer before, once there is enough.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        feedback: Option<String>,
    },
    /// Most of a limit is used; told once.
    BudgetWarned {
        /// Which.
        limit: BudgetLimit,
        /// How much is used.
        used: u64,
        /// The limit.
        most: u64,
    },
    /// Somebody changed the limits.
    BudgetChanged {
        /// Who.
        by: UserId,
        /// The limits from now on.
        budget: Budget,
    },
    /// A step that waited goes on.
    StepResumed {
        /// Which.
        step: StepId,
    },
    /// A step ended.
    StepEnded {
        /// Which.
        step: StepId,
        /// How.
        end: StepEnd,
        /// How far the task is then: 0 to 100.
        progress: u8,
    },
    /// A person is asked; the step or call waits for the answer.
    ApprovalRequested {
        /// The question's id.
        approval: ApprovalId,
        /// The step that waits.
        step: StepId,
        /// The call that waits, if it is one.
        call: Option<u32>,
        /// What is asked.
        kind: ApprovalKind,
        /// In words.
        prompt: String,
        /// The call that the answer is bound to.
        proposed: Option<ProposedCall>,
        /// The plan that the answer is bound to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan: Option<PlanSpec>,
    },
    /// A person answered.
    ApprovalDecided {
        /// The question.
        approval: ApprovalId,
        /// The answer.
        decision: Decision,
        /// Who.
        by: UserId,
    },
    /// The task was taken up again and found calls without an outcome.
    TaskRecovered {
        /// How many.
        lost_calls: u32,
    },
    /// An actor of the task failed.
    ActorFailed {
        /// Which kind.
        actor: ActorKind,
        /// The step it worked for.
        step: Option<StepId>,
        /// What it said.
        reason: String,
        /// How many failures the task has seen, this one included.
        failures: u32,
    },
    /// Somebody asked to cancel.
    CancelRequested {
        /// Who.
        by: UserId,
    },
    /// Somebody paused the task.
    TaskPaused {
        /// Who.
        by: UserId,
    },
    /// Somebody resumed it.
    TaskResumed {
        /// Who.
        by: UserId,
    },
    /// A task that had ended is tried again.
    TaskRetried {
        /// Who wants it.
        by: UserId,
        /// The steps that are done again, from their beginning.
        steps: Vec<StepId>,
    },
    /// The task ended. Nothing follows but [`Record::TaskRetried`].
    TaskEnded {
        /// How.
        status: TaskStatus,
        /// Why it failed.
        error: Option<ApiError>,
        /// What a cancellation stopped.
        cancel_receipt: Option<CancelReceipt>,
        /// What the task used.
        usage: Usage,
    },
}

/// Everything a submission fixes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSubmitted {
    /// Whose task.
    pub owner: UserId,
    /// What is wanted.
    pub goal: String,
    /// The template, where one makes the plan.
    pub template: Option<String>,
    /// Its parameters.
    pub params: Map<String, Value>,
    /// Input files.
    pub inputs: Vec<InputFile>,
    /// The model that answers.
    pub model: Option<PinnedModel>,
    /// The models for agents of a class, in the order in which they are tried, where that is not [`Self::model`] alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lineup: BTreeMap<ModelClass, Vec<PinnedModel>>,
    /// Hard limits.
    pub budget: Budget,
    /// How much is done without asking.
    #[serde(default)]
    pub autonomy: Autonomy,
    /// What must hold at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
    /// The task whose first records these are too, up to the number said there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkPoint>,
    /// The trace of the request that handed it in, where spans were wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The blob that holds the [`Pins`].
    pub pins: BlobHash,
}

/// The model as it was known at submission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PinnedModel {
    /// Which.
    pub model: ModelRef,
    /// Its window and abilities.
    pub info: ModelInfo,
    /// What it costs, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

/// A file placed read-only into the workspace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputFile {
    /// The upload it came from.
    pub file: FileId,
    /// Its name in `inputs/`, unique within the task.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its content.
    pub blob: BlobHash,
    /// What its content says, where it is an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageShape>,
}

/// What the installation said at submission: agents, tools, template. Editing them later alters no running task.
/// Kept once per distinct content, as a blob.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pins {
    /// Agents by name.
    pub agents: BTreeMap<String, Agent>,
    /// Tools by name.
    pub tools: BTreeMap<String, PinnedTool>,
    /// The template's files by path within it.
    pub template_files: BTreeMap<String, BlobHash>,
    /// What the planner's model is told.
    #[serde(default)]
    pub planner_prompt: String,
    /// The agent of steps that name none.
    #[serde(default)]
    pub default_agent: String,
    /// What its agents may ask for, once somebody did.
    #[serde(skip)]
    pub offers: Offers,
}

/// A tool as it was at submission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PinnedTool {
    /// What the model sees.
    pub definition: ToolDefinition,
    /// What a crash means for it.
    pub class: EffectClass,
}

/// What a call will do, with every choice that was made for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// Ask a model.
    Model {
        /// Which; the task's own where none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<ModelRef>,
        /// How the conversation is cut to fit the window.
        context: ContextChoice,
        /// Set aside from the budget until the call ends.
        reserved_tokens: u64,
        /// Money set aside with them, in millionths of a US dollar, where the model's price is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reserved_micro_usd: Option<u64>,
        /// What was wrong with the answer before, told to the model.
        feedback: Option<String>,
    },
    /// Call a tool.
    Tool {
        /// Its name.
        tool: String,
        /// Its exact arguments.
        args: Value,
        /// What a crash means for it.
        class: EffectClass,
        /// The model's id of the call, where a model asked for it.
        answers: Option<String>,
    },
}

/// How a conversation is cut to fit the model's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextChoice {
    /// Turns before this one are left out.
    pub first_turn: u32,
    /// Longer results are cut to this many bytes.
    pub result_bytes_max: u32,
    /// No more than so many images are shown, the newest, where not as many as may be fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_max: Option<u32>,
    /// The most tokens the answer may have.
    pub max_output_tokens: u32,
    /// Tokens of the prompt as they were estimated, before what the model told of earlier ones was taken into account.
    #[serde(default)]
    pub estimated_tokens: u64,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The model answered.
    Answered(Answer),
    /// The tool ran. With `ok: false` it ran and says what went wrong.
    Returned {
        /// Whether it did what it should.
        ok: bool,
        /// What it returned.
        output: Value,
        /// What it changed in the workspace.
        delta: ManifestDelta,
        /// What it shows to a model that asked.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        images: Vec<ImageFile>,
    },
    /// The call could not be made or completed.
    Failed {
        /// Why.
        error: ApiError,
        /// What it used all the same.
        usage: Usage,
    },
    /// A crash took the outcome. A model call is charged at its reserve.
    Lost {
        /// The charge, marked as estimated.
        usage: Usage,
    },
    /// A cancellation or a failing task stopped it.
    Stopped {
        /// Processes that were killed.
        processes: u32,
        /// From the request to nothing left alive.
        after_ms: u64,
    },
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepEnd {
    /// Done.
    Succeeded {
        /// Its result.
        output: Value,
    },
    /// Not done.
    Failed {
        /// Why.
        error: ApiError,
        /// Whether the task fails with it; an optional step's failure is only told to later steps.
        fails_task: bool,
    },
    /// Its condition did not hold.
    Skipped,
    /// Stopped with its task.
    Cancelled,
}

/// The kinds of actors that a task can see failing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// The task's own.
    Task,
    /// One agent step's.
    Agent,
    /// The sandbox's, while it ran something for the task.
    Sandbox,
}

impl ActorKind {
    /// Returns the name as events say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Agent => "agent",
            Self::Sandbox => "sandbox",
        }
    }
}

/// A stored record that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a newer version.
    #[error("a record has version {0}; this version reads up to {RECORD_VERSION}")]
    Version(u8),
    /// Not a record.
    #[error("a record cannot be read: {0}")]
    Damaged(String),
}

impl Entry {
    /// Returns the stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ENCODED_BYTES);
        bytes.push(RECORD_VERSION);
        serde_json::to_writer(&mut bytes, self).expect("a record has string keys only");
        bytes
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        match bytes.split_first() {
            Some((&RECORD_VERSION, json)) => {
                serde_json::from_slice(json).map_err(|error| RecordError::Damaged(error.to_string()))
            }
            Some((&version, _)) => Err(RecordError::Version(version)),
            None => Err(RecordError::Damaged("it is empty".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written before there were images reads, and is written as it was.
    #[test]
    fn records_without_images_are_what_they_were() {
        let returned = r#"{"returned":{"ok":true,"output":1,"delta":{}}}"#;
        let context = r#"{"first_turn":0,"result_bytes_max":1,"max_output_tokens":2,"estimated_tokens":3}"#;
        let info = r#"{"window_tokens":1,"tools":true,"label":"m"}"#;
        let hash = "00".repeat(32);
        let input = format!(r#"{{"file":"file_{}","name":"a.png","bytes":1,"blob":"{hash}"}}"#, "0".repeat(32));
        assert_eq!(again::<Outcome>(returned), returned);
        assert_eq!(again::<ContextChoice>(context), context);
        assert_eq!(again::<ModelInfo>(info), info);
        assert_eq!(again::<InputFile>(&input), input);
    }

    fn again<T: Serialize + serde::de::DeserializeOwned>(text: &str) -> String {
        serde_json::to_string(&serde_json::from_str::<T>(text).unwrap()).unwrap()
    }

    /// A task decides on what it was given until it is read from its log, and a replay on what the log says: both must
    /// see the same.
    #[test]
    fn numbers_are_the_same_after_every_reading() {
        for n in 0..1_000 {
            let text = format!("{}e-9", 1.0 + f64::from(n) * 0.001_234_567_891_234);
            let output: Value = serde_json::from_str(&text).unwrap();
            let end = StepEnd::Succeeded { output };
            let record = Record::StepEnded { step: "a".parse().unwrap(), end, progress: 100 };
            let entry = Entry { at: Timestamp::from_second(1).unwrap(), record };
            assert_eq!(Entry::decode(&entry.encode()).as_ref(), Ok(&entry));
        }
    }
}
