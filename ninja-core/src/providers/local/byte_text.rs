//! Between the bytes of a text and the two disguises they wear in a language model.
//!
//! A byte-level vocabulary writes each byte as one printable character ([`byte_of`]), and a token may end in the middle
//! of a character, so text can be shown only once its bytes are whole ([`TextStream`]).

/// Returns the byte that a character of a byte-level vocabulary stands for.
///
/// The table is GPT-2's: printable Latin-1 stands for itself, the 68 other bytes were given the characters from U+0100 on, in order.
pub(super) fn byte_of(character: char) -> Option<u8> {
    match u32::from(character) {
        code @ (0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF) => u8::try_from(code).ok(),
        code @ 0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        code @ 0x121..=0x142 => u8::try_from(code - 0x121 + 0x7F).ok(),
        0x143 => Some(0xAD),
        _ => None,
    }
}

/// Returns the bytes that a token of a byte-level vocabulary stands for; `None` if a character of it stands for none.
pub(super) fn bytes_of(token: &str) -> Option<Vec<u8>> {
    token.chars().map(byte_of).collect()
}

/// Turns a stream of bytes into a stream of valid text, holding back a character until its last byte is there.
#[derive(Debug, Default)]
pub(super) struct TextStream {
    held: Vec<u8>,
}

impl TextStream {
    /// Takes bytes and returns the text that is whole now, possibly empty. Bytes that can never become text turn into U+FFFD.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let mut text = String::new();
        let mut rest = Vec::new();
        let mut chunks = self.held.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            if chunk.invalid().is_empty() {
                continue;
            }
            if chunks.peek().is_none() && may_continue(chunk.invalid()) {
                rest.extend_from_slice(chunk.invalid());
            } else {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.held = rest;
        text
    }
}

/// Returns whether bytes at the end of the input are the beginning of a character rather than an error.
fn may_continue(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}
