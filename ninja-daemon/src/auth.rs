//! Who asks: the key or token of a request, or the Unix socket it came over. Every other question is the engine's.

use std::net::IpAddr;

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
    rate::{Bucket, Exceeded, Standing},
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

/// Lets nobody through to whom the route is not open, or who asks too often.
pub(crate) async fn admit(
    State((app, access, bucket)): State<(App, Access, Bucket)>,
    mut request: Request,
    next: Next,
) -> Response {
    let origin = request.extensions().get::<Origin>().cloned().unwrap_or_default();
    let known = match (access, bucket) {
        (Access::User(_) | Access::Admin(_), _) => Some(identify(&app, &request, origin.clone())),
        // Whoever proves who they are may be told more.
        (Access::Public, Bucket::Usual) => shows_credential(&request).then(|| identify(&app, &request, origin.clone())),
        (Access::Public, Bucket::SignIn | Bucket::Introduced) => None,
    };
    let counted = known.as_ref().map(|known| known.as_ref().map_err(|unknown| &unknown.refusal));
    let standing = match count(&app, bucket, origin.ip, counted) {
        Ok(standing) => standing,
        Err(exceeded) => return exceeded.into_response(),
    };
    let answer = match known {
        None => next.run(request).await,
        // Whoever proves nothing is a stranger like any other, where strangers are let in.
        Some(Err(_)) if access == Access::Public => next.run(request).await,
        Some(Err(unknown)) => {
            let asked = asked(&request);
            refuse_unknown(&app, &asked, &origin, unknown).await
        }
        Some(Ok(principal)) => match principal.check(access) {
            Ok(()) => {
                request.extensions_mut().insert(Caller(principal));
                next.run(request).await
            }
            Err(refused) => {
                let asked = asked(&request);
                app.engine.note_denied(&principal, &asked).await;
                Refusal::from(refused).into_response()
            }
        },
    };
    standing.tell(answer)
}

async fn refuse_unknown(app: &App, asked: &str, origin: &Origin, unknown: Unknown) -> Response {
    if let Some(credential) = unknown.shown {
        app.engine.note_unknown(origin, credential.expose(), asked).await;
    }
    unknown.refusal.into_response()
}

/// Counts a request: `known` is who asked, as far as that was looked at.
///
/// # Errors
///
/// Fails where that was once too often.
pub(crate) fn count(
    app: &App,
    bucket: Bucket,
    from: Option<IpAddr>,
    known: Option<Result<&Principal, &Refusal>>,
) -> Result<Standing, Exceeded> {
    let known = known.map(|known| known.map(|principal| (principal.user, app.engine.requests_per_minute(principal))));
    app.rates.count(bucket, from, known)
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

fn shows_credential(request: &Request) -> bool {
    let is_owner = matches!(request.extensions().get(), Some(Peer::LocalOwner));
    is_owner || request.headers().contains_key(header::AUTHORIZATION)
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
