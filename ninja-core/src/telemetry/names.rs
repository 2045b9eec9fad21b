//! Every name that is told: those of OpenTelemetry's semantic conventions where there is one, else `ninja.…`.
//!
//! The conventions of generative AI are in development; what they rename is renamed here alone. Prometheus sees dots as
//! underscores, the unit behind the name, and `_total` behind what only grows.

/// The instrumentation scope.
pub const SCOPE: &str = "ninja";

/// Tasks accepted.
pub const TASKS_SUBMITTED: &str = "ninja.tasks.submitted";
/// Tasks ended, by [`STATUS`].
pub const TASKS_ENDED: &str = "ninja.tasks.ended";
/// Tasks that have not ended, by [`STATUS`].
pub const TASKS: &str = "ninja.tasks";
/// Tasks that wait, by [`WAIT_FOR`].
pub const TASKS_WAITING: &str = "ninja.tasks.waiting";
/// Tasks that wait for a place.
pub const TASKS_QUEUED: &str = "ninja.tasks.queue.length";
/// Steps ended, by [`STATUS`].
pub const STEPS_ENDED: &str = "ninja.steps.ended";
/// How long steps took.
pub const STEP_DURATION: &str = "ninja.step.duration";

/// How long calls to models took, with waits and tries.
pub const CALL_DURATION: &str = "gen_ai.client.operation.duration";
/// Tokens of each call, by [`TOKEN_TYPE`].
pub const CALL_TOKENS: &str = "gen_ai.client.token.usage";
/// Calls to models ended, by [`OUTCOME`].
pub const MODEL_CALLS: &str = "ninja.model.calls";
/// Tokens in all, by [`TOKEN_TYPE`]; these are what `GET /usage` counts.
pub const MODEL_TOKENS: &str = "ninja.model.tokens";
/// What calls cost, in US dollars.
pub const MODEL_COST: &str = "ninja.model.cost";
/// Calls that another model answers in place of one that failed.
pub const MODEL_FAILOVERS: &str = "ninja.model.failovers";
/// Steps that wait because every model failed.
pub const MODEL_PAUSES: &str = "ninja.model.pauses";
/// Tries after the first of a call.
pub const PROVIDER_RETRIES: &str = "ninja.provider.retries";
/// Tries that waited for a limit of their provider.
pub const PROVIDER_WAITS: &str = "ninja.provider.rate_limit.waits";
/// How long they waited in all.
pub const PROVIDER_WAITED: &str = "ninja.provider.rate_limit.waited";

/// Tool calls ended, by [`OUTCOME`].
pub const TOOL_CALLS: &str = "ninja.tool.calls";
/// How long tool calls took.
pub const TOOL_DURATION: &str = "ninja.tool.call.duration";

/// Commits made durable.
pub const JOURNAL_COMMITS: &str = "ninja.journal.commits";
/// Records appended.
pub const JOURNAL_RECORDS: &str = "ninja.journal.records";
/// Bytes of log written.
pub const JOURNAL_BYTES: &str = "ninja.journal.written";
/// How long the write and the sync of a group of commits took.
pub const JOURNAL_SYNC: &str = "ninja.journal.sync.duration";
/// Commits that shared a sync.
pub const JOURNAL_GROUP: &str = "ninja.journal.group.commits";
/// Bytes that wait for the writer.
pub const JOURNAL_QUEUE: &str = "ninja.journal.queue.size";
/// Bytes that wait for a checkpoint.
pub const JOURNAL_BACKLOG: &str = "ninja.journal.backlog.size";
/// What the store takes on the disk, by [`PART`].
pub const STORE_SIZE: &str = "ninja.store.size";
/// Blobs in the store.
pub const STORE_BLOBS: &str = "ninja.store.blobs";
/// Room left on the disk.
pub const STORE_ROOM: &str = "ninja.store.room";

/// Failures of actors, by [`ACTOR`].
pub const ACTOR_FAILURES: &str = "ninja.actor.failures";
/// Actors there are, by [`ACTOR`].
pub const ACTORS: &str = "ninja.actors";
/// Messages that wait, by [`ACTOR`].
pub const ACTOR_MAILBOX: &str = "ninja.actor.mailbox.length";
/// Processes in sandboxes.
pub const SANDBOX_PROCESSES: &str = "ninja.sandbox.processes";
/// Calls that wait for a place in a sandbox.
pub const SANDBOX_WAITING: &str = "ninja.sandbox.waiting";
/// Followers that fell behind and read on from the disk.
pub const STREAMS_LAGGED: &str = "ninja.streams.lagged";
/// 1 for a component that works, 0 for one that does not, by [`COMPONENT`]; as it was last looked at.
pub const COMPONENT_UP: &str = "ninja.component.up";

/// A status of a task or step.
pub const STATUS: &str = "status";
/// What a task waits for.
pub const WAIT_FOR: &str = "for";
/// What came of a call.
pub const OUTCOME: &str = "outcome";
/// The part of a store.
pub const PART: &str = "part";
/// The kind of an actor.
pub const ACTOR: &str = "actor";
/// A component of the engine.
pub const COMPONENT: &str = "component";

/// What was done with a model or tool.
pub const OPERATION: &str = "gen_ai.operation.name";
/// The provider, by its name in the configuration.
pub const PROVIDER: &str = "gen_ai.provider.name";
/// The model that was asked.
pub const MODEL: &str = "gen_ai.request.model";
/// The most tokens that its answer may have.
pub const MAX_TOKENS: &str = "gen_ai.request.max_tokens";
/// `input`, `output`; of [`MODEL_TOKENS`] also `cached_input` and `reasoning`, which are parts of those.
pub const TOKEN_TYPE: &str = "gen_ai.token.type";
/// Tokens that a call sent.
pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// Tokens that it received.
pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// Of the tokens sent, those that the provider had kept.
pub const CACHED_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
/// Why the model stopped.
pub const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
/// The agent.
pub const AGENT: &str = "gen_ai.agent.name";
/// The tool.
pub const TOOL: &str = "gen_ai.tool.name";
/// The conversation: the task.
pub const CONVERSATION: &str = "gen_ai.conversation.id";
/// The code of an error.
pub const ERROR: &str = "error.type";
/// The task.
pub const TASK_ID: &str = "ninja.task.id";
/// Its template.
pub const TASK_TEMPLATE: &str = "ninja.task.template";
/// How it ended.
pub const TASK_STATUS: &str = "ninja.task.status";
/// The step.
pub const STEP_ID: &str = "ninja.step.id";
/// Its attempt, from 1.
pub const STEP_ATTEMPT: &str = "ninja.step.attempt";
/// The number of a call within its step.
pub const CALL: &str = "ninja.call";

/// The span of a task, as long as it is at work.
pub const TASK_SPAN: &str = "task";
/// Asking a model.
pub const CHAT: &str = "chat";
/// Calling a tool.
pub const EXECUTE_TOOL: &str = "execute_tool";
/// An agent's step.
pub const INVOKE_AGENT: &str = "invoke_agent";

/// In place of a name that nobody configured: anybody may make up names, and each would be a series of its own.
pub const OTHER: &str = "other";

/// How long requests took.
pub const HTTP_DURATION: &str = "http.server.request.duration";
/// Requests that are being answered.
pub const HTTP_ACTIVE: &str = "http.server.active_requests";
/// Bodies of requests.
pub const HTTP_REQUEST_SIZE: &str = "http.server.request.body.size";
/// Bodies of answers.
pub const HTTP_RESPONSE_SIZE: &str = "http.server.response.body.size";
/// The method of a request.
pub const HTTP_METHOD: &str = "http.request.method";
/// The template of its route.
pub const HTTP_ROUTE: &str = "http.route";
/// The status of its answer.
pub const HTTP_STATUS: &str = "http.response.status_code";
/// The scheme by which it came to this process.
pub const URL_SCHEME: &str = "url.scheme";
/// Streams of events that are open, by [`STREAM_KIND`].
pub const STREAMS: &str = "ninja.streams";
/// Frames sent on them.
pub const STREAM_FRAMES: &str = "ninja.stream.frames";
/// `websocket` or `sse`.
pub const STREAM_KIND: &str = "kind";
/// Spans, by [`OUTCOME`]: `ended`, `sent`, `failed`. What is neither of the latter two waits or was dropped.
pub const TELEMETRY_SPANS: &str = "ninja.telemetry.spans";
/// Memory in use.
pub const PROCESS_MEMORY: &str = "process.memory.usage";
/// File descriptors that are open.
pub const PROCESS_FILES: &str = "process.unix.file_descriptor.count";
/// How long the process has run.
pub const PROCESS_UPTIME: &str = "process.uptime";
