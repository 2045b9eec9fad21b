//! What every route is for, takes and answers, in the order of the table of routes.

use ninja_core::api::{
    Agent, AgentCapabilities, ApiKeyInfo, ApprovalSummary, Artifact, AuditCheckpoint, AuditEntry, AuditFormat,
    AuditVerified, Budget, BudgetReport, ChangePassword, ChangeSettings, ChangeUser, CreateApiKey, CreateUser,
    Decision, File, FileUpload, Forecast, ForkTask, Health, InvitedUser, KeysRotated, ListApprovals, ListFiles,
    ListTasks, ListUsers, LiveSettings, Login, MasterKeys, Me, NewApiKey, ProviderInfo, ProviderSettings, ProviderTest,
    Readiness, RedeemToken, Refresh, Register, ReplayReport, RotateKeys, Session, Stats, Step, SubmitTask,
    SummaryQuery, SupervisionTree, Task, TaskDiff, TaskSummary, TasksSummary, TemplateInfo, Tokens, UsageQuery,
    UsageReport, User, WsTicket,
};

use super::operation::{FormFiles, Operation};
use crate::routes::{EventsParams, ExportParams, ListParams, Root, VerifyParams};

/// What the document says of itself.
pub(super) const ABOUT: &str = "\
Teams of AI agents as durable, supervised, sandboxed tasks. Every step is journaled before its result is used.

A refusal is an `application/problem+json` body whose `code` is stable. Lists answer pages with an opaque `next_cursor`. \
Requests that make something take an `Idempotency-Key`; what has versions bears an `ETag` and takes `If-Match`.";

/// Alternatives that take no fields but their own.
pub(super) const STRICT: [&str; 3] = ["Check", "Decision", "SchemaSpec"];

/// Groups of routes, and what they are about.
pub(super) const TAGS: [(&str, &str); 9] = [
    ("system", "The daemon itself."),
    ("auth", "Getting in, and one's own account."),
    ("tasks", "Goals handed in, steered and followed."),
    ("approvals", "Questions that only a person can answer."),
    ("agents", "The specialists that carry steps out."),
    ("files", "What comes in, to be worked with."),
    ("usage", "What was used, and what is left."),
    ("users", "Accounts, for administrators."),
    ("admin", "The installation, for administrators."),
];

/// The routes to which a task's id leads.
const OF_TASK: [&str; 12] = [
    "task",
    "steps",
    "task_events",
    "artifacts",
    "cancel_task",
    "pause_task",
    "resume_task",
    "change_budget",
    "retry_task",
    "fork_task",
    "replay_task",
    "delete_task",
];

/// Returns what is said of every route.
pub(super) fn all() -> Vec<Operation> {
    [system(), auth(), tasks(), steering(), approvals_and_agents(), files(), usage(), users(), admin()]
        .into_iter()
        .flatten()
        .collect()
}

fn system() -> Vec<Operation> {
    let says = |verb, summary| Operation::new(verb, "system", summary);
    vec![
        says("root", "Says what this is").answers::<Root>(200, "Its name and version."),
        says("health", "Says how each component is")
            .answers::<Health>(200, "It works, perhaps with something amiss.")
            .answers::<Health>(503, "A component is down."),
        says("ready", "Says whether to send requests here")
            .answers::<Readiness>(200, "Yes.")
            .answers::<Readiness>(503, "Not now, and why."),
        says("metrics", "Shows the numbers of this moment").answers_as(200, "text/plain", "Prometheus's text format."),
        says("supervision", "Shows the live tree of actors").answers::<SupervisionTree>(200, "The tree."),
        says("open_socket", "Opens a WebSocket")
            .more(
                "Who asks is said by the header `Authorization`, by the protocols `ninja.ticket.TICKET` and `ninja.v1`, or by \
                 the first frame, `{\"type\":\"authenticate\",\"credential\":\"…\"}`. Frames that subscribe follow: \
                 `{\"type\":\"task\",\"task\":\"task_…\",\"after\":\"t:12\"}` and `{\"type\":\"feed\"}`.",
            )
            .switches("What follows are frames."),
        says("openapi", "Shows this document").answers::<serde_json::Value>(200, "OpenAPI 3.1."),
        says("docs", "Shows this document as a page").answers_as(200, "text/html", "The page."),
        says("docs_file", "Answers with what the page is made of").answers_as(200, "*/*", "A script, a style or a picture."),
    ]
}

fn auth() -> Vec<Operation> {
    let says = |verb, summary| Operation::new(verb, "auth", summary);
    vec![
        says("register", "Makes an account for oneself")
            .more("Where registration is open: `registration_open` of the settings.")
            .takes::<Register>()
            .answers::<User>(201, "The account."),
        says("login", "Begins a session").takes::<Login>().answers::<Tokens>(200, "The session's tokens."),
        says("refresh", "Renews a session")
            .more("A refresh token is good for one use. One that is used twice ends its session: somebody else has it.")
            .takes::<Refresh>()
            .answers::<Tokens>(200, "The session's new tokens."),
        says("redeem_token", "Sets a password with a token that was sent")
            .takes::<RedeemToken>()
            .answers::<User>(200, "The account."),
        says("logout", "Ends the session of the request").answers_nothing("It has ended."),
        says("me", "Shows the caller's account")
            .answers::<Me>(200, "The account, and what the credential may be used for."),
        says("change_password", "Changes the caller's password")
            .takes::<ChangePassword>()
            .answers_nothing("It is changed."),
        says("api_keys", "Lists the caller's API keys").answers_page::<ApiKeyInfo>(),
        says("create_api_key", "Makes an API key")
            .takes::<CreateApiKey>()
            .answers::<NewApiKey>(201, "The key. Its text is shown this once.")
            .located()
            .leads_to("id", "$response.body#/info/id", &["revoke_api_key"]),
        says("revoke_api_key", "Ends an API key").answers_nothing("It opens nothing any more."),
        says("ws_ticket", "Makes a ticket that opens one WebSocket").answers::<WsTicket>(200, "The ticket."),
        says("sessions", "Lists the caller's sessions").answers_page::<Session>(),
        says("revoke_session", "Ends a session")
            .answers_nothing("Its tokens are good for nothing, its streams are closed."),
    ]
}

fn tasks() -> Vec<Operation> {
    let says = |verb, summary| Operation::new(verb, "tasks", summary);
    vec![
        says("list_tasks", "Lists the caller's tasks, newest first").query::<ListTasks>().answers_page::<TaskSummary>(),
        says("submit_task", "Hands in a task")
            .more("A goal, a template or a plan must be given. It is stored before the answer; work on it begins afterwards.")
            .once()
            .takes::<SubmitTask>()
            .answers::<Task>(201, "The task.")
            .versioned()
            .located()
            .leads_to("id", "$response.body#/id", &OF_TASK),
        says("templates", "Lists the templates").answers_page::<TemplateInfo>(),
        says("forecast", "Says what a task may come to")
            .more("Stores and begins nothing.")
            .takes::<SubmitTask>()
            .answers::<Forecast>(200, "The plan, and what its model calls may come to."),
        says("tasks_summary", "Shows the caller's tasks in numbers")
            .query::<SummaryQuery>()
            .answers::<TasksSummary>(200, "Counts, rates and times."),
        says("task", "Shows a task").unless_known().answers::<Task>(200, "The task, whole.").versioned(),
        says("delete_task", "Deletes a task that has ended").at_version().answers_nothing("It is gone."),
        says("steps", "Lists a task's steps, predecessors first").answers_page::<Step>(),
        says("task_events", "Follows a task")
            .more("Server-sent events from after a cursor until the task has ended. `Last-Event-ID` counts as `after`.")
            .query::<EventsParams>()
            .streams("text/event-stream", "One event for each frame.")
            .answers_nothing("The task has ended and the client has seen it all."),
        says("artifacts", "Lists the files that a task made so far").answers_page::<Artifact>(),
        says("artifact", "Downloads a file that a task made")
            .unless_known()
            .in_ranges()
            .answers_as(200, "*/*", "The file, to be saved.")
            .versioned(),
        says("replay_task", "Decides a task once more from its log")
            .more("Calls no model, and says whether it comes to the same.")
            .answers::<ReplayReport>(200, "What came of it."),
        says("diff_tasks", "Shows the first thing that two tasks did differently")
            .answers::<TaskDiff>(200, "The first difference."),
    ]
}

fn steering() -> Vec<Operation> {
    let says = |verb, summary| Operation::new(verb, "tasks", summary);
    vec![
        says("cancel_task", "Cancels a task")
            .at_version()
            .answers::<Task>(200, "The task; nothing of it is left alive.")
            .versioned(),
        says("pause_task", "Pauses a task")
            .more("What runs ends, nothing new begins.")
            .at_version()
            .answers::<Task>(200, "The task.")
            .versioned(),
        says("resume_task", "Lets a paused task go on").at_version().answers::<Task>(200, "The task.").versioned(),
        says("change_budget", "Changes a task's limits")
            .at_version()
            .takes::<Budget>()
            .answers::<Task>(200, "The task.")
            .versioned(),
        says("retry_task", "Takes up a task that failed or was cancelled")
            .at_version()
            .answers::<Task>(200, "The task.")
            .versioned(),
        says("fork_task", "Makes a task that begins with what another one did")
            .once()
            .takes::<ForkTask>()
            .answers::<Task>(201, "The new task.")
            .versioned()
            .located()
            .leads_to("id", "$response.body#/id", &OF_TASK),
    ]
}

fn approvals_and_agents() -> Vec<Operation> {
    let approvals = |verb, summary| Operation::new(verb, "approvals", summary);
    let agents = |verb, summary| Operation::new(verb, "agents", summary);
    vec![
        approvals("list_approvals", "Lists the open questions of the caller's tasks")
            .query::<ListApprovals>()
            .answers_page::<ApprovalSummary>(),
        approvals("decide_approval", "Answers a question")
            .at_version()
            .takes::<Decision>()
            .answers::<Task>(200, "The task.")
            .versioned(),
        agents("agents", "Lists the agents").answers_page::<Agent>(),
        agents("agent", "Shows an agent").answers::<Agent>(200, "The agent."),
        agents("agent_capabilities", "Says what an agent may do")
            .answers::<AgentCapabilities>(200, "Tools and limits."),
    ]
}

fn files() -> Vec<Operation> {
    let says = |verb, summary| Operation::new(verb, "files", summary);
    vec![
        says("list_files", "Lists the caller's files, newest first").query::<ListFiles>().answers_page::<File>(),
        says("upload_file", "Uploads a file").takes_form(FormFiles::One).answers::<File>(201, "The file.").leads_to(
            "filename",
            "$response.body#/filename",
            &["file", "delete_file"],
        ),
        says("upload_files", "Uploads several files")
            .more("At most 20. Each is stored whole or not at all, whatever happens to the others.")
            .takes_form(FormFiles::Several)
            .answers_page_with::<FileUpload>(&[201, 207]),
        says("file", "Shows what is known of a file").answers::<File>(200, "The file."),
        says("download_file", "Downloads a file")
            .unless_known()
            .in_ranges()
            .answers_as(200, "*/*", "The file, to be saved.")
            .versioned(),
        says("delete_file", "Deletes a file").answers_nothing("It is gone. Tasks that were given it keep it."),
    ]
}

fn usage() -> Vec<Operation> {
    let says = |verb, summary| Operation::new(verb, "usage", summary);
    vec![
        says("usage", "Says what the caller's tasks used").query::<UsageQuery>().answers::<UsageReport>(200, "Sums."),
        says("budgets", "Says how the limits stand that the caller's tasks share")
            .answers::<BudgetReport>(200, "The limits, the narrower ones first."),
    ]
}

fn users() -> Vec<Operation> {
    let says = |verb, summary| Operation::new(verb, "users", summary);
    vec![
        says("users", "Lists accounts, newest first").query::<ListUsers>().answers_page::<User>(),
        says("create_user", "Makes an account")
            .takes::<CreateUser>()
            .answers::<InvitedUser>(201, "The account, with the token that sets its password. It is shown this once.")
            .located()
            .leads_to(
                "id",
                "$response.body#/user/id",
                &["user", "change_user", "invite_user", "end_sessions", "delete_user"],
            ),
        says("user", "Shows an account").answers::<User>(200, "The account.").versioned(),
        says("change_user", "Changes an account")
            .at_version()
            .takes::<ChangeUser>()
            .answers::<User>(200, "The account.")
            .versioned(),
        says("delete_user", "Deletes an account with all that is its")
            .answers_nothing("Nobody gets in with it any more."),
        says("invite_user", "Makes a token that sets an account's password")
            .answers::<InvitedUser>(200, "The token. It is shown this once."),
        says("end_sessions", "Ends every session of an account").answers_nothing("They have ended."),
    ]
}

fn admin() -> Vec<Operation> {
    let says = |verb, summary| Operation::new(verb, "admin", summary);
    vec![
        says("backup", "Streams a backup")
            .more("Everything the store holds. Whether it is whole is said by its last line, and there alone.")
            .answers_as(200, "application/x-ndjson", "Lines of JSON."),
        says("settings", "Shows the settings that count now").answers::<LiveSettings>(200, "The settings.").versioned(),
        says("change_settings", "Changes settings; they count at once")
            .at_version()
            .takes::<ChangeSettings>()
            .answers::<LiveSettings>(200, "The settings.")
            .versioned(),
        says("providers", "Lists the providers in the order of choice")
            .more("No key is among it.")
            .answers_page::<ProviderInfo>(),
        says("put_provider", "Keeps settings of a provider")
            .takes::<ProviderSettings>()
            .answers::<ProviderInfo>(200, "The provider.")
            .leads_to("name", "$response.body#/name", &["remove_provider", "test_provider"]),
        says("remove_provider", "Forgets the settings of a provider").answers_nothing("They are gone."),
        says("test_provider", "Asks a provider whether it could answer now")
            .more("As far as that costs nothing: whether it is there and takes the key.")
            .answers::<ProviderTest>(200, "What came of it."),
        says("stats", "Shows the installation in numbers").answers::<Stats>(200, "Counts and sums."),
        says("list_audit", "Lists who did what, newest first").query::<ListParams>().answers_page::<AuditEntry>(),
        says("export_audit", "Streams the audit log, oldest first")
            .query::<ExportParams>()
            .made_of::<AuditFormat>()
            .answers_as(200, "application/x-ndjson", "The entries, as a file to keep.")
            .or_as("text/csv"),
        says("verify_audit", "Says whether the audit log is the one that was written")
            .query::<VerifyParams>()
            .answers::<AuditVerified>(200, "What there is against it."),
        says("checkpoint_audit", "Shows where the audit log ends, signed, to be kept elsewhere")
            .answers::<AuditCheckpoint>(200, "The checkpoint."),
        says("master_keys", "Says where the keys come from that seal secrets")
            .answers::<MasterKeys>(200, "No key is among it."),
        says("rotate_keys", "Seals every secret anew under another key")
            .takes::<RotateKeys>()
            .answers::<KeysRotated>(200, "What came of it."),
    ]
}
