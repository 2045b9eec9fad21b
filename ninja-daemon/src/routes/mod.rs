//! The table of contents: every path on one screen, with the rule that says to whom it is open.

mod admin;
mod approvals;
mod artifacts;
mod backup;
mod catalog;
mod events;
mod files;
mod frames;
mod packing;
mod replay;
mod socket;
mod steer;
mod system;
mod tasks;

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

use crate::{app::App, auth, edge, error::Refusal, pages, rate::Bucket};

/// A path and what it takes of one method. There is none without a rule that says to whom it is open.
pub(crate) struct Route {
    #[cfg_attr(not(test), expect(dead_code, reason = "so far only tests look at the table"))]
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    /// The largest body it takes, in bytes.
    body_max: usize,
    /// By which bucket it counts who calls it.
    bucket: Bucket,
    /// Whether it may take longer than others.
    is_long: bool,
    handler: MethodRouter<App>,
}

impl Route {
    /// Counts callers by another bucket.
    #[expect(dead_code, reason = "no route signs in so far")]
    fn counted_by(mut self, bucket: Bucket) -> Self {
        self.bucket = bucket;
        self
    }

    /// Lets it take long: it reads or rewrites all there is, or a body as large as a file.
    fn long(mut self) -> Self {
        self.is_long = true;
        self
    }
}

const NO_BODY: usize = 0;
/// A task with a plan of a thousand steps fits.
const TASK_BODY: usize = 1024 * 1024;
/// An answer to a question is a few sentences; where to fork and with what, and settings, are less.
const SMALL_BODY: usize = 64 * 1024;
/// A file of 50 MB and the multipart around it. The engine counts the file itself.
const FILE_BODY: usize = ninja_core::api::FILE_BYTES_MAX as usize + 1024 * 1024;

/// Every path there is.
#[rustfmt::skip]
pub(crate) fn table() -> Vec<Route> {
    use Access::{Admin, Public, User};
    use Scope::{AdminRead, AdminWrite, FilesWrite, TasksRead, TasksWrite, UsageRead};
    vec![
        get   ("/",                                           Public,                         system::root),
        get   ("/health",                                     Public,                         system::health),
        get   ("/ready",                                      Public,                         system::ready),
        get   ("/ws",                                         User(TasksRead),                socket::open),

        get   ("/api/v1/tasks",                               User(TasksRead),                tasks::list_tasks),
        post  ("/api/v1/tasks",                               User(TasksWrite), TASK_BODY,    tasks::submit_task),
        get   ("/api/v1/tasks/templates",                     User(TasksRead),                catalog::templates),
        post  ("/api/v1/tasks/forecast",                      User(TasksRead),  TASK_BODY,    tasks::forecast),
        get   ("/api/v1/tasks/{id}",                          User(TasksRead),                tasks::task),
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
        get   ("/api/v1/tasks/{id}/artifacts",                User(TasksRead),                artifacts::list),
        get   ("/api/v1/tasks/{id}/artifacts/{*path}",        User(TasksRead),                artifacts::artifact),

        get   ("/api/v1/agents",                              User(TasksRead),                catalog::agents),
        get   ("/api/v1/agents/{type}",                       User(TasksRead),                catalog::agent),
        get   ("/api/v1/agents/{type}/capabilities",          User(TasksRead),                catalog::agent_capabilities),

        post  ("/api/v1/files/upload",                        User(FilesWrite), FILE_BODY,    files::upload_file).long(),

        get   ("/api/v1/usage",                               User(UsageRead),                catalog::usage),
        get   ("/api/v1/budgets",                             User(UsageRead),                catalog::budgets),

        get   ("/api/v1/backup",                              Admin(AdminWrite),              backup::backup).long(),
        get   ("/api/v1/admin/settings/ai-providers",         Admin(AdminRead),               admin::providers),
        post  ("/api/v1/admin/settings/ai-providers",         Admin(AdminWrite), SMALL_BODY,  admin::put_provider),
        delete("/api/v1/admin/settings/ai-providers/{name}",  Admin(AdminWrite),              admin::remove_provider),
        get   ("/api/v1/admin/keys",                          Admin(AdminRead),               admin::master_keys),
        post  ("/api/v1/admin/keys/rotate",                   Admin(AdminWrite), SMALL_BODY,  admin::rotate_keys),
    ]
}

fn get<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    route(Method::GET, path, access, NO_BODY, routing::get(handler))
}

fn post<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, body_max: usize, handler: H) -> Route {
    route(Method::POST, path, access, body_max, routing::post(handler))
}

fn delete<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    route(Method::DELETE, path, access, NO_BODY, routing::delete(handler))
}

fn route(method: Method, path: &'static str, access: Access, body_max: usize, handler: MethodRouter<App>) -> Route {
    Route { method, path, access, body_max, bucket: Bucket::Usual, is_long: false, handler }
}

/// Makes the service of the table.
pub(crate) fn router(app: App) -> Router {
    let mut router = Router::new();
    for Route { method: _, path, access, body_max, bucket, is_long, handler } in table() {
        let within = match (is_long, body_max) {
            (true, _) => app.deadlines.long_answer,
            (false, NO_BODY) => app.deadlines.answer,
            (false, _) => app.deadlines.body + app.deadlines.answer,
        };
        let handler = handler
            .layer(DefaultBodyLimit::max(body_max))
            .layer(middleware::from_fn_with_state(within, answer_within))
            .layer(middleware::from_fn_with_state((app.clone(), access, bucket), auth::admit));
        router = router.route(path, handler);
    }
    let cors = pages::cors(&app.http);
    router
        .layer(CompressionLayer::new().gzip(true).compress_when(packing::TextOfSomeLength))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(option_layer(cors))
        .layer(middleware::from_fn_with_state(app.clone(), edge::surround))
        .with_state(app)
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
            let is_open = matches!(path, "/" | "/health" | "/ready");
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
            let reads = method == Method::GET || path == "/api/v1/tasks/forecast";
            assert_eq!(scope.ends_with(":read"), reads && path != "/api/v1/backup", "{method} {path}");
        }
    }
}
