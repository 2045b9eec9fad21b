//! The table of contents: every path on one screen, with the rule that says to whom it is open.

mod admin;
mod approvals;
mod artifacts;
mod audit_logs;
mod auth;
mod backup;
mod catalog;
mod docs;
mod events;
mod files;
mod frames;
#[cfg(test)]
mod matrix;
mod packing;
mod paging;
mod replay;
mod socket;
mod steer;
mod system;
mod tasks;
mod users;

use std::time::Duration;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    handler::Handler,
    http::Method,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{self, MethodRouter},
};
use ninja_core::api::{Access, ErrorCode, Scope};
use tokio::time::timeout;
use tower::util::option_layer;
use tower_http::{catch_panic::CatchPanicLayer, compression::CompressionLayer};

pub(crate) use self::{
    audit_logs::{ExportParams, ListParams, VerifyParams},
    events::EventsParams,
    system::Root,
};
use crate::{
    app::App,
    auth as gate, edge,
    error::Refusal,
    pages,
    rate::Bucket,
    serve::Deadlines,
    telemetry::{self, Exporters},
};

/// A path and what it takes of one method. There is none without a rule that says to whom it is open.
pub(crate) struct Route {
    /// The name of the handler, which is that of the engine's verb.
    pub(crate) verb: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    /// The largest body it takes, in bytes.
    body_max: usize,
    /// By which bucket it counts who calls it.
    bucket: Bucket,
    /// How long it may take.
    length: Length,
    handler: MethodRouter<App>,
}

impl Route {
    /// Counts callers by another bucket.
    fn counted_by(mut self, bucket: Bucket) -> Self {
        self.bucket = bucket;
        self
    }

    /// Lets it take long: it reads or rewrites all there is.
    fn long(mut self) -> Self {
        self.length = Length::Long;
        self
    }

    /// Lets its body take as long as files do.
    fn uploads(mut self) -> Self {
        self.length = Length::Upload;
        self
    }
}

/// How long a route may take.
#[derive(Debug, Clone, Copy)]
enum Length {
    Usual,
    Long,
    Upload,
}

impl Length {
    fn within(self, body_max: usize, deadlines: &Deadlines) -> Duration {
        match self {
            Self::Usual if body_max == NO_BODY => deadlines.answer,
            Self::Usual => deadlines.body + deadlines.answer,
            Self::Long => deadlines.long_answer,
            Self::Upload => deadlines.upload + deadlines.answer,
        }
    }
}

const NO_BODY: usize = 0;
/// A task with a plan of a thousand steps fits.
const TASK_BODY: usize = 1024 * 1024;
/// An answer to a question is a few sentences; where to fork and with what, and settings, are less.
const SMALL_BODY: usize = 64 * 1024;
/// A file of 50 MB and the multipart around it. The engine counts the file itself.
const FILE_BODY: usize = ninja_core::api::FILE_BYTES_MAX as usize + 1024 * 1024;
/// As many of them as one request may bring.
const FILES_BODY: usize = ninja_core::api::FILES_AT_ONCE_MAX * FILE_BODY;

/// Every path there is.
pub(crate) fn table() -> Vec<Route> {
    let mut rows = for_users();
    rows.extend(for_administrators());
    rows
}

/// The paths for whoever has an account, and those for everybody.
#[rustfmt::skip]
fn for_users() -> Vec<Route> {
    use Access::{Public, User};
    use Bucket::{Introduced, SignIn};
    use Scope::{AccountRead, AccountWrite, FilesRead, FilesWrite, TasksRead, TasksWrite, UsageRead};
    vec![
        get   ("/",                                           Public,                         system::root),
        get   ("/health",                                     Public,                         system::health),
        get   ("/ready",                                      Public,                         system::ready),
        get   ("/openapi.json",                               Public,                         docs::openapi),
        get   ("/docs",                                       Public,                         docs::docs),
        get   ("/docs/{file}",                                Public,                         docs::docs_file),
        // A page cannot send headers with it, so it asks by itself who is there.
        get   ("/ws",                                         Public,                         socket::open_socket).counted_by(Introduced),

        post  ("/api/v1/auth/register",                       Public,           SMALL_BODY,   auth::register).counted_by(SignIn),
        post  ("/api/v1/auth/login",                          Public,           SMALL_BODY,   auth::login).counted_by(SignIn),
        post  ("/api/v1/auth/refresh",                        Public,           SMALL_BODY,   auth::refresh),
        post  ("/api/v1/auth/redeem",                         Public,           SMALL_BODY,   auth::redeem_token).counted_by(SignIn),
        post  ("/api/v1/auth/logout",                         User(AccountWrite), NO_BODY,    auth::logout),
        get   ("/api/v1/auth/me",                             User(AccountRead),              auth::me),
        post  ("/api/v1/auth/password",                       User(AccountWrite), SMALL_BODY, auth::change_password).counted_by(SignIn),
        get   ("/api/v1/auth/api-keys",                       User(AccountRead),              auth::api_keys),
        post  ("/api/v1/auth/api-keys",                       User(AccountWrite), SMALL_BODY, auth::create_api_key),
        delete("/api/v1/auth/api-keys/{id}",                  User(AccountWrite),             auth::revoke_api_key),
        post  ("/api/v1/auth/ws-ticket",                      User(TasksRead),  NO_BODY,      auth::ws_ticket),
        get   ("/api/v1/sessions",                            User(AccountRead),              auth::sessions),
        delete("/api/v1/sessions/{id}",                       User(AccountWrite),             auth::revoke_session),

        get   ("/api/v1/tasks",                               User(TasksRead),                tasks::list_tasks),
        post  ("/api/v1/tasks",                               User(TasksWrite), TASK_BODY,    tasks::submit_task),
        get   ("/api/v1/tasks/templates",                     User(TasksRead),                catalog::templates),
        post  ("/api/v1/tasks/forecast",                      User(TasksRead),  TASK_BODY,    tasks::forecast),
        get   ("/api/v1/tasks/stats/summary",                 User(TasksRead),                tasks::tasks_summary),
        get   ("/api/v1/tasks/{id}",                          User(TasksRead),                tasks::task),
        delete("/api/v1/tasks/{id}",                          User(TasksWrite),               tasks::delete_task),
        get   ("/api/v1/tasks/{id}/steps",                    User(TasksRead),                tasks::steps),
        post  ("/api/v1/tasks/{id}/cancel",                   User(TasksWrite), NO_BODY,      tasks::cancel_task),
        post  ("/api/v1/tasks/{id}/pause",                    User(TasksWrite), NO_BODY,      steer::pause_task),
        post  ("/api/v1/tasks/{id}/resume",                   User(TasksWrite), NO_BODY,      steer::resume_task),
        post  ("/api/v1/tasks/{id}/budget",                   User(TasksWrite), SMALL_BODY,   steer::change_budget),
        post  ("/api/v1/tasks/{id}/retry",                    User(TasksWrite), NO_BODY,      steer::retry_task),
        post  ("/api/v1/tasks/{id}/fork",                     User(TasksWrite), SMALL_BODY,   steer::fork_task),
        get   ("/api/v1/tasks/{id}/replay",                   User(TasksRead),                replay::replay_task),
        get   ("/api/v1/tasks/{id}/diff/{other}",             User(TasksRead),                replay::diff_tasks),
        post  ("/api/v1/tasks/{id}/approvals/{approval_id}",  User(TasksWrite), SMALL_BODY,   approvals::decide_approval),
        get   ("/api/v1/tasks/{id}/events",                   User(TasksRead),                events::task_events),
        get   ("/api/v1/tasks/{id}/artifacts",                User(TasksRead),                artifacts::artifacts),
        get   ("/api/v1/tasks/{id}/artifacts/{*path}",        User(TasksRead),                artifacts::artifact),

        get   ("/api/v1/approvals",                           User(TasksRead),                approvals::list_approvals),

        get   ("/api/v1/agents",                              User(TasksRead),                catalog::agents),
        get   ("/api/v1/agents/{type}",                       User(TasksRead),                catalog::agent),
        get   ("/api/v1/agents/{type}/capabilities",          User(TasksRead),                catalog::agent_capabilities),

        get   ("/api/v1/files",                               User(FilesRead),                files::list_files),
        post  ("/api/v1/files/upload",                        User(FilesWrite), FILE_BODY,    files::upload_file).uploads(),
        post  ("/api/v1/files/upload-multiple",               User(FilesWrite), FILES_BODY,   files::upload_files).uploads(),
        get   ("/api/v1/files/info/{filename}",               User(FilesRead),                files::file),
        get   ("/api/v1/files/download/{user_id}/{filename}", User(FilesRead),                files::download_file),
        delete("/api/v1/files/{filename}",                    User(FilesWrite),               files::delete_file),

        get   ("/api/v1/usage",                               User(UsageRead),                catalog::usage),
        get   ("/api/v1/budgets",                             User(UsageRead),                catalog::budgets),
    ]
}

/// The paths for administrators.
#[rustfmt::skip]
fn for_administrators() -> Vec<Route> {
    use Access::Admin;
    use Scope::{AdminRead, AdminWrite};
    vec![
        get   ("/metrics",                                    Admin(AdminRead),               system::metrics),
        get   ("/api/v1/system/supervision",                  Admin(AdminRead),               system::supervision),
        get   ("/api/v1/backup",                              Admin(AdminWrite),              backup::backup).long(),
        get   ("/api/v1/admin/users",                         Admin(AdminRead),               users::users),
        post  ("/api/v1/admin/users",                         Admin(AdminWrite), SMALL_BODY,  users::create_user),
        get   ("/api/v1/admin/users/{id}",                    Admin(AdminRead),               users::user),
        patch ("/api/v1/admin/users/{id}",                    Admin(AdminWrite), SMALL_BODY,  users::change_user),
        delete("/api/v1/admin/users/{id}",                    Admin(AdminWrite),              users::delete_user).long(),
        post  ("/api/v1/admin/users/{id}/token",              Admin(AdminWrite), NO_BODY,     users::invite_user),
        delete("/api/v1/admin/users/{id}/sessions",           Admin(AdminWrite),              users::end_sessions),
        get   ("/api/v1/admin/settings",                      Admin(AdminRead),               users::settings),
        patch ("/api/v1/admin/settings",                      Admin(AdminWrite), SMALL_BODY,  users::change_settings),
        get   ("/api/v1/admin/settings/ai-providers",         Admin(AdminRead),               admin::providers),
        post  ("/api/v1/admin/settings/ai-providers",         Admin(AdminWrite), SMALL_BODY,  admin::put_provider),
        delete("/api/v1/admin/settings/ai-providers/{name}",  Admin(AdminWrite),              admin::remove_provider),
        post  ("/api/v1/admin/settings/ai-providers/{name}/test", Admin(AdminWrite), NO_BODY, admin::test_provider),
        get   ("/api/v1/admin/stats",                         Admin(AdminRead),               admin::stats),
        get   ("/api/v1/admin/audit-logs",                    Admin(AdminRead),               audit_logs::list_audit),
        get   ("/api/v1/admin/audit-logs/export",             Admin(AdminRead),               audit_logs::export_audit).long(),
        get   ("/api/v1/admin/audit-logs/verify",             Admin(AdminRead),               audit_logs::verify_audit).long(),
        get   ("/api/v1/admin/audit-logs/checkpoint",         Admin(AdminRead),               audit_logs::checkpoint_audit),
        get   ("/api/v1/admin/keys",                          Admin(AdminRead),               admin::master_keys),
        post  ("/api/v1/admin/keys/rotate",                   Admin(AdminWrite), SMALL_BODY,  admin::rotate_keys).long(),
    ]
}

fn get<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    route(Method::GET, path, access, NO_BODY, name_of(&handler), routing::get(handler))
}

fn post<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, body_max: usize, handler: H) -> Route {
    route(Method::POST, path, access, body_max, name_of(&handler), routing::post(handler))
}

fn patch<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, body_max: usize, handler: H) -> Route {
    route(Method::PATCH, path, access, body_max, name_of(&handler), routing::patch(handler))
}

fn delete<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    route(Method::DELETE, path, access, NO_BODY, name_of(&handler), routing::delete(handler))
}

fn route(
    method: Method,
    path: &'static str,
    access: Access,
    body_max: usize,
    verb: &'static str,
    handler: MethodRouter<App>,
) -> Route {
    Route { verb, method, path, access, body_max, bucket: Bucket::Usual, length: Length::Usual, handler }
}

/// Makes the service of the table.
pub(crate) fn router(app: App) -> Router {
    let mut router = Router::new();
    for Route { path, access, body_max, bucket, length, handler, .. } in table() {
        let access = opened(&app, path).unwrap_or(access);
        let within = length.within(body_max, &app.deadlines);
        let handler = handler
            .layer(DefaultBodyLimit::max(body_max))
            .layer(middleware::from_fn_with_state(within, answer_within))
            .layer(middleware::from_fn_with_state((app.clone(), access, bucket), gate::admit));
        router = router.route(path, handler);
    }
    let cors = pages::cors(&app.http);
    router
        .layer(CompressionLayer::new().gzip(true).compress_when(packing::TextOfSomeLength))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(option_layer(cors))
        .layer(middleware::from_fn_with_state(app.clone(), edge::surround))
        .layer(middleware::from_fn_with_state(app.clone(), telemetry::observe))
        .with_state(app)
}

/// Returns the name of a function without its module's.
fn name_of<H>(_: &H) -> &'static str {
    std::any::type_name::<H>().rsplit("::").next().unwrap_or_default()
}

/// Returns to whom a path is open by the operator's settings, where those say otherwise than the table.
fn opened(app: &App, path: &str) -> Option<Access> {
    let is_open = path == "/metrics" && app.exporters.as_ref().is_some_and(Exporters::is_public);
    is_open.then_some(Access::Public)
}

/// Answers in the route's place once it has taken too long. What it streams afterwards is not its answer's time.
async fn answer_within(State(max): State<Duration>, request: Request, next: Next) -> Response {
    match timeout(max, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => {
            let detail =
                format!("there was no answer within {} s; whether anything was done is not known", max.as_secs());
            Refusal::new(ErrorCode::TimedOut, detail).into_response()
        }
    }
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(said = said.unwrap_or("something that is no text"), "handler panicked");
    Refusal::new(ErrorCode::Internal, "a defect in Ninja; the log has more under the request's id").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_about_the_daemon_itself_asks_who_calls() {
        for Route { method, path, access, .. } in table() {
            let is_open = matches!(path, "/" | "/health" | "/ready" | "/ws" | "/openapi.json" | "/docs" | "/docs/{file}")
                // Whoever comes there has nothing yet but what is in the body.
                || ["register", "login", "refresh", "redeem"].iter().any(|name| path == format!("/api/v1/auth/{name}"));
            assert_eq!(access == Access::Public, is_open, "{method} {path}");
        }
    }

    #[test]
    fn what_changes_something_asks_for_more_than_reading() {
        for Route { method, path, access, .. } in table() {
            let scope = match access {
                Access::Public => continue,
                Access::User(scope) | Access::Admin(scope) => scope.as_str(),
            };
            // It computes and keeps nothing.
            let reads = method == Method::GET || matches!(path, "/api/v1/tasks/forecast" | "/api/v1/auth/ws-ticket");
            assert_eq!(scope.ends_with(":read"), reads && path != "/api/v1/backup", "{method} {path}");
        }
    }
}
