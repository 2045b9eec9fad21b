//! Pages of lists: the body, and a link to the next page (RFC 8288).

use axum::{
    Json,
    http::{HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use ninja_core::api::Page;
use serde::Serialize;

/// Answers with a page, and says where the next one is.
pub(super) fn paged<T: Serialize>(uri: &Uri, page: Page<T>) -> Response {
    let next = page.next_cursor.as_deref().map(|cursor| next_page(uri, cursor));
    let mut answer = Json(page).into_response();
    if let Some(link) = next.and_then(|next| HeaderValue::try_from(format!("<{next}>; rel=\"next\"")).ok()) {
        answer.headers_mut().insert(header::LINK, link);
    }
    answer
}

/// Returns the same request with another cursor.
fn next_page(uri: &Uri, cursor: &str) -> String {
    let rest = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let is_cursor = |pair: &&str| pair.split('=').next() == Some("cursor");
    let mut query: Vec<&str> = rest.filter(|pair| !is_cursor(pair)).collect();
    // Cursors are of letters and digits with `_`, `:` and `-` between, which need no escapes.
    let cursor = format!("cursor={cursor}");
    query.push(&cursor);
    format!("{}?{}", uri.path(), query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_the_same_request_further_on() {
        for (uri, next) in [
            ("/a", "/a?cursor=c"),
            ("/a?", "/a?cursor=c"),
            ("/a?cursor=b&q=x%20y&limit=2", "/a?q=x%20y&limit=2&cursor=c"),
        ] {
            assert_eq!(next_page(&uri.parse().unwrap(), "c"), next, "{uri}");
        }
    }
}
