//! Who asks: the key of a request, or the Unix socket it came over. Every other question is the engine's.

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use ninja_core::api::{Access, ErrorCode, Origin, Principal};

use crate::{
    app::App,
    edge::{Peer, only},
    error::Refusal,
};

/// The verified identity behind a request to a route that is not open to everybody.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) Principal);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Refusal::new(ErrorCode::Internal, "a route that asks who calls is not open to everybody"))
    }
}

/// Lets nobody through to whom the route is not open.
pub(crate) async fn admit(State((app, access)): State<(App, Access)>, mut request: Request, next: Next) -> Response {
    if access == Access::Public {
        return next.run(request).await;
    }
    let principal = match identify(&app, &request) {
        Ok(principal) => principal,
        Err(refusal) => return refusal.into_response(),
    };
    if let Err(refused) = principal.check(access) {
        let what = format!("{} {}", request.method(), request.uri().path());
        app.engine.note_denied(&principal, &what).await;
        return Refusal::from(refused).into_response();
    }
    request.extensions_mut().insert(Caller(principal));
    next.run(request).await
}

fn identify(app: &App, request: &Request) -> Result<Principal, Refusal> {
    let origin = request.extensions().get::<Origin>().cloned().unwrap_or_default();
    if let Some(Peer::LocalOwner) = request.extensions().get::<Peer>() {
        return Ok(Principal { origin, ..app.engine.local_owner() });
    }
    let query = request.uri().query().unwrap_or_default();
    if query.split('&').any(|pair| pair.starts_with("access_token=") || pair.starts_with("key=")) {
        return Err(Refusal::invalid("a key in a URL ends up in logs; send it as `Authorization: Bearer nj_…`"));
    }
    let unauthorized = |detail: &str| Refusal::new(ErrorCode::Unauthorized, detail);
    let key = bearer(request.headers())
        .ok_or_else(|| unauthorized("this path needs an API key, sent as `Authorization: Bearer nj_…`"))?;
    app.engine.authenticate(key, origin).ok_or_else(|| unauthorized("the API key is not valid"))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = only(headers, header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim()).filter(|key| !key.is_empty())
}
