//! How a spilled object lies in the storage: its bytes, then a trailer that says how many there are and what their checksum is.
//!
//! The checksum comes last so that an object is written in one pass, and in the same file so that both appear together or not at all.

use bytes::Bytes;
use thornback_types::ObjectId;

/// Bytes of the trailer: magic, length (u64, little-endian), checksum (u32, little-endian).
pub(super) const TRAILER_LEN: u64 = 20;

const MAGIC: [u8; 8] = *b"TBspill1";

/// CRC-32 over the object's id and bytes, so that a file under another object's name does not pass either.
#[derive(Clone)]
pub(super) struct Checksum(crc32fast::Hasher);

impl Checksum {
    pub(super) fn of(object: ObjectId) -> Checksum {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(object.as_bytes());
        Checksum(hasher)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> u32 {
        self.0.finalize()
    }
}

/// The trailer of an object of `len` bytes.
pub(super) fn trailer(len: u64, checksum: u32) -> Bytes {
    let mut trailer = Vec::with_capacity(TRAILER_LEN as usize);
    trailer.extend_from_slice(&MAGIC);
    trailer.extend_from_slice(&len.to_le_bytes());
    trailer.extend_from_slice(&checksum.to_le_bytes());
    trailer.into()
}

/// Reads a trailer; gives the checksum if it belongs to an object of `len` bytes, else what is wrong with it.
pub(super) fn parse_trailer(trailer: &[u8], len: u64) -> Result<u32, String> {
    let (Some((magic, rest)), true) = (trailer.split_first_chunk::<8>(), trailer.len() as u64 == TRAILER_LEN)
    else {
        return Err(format!("the trailer has {} bytes instead of {TRAILER_LEN}", trailer.len()));
    };
    let (Some((written, rest)), true) = (rest.split_first_chunk::<8>(), *magic == MAGIC) else {
        return Err("the trailer is not one of this format".to_owned());
    };
    let written = u64::from_le_bytes(*written);
    if written != len {
        return Err(format!("the trailer speaks of {written} bytes instead of {len}"));
    }
    let Some(checksum) = rest.first_chunk::<4>() else {
        return Err("the trailer has no checksum".to_owned());
    };
    Ok(u32::from_le_bytes(*checksum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailer_is_read_back() {
        let trailer = trailer(1 << 40, 0xdead_beef);
        assert_eq!(trailer.len() as u64, TRAILER_LEN);
        assert_eq!(parse_trailer(&trailer, 1 << 40), Ok(0xdead_beef));
    }

    #[test]
    fn any_flipped_byte_of_magic_or_length_and_any_other_size_is_refused() {
        let good = trailer(77, 5);
        for at in 0..16 {
            let mut bad = good.to_vec();
            bad[at] ^= 0x10;
            assert!(parse_trailer(&bad, 77).is_err(), "byte {at}");
        }
        for cut in 0..good.len() {
            assert!(parse_trailer(&good[..cut], 77).is_err(), "{cut} bytes");
        }
        assert!(parse_trailer(&[&good[..], &[0]].concat(), 77).is_err());
    }
}
