//! The verbs of the audit log.

use ninja_core::api::{AuditCheckpoint, AuditEntry, AuditFilter, AuditFormat, AuditVerified, Page};

use super::{Ninja, Transport};
use crate::{AuditExport, ListAudit, SdkError};

impl Ninja {
    /// Returns a page of the audit log, newest first. One may hold fewer entries than were asked for and still have a cursor.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn list_audit(&self, query: &ListAudit) -> Result<Page<AuditEntry>, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.list_audit(query).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.list_audit(query).await,
        }
    }

    /// Asks for the audit log as text, oldest first. That it was exported is an entry of its own.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn export_audit(&self, filter: &AuditFilter, format: AuditFormat) -> Result<AuditExport, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.export_audit(filter, format).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.export_audit(filter, format).await,
        }
    }

    /// Says whether the audit log is the one that was written, and goes on from a checkpoint that was kept elsewhere.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn verify_audit(&self, checkpoint: Option<&AuditCheckpoint>) -> Result<AuditVerified, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.verify_audit(checkpoint).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.verify_audit(checkpoint).await,
        }
    }

    /// Returns where the audit log ends, signed, to be kept elsewhere.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn checkpoint_audit(&self) -> Result<AuditCheckpoint, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.checkpoint_audit().await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.checkpoint_audit().await,
        }
    }
}
