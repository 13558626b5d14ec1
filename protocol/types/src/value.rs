//! A user's value, which nothing on the server ever decodes.

use crate::ObjectId;
use bytes::Bytes;

/// How the bytes of a value are to be read; see `protocol/spec/value.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// Bytes as they are.
    #[default]
    Raw,
    /// MessagePack with Thornback's extension types.
    MsgPack,
    /// An Arrow IPC stream.
    Arrow,
    /// One dense tensor.
    Tensor,
    /// Private to one language; [`Value::schema`] names it.
    Private,
}

/// A value that travels inside frames.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Value {
    /// How to read `data`.
    pub format: Format,
    /// The encoded value.
    pub data: Bytes,
    /// Out-of-band buffers that `data` refers to by position.
    pub buffers: Vec<Bytes>,
    /// Everything that the value refers to, each id once.
    pub refs: Vec<ObjectId>,
    /// Qualifies `format` (`"python/pickle5"`); shared, because a session repeats few of them. Empty where the format needs nothing more.
    pub schema: Bytes,
}

impl Value {
    /// A value of raw bytes.
    #[must_use]
    pub fn raw(data: impl Into<Bytes>) -> Value {
        Value { data: data.into(), ..Value::default() }
    }

    /// MessagePack's nil, what a function without a result returns.
    #[must_use]
    pub fn nil() -> Value {
        Value { format: Format::MsgPack, data: Bytes::from_static(&[0xc0]), ..Value::default() }
    }

    /// Bytes of `data` and `buffers`.
    #[must_use]
    pub fn size(&self) -> usize {
        self.data.len() + self.buffers.iter().map(Bytes::len).sum::<usize>()
    }
}
