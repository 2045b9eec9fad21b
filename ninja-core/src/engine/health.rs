//! `health`: each component, honestly.

use super::Engine;
use crate::{
    api::{ComponentHealth, ComponentState, Health},
    audit::AuditKey,
    providers::{Choice, ChooseError},
};

impl Engine {
    /// Says how each component is.
    pub async fn health(&self) -> Health {
        let components =
            vec![self.store_health(), self.sandbox_health().await, self.providers_health(), self.actors_health().await];
        let worst = |a: ComponentState, b: ComponentState| match (a, b) {
            (ComponentState::Down, _) | (_, ComponentState::Down) => ComponentState::Down,
            (ComponentState::Degraded, _) | (_, ComponentState::Degraded) => ComponentState::Degraded,
            (ComponentState::Ok, ComponentState::Ok) => ComponentState::Ok,
        };
        // The engine serves what it can without a sandbox or a provider: that is degraded, not down.
        let states = components.iter().map(|component| match component.name.as_str() {
            "sandbox" | "providers" if component.state == ComponentState::Down => ComponentState::Degraded,
            _ => component.state,
        });
        let state = states.fold(ComponentState::Ok, worst);
        Health { state, version: env!("CARGO_PKG_VERSION").to_owned(), components }
    }

    fn store_health(&self) -> ComponentHealth {
        match self.store().failure() {
            // Everybody may read this: where keys are is for administrators.
            None if matches!(self.0.audit.key, AuditKey::Missing(_)) => {
                let what = "writes and reads, but the audit log cannot be written, and nothing is done that has to stand in it; \
                            `ninja audit verify` says why";
                component("store", ComponentState::Degraded, what)
            }
            None => component("store", ComponentState::Ok, "writes and reads"),
            Some(error) => component("store", ComponentState::Down, error.to_string()),
        }
    }

    async fn sandbox_health(&self) -> ComponentHealth {
        let sandbox = &self.0.services.sandbox;
        match sandbox.check().await {
            Ok(detail) => component("sandbox", ComponentState::Ok, format!("{}: {detail}", sandbox.name())),
            Err(error) => component("sandbox", ComponentState::Down, error.to_string()),
        }
    }

    fn providers_health(&self) -> ComponentHealth {
        match self.0.services.providers.now().choose(None) {
            Ok(Choice { model, info, .. }) => {
                let note =
                    self.0.services.providers.now().note(&model).map(|note| format!("; {note}")).unwrap_or_default();
                component("providers", ComponentState::Ok, format!("{model} ({}){note}", info.label))
            }
            // Everybody may read this: where keys are and what a provider said is for those who may list the providers.
            Err(ChooseError::Unusable { provider, reason: _ }) => {
                let what = format!("the provider {provider} cannot be used; `ninja providers` says why");
                component("providers", ComponentState::Down, what)
            }
            Err(error @ ChooseError::NoProvider) => component("providers", ComponentState::Down, error.to_string()),
        }
    }

    async fn actors_health(&self) -> ComponentHealth {
        match self.0.tree.status().await {
            // The other child may be the one that is gone, so this comes before how the orchestrator is.
            _ if self.0.tree.gave_up() => {
                component("actors", ComponentState::Down, "an actor failed too often; restart the engine")
            }
            Some(status) => {
                let detail = format!("{} tasks at work, {} queued", status.active, status.queued);
                component("actors", ComponentState::Ok, detail)
            }
            None => component("actors", ComponentState::Degraded, "the orchestrator is being restarted"),
        }
    }
}

fn component(name: &str, state: ComponentState, detail: impl Into<String>) -> ComponentHealth {
    ComponentHealth { name: name.to_owned(), state, detail: detail.into() }
}
