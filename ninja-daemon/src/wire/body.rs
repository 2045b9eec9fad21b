//! Where a body ends. What its bytes say is read by others, and so is whether its chunks are well-formed to the last
//! detail: here it is only followed, so that the next head is looked for where it begins.

/// More than any trailer that makes sense; what is longer breaks the connection.
const TRAILER_BYTES_MAX: usize = 16 * 1024;
/// More digits overflow.
const SIZE_DIGITS_MAX: u32 = 15;

/// A body on its way.
#[derive(Debug)]
pub(super) enum Body {
    /// So many bytes.
    Length(u64),
    /// As many as its chunks say.
    Chunked(Chunks),
}

/// What was found in a piece.
pub(super) struct Followed {
    /// What of the piece belongs to the body.
    pub(super) bytes: usize,
    /// Whether the body ends there.
    pub(super) is_over: bool,
    /// Whether nobody can say where it ends.
    pub(super) is_broken: bool,
}

impl Body {
    /// Looks at what comes next.
    pub(super) fn follow(&mut self, piece: &[u8]) -> Followed {
        match self {
            Self::Length(left) => {
                let bytes = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len());
                *left -= bytes as u64;
                Followed { bytes, is_over: *left == 0, is_broken: false }
            }
            Self::Chunked(chunks) => chunks.follow(piece),
        }
    }
}

/// What the next byte of a chunked body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Size,
    Extension,
    SizeEnd,
    Data,
    DataEnd,
    DataEndLine,
    TrailerStart,
    Trailer,
    TrailerEnd,
    LastEnd,
    Over,
    Broken,
}

/// The chunks of a body.
#[derive(Debug)]
pub(super) struct Chunks {
    at: At,
    /// Of the chunk, while its size is read; afterwards what is left of it.
    size: u64,
    digits: u32,
    trailer_bytes: usize,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { at: At::Size, size: 0, digits: 0, trailer_bytes: 0 }
    }
}

impl Chunks {
    fn follow(&mut self, piece: &[u8]) -> Followed {
        let mut bytes = 0;
        while let Some(byte) = piece.get(bytes) {
            if self.at == At::Data {
                let whole = usize::try_from(self.size).unwrap_or(usize::MAX).min(piece.len() - bytes);
                self.size -= whole as u64;
                bytes += whole;
                if self.size == 0 {
                    self.at = At::DataEnd;
                }
                continue;
            }
            self.at = self.step(*byte);
            bytes += 1;
            if matches!(self.at, At::Over | At::Broken) {
                break;
            }
        }
        Followed { bytes, is_over: self.at == At::Over, is_broken: self.at == At::Broken }
    }

    fn step(&mut self, byte: u8) -> At {
        match (self.at, byte) {
            (At::Size, b'\r') if self.digits > 0 => At::SizeEnd,
            (At::Size, b';' | b' ' | b'\t') if self.digits > 0 => At::Extension,
            (At::Size, byte) => match char::from(byte).to_digit(16).filter(|_| self.digits < SIZE_DIGITS_MAX) {
                Some(digit) => {
                    self.size = self.size * 16 + u64::from(digit);
                    self.digits += 1;
                    At::Size
                }
                None => At::Broken,
            },
            (At::Extension, b'\r') => At::SizeEnd,
            (At::Extension, b'\n') => At::Broken,
            (At::Extension, _) => At::Extension,
            (At::SizeEnd, b'\n') if self.size == 0 => At::TrailerStart,
            (At::SizeEnd, b'\n') => At::Data,
            (At::DataEnd, b'\r') => At::DataEndLine,
            (At::DataEndLine, b'\n') => {
                (self.size, self.digits) = (0, 0);
                At::Size
            }
            (At::TrailerStart, b'\r') => At::LastEnd,
            (At::TrailerStart | At::Trailer, b'\n') => At::Broken,
            (At::Trailer, b'\r') => At::TrailerEnd,
            (At::TrailerStart | At::Trailer, _) => {
                self.trailer_bytes += 1;
                if self.trailer_bytes > TRAILER_BYTES_MAX { At::Broken } else { At::Trailer }
            }
            (At::TrailerEnd, b'\n') => At::TrailerStart,
            (At::LastEnd, b'\n') => At::Over,
            (At::SizeEnd | At::DataEnd | At::DataEndLine | At::TrailerEnd | At::LastEnd, _) => At::Broken,
            (At::Data | At::Over | At::Broken, _) => self.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows a body that comes in pieces of so many bytes; returns how many were its own, and whether it ended or broke.
    fn follow(wire: &str, piece: usize) -> (usize, bool, bool) {
        let mut body = Body::Chunked(Chunks::default());
        let mut bytes = 0;
        for piece in wire.as_bytes().chunks(piece) {
            let followed = body.follow(piece);
            bytes += followed.bytes;
            if followed.is_over || followed.is_broken {
                return (bytes, followed.is_over, followed.is_broken);
            }
        }
        (bytes, false, false)
    }

    #[test]
    fn the_end_of_chunks_is_found_however_they_are_cut() {
        for (own, rest) in [
            ("0\r\n\r\n", "GET"),
            ("5\r\nhello\r\n0\r\n\r\n", ""),
            ("5;a=\"b\"\r\n\r\n0\r\n\r\n0\r\n\r\n", "x"),
            ("00a\r\n0123456789\r\n1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"),
            ("A\r\n0123456789\r\n000\r\n\r\n", "\r\n"),
        ] {
            let wire = format!("{own}{rest}");
            for piece in 1..=wire.len() {
                assert_eq!(follow(&wire, piece), (own.len(), true, false), "{wire:?} in {piece}");
            }
        }
    }

    #[test]
    fn nobody_guesses_where_a_broken_body_ends() {
        for wire in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "5\nhello",
            "5\r\nhelloX",
            "5\r\nhello\n0\r\n\r\n",
            "5;a\n",
            "0\r\n\n",
            "0\r\nA: b\n\r\n",
            "ffffffffffffffff\r\n",
            "0x5\r\nhello",
            " 5\r\n",
            "5\rX",
        ] {
            for piece in 1..=wire.len() {
                assert!(follow(wire, piece).2, "{wire:?} in {piece}");
            }
        }
        assert!(follow(&format!("0\r\nA: {}", "x".repeat(TRAILER_BYTES_MAX)), 1_000).2);
    }
}
