//! Deleting a task, where the daemon offers it. Spoken by hand: a client that does not know the verb can ask as well.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use ninja_sdk::api::{ApiError, ErrorCode, TaskId};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::soak::Soak;

/// Returns whether a daemon deletes tasks: one that does not knows no such method on a task.
pub(crate) async fn is_offered(daemon: &str, key: &str) -> Result<bool> {
    let nobody = TaskId::from_uuid(Default::default());
    Ok(ask(daemon, key, nobody).await? != 405)
}

/// Deletes a task that has ended.
pub(crate) async fn delete(soak: &Soak, id: TaskId) -> Result<(), ApiError> {
    loop {
        match ask(soak.client.daemon(), &soak.key, id).await {
            // Gone already: an answer before was lost.
            Ok(200..300 | 404) => break,
            Ok(429 | 503) | Err(_) => soak.until_serving().await,
            Ok(status) => {
                return Err(ApiError::new(ErrorCode::Internal, format!("deleting {id} was answered {status}")));
            }
        }
    }
    soak.note_deleted(id);
    soak.count("a delete");
    Ok(())
}

async fn ask(daemon: &str, key: &str, id: TaskId) -> Result<u16> {
    let address: SocketAddr = daemon.trim_start_matches("http://").parse()?;
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "DELETE /api/v1/tasks/{id} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).context("the answer has no status")
}
