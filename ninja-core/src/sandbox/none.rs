//! The sandbox of a machine that has none.

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::{ProcessOutput, ProcessSpec, Sandbox, SandboxError};

/// Refuses everything, with the reason why there is no isolation.
#[derive(Debug, Clone)]
pub struct NoSandbox {
    /// Why, and how to fix it.
    pub reason: String,
}

impl NoSandbox {
    fn refuse<T: Send + 'static>(&self) -> BoxFuture<'static, Result<T, SandboxError>> {
        let error = SandboxError::Unavailable(self.reason.clone());
        Box::pin(async move { Err(error) })
    }
}

impl Sandbox for NoSandbox {
    fn name(&self) -> &'static str {
        "none"
    }

    fn check(&self) -> BoxFuture<'_, Result<String, SandboxError>> {
        self.refuse()
    }

    fn run<'a>(
        &'a self,
        _spec: ProcessSpec,
        _cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<ProcessOutput, SandboxError>> {
        self.refuse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_refuses_with_its_reason() {
        let sandbox = NoSandbox { reason: "apt install bubblewrap".to_owned() };
        assert_eq!(sandbox.check().await, Err(SandboxError::Unavailable("apt install bubblewrap".to_owned())));
    }
}
