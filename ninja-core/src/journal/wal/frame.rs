//! Bytes of segment headers and frames.

use bytes::Bytes;

use crate::journal::{
    audit::{Links, Mac},
    reader::{Malformed, Reader},
    store::StoreError,
};

/// The version of the log's format that is written. Frames of version 1 have no links of audit entries.
const VERSION: u32 = 2;
const OLDEST: u32 = 1;

/// How long a segment's header is.
pub(super) const HEADER_BYTES: usize = 28;

const MAGIC: &[u8; 8] = b"NINJALOG";
const FRAME_HEADER_BYTES: usize = 8;
/// Position, synced position and the count of feed numbers; newer frames have the count of links besides.
const PAYLOAD_BYTES_MIN: usize = 20;

/// What stands at the start of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The version of the frames.
    version: u32,
    /// What the frames' checksums start from.
    pub(super) salt: u32,
    /// The position of the first frame.
    pub(super) first: u64,
}

impl Header {
    /// Makes the header of a segment to write.
    pub(super) fn new(salt: u32, first: u64) -> Self {
        Self { version: VERSION, salt, first }
    }

    /// Encodes the header.
    pub(super) fn encode(self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&self.version.to_be_bytes());
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
        if !(OLDEST..=VERSION).contains(&version) {
            return Err(StoreError::Version { found: version, supported: VERSION });
        }
        Ok(Some(Self { version, salt, first }))
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
    /// What links its entries for the audit log, if it has any.
    pub(in crate::journal) links: Option<Links>,
}

impl Stamp {
    /// Appends a frame of the stamp and an encoded change.
    pub(in crate::journal) fn encode_frame(&self, salt: u32, body: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
        out.extend_from_slice(&self.position.to_be_bytes());
        out.extend_from_slice(&self.synced.to_be_bytes());
        let count = u32::try_from(self.feed_seqs.len()).expect("a commit's feed entries are bounded");
        out.extend_from_slice(&count.to_be_bytes());
        for seq in &self.feed_seqs {
            out.extend_from_slice(&seq.to_be_bytes());
        }
        self.encode_links(out);
        out.extend_from_slice(body);
        let (_, frame) = out.split_at_mut(start);
        let (header, payload) = frame.split_at_mut(FRAME_HEADER_BYTES);
        let len = u32::try_from(payload.len()).expect("a commit is bounded far below 4 GiB").to_be_bytes();
        let crc = checksum(salt, &len, payload);
        let (len_field, crc_field) = header.split_at_mut(4);
        len_field.copy_from_slice(&len);
        crc_field.copy_from_slice(&crc.to_be_bytes());
    }

    fn encode_links(&self, out: &mut Vec<u8>) {
        let count = self.links.as_ref().map_or(0, |links| links.macs.len());
        let count = u32::try_from(count).expect("a commit's audit entries are bounded");
        out.extend_from_slice(&count.to_be_bytes());
        let Some(links) = &self.links else { return };
        out.extend_from_slice(&links.first.to_be_bytes());
        for mac in links.macs.iter().chain([&links.end_mac]) {
            out.extend_from_slice(mac.as_bytes());
        }
    }

    fn read(version: u32, payload: Bytes) -> Result<(Self, Bytes), Malformed> {
        let mut reader = Reader::new(payload);
        let (position, synced) = (reader.u64()?, reader.u64()?);
        let feed_seqs = reader.list(Reader::u64)?;
        let links = if version == OLDEST { None } else { read_links(&mut reader)? };
        Ok((Self { position, synced, feed_seqs, links }, reader.rest()))
    }
}

fn read_links(reader: &mut Reader) -> Result<Option<Links>, Malformed> {
    let count = reader.u32()?;
    if count == 0 {
        return Ok(None);
    }
    let first = reader.u64()?;
    let mac = |reader: &mut Reader| reader.array().map(Mac::from_bytes);
    let macs = (0..count).map(|_| mac(reader)).collect::<Result<_, Malformed>>()?;
    Ok(Some(Links { first, macs, end_mac: mac(reader)? }))
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
pub(super) fn read_frame(segment: &Bytes, at: usize, header: Header) -> Found {
    let Some(rest) = segment.get(at..) else { return Found::Bad };
    if rest.is_empty() {
        return Found::End;
    }
    let Some((len, after)) = rest.split_first_chunk::<4>() else { return Found::Bad };
    let Some((crc, after)) = after.split_first_chunk::<4>() else { return Found::Bad };
    let Some(payload) = after.get(..u32::from_be_bytes(*len) as usize) else { return Found::Bad };
    if payload.len() < PAYLOAD_BYTES_MIN || u32::from_be_bytes(*crc) != checksum(header.salt, len, payload) {
        return Found::Bad;
    }
    match Stamp::read(header.version, segment.slice_ref(payload)) {
        Ok((stamp, body)) => Found::Frame { stamp, body, end: at + FRAME_HEADER_BYTES + payload.len() },
        Err(Malformed) => Found::Bad,
    }
}

/// Returns whether the bad bytes at `bad` can be a write that a crash cut off: whether nothing after them was
/// written when `position`, the first that is missing, had been synced.
pub(super) fn is_torn(segment: &Bytes, bad: usize, position: u64, header: Header) -> bool {
    // A plausible position is checked before the checksum, so that the search stays linear.
    let plausible = position..position.saturating_add(segment.len() as u64);
    for at in bad..segment.len().saturating_sub(FRAME_HEADER_BYTES + PAYLOAD_BYTES_MIN) {
        let field = segment.get(at + FRAME_HEADER_BYTES..).and_then(|rest| rest.split_first_chunk::<8>());
        if !field.is_some_and(|(field, _)| plausible.contains(&u64::from_be_bytes(*field))) {
            continue;
        }
        if let Found::Frame { stamp, .. } = read_frame(segment, at, header)
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

    const HEADER: Header = Header { version: VERSION, salt: 7, first: 1 };

    /// Every other frame has audit entries.
    fn links(position: u64) -> Option<Links> {
        let mac = |byte| Mac::from_bytes([byte; 32]);
        position.is_multiple_of(2).then(|| Links { first: position, macs: vec![mac(1), mac(2)], end_mac: mac(3) })
    }

    fn frame(position: u64, synced: u64, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Stamp { position, synced, feed_seqs: vec![position * 10], links: links(position) }
            .encode_frame(7, body, &mut out);
        out
    }

    #[test]
    fn a_frame_reads_back_and_no_changed_bit_passes() {
        for position in [3, 4] {
            let good = frame(position, 2, b"body");
            let Found::Frame { stamp, body, end } = read_frame(&Bytes::from(good.clone()), 0, HEADER) else {
                panic!("bad")
            };
            assert_eq!((stamp.position, stamp.synced, stamp.feed_seqs), (position, 2, vec![position * 10]));
            assert_eq!(stamp.links, links(position));
            assert_eq!((&body[..], end), (&b"body"[..], good.len()));
            assert!(
                matches!(read_frame(&Bytes::from(good.clone()), 0, Header { salt: 8, ..HEADER }), Found::Bad),
                "another salt"
            );
            for bit in 0..good.len() * 8 {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(matches!(read_frame(&Bytes::from(bad), 0, HEADER), Found::Bad), "bit {bit}");
            }
            for len in 1..good.len() {
                assert!(
                    matches!(read_frame(&Bytes::from(good[..len].to_vec()), 0, HEADER), Found::Bad),
                    "cut at {len}"
                );
            }
            assert!(matches!(read_frame(&Bytes::from(vec![0; 64]), 0, HEADER), Found::Bad), "zeroes are no frame");
        }
    }

    /// What the version before this one wrote.
    #[test]
    fn a_frame_of_the_first_version_reads() {
        let old = Header { version: 1, ..HEADER };
        assert_eq!(Header::read(&Bytes::from(old.encode())).unwrap(), Some(old));
        let payload =
            [&3_u64.to_be_bytes()[..], &2_u64.to_be_bytes(), &1_u32.to_be_bytes(), &30_u64.to_be_bytes(), b"body"]
                .concat();
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let written = Bytes::from([&len[..], &checksum(7, &len, &payload).to_be_bytes(), &payload].concat());
        let Found::Frame { stamp, body, .. } = read_frame(&written, 0, old) else { panic!("bad") };
        assert_eq!(stamp, Stamp { position: 3, synced: 2, feed_seqs: vec![30], links: None });
        assert_eq!(&body[..], b"body");
    }

    #[test]
    fn a_header_reads_back_and_no_changed_bit_passes() {
        let header = Header::new(9, 42);
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
        assert!(is_torn(&same_group, 0, 5, HEADER));
        let later_group = Bytes::from([bad, frame(6, 5, b"written after it was synced")].concat());
        assert!(!is_torn(&later_group, 0, 5, HEADER));
    }
}
