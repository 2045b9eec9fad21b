//! The table of contents: every path on one screen, with the rule that says to whom it is open.

mod admin;
mod approvals;
mod artifacts;
mod backup;
mod catalog;
mod events;
mod files;
mod frames;
mod replay;
mod socket;
mod steer;
mod system;
mod tasks;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    response::{IntoResponse, Response},
    routing::{MethodRouter, delete, get, post},
};
use ninja_core::api::ErrorCode;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{app::App, auth, edge, error::Refusal};

/// To whom a path is open. There is no path without a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Everybody who can connect.
    Public,
    /// Whoever shows a valid key, or comes over the Unix socket.
    User,
}

/// A path.
pub(crate) struct Route {
    pub(crate) path: &'static str,
    pub(crate) rule: Rule,
    /// The largest body it takes, in bytes.
    body_max: usize,
    methods: MethodRouter<App>,
}

/// A task with a plan of a thousand steps fits.
const TASK_BODY_MAX: usize = 1024 * 1024;
/// An answer to a question is a few sentences; where to fork and with what, and the settings of a provider, are less.
const ANSWER_BODY_MAX: usize = 64 * 1024;
/// A file of 50 MB and the multipart around it. The engine counts the file itself.
const FILE_BODY_MAX: usize = ninja_core::api::FILE_BYTES_MAX as usize + 1024 * 1024;

/// Every path there is.
#[rustfmt::skip]
pub(crate) fn table() -> Vec<Route> {
    use Rule::{Public, User};
    vec![
        route("/",                                           Public, 0,               get(system::root)),
        route("/health",                                     Public, 0,               get(system::health)),
        route("/ready",                                      Public, 0,               get(system::ready)),
        route("/ws",                                         User,   0,               get(socket::open)),
        route("/api/v1/tasks",                               User,   TASK_BODY_MAX,   get(tasks::list_tasks).post(tasks::submit_task)),
        route("/api/v1/tasks/templates",                     User,   0,               get(catalog::templates)),
        route("/api/v1/tasks/forecast",                      User,   TASK_BODY_MAX,   post(tasks::forecast)),
        route("/api/v1/tasks/{id}",                          User,   0,               get(tasks::task)),
        route("/api/v1/tasks/{id}/steps",                    User,   0,               get(tasks::steps)),
        route("/api/v1/tasks/{id}/cancel",                   User,   0,               post(tasks::cancel_task)),
        route("/api/v1/tasks/{id}/pause",                    User,   0,               post(steer::pause_task)),
        route("/api/v1/tasks/{id}/resume",                   User,   0,               post(steer::resume_task)),
        route("/api/v1/tasks/{id}/budget",                   User,   ANSWER_BODY_MAX, post(steer::change_budget)),
        route("/api/v1/tasks/{id}/retry",                    User,   0,               post(steer::retry_task)),
        route("/api/v1/tasks/{id}/fork",                     User,   ANSWER_BODY_MAX, post(steer::fork_task)),
        route("/api/v1/tasks/{id}/replay",                   User,   0,               get(replay::replay_task)),
        route("/api/v1/tasks/{id}/diff/{other}",             User,   0,               get(replay::diff_tasks)),
        route("/api/v1/tasks/{id}/approvals/{approval_id}",  User,   ANSWER_BODY_MAX, post(approvals::decide_approval)),
        route("/api/v1/tasks/{id}/events",                   User,   0,               get(events::task_events)),
        route("/api/v1/tasks/{id}/artifacts",                User,   0,               get(artifacts::list)),
        route("/api/v1/tasks/{id}/artifacts/{*path}",        User,   0,               get(artifacts::artifact)),
        route("/api/v1/backup",                              User,   0,               get(backup::backup)),
        route("/api/v1/admin/settings/ai-providers",         User,   ANSWER_BODY_MAX, get(admin::providers).post(admin::put_provider)),
        route("/api/v1/admin/settings/ai-providers/{name}",  User,   0,               delete(admin::remove_provider)),
        route("/api/v1/admin/keys",                          User,   0,               get(admin::master_keys)),
        route("/api/v1/admin/keys/rotate",                   User,   ANSWER_BODY_MAX, post(admin::rotate_keys)),
        route("/api/v1/files/upload",                        User,   FILE_BODY_MAX,   post(files::upload_file)),
        route("/api/v1/usage",                               User,   0,               get(catalog::usage)),
        route("/api/v1/budgets",                             User,   0,               get(catalog::budgets)),
        route("/api/v1/agents",                              User,   0,               get(catalog::agents)),
        route("/api/v1/agents/{type}",                       User,   0,               get(catalog::agent)),
        route("/api/v1/agents/{type}/capabilities",          User,   0,               get(catalog::agent_capabilities)),
    ]
}

fn route(path: &'static str, rule: Rule, body_max: usize, methods: MethodRouter<App>) -> Route {
    Route { path, rule, body_max, methods }
}

/// Makes the service of the table.
pub(crate) fn router(app: App) -> Router {
    let mut router = Router::new();
    for Route { path, rule, body_max, methods } in table() {
        let methods = methods.layer(DefaultBodyLimit::max(body_max));
        let methods = match rule {
            Rule::Public => methods,
            Rule::User => methods.layer(middleware::from_fn_with_state(app.clone(), auth::require_user)),
        };
        router = router.route(path, methods);
    }
    router
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(app.clone(), edge::surround))
        .with_state(app)
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
        for Route { path, rule, .. } in table() {
            let is_open = matches!(path, "/" | "/health" | "/ready");
            assert_eq!(rule == Rule::Public, is_open, "{path}");
        }
    }
}
