//! Images between the tools, which have bytes, the journal, which names blobs, and the providers, which want bytes again.

use std::{
    io::{Cursor, Read},
    sync::Arc,
};

use bytes::Bytes;

use crate::{
    api::BlobHash,
    journal::{
        record::{IMAGE_BYTES_MAX, ImageFile, ImageShape},
        store::{Store, StoreError},
    },
    providers::ImageSource,
    tools::ShownFile,
    workspace::{SMALL_BLOB_BYTES_MAX, hash_of},
};

/// Returns where providers read images.
pub(super) fn source(store: &Arc<dyn Store>) -> ImageSource {
    let store = Arc::clone(store);
    ImageSource::new(move |blob| read(&*store, blob))
}

fn read(store: &dyn Store, blob: BlobHash) -> Result<Vec<u8>, String> {
    let file = store.open_blob(blob).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let mut file = file.ok_or_else(|| format!("blob {blob}: missing"))?.take(IMAGE_BYTES_MAX);
    file.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Brings what a tool shows to safety. Small images are to travel in the commit that names them; what is no image is left out.
pub(super) async fn keep(
    store: &Arc<dyn Store>,
    shown: Vec<ShownFile>,
) -> Result<(Vec<ImageFile>, Vec<Bytes>), StoreError> {
    if shown.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let store = Arc::clone(store);
    let kept = tokio::task::spawn_blocking(move || keep_all(&*store, shown)).await;
    kept.expect("keeping images does not panic")
}

fn keep_all(store: &dyn Store, shown: Vec<ShownFile>) -> Result<(Vec<ImageFile>, Vec<Bytes>), StoreError> {
    let (mut images, mut blobs) = (Vec::new(), Vec::new());
    for ShownFile { name, bytes } in shown {
        let Some(shape) = ImageShape::read(&mut Cursor::new(&bytes)) else { continue };
        let blob = hash_of(&bytes);
        images.push(ImageFile { name, blob, bytes: bytes.len() as u64, shape });
        // Files of the workspace and inputs are there.
        if matches!(store.open_blob(blob), Ok(Some(_))) {
            continue;
        }
        match bytes.len() as u64 <= SMALL_BLOB_BYTES_MAX {
            true => blobs.push(bytes),
            false => put(store, &bytes)?,
        }
    }
    Ok((images, blobs))
}

fn put(store: &dyn Store, bytes: &[u8]) -> Result<(), StoreError> {
    let draft = store.scratch_dir().join(uuid::Uuid::now_v7().simple().to_string());
    let disk = |error| StoreError::Io { doing: "write an image", error: Arc::new(error) };
    let put = std::fs::write(&draft, bytes).map_err(disk).and_then(|()| store.put_blob_file(&draft).map(drop));
    if put.is_err() {
        // The first error says more than one about the draft would; the folder is emptied at start.
        std::fs::remove_file(&draft).ok();
    }
    put
}
