//! `settings`, `change_settings`: what counts for all accounts, from the moment it is changed.

use super::{check_revision, invalid};
use crate::{
    accounts::directory,
    api::{ApiError, AuditAction, ChangeSettings, LiveSettings, Principal, RoleQuotas},
    audit::Audit,
    engine::{Engine, store_error, stored_providers::administrators_only, uninterrupted},
    journal::store::Commit,
};

impl Engine {
    /// Returns the settings that count now.
    ///
    /// # Errors
    ///
    /// Fails with `forbidden` where the caller is no administrator.
    pub async fn settings(&self, by: &Principal) -> Result<LiveSettings, ApiError> {
        administrators_only(by)?;
        Ok(LiveSettings::clone(&self.accounts().settings()))
    }

    /// Changes the settings that are given. They count for every request that begins after this returns.
    ///
    /// # Errors
    ///
    /// Fails with `invalid_request` where a value is out of bounds, `precondition_failed` where they are not of the `expected`
    /// revisions any more.
    pub async fn change_settings(
        &self,
        by: &Principal,
        change: ChangeSettings,
        expected: Option<Vec<u64>>,
    ) -> Result<LiveSettings, ApiError> {
        administrators_only(by)?;
        let (engine, by) = (self.clone(), by.clone());
        uninterrupted(async move {
            let _changing = engine.turn(&by).await?;
            let before = engine.accounts().settings();
            check_revision(before.revision, expected.as_deref())?;
            let said = said(&change);
            let after = changed(&before, change)?;
            let audit =
                Audit::of(&by, AuditAction::ChangeSettings, engine.0.services.clock.now()).saying(said).encode();
            let puts = vec![directory::settings_doc(&after)];
            let commit = Commit { puts, audit: vec![audit], ..Commit::default() };
            engine.store().commit(commit).await.map_err(store_error)?;
            engine.accounts().take_up(after.clone());
            let (ledger, now) = (&engine.0.services.ledger, engine.0.services.clock.now());
            let ready = ledger.change(&after.quotas, engine.store(), now).await.map_err(store_error)?;
            engine.0.tree.wake_tasks(ready, now);
            engine.wake_those_short_of_budget().await?;
            Ok(after)
        })
        .await
    }
}

/// Says what was asked for, for the audit log. There are no secrets among settings.
fn said(change: &ChangeSettings) -> String {
    serde_json::to_string(change).expect("settings have string keys only")
}

fn changed(before: &LiveSettings, change: ChangeSettings) -> Result<LiveSettings, ApiError> {
    let ChangeSettings { registration_open, access_token_minutes, session_idle_days, session_days, quotas } = change;
    let quotas = quotas.unwrap_or_default();
    let after = LiveSettings {
        registration_open: registration_open.unwrap_or(before.registration_open),
        access_token_minutes: access_token_minutes.unwrap_or(before.access_token_minutes),
        session_idle_days: session_idle_days.unwrap_or(before.session_idle_days),
        session_days: session_days.unwrap_or(before.session_days),
        quotas: RoleQuotas {
            user: quotas.user.unwrap_or_else(|| before.quotas.user.clone()),
            premium: quotas.premium.unwrap_or_else(|| before.quotas.premium.clone()),
            admin: quotas.admin.unwrap_or_else(|| before.quotas.admin.clone()),
        },
        revision: before.revision + 1,
    };
    for (name, value, most) in [
        ("access_token_minutes", after.access_token_minutes, 60),
        ("session_idle_days", after.session_idle_days, 90),
        ("session_days", after.session_days, 365),
    ] {
        if !(1..=most).contains(&value) {
            return Err(invalid(format!("`{name}` is a number from 1 to {most}")));
        }
    }
    let RoleQuotas { user, premium, admin } = &after.quotas;
    if [user, premium, admin].into_iter().any(|quotas| quotas.requests_per_minute == Some(0)) {
        let what =
            "`requests_per_minute` is at least 1, or absent for any number; an account is kept out by disabling it";
        return Err(invalid(what.to_owned()));
    }
    Ok(after)
}
