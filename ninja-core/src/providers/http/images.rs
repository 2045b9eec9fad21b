//! The bytes of a request's images, from when it is begun to be written until it is.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    api::BlobHash,
    providers::{ChatRequest, Image, Message, ProviderError},
};

/// Says whose images follow, where a protocol has no place for them in a result.
pub(in crate::providers) fn shown_by(tool: &str, images: &[Image]) -> String {
    let names: Vec<String> = images.iter().map(|image| image.file.label()).collect();
    format!("What {tool} returned shows {}:", names.join(", "))
}

/// The images of a request in base64, each once.
#[derive(Default)]
pub(in crate::providers) struct EncodedImages(BTreeMap<BlobHash, String>);

impl EncodedImages {
    /// Reads all of them. Blocks.
    ///
    /// # Errors
    /// [`ProviderError::UnreadableImage`] for the first that cannot be had.
    pub(super) fn of(request: &ChatRequest) -> Result<Self, ProviderError> {
        let encode = |image: &Image| match request.images.read(image.file.blob) {
            Ok(bytes) => Ok((image.file.blob, STANDARD.encode(bytes))),
            Err(why) => Err(ProviderError::UnreadableImage(format!("{}: {why}", image.file.label()))),
        };
        request.messages.iter().flat_map(Message::images).map(encode).collect::<Result<_, _>>().map(Self)
    }

    /// Returns the bytes of an image in base64.
    pub(in crate::providers) fn base64(&self, image: &Image) -> &str {
        self.0.get(&image.file.blob).expect("every image of the request was read")
    }

    /// Returns an image as an address that holds it.
    pub(in crate::providers) fn data_url(&self, image: &Image) -> String {
        format!("data:{};base64,{}", image.file.shape.media_type.as_str(), self.base64(image))
    }
}
