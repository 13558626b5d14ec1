//! Arguments and results on their way into an operation: a short value is encoded where it goes on the wire from, and takes no memory of its own.

use std::any::TypeId;
use std::cell::Cell;

use bytes::Bytes;
use serde::Serialize;
use thornback_types::{Format, Value};
use thornback_wire::hot::client::Fields;

use super::{Data, Encoded, Keep, Tensor, encode, encode_owned, msgpack};
use crate::Result;

/// Memory that is kept for the next call.
const SPARE_BYTES_MAX: usize = 64 << 10;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Empty fields, in memory that was used before. A call that is put together while another one is gets memory of its own.
pub(crate) fn reused() -> Fields {
    Fields::reusing(SPARE.take())
}

/// Takes the memory of fields that were sent.
pub(crate) fn recycle(fields: Fields) {
    let bytes = fields.into_bytes();
    if bytes.capacity() <= SPARE_BYTES_MAX {
        SPARE.set(bytes);
    }
}

/// What became of a value.
pub(crate) enum Added {
    /// It is among the fields, with so many bytes.
    Done(usize),
    /// It is not: whether it travels in a frame is still to be decided.
    Apart(Encoded),
}

/// Adds a value that the caller gives away, if it has no more than `limit` bytes.
#[inline]
pub(crate) fn add_owned<T: Data>(fields: &mut Fields, limit: usize, value: T) -> Result<Added> {
    if has_format_of_its_own::<T>() {
        encode_owned(value).map(Added::Apart)
    } else {
        add_msgpack(fields, limit, &value)
    }
}

/// The same for one that the caller keeps.
#[inline]
pub(crate) fn add_value<T: Data>(fields: &mut Fields, limit: usize, value: &T) -> Result<Added> {
    if has_format_of_its_own::<T>() {
        encode(value).map(Added::Apart)
    } else {
        add_msgpack(fields, limit, value)
    }
}

/// Adds text as a `String` would be.
pub(crate) fn add_text(fields: &mut Fields, limit: usize, text: &str) -> Result<Added> {
    add_msgpack(fields, limit, text)
}

/// Known when this is compiled.
fn has_format_of_its_own<T: 'static>() -> bool {
    [TypeId::of::<Vec<u8>>(), TypeId::of::<Bytes>(), TypeId::of::<Tensor>()].contains(&TypeId::of::<T>())
}

#[inline]
fn add_msgpack<T: Serialize + ?Sized>(fields: &mut Fields, limit: usize, value: &T) -> Result<Added> {
    let before = fields.end();
    let apart = fields.written(Format::MsgPack, limit, |to| msgpack::write(value, to), Keep::is_empty)?;
    Ok(match apart {
        None => Added::Done(fields.end() - before),
        Some((data, keep)) => {
            let value = Value::new(Format::MsgPack, data).with_refs(keep.ids());
            Added::Apart(Encoded { value, keep })
        }
    })
}
