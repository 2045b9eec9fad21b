//! Keeps the head and the tail of a stream in bounded memory, however much flows through.

use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::OutputText;

/// One read; a pipe holds as much by default.
const CHUNK_BYTES: usize = 64 * 1_024;

/// Bytes of a stream: at most `half` from its head and `half` from its tail.
#[derive(Debug)]
pub(super) struct CappedOutput {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    half: usize,
    total: u64,
}

impl CappedOutput {
    /// Makes an empty one that keeps about `cap` bytes.
    pub(super) fn new(cap: usize) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), half: cap.div_ceil(2), total: 0 }
    }

    /// Adds the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = self.half.saturating_sub(self.head.len()).min(bytes.len());
        let (head, rest) = bytes.split_at(room);
        self.head.extend_from_slice(head);
        let rest = rest.get(rest.len().saturating_sub(self.half)..).unwrap_or_default();
        let surplus = (self.tail.len() + rest.len()).saturating_sub(self.half);
        self.tail.drain(..surplus);
        self.tail.extend(rest);
    }

    /// Returns the text, with a line where bytes are missing. Characters that the cut would split go missing as well.
    pub(super) fn finish(mut self) -> OutputText {
        let tail = self.tail.make_contiguous();
        let kept = (self.head.len() + tail.len()) as u64;
        if kept == self.total {
            self.head.extend_from_slice(tail);
            return OutputText { text: String::from_utf8_lossy(&self.head).into_owned(), truncated: false };
        }
        let head = without_split_end(&self.head);
        let tail = without_split_start(tail);
        let missing = self.total - (head.len() + tail.len()) as u64;
        let (head, tail) = (String::from_utf8_lossy(head), String::from_utf8_lossy(tail));
        OutputText { text: format!("{head}\n[… {missing} bytes missing …]\n{tail}"), truncated: true }
    }
}

/// Cuts an incomplete character off the end.
fn without_split_end(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => bytes.get(..error.valid_up_to()).unwrap_or(bytes),
        Ok(_) | Err(_) => bytes,
    }
}

/// Cuts the rest of a character off the start.
fn without_split_start(bytes: &[u8]) -> &[u8] {
    let is_rest = |byte: &u8| (0x80..0xC0).contains(byte);
    let skip = bytes.iter().take(3).take_while(|byte| is_rest(byte)).count();
    bytes.get(skip..).unwrap_or(bytes)
}

/// Reads a stream to its end. A read error counts as the end: the process is gone then.
pub(super) async fn collect(mut stream: impl AsyncRead + Unpin, cap: usize) -> OutputText {
    let mut output = CappedOutput::new(cap);
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(count @ 1..) = stream.read(&mut chunk).await {
        output.push(chunk.get(..count).unwrap_or_default());
    }
    output.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capped(cap: usize, chunks: &[&[u8]]) -> OutputText {
        let mut output = CappedOutput::new(cap);
        chunks.iter().for_each(|chunk| output.push(chunk));
        output.finish()
    }

    #[test]
    fn what_fits_is_whole() {
        for cap in [6, 7, 100] {
            assert_eq!(capped(cap, &[b"abc", b"", b"def"]), OutputText { text: "abcdef".into(), truncated: false });
        }
        assert_eq!(capped(8, &[]), OutputText::default());
    }

    #[test]
    fn what_does_not_fit_keeps_its_head_and_tail_whatever_the_chunks() {
        let expected = OutputText { text: "abc\n[… 4 bytes missing …]\nhij".into(), truncated: true };
        let whole = b"abcdefghij";
        for size in 1..=whole.len() {
            assert_eq!(capped(6, &whole.chunks(size).collect::<Vec<_>>()), expected, "chunks of {size}");
        }
    }

    #[test]
    fn invalid_bytes_are_replaced_and_split_characters_dropped() {
        assert_eq!(capped(100, &[b"a\xffb"]).text, "a\u{fffd}b");
        assert_eq!(capped(6, &["aäöüßz".as_bytes()]).text, "aä\n[… 4 bytes missing …]\nßz");
        assert_eq!(capped(4, &["aäöüßz".as_bytes()]).text, "a\n[… 8 bytes missing …]\nz");
    }

    #[tokio::test]
    async fn memory_stays_bounded() {
        let mut output = CappedOutput::new(1_000);
        (0..10_000).for_each(|_| output.push(&[b'x'; 4_096]));
        assert!(output.head.capacity() + output.tail.capacity() < 20_000);
        assert_eq!(collect(&b"hello"[..], 100).await.text, "hello");
    }
}
