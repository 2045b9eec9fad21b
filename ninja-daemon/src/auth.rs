//! Who asks: the key or token of a request, or the Unix socket it came over. Every other question is the engine's.

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use ninja_core::api::{Access, ErrorCode, Origin, Principal, Secret};

use crate::{
    app::App,
    edge::{Peer, only},
    error::Refusal,
};

/// What a page offers beside [`SOCKET_PROTOCOL`], with its ticket behind it: the one thing of a WebSocket's request that it chooses.
const TICKET_PROTOCOL: &str = "ninja.ticket.";
/// What is spoken on a WebSocket.
pub(crate) const SOCKET_PROTOCOL: &str = "ninja.v1";

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
    let origin = request.extensions().get::<Origin>().cloned().unwrap_or_default();
    let principal = match identify(&app, &request, origin.clone()) {
        Ok(principal) => principal,
        Err(Unknown { refusal, shown }) => {
            if let Some(credential) = shown {
                let asked = asked(&request);
                app.engine.note_unknown(&origin, credential.expose(), &asked).await;
            }
            return refusal.into_response();
        }
    };
    if let Err(refused) = principal.check(access) {
        let asked = asked(&request);
        app.engine.note_denied(&principal, &asked).await;
        return Refusal::from(refused).into_response();
    }
    request.extensions_mut().insert(Caller(principal));
    next.run(request).await
}

/// Returns who opens a WebSocket, as far as the request alone says so.
pub(crate) async fn introduced(app: &App, parts: &Parts) -> Result<Option<Principal>, Refusal> {
    let origin = parts.extensions.get::<Origin>().cloned().unwrap_or_default();
    if let Some(Peer::LocalOwner) = parts.extensions.get::<Peer>() {
        return Ok(Some(Principal { origin, ..app.engine.local_owner() }));
    }
    check_query(parts.uri.query())?;
    let ticket = only(&parts.headers, header::SEC_WEBSOCKET_PROTOCOL).and_then(|offered| {
        offered.to_str().ok()?.split(',').find_map(|offer| offer.trim().strip_prefix(TICKET_PROTOCOL))
    });
    match ticket.or_else(|| bearer(&parts.headers)) {
        Some(credential) => Ok(Some(app.engine.introduce(Secret::new(credential), origin).await?)),
        None if parts.headers.contains_key(header::AUTHORIZATION) => {
            Err(Refusal::new(ErrorCode::Unauthorized, "the header Authorization is none of ours: `Bearer …`"))
        }
        None => Ok(None),
    }
}

/// Somebody whom nobody knows.
struct Unknown {
    refusal: Refusal,
    /// What they showed, where it is not good.
    shown: Option<Secret>,
}

impl From<Refusal> for Unknown {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, shown: None }
    }
}

fn identify(app: &App, request: &Request, origin: Origin) -> Result<Principal, Unknown> {
    if let Some(Peer::LocalOwner) = request.extensions().get::<Peer>() {
        return Ok(Principal { origin, ..app.engine.local_owner() });
    }
    check_query(request.uri().query())?;
    let credential = bearer(request.headers()).ok_or_else(|| {
        let what = "this path needs an API key or an access token, sent as `Authorization: Bearer …`";
        Refusal::new(ErrorCode::Unauthorized, what)
    })?;
    app.engine.authenticate(credential, origin).map_err(|error| {
        let shown = (error.code == ErrorCode::Unauthorized).then(|| Secret::new(credential));
        Unknown { refusal: error.into(), shown }
    })
}

/// Returns what was asked for, for the audit log. A query can hold anything, so it is left out.
fn asked(request: &Request) -> String {
    format!("{} {}", request.method(), request.uri().path())
}

fn check_query(query: Option<&str>) -> Result<(), Refusal> {
    let query = query.unwrap_or_default();
    if query.split('&').any(|pair| pair.starts_with("access_token=")) {
        return Err(Refusal::invalid("a credential in a URL ends up in logs; send it as `Authorization: Bearer …`"));
    }
    Ok(())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = only(headers, header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim()).filter(|key| !key.is_empty())
}
