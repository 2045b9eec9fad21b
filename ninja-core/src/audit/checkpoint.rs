//! Checkpoints: how long the log is and what its last link is, signed, to be kept where nobody who can write the log gets at it.

use crate::{
    api::{AuditCheckpoint, Timestamp},
    journal::audit::{AuditEnd, ChainKey, Mac},
};

/// Signs where the log ends.
pub(crate) fn sign(key: &ChainKey, end: &AuditEnd, at: Timestamp) -> AuditCheckpoint {
    let mac = end.mac.to_string();
    AuditCheckpoint { seq: end.seq, signature: signature(key, end.seq, &mac, at).to_string(), mac, at }
}

/// Returns whether a checkpoint was signed with the key of this log.
pub(crate) fn is_signed(key: &ChainKey, checkpoint: &AuditCheckpoint) -> bool {
    let AuditCheckpoint { seq, mac, at, signature: found } = checkpoint;
    found.parse() == Ok(signature(key, *seq, mac, *at))
}

/// Signs with a key of its own that the log's key makes, so that no signature is ever a link.
fn signature(key: &ChainKey, seq: u64, mac: &str, at: Timestamp) -> Mac {
    let signing = ChainKey::new(*key.mac(&[b"ninja audit checkpoint"]).as_bytes());
    let length = mac.len() as u64;
    signing.mac(&[&seq.to_be_bytes(), &length.to_be_bytes(), mac.as_bytes(), at.to_string().as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_checkpoint_can_be_changed() {
        let key = ChainKey::new([1; 32]);
        let end = AuditEnd { seq: 7, mac: Mac::from_bytes([2; 32]), end_mac: Mac::NONE };
        let good = sign(&key, &end, Timestamp::UNIX_EPOCH);
        assert!(is_signed(&key, &good));
        assert!(!is_signed(&ChainKey::new([2; 32]), &good));
        let line = serde_json::to_string(&good).unwrap();
        assert_eq!(serde_json::from_str::<AuditCheckpoint>(&line).unwrap(), good);
        for bad in [
            AuditCheckpoint { seq: 8, ..good.clone() },
            AuditCheckpoint { mac: Mac::NONE.to_string(), ..good.clone() },
            AuditCheckpoint { at: Timestamp::from_second(1).unwrap(), ..good.clone() },
            AuditCheckpoint { signature: Mac::NONE.to_string(), ..good.clone() },
            AuditCheckpoint { signature: String::new(), ..good },
        ] {
            assert!(!is_signed(&key, &bad), "{bad:?}");
        }
    }
}
