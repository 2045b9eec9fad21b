//! The floor's log: an append is answered after `fdatasync`, and appends that wait together share one.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::mpsc::{Receiver, Sender, channel},
};

use anyhow::{Context, Result};
use tokio::sync::oneshot;

/// The appending end. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Log(Sender<(Vec<u8>, oneshot::Sender<()>)>);

impl Log {
    /// Makes the file and starts the thread that writes it.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create_new(true).append(true).open(path)?;
        let (queue, waiting) = channel();
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write(file, &waiting))?;
        Ok(Self(queue))
    }

    /// Appends a record and returns once it is synced.
    pub(crate) async fn append(&self, record: Vec<u8>) -> Result<()> {
        let (done, synced) = oneshot::channel();
        self.0.send((record, done)).ok().context("the log's thread has ended")?;
        Ok(synced.await?)
    }
}

fn write(mut file: File, queue: &Receiver<(Vec<u8>, oneshot::Sender<()>)>) {
    while let Ok((mut frames, first)) = queue.recv() {
        let mut waiting = vec![first];
        while let Ok((record, done)) = queue.try_recv() {
            frames.extend_from_slice(&record);
            waiting.push(done);
        }
        if let Err(error) = file.write_all(&frames).and_then(|()| file.sync_data()) {
            eprintln!("the log cannot be written: {error}");
            return;
        }
        for done in waiting {
            done.send(()).ok();
        }
    }
}
