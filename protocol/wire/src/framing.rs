//! Frames on a stream of bytes: a 4-byte big-endian length, then so many bytes of one encoded frame.
//!
//! Nothing here is allocated because a length says so: a decoder only cuts what has already arrived.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

/// Bytes of the length before each frame.
pub const PREFIX_BYTES: usize = 4;

/// No agreed `Limits.frame_bytes` is larger than this.
pub const FRAME_BYTES_MAX: usize = 4 << 20;

/// Cuts frames out of a stream, however its bytes were split on the way.
///
/// Append what was read to a buffer, then call [`next`](Decoder::next) until it gives `None`:
///
/// ```
/// use bytes::BytesMut;
/// use thornback_wire::framing::Decoder;
///
/// let decoder = Decoder::new(1024);
/// let mut buffer = BytesMut::from(&b"\0\0\0\x02hi\0\0"[..]);
/// assert_eq!(decoder.next(&mut buffer).unwrap().unwrap(), "hi");
/// assert_eq!(decoder.next(&mut buffer).unwrap(), None);
/// assert_eq!(buffer, "\0\0"); // the beginning of the next one
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Decoder {
    frame_bytes_max: usize,
}

impl Decoder {
    /// A decoder that refuses frames of more than so many bytes (without their length).
    #[must_use]
    pub const fn new(frame_bytes_max: usize) -> Self {
        Self { frame_bytes_max }
    }

    /// Takes the next whole frame off the front of `buffer`, without copying it.
    ///
    /// # Errors
    /// If its length is over the limit. The stream cannot be read any further: what follows is not at a known place.
    pub fn next(&self, buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameTooLarge> {
        let Some(length) = self.length(buffer)? else { return Ok(None) };
        if buffer.len() - PREFIX_BYTES < length {
            return Ok(None);
        }
        buffer.advance(PREFIX_BYTES);
        Ok(Some(buffer.split_to(length).freeze()))
    }

    /// How many more bytes the frame at the front of `buffer` needs; 0 if it is whole. At least this many are worth reading next, but they are
    /// no reason to reserve room before they come.
    ///
    /// # Errors
    /// As for [`next`](Decoder::next).
    pub fn missing(&self, buffer: &[u8]) -> Result<usize, FrameTooLarge> {
        Ok(match self.length(buffer)? {
            Some(length) => length.saturating_sub(buffer.len() - PREFIX_BYTES),
            None => PREFIX_BYTES - buffer.len(),
        })
    }

    fn length(&self, buffer: &[u8]) -> Result<Option<usize>, FrameTooLarge> {
        let Some((prefix, _)) = buffer.split_first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes(*prefix);
        match usize::try_from(length) {
            Ok(length) if length <= self.frame_bytes_max => Ok(Some(length)),
            _ => Err(FrameTooLarge { length, limit: self.frame_bytes_max }),
        }
    }
}

/// The prefix for a body of this length; `None` if no prefix can say it.
#[must_use]
pub fn prefix(length: usize) -> Option<[u8; PREFIX_BYTES]> {
    u32::try_from(length).ok().map(u32::to_be_bytes)
}

/// A length over the limit. Answer with FRAME_TOO_LARGE and close the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameTooLarge {
    /// What the prefix claims.
    pub length: u32,
    /// What was agreed.
    pub limit: usize,
}

impl fmt::Display for FrameTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a frame claims {} bytes and the agreed limit is {}", self.length, self.limit)
    }
}

impl std::error::Error for FrameTooLarge {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(bodies: &[Vec<u8>]) -> Vec<u8> {
        bodies.iter().flat_map(|body| [&prefix(body.len()).unwrap()[..], body].concat()).collect()
    }

    proptest! {
        #[test]
        fn frames_survive_any_split(bodies: Vec<Vec<u8>>, cuts: Vec<proptest::sample::Index>) {
            let bytes = stream(&bodies);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            cuts.push(bytes.len());

            let decoder = Decoder::new(1 << 20);
            let (mut buffer, mut found, mut from) = (BytesMut::new(), Vec::new(), 0);
            for cut in cuts {
                buffer.extend_from_slice(&bytes[from..cut]);
                from = cut;
                while let Some(frame) = decoder.next(&mut buffer).unwrap() {
                    found.push(frame.to_vec());
                }
                prop_assert!(decoder.missing(&buffer).unwrap() > 0);
            }
            prop_assert_eq!(found, bodies);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn arbitrary_bytes_are_cut_or_refused(bytes: Vec<u8>, limit in 0usize..64) {
            let decoder = Decoder::new(limit);
            let mut buffer = BytesMut::from(&bytes[..]);
            let mut taken = 0;
            while let Ok(Some(frame)) = decoder.next(&mut buffer) {
                prop_assert!(frame.len() <= limit);
                taken += PREFIX_BYTES + frame.len();
            }
            prop_assert_eq!(taken + buffer.len(), bytes.len());
        }
    }

    #[test]
    fn split_at_every_byte() {
        let bytes = stream(&[b"one".to_vec(), Vec::new(), b"three".to_vec()]);
        for cut in 0..=bytes.len() {
            let decoder = Decoder::new(16);
            let mut buffer = BytesMut::new();
            let mut found = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                buffer.extend_from_slice(part);
                while let Some(frame) = decoder.next(&mut buffer).unwrap() {
                    found.push(frame);
                }
            }
            assert_eq!(found, ["one", "", "three"]);
        }
    }

    #[test]
    fn a_lying_length_costs_nothing() {
        let decoder = Decoder::new(FRAME_BYTES_MAX);
        let mut buffer = BytesMut::from(&[0xff, 0xff, 0xff, 0xff, 1, 2, 3][..]);
        let refused = decoder.next(&mut buffer).unwrap_err();
        assert_eq!(refused, FrameTooLarge { length: u32::MAX, limit: FRAME_BYTES_MAX });
        assert_eq!(buffer.len(), 7);

        let mut buffer = BytesMut::from(&[0, 0x40, 0, 0, 1][..]);
        let capacity = buffer.capacity();
        assert_eq!(decoder.next(&mut buffer), Ok(None));
        assert_eq!(buffer.capacity(), capacity);
        assert_eq!(decoder.missing(&buffer), Ok((4 << 20) - 1));
    }
}
