//! Images that models see: what one is, how it is known, what it costs.
//!
//! A conversation and the journal name an image by the blob that holds it. Its bytes are read from an [`ImageSource`] when a
//! request is written, and are nowhere else.
//!
//! - [`header`]: what the first bytes of a file say; [`gif`] looks further, for whether it moves, and [`ending`] for whether the
//!   picture is all there.
//! - [`tokens`]: how many tokens a model takes for an image.

mod ending;
mod gif;
mod header;
mod tokens;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

pub use self::tokens::ImageTokens;
use crate::api::BlobHash;

/// The largest file that is shown: its base64 comes to 5 MiB, which is what Anthropic takes where it takes the least; the other
/// vendors take more. <https://platform.claude.com/docs/en/build-with-claude/vision>
pub const IMAGE_BYTES_MAX: u64 = 5 * 1_024 * 1_024 / 4 * 3;
/// The longest name that is told, in characters: people name files by whole sentences, and tools by anything.
const LABEL_CHARS_MAX: usize = 120;
/// The longest side that is shown, in pixels: Anthropic refuses longer ones.
pub const IMAGE_SIDE_MAX: u32 = 8_000;

/// A format that some vendor takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MediaType {
    /// PNG.
    #[serde(rename = "image/png")]
    Png,
    /// JPEG.
    #[serde(rename = "image/jpeg")]
    Jpeg,
    /// GIF.
    #[serde(rename = "image/gif")]
    Gif,
    /// WebP.
    #[serde(rename = "image/webp")]
    Webp,
}

impl MediaType {
    /// Returns the name as HTTP has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
        }
    }
}

/// What the bytes of an image say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageShape {
    /// Its format.
    pub media_type: MediaType,
    /// Its width in pixels.
    pub width: u32,
    /// Its height in pixels.
    pub height: u32,
    /// Whether it moves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_animated: bool,
    /// Whether the file ends before the picture does, which no vendor takes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
}

/// An image that the store holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFile {
    /// What people and models call it: a path in the workspace.
    pub name: String,
    /// Its content.
    pub blob: BlobHash,
    /// Its size.
    pub bytes: u64,
    /// What its content says.
    pub shape: ImageShape,
}

impl ImageFile {
    /// Returns the name for a line of text: on that line, and not too long for it.
    pub fn label(&self) -> String {
        let mut characters = self.name.chars().map(|c| if c.is_control() { ' ' } else { c });
        let mut label: String = characters.by_ref().take(LABEL_CHARS_MAX).collect();
        if characters.next().is_some() {
            label.pop();
            label.push('…');
        }
        label
    }
}

/// An image in a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Which.
    pub file: ImageFile,
    /// The tokens that its model takes for it, at the most.
    pub tokens: u64,
}

/// Reads a blob whole.
type ReadBlob = dyn Fn(BlobHash) -> Result<Vec<u8>, String> + Send + Sync;

/// Where the bytes of images are.
#[derive(Clone, Default)]
pub struct ImageSource(Option<Arc<ReadBlob>>);

impl ImageSource {
    /// Makes one that reads like this; it may block.
    pub fn new(read: impl Fn(BlobHash) -> Result<Vec<u8>, String> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(read)))
    }

    /// Returns the bytes of an image. Blocks.
    ///
    /// # Errors
    /// In words, where they cannot be had.
    pub fn read(&self, blob: BlobHash) -> Result<Vec<u8>, String> {
        match &self.0 {
            Some(read) => read(blob),
            None => Err("there is nothing to read images from".to_owned()),
        }
    }
}

impl fmt::Debug for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ImageSource")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_on_one_line_of_bounded_length() {
        let shape = ImageShape { media_type: MediaType::Png, width: 1, height: 1, is_animated: false, is_cut: false };
        let exact = "é".repeat(120);
        for (name, label) in [
            ("a b.png", "a b.png".to_owned()),
            ("a\n(shown)\u{7f}.png", "a (shown) .png".to_owned()),
            (exact.as_str(), exact.clone()),
            (&format!("{exact}x"), format!("{}…", "é".repeat(119))),
        ] {
            let file = ImageFile { name: name.to_owned(), blob: BlobHash::from_bytes([0; 32]), bytes: 1, shape };
            assert_eq!(file.label(), label);
        }
    }
}
