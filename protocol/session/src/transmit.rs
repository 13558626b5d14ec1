//! One frame on its way out.

use bytes::Bytes;
use prost::encoding::{encode_varint, encoded_len_varint};
use thornback_wire::framing::PREFIX_BYTES;

/// A frame to be sent now, whole and in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    framed: Bytes,
    descriptors: Vec<Descriptor>,
}

/// A descriptor that travels with a frame: that of one `Arena` operation in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// `Arena.number`.
    pub arena: u32,
    /// `Arena.writable`.
    pub writable: bool,
}

impl Transmit {
    pub(crate) fn new(framed: Bytes, descriptors: Vec<Descriptor>) -> Self {
        Self { framed, descriptors }
    }

    /// Length and body, for a stream of bytes (a Unix socket, a QUIC stream).
    #[must_use]
    pub fn framed(&self) -> Bytes {
        self.framed.clone()
    }

    /// The same, for whoever needs it only once.
    #[must_use]
    pub fn into_framed(self) -> Bytes {
        self.framed
    }

    /// The body alone, for a carrier that keeps messages apart (gRPC).
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.framed.slice(PREFIX_BYTES..)
    }

    /// Bytes of the body, which is what windows count.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.framed.len() - PREFIX_BYTES
    }

    /// What goes with it by `SCM_RIGHTS`, in this order. A replayed frame names its descriptors again.
    #[must_use]
    pub fn descriptors(&self) -> &[Descriptor] {
        &self.descriptors
    }
}

/// Most bytes that `seq` and `ack` take.
pub(crate) const TAIL_BYTES_MAX: usize = 2 * (1 + 10);

/// A frame under construction: room for the length, then operations, each encoded once, as they come. `seq` and `ack` are written behind them, when
/// they are known: protobuf does not mind the order of fields.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    bytes: Vec<u8>,
    ops: usize,
    /// What the next frame begins with: as much as the last one had, so that a busy session does not grow each of its frames from nothing.
    capacity: usize,
    descriptors: Vec<Descriptor>,
}

impl Draft {
    /// Whether it has no operation.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes of its operations.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(PREFIX_BYTES)
    }

    /// How many operations it has.
    pub(crate) fn ops(&self) -> usize {
        self.ops
    }

    /// Adds an operation of `bytes` encoded bytes, which `write` appends.
    #[inline]
    pub(crate) fn push(&mut self, bytes: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if self.bytes.is_empty() {
            self.bytes.reserve(self.capacity);
            self.bytes.extend_from_slice(&[0; PREFIX_BYTES]);
        }
        self.bytes.reserve(op_bytes(bytes) + TAIL_BYTES_MAX);
        // Field 3, length-delimited.
        self.bytes.push(0x1a);
        encode_varint(bytes as u64, &mut self.bytes);
        let end = self.bytes.len() + bytes;
        write(&mut self.bytes);
        debug_assert_eq!(self.bytes.len(), end, "an operation is as long as it says");
        self.ops += 1;
    }

    /// Notes the descriptor of an `Arena` operation.
    pub(crate) fn attach(&mut self, descriptor: Descriptor) {
        self.descriptors.push(descriptor);
    }

    /// Ends the frame and leaves an empty one.
    pub(crate) fn finish(&mut self, seq: u64, ack: u64) -> Transmit {
        let mut framed = std::mem::take(&mut self.bytes);
        self.ops = 0;
        if framed.is_empty() {
            framed.extend_from_slice(&[0; PREFIX_BYTES]);
        }
        for (key, number) in [(0x08, seq), (0x10, ack)] {
            if number != 0 {
                framed.push(key);
                encode_varint(number, &mut framed);
            }
        }
        self.capacity = framed.len().min(CAPACITY_MAX);
        // Frames are cut at `frame_bytes`, which is at most 4 MiB.
        let length = u32::try_from(framed.len() - PREFIX_BYTES).unwrap_or(u32::MAX);
        framed[..PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
        Transmit::new(framed.into(), std::mem::take(&mut self.descriptors))
    }
}

/// Most that is reserved for a frame of which nothing is known yet.
const CAPACITY_MAX: usize = 64 << 10;

/// What an operation of `bytes` encoded bytes takes in its frame.
pub(crate) fn op_bytes(bytes: usize) -> usize {
    1 + encoded_len_varint(bytes as u64) + bytes
}
