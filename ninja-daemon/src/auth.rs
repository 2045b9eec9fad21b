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
    rate::Bucket,
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

/// Lets nobody through to whom the route is not open, or who asks too often.
pub(crate) async fn admit(
    State((app, access, bucket)): State<(App, Access, Bucket)>,
    mut request: Request,
    next: Next,
) -> Response {
    let known = (access != Access::Public).then(|| identify(&app, &request));
    let from = request.extensions().get::<Origin>().and_then(|origin| origin.ip);
    let standing = match app.rates.count(bucket, from, known.as_ref().map(Result::as_ref)) {
        Ok(standing) => standing,
        Err(exceeded) => return exceeded.into_response(),
    };
    let checked =
        known.map(|known| known.and_then(|principal| Ok(principal.check(access).map(|()| Caller(principal))?)));
    let answer = match checked.transpose() {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    };
    standing.tell(answer)
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
