//! Which images of a conversation its model is shown.
//!
//! A line of text says of each image what became of it, so that a model that is not shown one knows that there is one, and
//! why; a provider that would refuse an image never gets it.

use std::collections::BTreeSet;

use super::state::{CallState, TaskState};
use crate::{
    api::BlobHash,
    journal::record::{IMAGE_BYTES_MAX, IMAGE_SIDE_MAX, Image, ImageFile, ImageTokens, Message, Outcome, PinnedModel},
};

/// Images in one call: beyond twenty, Anthropic takes none with a side above 2,000 pixels.
const IMAGES_MAX: u32 = 20;
/// Bytes of all images of one call: in base64 16 MiB, which leaves room for words in the 20 MB that a request to Gemini may
/// have. The other vendors take more.
const CALL_BYTES_MAX: u64 = 12 * 1_024 * 1_024;

/// Returns the inputs that are images, not yet counted.
pub(super) fn of_inputs(state: &TaskState) -> Vec<Image> {
    let inputs = state.submitted.inputs.iter();
    let images = inputs.filter_map(|input| {
        let (name, blob, bytes) = (format!("inputs/{}", input.name), input.blob, input.bytes);
        Some(ImageFile { name, blob, bytes, shape: input.image? })
    });
    images.map(uncounted).collect()
}

/// Returns the images that a call returned, not yet counted.
pub(super) fn of_call(call: &CallState) -> Vec<Image> {
    match &call.outcome {
        Some(Outcome::Returned { images, .. }) => images.iter().cloned().map(uncounted).collect(),
        Some(Outcome::Answered(_) | Outcome::Failed { .. } | Outcome::Lost { .. } | Outcome::Stopped { .. }) | None => {
            Vec::new()
        }
    }
}

fn uncounted(file: ImageFile) -> Image {
    Image { file, tokens: 0 }
}

/// Returns about how many tokens the images of a result take.
pub(super) fn tokens_of_call(call: &CallState, pinned: &PinnedModel) -> u64 {
    let Some(tokens) = pinned.info.images else { return 0 };
    of_call(call).iter().map(|image| tokens.count(image.file.shape)).sum()
}

/// Returns the tokens of all images of a conversation.
pub(super) fn tokens_of(messages: &[Message]) -> u64 {
    messages.iter().flat_map(Message::images).map(|image| image.tokens).sum()
}

/// Returns how many images a conversation shows.
pub(super) fn shown(messages: &[Message]) -> u32 {
    let images = messages.iter().map(|message| message.images().len()).sum::<usize>();
    u32::try_from(images).unwrap_or(u32::MAX)
}

/// Counts the images that the model is shown, the newest of a conversation first, and puts a line in the place of each other.
/// `images_max` is how many may be shown, where not as many as a call can have.
pub(super) fn place(messages: &mut [Message], pinned: &PinnedModel, images_max: Option<u32>) {
    let chosen = images_max.filter(|chosen| *chosen < IMAGES_MAX);
    let (images, is_chosen, bytes) = (chosen.unwrap_or(IMAGES_MAX), chosen.is_some(), CALL_BYTES_MAX);
    let mut room = Room { pinned, images, is_chosen, bytes, shown: BTreeSet::new() };
    for message in messages.iter_mut().rev() {
        let (Message::User { text, images } | Message::Tool { text, images, .. }) = message else { continue };
        let (mut kept, mut lines) = (Vec::new(), Vec::new());
        for Image { file, .. } in images.drain(..).rev() {
            let verdict = room.take(&file);
            lines.push(line(&file, verdict.as_ref().err()));
            kept.extend(verdict.map(|tokens| Image { file, tokens }));
        }
        images.extend(kept.into_iter().rev());
        for line in lines.iter().rev() {
            text.push('\n');
            text.push_str(line);
        }
    }
}

fn line(file: &ImageFile, refused: Option<&String>) -> String {
    let (width, height) = (file.shape.width, file.shape.height);
    let what = format!("image {}, {width}×{height}", file.label());
    match refused {
        None => format!("({what}, shown)"),
        Some(why) => format!("({what}, not shown: {why})"),
    }
}

/// What else a call can show.
struct Room<'a> {
    pinned: &'a PinnedModel,
    images: u32,
    /// Whether there are fewer than a call can have.
    is_chosen: bool,
    bytes: u64,
    shown: BTreeSet<BlobHash>,
}

impl Room<'_> {
    /// Returns the tokens of an image that is shown, or why it is not.
    fn take(&mut self, file: &ImageFile) -> Result<u64, String> {
        let tokens = self.formula(file)?;
        if self.shown.contains(&file.blob) {
            return Err("it is shown again below".to_owned());
        }
        let (Some(images), Some(bytes)) = (self.images.checked_sub(1), self.bytes.checked_sub(file.bytes)) else {
            let of_choice = self.is_chosen && self.images == 0;
            let why = if of_choice {
                "with more the call was too large or refused"
            } else {
                "there is no room for more in one call"
            };
            return Err(why.to_owned());
        };
        (self.images, self.bytes) = (images, bytes);
        self.shown.insert(file.blob);
        Ok(tokens.count(file.shape))
    }

    /// Returns how the model counts an image that it takes.
    fn formula(&self, file: &ImageFile) -> Result<ImageTokens, String> {
        let (model, shape) = (&self.pinned.model, file.shape);
        let Some(tokens) = self.pinned.info.images else { return Err(format!("{model} takes no images")) };
        if shape.is_cut {
            return Err("its file ends before the picture does".to_owned());
        }
        if !tokens.takes(shape) {
            let what = if shape.is_animated { "animated image" } else { shape.media_type.as_str() };
            return Err(format!("{model} takes no {what}"));
        }
        if file.bytes > IMAGE_BYTES_MAX {
            return Err(format!("it has {} bytes, and the most that is shown is {IMAGE_BYTES_MAX}", file.bytes));
        }
        if shape.width.max(shape.height) > IMAGE_SIDE_MAX {
            return Err(format!("no side may have more than {IMAGE_SIDE_MAX} pixels"));
        }
        Ok(tokens)
    }
}
