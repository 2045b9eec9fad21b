//! The verbs of the audit log.

use ninja_core::api::{AuditCheckpoint, AuditEntry, AuditFilter, AuditFormat, AuditVerified, Page};
use reqwest::Method;

use super::{Client, http};
use crate::{AuditExport, ListAudit, SdkError};

/// Where the audit log is.
const AUDIT_LOGS: [&str; 2] = ["admin", "audit-logs"];

impl Client {
    /// Returns a page of the audit log, newest first.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn list_audit(&self, query: &ListAudit) -> Result<Page<AuditEntry>, SdkError> {
        let ListAudit { filter, cursor, limit } = query;
        let request = self.http.api(Method::GET, AUDIT_LOGS)?.query(filter);
        self.http.answer(request.query(&[("cursor", cursor)]).query(&[("limit", limit)])).await
    }

    /// Asks for the audit log as text, oldest first.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn export_audit(&self, filter: &AuditFilter, format: AuditFormat) -> Result<AuditExport, SdkError> {
        let request = self.http.api(Method::GET, AUDIT_LOGS.into_iter().chain(["export"]))?;
        let response = self.http.send(request.query(filter).query(&[("format", format)])).await?;
        Ok(AuditExport { stream: http::body(response) })
    }

    /// Says whether the audit log is the one that was written, and goes on from a checkpoint.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn verify_audit(&self, checkpoint: Option<&AuditCheckpoint>) -> Result<AuditVerified, SdkError> {
        let request = self.http.api(Method::GET, AUDIT_LOGS.into_iter().chain(["verify"]))?;
        let line = checkpoint.map(serde_json::to_string).transpose();
        let line = line.map_err(|error| self.http.protocol(error.to_string()))?;
        self.http.answer(request.query(&[("checkpoint", line)])).await
    }

    /// Returns where the audit log ends, signed, to be kept elsewhere.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn checkpoint_audit(&self) -> Result<AuditCheckpoint, SdkError> {
        self.http.answer(self.http.api(Method::GET, AUDIT_LOGS.into_iter().chain(["checkpoint"]))?).await
    }
}
