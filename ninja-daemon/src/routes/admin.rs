//! What an administrator sets: providers with their keys, and the keys under which those are sealed; and the installation in
//! numbers.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use ninja_core::api::{KeysRotated, MasterKeys, Page, ProviderInfo, ProviderSettings, ProviderTest, RotateKeys, Stats};

use crate::{app::App, auth::Caller, error::Refusal, extract::Body};

/// Answers with the providers in the order of choice. No key is among it.
pub(super) async fn providers(State(app): State<App>, Caller(by): Caller) -> Result<Json<Page<ProviderInfo>>, Refusal> {
    Ok(Json(Page { items: app.engine.providers(&by).await?, next_cursor: None }))
}

/// Keeps settings of a provider, in place of those of that name.
pub(super) async fn put_provider(
    State(app): State<App>,
    Caller(by): Caller,
    Body(settings): Body<ProviderSettings>,
) -> Result<Json<ProviderInfo>, Refusal> {
    Ok(Json(app.engine.put_provider(&by, settings).await?))
}

/// Forgets the settings of a provider.
pub(super) async fn remove_provider(
    State(app): State<App>,
    Caller(by): Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Refusal> {
    app.engine.remove_provider(&by, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the installation in numbers.
pub(super) async fn stats(State(app): State<App>, Caller(by): Caller) -> Result<Json<Stats>, Refusal> {
    Ok(Json(app.engine.stats(&by).await?))
}

/// Asks a provider whether it could answer now.
pub(super) async fn test_provider(
    State(app): State<App>,
    Caller(by): Caller,
    Path(name): Path<String>,
) -> Result<Json<ProviderTest>, Refusal> {
    Ok(Json(app.engine.test_provider(&by, &name).await?))
}

/// Says where the keys come from that seal. None of them is among it.
pub(super) async fn master_keys(State(app): State<App>, Caller(by): Caller) -> Result<Json<MasterKeys>, Refusal> {
    Ok(Json(app.engine.master_keys(&by).await?))
}

/// Seals everything anew under another key.
pub(super) async fn rotate_keys(
    State(app): State<App>,
    Caller(by): Caller,
    Body(request): Body<RotateKeys>,
) -> Result<Json<KeysRotated>, Refusal> {
    Ok(Json(app.engine.rotate_keys(&by, request).await?))
}
