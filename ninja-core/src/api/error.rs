//! One stable code for everything that can go wrong, and the error body that carries it.

use serde::{Deserialize, Serialize};

/// The stable name of a failure. Scripts rely on these: variants are added, never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// The request could not be read, or a field of it is out of bounds.
    InvalidRequest,
    /// The plan is not a graph of known steps.
    InvalidPlan,
    /// A key is missing or wrong.
    Unauthorized,
    /// The caller may not do this.
    Forbidden,
    /// There is no such thing, or it belongs to somebody else.
    NotFound,
    /// The thing is not in a state that allows this.
    Conflict,
    /// The thing has changed since the version that `If-Match` names.
    PreconditionFailed,
    /// The key of the request was used for another one.
    IdempotencyMismatch,
    /// The body is of a type that the route does not take.
    UnsupportedMediaType,
    /// The part of a file that was asked for is not there.
    RangeNotSatisfiable,
    /// What the account may have is used up.
    QuotaExceeded,
    /// The password is too short, too long, or easily guessed.
    WeakPassword,
    /// The body or file is larger than its route takes.
    TooLarge,
    /// Admission is full; try again later.
    TooManyRequests,
    /// The request did not arrive in time.
    RequestTimeout,
    /// There was no answer in time; whether anything was done is not known.
    TimedOut,
    /// There is no room for the request now; try again later.
    Unavailable,
    /// The store failed and the engine no longer writes.
    ReadOnly,
    /// Another engine holds the data directory.
    AlreadyRunning,
    /// Stored data is damaged or of an unknown version.
    Corrupt,
    /// The disk is full.
    DiskFull,
    /// No model is configured or reachable.
    NoProvider,
    /// The provider refused the key.
    ProviderUnauthorized,
    /// The provider refused the request, or failed more often than it is retried.
    ProviderFailed,
    /// The provider refused the request itself: the same would be refused again.
    ProviderRejected,
    /// No isolation is available on this machine, so code is not run.
    NoSandbox,
    /// A tool step failed.
    ToolFailed,
    /// The answer did not match its schema, even after being told so.
    SchemaMismatch,
    /// The agent repeats itself without progress.
    Stuck,
    /// What the task promised does not hold: a file, a command or a URL of its contract.
    ContractFailed,
    /// A limit on turns, records, files or output was reached.
    LimitReached,
    /// The task's budget does not cover the next call.
    BudgetDenied,
    /// The prompt does not fit the model's window.
    PromptTooLarge,
    /// A person said no.
    Denied,
    /// The task took its actor down three times and was set aside.
    Poisoned,
    /// The task was cancelled.
    Cancelled,
    /// A defect in Ninja.
    Internal,
}

impl ErrorCode {
    /// Returns the code as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidPlan => "invalid_plan",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::PreconditionFailed => "precondition_failed",
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::RangeNotSatisfiable => "range_not_satisfiable",
            Self::QuotaExceeded => "quota_exceeded",
            Self::WeakPassword => "weak_password",
            Self::TooLarge => "too_large",
            Self::TooManyRequests => "too_many_requests",
            Self::RequestTimeout => "request_timeout",
            Self::TimedOut => "timed_out",
            Self::Unavailable => "unavailable",
            Self::ReadOnly => "read_only",
            Self::AlreadyRunning => "already_running",
            Self::Corrupt => "corrupt",
            Self::DiskFull => "disk_full",
            Self::NoProvider => "no_provider",
            Self::ProviderUnauthorized => "provider_unauthorized",
            Self::ProviderFailed => "provider_failed",
            Self::ProviderRejected => "provider_rejected",
            Self::NoSandbox => "no_sandbox",
            Self::ToolFailed => "tool_failed",
            Self::SchemaMismatch => "schema_mismatch",
            Self::Stuck => "stuck",
            Self::ContractFailed => "contract_failed",
            Self::LimitReached => "limit_reached",
            Self::BudgetDenied => "budget_denied",
            Self::PromptTooLarge => "prompt_too_large",
            Self::Denied => "denied",
            Self::Poisoned => "poisoned",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }

    /// Returns the HTTP status that goes with the code: the only such table.
    pub fn http_status(self) -> u16 {
        match self {
            Self::Unauthorized => 401,
            Self::Forbidden | Self::Denied => 403,
            Self::NotFound => 404,
            Self::RequestTimeout => 408,
            Self::Conflict | Self::AlreadyRunning | Self::Cancelled => 409,
            Self::PreconditionFailed => 412,
            Self::TooLarge | Self::PromptTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            // Where a request could not even be read, the edge says 400.
            Self::InvalidRequest
            | Self::InvalidPlan
            | Self::WeakPassword
            | Self::IdempotencyMismatch
            | Self::SchemaMismatch
            | Self::Stuck
            | Self::LimitReached
            | Self::ToolFailed
            | Self::ContractFailed => 422,
            Self::RangeNotSatisfiable => 416,
            Self::BudgetDenied => 402,
            Self::TooManyRequests | Self::QuotaExceeded => 429,
            Self::Poisoned | Self::Corrupt | Self::Internal => 500,
            Self::ProviderFailed | Self::ProviderRejected | Self::ProviderUnauthorized => 502,
            Self::ReadOnly | Self::NoProvider | Self::NoSandbox | Self::Unavailable => 503,
            Self::TimedOut => 504,
            Self::DiskFull => 507,
        }
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure with its code and a sentence for a person; never carries a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[error("{detail} ({code})")]
pub struct ApiError {
    /// The stable code.
    pub code: ErrorCode,
    /// What happened and, where there is one, what to do about it.
    pub detail: String,
    /// In how many seconds to try again, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

impl ApiError {
    /// Makes an error from its code and its sentence.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after_s: None }
    }

    /// Says in how many seconds to try again.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }
}
