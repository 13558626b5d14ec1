//! What values and ids of operations have in common, on top of what `thornback_wire::convert` parses.

use bytes::Bytes;
use thornback_types::{Code, Failure, Value};
use thornback_wire::convert::{Compact, Invalid, inline_value};
use thornback_wire::v1;

/// What a slice of a frame keeps alive at most: the buffer that a connection reads into (`crate::connection`).
const BUFFER_BYTES: usize = 64 << 10;

/// Largest value taken in a frame; larger ones belong in the object store. `Limits.inline_bytes`.
pub(crate) const INLINE_BYTES: usize = 100 << 10;

pub(super) type Result<T> = std::result::Result<T, Box<Failure>>;

/// Refuses an operation for one of its arguments.
pub(super) fn invalid(message: impl Into<String>) -> Box<Failure> {
    Box::new(Failure::new(Code::InvalidArgument, message))
}

/// Refuses an operation for what the wire crate found wrong.
pub(super) fn refuse(invalid: Invalid) -> Box<Failure> {
    Box::new(invalid.failure())
}

pub(super) fn value(value: v1::Value) -> Result<Value> {
    let mut value = inline_value(value, INLINE_BYTES).map_err(refuse)?;
    value.compact(BUFFER_BYTES);
    Ok(value)
}

/// Lets go of the frame.
pub(super) fn own(mut data: Bytes) -> Bytes {
    data.compact(BUFFER_BYTES);
    data
}

/// Text that the core keeps as bytes so that it can be shared. It came in as a string, so nothing is replaced.
pub(super) fn text_out(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
