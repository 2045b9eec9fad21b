//! Bytes of segment headers and frames.

use bytes::Bytes;

use crate::journal::{
    reader::{Malformed, Reader},
    store::StoreError,
};

/// The version of the log's format.
pub(super) const VERSION: u32 = 1;

/// How long a segment's header is.
pub(super) const HEADER_BYTES: usize = 28;

const MAGIC: &[u8; 8] = b"NINJALOG";
const FRAME_HEADER_BYTES: usize = 8;
/// Position, synced position and the count of feed numbers.
const PAYLOAD_BYTES_MIN: usize = 20;

/// What stands at the start of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// What the frames' checksums start from.
    pub(super) salt: u32,
    /// The position of the first frame.
    pub(super) first: u64,
}

impl Header {
    /// Encodes the header.
    pub(super) fn encode(self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&self.salt.to_be_bytes());
        out.extend_from_slice(&self.first.to_be_bytes());
        out.extend_from_slice(&crc32c::crc32c(&out).to_be_bytes());
        out
    }

    /// Reads a header. `Ok(None)` where there is no whole one.
    pub(super) fn read(segment: &Bytes) -> Result<Option<Self>, StoreError> {
        let Some(bytes) = segment.get(..HEADER_BYTES) else { return Ok(None) };
        let (covered, _) = bytes.split_at(HEADER_BYTES - 4);
        let mut reader = Reader::new(segment.slice(MAGIC.len()..HEADER_BYTES));
        let parts = (|| Ok::<_, Malformed>((reader.u32()?, reader.u32()?, reader.u64()?, reader.u32()?)))();
        let Ok((version, salt, first, crc)) = parts else { return Ok(None) };
        if !bytes.starts_with(MAGIC) || crc != crc32c::crc32c(covered) {
            return Ok(None);
        }
        if version != VERSION {
            return Err(StoreError::Version { found: version, supported: VERSION });
        }
        Ok(Some(Self { salt, first }))
    }
}

/// What the writer adds to a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::journal) struct Stamp {
    /// The frame's position.
    pub(in crate::journal) position: u64,
    /// The last position that was synced when the frame was written.
    pub(in crate::journal) synced: u64,
    /// The numbers that the change's feed entries got.
    pub(in crate::journal) feed_seqs: Vec<u64>,
}

impl Stamp {
    /// Appends a frame of the stamp and an encoded change.
    pub(in crate::journal) fn encode_frame(&self, salt: u32, body: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let len = PAYLOAD_BYTES_MIN + 8 * self.feed_seqs.len() + body.len();
        let len = u32::try_from(len).expect("a commit is bounded far below 4 GiB").to_be_bytes();
        out.extend_from_slice(&len);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.position.to_be_bytes());
        out.extend_from_slice(&self.synced.to_be_bytes());
        let count = u32::try_from(self.feed_seqs.len()).expect("a commit's feed entries are bounded");
        out.extend_from_slice(&count.to_be_bytes());
        for seq in &self.feed_seqs {
            out.extend_from_slice(&seq.to_be_bytes());
        }
        out.extend_from_slice(body);
        let (_, frame) = out.split_at_mut(start);
        let (header, payload) = frame.split_at_mut(FRAME_HEADER_BYTES);
        let crc = checksum(salt, &len, payload);
        header.split_at_mut(4).1.copy_from_slice(&crc.to_be_bytes());
    }

    fn read(payload: Bytes) -> Result<(Self, Bytes), Malformed> {
        let mut reader = Reader::new(payload);
        let (position, synced) = (reader.u64()?, reader.u64()?);
        let feed_seqs = reader.list(Reader::u64)?;
        Ok((Self { position, synced, feed_seqs }, reader.rest()))
    }
}

/// What stands at a place in a segment.
#[derive(Debug)]
pub(super) enum Found {
    /// A good frame.
    Frame {
        /// Its stamp.
        stamp: Stamp,
        /// The encoded change.
        body: Bytes,
        /// Where the next frame begins.
        end: usize,
    },
    /// The end of the file.
    End,
    /// Bytes that are no frame.
    Bad,
}

/// Reads the frame at a place in a segment.
pub(super) fn read_frame(segment: &Bytes, at: usize, salt: u32) -> Found {
    let Some(rest) = segment.get(at..) else { return Found::Bad };
    if rest.is_empty() {
        return Found::End;
    }
    let Some((len, after)) = rest.split_first_chunk::<4>() else { return Found::Bad };
    let Some((crc, after)) = after.split_first_chunk::<4>() else { return Found::Bad };
    let Some(payload) = after.get(..u32::from_be_bytes(*len) as usize) else { return Found::Bad };
    if payload.len() < PAYLOAD_BYTES_MIN || u32::from_be_bytes(*crc) != checksum(salt, len, payload) {
        return Found::Bad;
    }
    match Stamp::read(segment.slice_ref(payload)) {
        Ok((stamp, body)) => Found::Frame { stamp, body, end: at + FRAME_HEADER_BYTES + payload.len() },
        Err(Malformed) => Found::Bad,
    }
}

/// Returns whether the bad bytes at `bad` can be a write that a crash cut off: whether nothing after them was
/// written when `position`, the first that is missing, had been synced.
pub(super) fn is_torn(segment: &Bytes, bad: usize, position: u64, salt: u32) -> bool {
    // A plausible position is checked before the checksum, so that the search stays linear.
    let plausible = position..position.saturating_add(segment.len() as u64);
    for at in bad..segment.len().saturating_sub(FRAME_HEADER_BYTES + PAYLOAD_BYTES_MIN) {
        let field = segment.get(at + FRAME_HEADER_BYTES..).and_then(|rest| rest.split_first_chunk::<8>());
        if !field.is_some_and(|(field, _)| plausible.contains(&u64::from_be_bytes(*field))) {
            continue;
        }
        if let Found::Frame { stamp, .. } = read_frame(segment, at, salt)
            && stamp.synced >= position
        {
            return false;
        }
    }
    true
}

fn checksum(salt: u32, len: &[u8; 4], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(salt, len), payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(position: u64, synced: u64, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Stamp { position, synced, feed_seqs: vec![position * 10] }.encode_frame(7, body, &mut out);
        out
    }

    #[test]
    fn a_frame_reads_back_and_no_changed_bit_passes() {
        let good = frame(3, 2, b"body");
        let Found::Frame { stamp, body, end } = read_frame(&Bytes::from(good.clone()), 0, 7) else { panic!("bad") };
        assert_eq!((stamp.position, stamp.synced, stamp.feed_seqs), (3, 2, vec![30]));
        assert_eq!((&body[..], end), (&b"body"[..], good.len()));
        assert!(matches!(read_frame(&Bytes::from(good.clone()), 0, 8), Found::Bad), "another salt");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(read_frame(&Bytes::from(bad), 0, 7), Found::Bad), "bit {bit}");
        }
        for len in 1..good.len() {
            assert!(matches!(read_frame(&Bytes::from(good[..len].to_vec()), 0, 7), Found::Bad), "cut at {len}");
        }
        assert!(matches!(read_frame(&Bytes::from(vec![0; 64]), 0, 7), Found::Bad), "zeroes are no frame");
    }

    #[test]
    fn a_header_reads_back_and_no_changed_bit_passes() {
        let header = Header { salt: 9, first: 42 };
        let good = header.encode();
        assert_eq!(good.len(), HEADER_BYTES);
        assert_eq!(Header::read(&Bytes::from(good.clone())).unwrap(), Some(header));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::read(&Bytes::from(bad)).unwrap(), None, "bit {bit}");
        }
    }

    #[test]
    fn a_tear_is_told_from_damage_by_what_follows() {
        let bad = vec![0; 50];
        let same_group = Bytes::from([bad.clone(), frame(6, 4, b"written with it")].concat());
        assert!(is_torn(&same_group, 0, 5, 7));
        let later_group = Bytes::from([bad, frame(6, 5, b"written after it was synced")].concat());
        assert!(!is_torn(&later_group, 0, 5, 7));
    }
}
