//! Why a command did not do what it should: what happened, what to do, and the exit code.

use ninja_sdk::{
    SdkError,
    api::{ApiError, ErrorCode},
};
use serde::Serialize;

use crate::format;

/// How a command ends. Scripts rely on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// The task or the command failed.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// A person must answer first.
    Waiting,
    /// There is no daemon, or no permission.
    Unavailable,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    /// Returns the number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Waiting => 3,
            Self::Unavailable => 4,
            Self::Interrupted => 130,
        }
    }
}

/// A command that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    what: String,
    advice: Option<String>,
    exit: Exit,
    code: Option<ErrorCode>,
}

/// A failure as `--json` prints it.
#[derive(Serialize)]
pub(super) struct FailureJson<'a> {
    error: FailureBody<'a>,
}

#[derive(Serialize)]
struct FailureBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<ErrorCode>,
    detail: &'a str,
}

impl Failure {
    /// Says in one sentence what happened and in another what to do.
    pub fn new(exit: Exit, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), advice: Some(advice.into()), exit, code: None }
    }

    /// Returns what happened.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Returns what to do.
    pub fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }

    /// Returns how the command ends.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    pub(super) fn json(&self) -> FailureJson<'_> {
        FailureJson { error: FailureBody { code: self.code, detail: &self.what } }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let (exit, advice) = reaction(error.code);
        let what = format!("{} ({})", format::one_line(&error.detail), error.code);
        Self { what, advice: advice.map(str::to_owned), exit, code: Some(error.code) }
    }
}

impl From<SdkError> for Failure {
    fn from(error: SdkError) -> Self {
        let what = format::one_line(&error.chain());
        match error {
            SdkError::Api(error) => error.into(),
            SdkError::Unreachable { .. } => {
                let advice = "start a daemon with `ninja serve`, or correct NINJA_URL if it is set";
                Self::new(Exit::Unavailable, what, advice)
            }
            SdkError::Protocol { .. } => {
                Self::new(Exit::Failed, what, "check that NINJA_URL names a Ninja daemon of the same version")
            }
            SdkError::Setup { .. } => Self::new(Exit::Usage, what, "correct NINJA_URL or NINJA_API_KEY"),
            _ => Self { what, advice: None, exit: Exit::Failed, code: None },
        }
    }
}

/// Returns how the command ends and what the person can do beyond what the engine's own sentence says.
pub(crate) fn reaction(code: ErrorCode) -> (Exit, Option<&'static str>) {
    match code {
        ErrorCode::Unauthorized => (
            Exit::Unavailable,
            Some("set NINJA_API_KEY to a key of this daemon; the first one is in `owner.key` in its data directory"),
        ),
        ErrorCode::Forbidden => (Exit::Unavailable, Some("ask an administrator, or use another key")),
        ErrorCode::AlreadyRunning => (
            Exit::Unavailable,
            Some("use the daemon that is running, or give another data directory with NINJA_DATA_DIR"),
        ),
        ErrorCode::InvalidRequest | ErrorCode::InvalidPlan | ErrorCode::TooLarge => (Exit::Usage, None),
        ErrorCode::NotFound => (Exit::Failed, Some("`ninja tasks` lists your tasks")),
        ErrorCode::Conflict => (Exit::Failed, Some("`ninja show TASK` tells how it stands")),
        ErrorCode::TooManyRequests => {
            (Exit::Failed, Some("try again when some of the tasks have ended: `ninja tasks`"))
        }
        ErrorCode::NoProvider => (Exit::Failed, Some("set OPENAI_API_KEY, start Ollama, or run `ninja model install`")),
        ErrorCode::ProviderUnauthorized => (Exit::Failed, Some("check the provider's API key in the environment")),
        ErrorCode::NoSandbox => (Exit::Failed, Some("install bubblewrap; `ninja doctor` says what is missing")),
        ErrorCode::DiskFull => (Exit::Failed, Some("free some space; the daemon goes on by itself")),
        ErrorCode::ReadOnly => (Exit::Failed, Some("look after the disk, then start the daemon again")),
        ErrorCode::PromptTooLarge => (Exit::Failed, Some("give less input, or a model with a larger window: --model")),
        ErrorCode::Corrupt => {
            (Exit::Failed, Some("stop the daemon; `ninja db check` says what is damaged, and what to do about it"))
        }
        ErrorCode::Internal | ErrorCode::Poisoned => {
            (Exit::Failed, Some("`ninja doctor` looks closer; the log of the daemon says more"))
        }
        _ => (Exit::Failed, None),
    }
}
