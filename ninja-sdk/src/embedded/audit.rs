//! The verbs of the audit log, of an engine in this process.

use ninja_core::api::{AuditCheckpoint, AuditEntry, AuditFilter, AuditFormat, AuditVerified, Page};

use super::Embedded;
use crate::{AuditExport, ListAudit, SdkError};

impl Embedded {
    pub(crate) async fn list_audit(&self, query: &ListAudit) -> Result<Page<AuditEntry>, SdkError> {
        Ok(self.engine.list_audit(&self.owner, query.clone()).await?)
    }

    pub(crate) async fn export_audit(
        &self,
        filter: &AuditFilter,
        format: AuditFormat,
    ) -> Result<AuditExport, SdkError> {
        Ok(AuditExport { stream: self.engine.export_audit(&self.owner, filter.clone(), format).await? })
    }

    pub(crate) async fn verify_audit(&self, checkpoint: Option<&AuditCheckpoint>) -> Result<AuditVerified, SdkError> {
        Ok(self.engine.verify_audit(&self.owner, checkpoint.cloned()).await?)
    }

    pub(crate) async fn checkpoint_audit(&self) -> Result<AuditCheckpoint, SdkError> {
        Ok(self.engine.checkpoint_audit(&self.owner).await?)
    }
}
