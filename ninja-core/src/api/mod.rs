//! The vocabulary: every noun that crosses a boundary, as plain serde types.
//!
//! HTTP bodies, SDK types, console state and the embedder's types are these same types. Nothing here does I/O or
//! knows the engine; journal records are a separate, versioned format (`journal::record`).

mod account;
mod agent;
mod approval;
mod artifact;
mod audit;
mod auth;
mod contract;
mod error;
mod event;
mod forecast;
mod health;
mod idempotency;
mod ids;
mod list;
mod model;
mod plan;
mod provider;
mod replay;
#[cfg(feature = "openapi")]
mod schema;
mod secret;
mod stats;
mod summary;
mod supervision;
mod task;
mod template;
mod usage;
mod vault;

pub use account::{
    ApiKeyInfo, ChangePassword, ChangeQuotas, ChangeSettings, ChangeUser, CreateApiKey, CreateUser, InvitedUser,
    LiveSettings, Login, Me, NewApiKey, Quotas, RedeemToken, Refresh, Register, RoleQuotas, Session, TokenType, Tokens,
    User, WsTicket,
};
pub use agent::{Agent, AgentLimits, ModelClass};
pub use approval::{Approval, ApprovalKind, ApprovalSummary, DecideApproval, Decision, ProposedCall};
pub use artifact::{
    Artifact, BlobHash, FILE_BYTES_MAX, FILES_AT_ONCE_MAX, File, FileUpload, FileUploadResult, ListFiles,
};
pub use audit::{
    AuditAction, AuditActor, AuditCheckpoint, AuditEntry, AuditFilter, AuditFormat, AuditOutcome, AuditVerified,
};
pub use auth::{Access, Credential, Origin, Principal, Role, Scope, Scopes};
pub use contract::{Check, Contract};
pub use error::{ApiError, ErrorCode};
pub use event::{Cursor, Event, EventBody, FeedBody, FeedEntry, Introduce, StreamFrame, Subscribe};
pub use forecast::{Forecast, ForecastStep, Outlook, Span};
pub use health::{ComponentHealth, ComponentState, Health, Readiness, Unready};
pub use idempotency::{IdempotencyKey, Made};
pub use ids::{ApiKeyId, ApprovalId, FileId, IdError, SessionId, StepId, TaskId, UserId};
pub use jiff::{Timestamp, civil::Date};
pub use list::{ListApprovals, ListAudit, ListTasks, ListUsers};
pub use model::{ModelRef, Usage};
pub use plan::{EffectClass, PlanSpec, Retry, SchemaSpec, StepKind, StepSpec};
pub use provider::{
    DollarPrice, ProviderInfo, ProviderKind, ProviderOrigin, ProviderSettings, ProviderTest, TakesImages, Timeouts,
};
pub use replay::{
    AgentCapabilities, ComparedTask, EventDifference, FieldDifference, ReplayDifference, ReplayReport, TaskDiff,
    ToolInfo,
};
pub use secret::Secret;
pub use stats::{FileCounts, Stats, StoreBytes, TaskCounts, TaskDay, UsageSums, UserCounts};
pub use summary::{PeriodSummary, SummaryQuery, TasksSummary};
pub use supervision::{
    ActorFailure, SandboxPool, SupervisedActor, SupervisedKind, SupervisedState, SupervisionTree, WriterThread,
};
pub use task::{
    Autonomy, Budget, BudgetLimit, BudgetOf, CancelReceipt, ForkPoint, ForkTask, Page, Planning, Step, StepStatus,
    StoppedCall, SubmitTask, Task, TaskStatus, TaskSummary, WaitFor, Waiting, dollars,
};
pub use template::{FileCount, TemplateInfo};
pub use usage::{BudgetItem, BudgetReport, UsageBy, UsageItem, UsageQuery, UsageReport};
pub use vault::{KeysRotated, MasterKeys, RotateKeys};
