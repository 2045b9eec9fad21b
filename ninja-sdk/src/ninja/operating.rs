//! The verbs for whoever operates an installation: backups, providers, master keys, who is at work, and how much there is.

use ninja_core::api::{
    KeysRotated, MasterKeys, ProviderInfo, ProviderSettings, ProviderTest, RotateKeys, Stats, SupervisionTree,
};

use super::{Ninja, Transport};
use crate::{Backup, SdkError};

/// Every verb fails as those of [`Ninja`] do.
impl Ninja {
    /// Asks for a backup of everything, as of one moment. For administrators.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn backup(&self) -> Result<Backup, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.backup().await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.backup().await,
        }
    }

    /// Lists the providers in the order of choice, with where each is known from; never a key. For administrators.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `forbidden` for others.
    pub async fn providers(&self) -> Result<Vec<ProviderInfo>, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.providers().await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.providers().await,
        }
    }

    /// Keeps settings of a provider, in place of those of that name, for all calls from now on. A key that is left out stays as it is.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `invalid_request` where they make no provider.
    pub async fn put_provider(&self, settings: &ProviderSettings) -> Result<ProviderInfo, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.put_provider(settings).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.put_provider(settings).await,
        }
    }

    /// Forgets the settings of a provider; calls under way go on with them.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `not_found` where none of that name are kept.
    pub async fn remove_provider(&self, name: &str) -> Result<(), SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.remove_provider(name).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.remove_provider(name).await,
        }
    }

    /// Asks a provider whether it could answer now, as far as that costs nothing. For administrators.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `not_found` where there is none of that name.
    pub async fn test_provider(&self, name: &str) -> Result<ProviderTest, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.test_provider(name).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.test_provider(name).await,
        }
    }

    /// Says where the keys come from under which secrets are sealed; never a key. For administrators.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `forbidden` for others.
    pub async fn master_keys(&self) -> Result<MasterKeys, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.master_keys().await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.master_keys().await,
        }
    }

    /// Seals every stored secret anew, under a new master key. For administrators.
    ///
    /// # Errors
    ///
    /// As every verb, see above; a conflict, which says what to do, where the key is not Ninja's to change.
    pub async fn rotate_keys(&self, request: &RotateKeys) -> Result<KeysRotated, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.rotate_keys(request).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.rotate_keys(request).await,
        }
    }

    /// Returns who is at work in the engine, under whom, and how it goes. For administrators.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `forbidden` for others.
    pub async fn supervision(&self) -> Result<SupervisionTree, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.supervision().await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.supervision(),
        }
    }

    /// Returns the installation in numbers. For administrators.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `forbidden` for others.
    pub async fn stats(&self) -> Result<Stats, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.stats().await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.stats().await,
        }
    }
}
