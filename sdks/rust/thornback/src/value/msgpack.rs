//! MessagePack through `serde`: the portable default between languages.

use std::cell::RefCell;

use bytes::{BufMut, BytesMut};
use rmp_serde::config::BytesMode;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use thornback_types::{Code, Format, Value};

use super::{Encoded, collect, unsupported};
use crate::{Error, Result};

/// Values are cut one after the other from a block of this size, so that a small one costs no allocation of its own.
const BLOCK_BYTES: usize = 64 * 1024;

/// The protocol's limit: deep enough for any honest value, and a hostile one does not exhaust the stack.
const DEPTH_MAX: usize = 512;

thread_local! {
    static BLOCK: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Encoded> {
    // Taken out rather than borrowed while user code runs: a `Serialize` may encode another value on its way.
    let mut block = BLOCK.take();
    if block.capacity() < 512 {
        block.reserve(BLOCK_BYTES);
    }
    let mut serializer = rmp_serde::Serializer::new((&mut block).writer())
        .with_struct_map()
        .with_bytes(BytesMode::ForceIterables);
    let (written, keep) = collect(|| value.serialize(&mut serializer));
    let data = block.split().freeze();
    BLOCK.set(block);
    written.map_err(|error| {
        let name = std::any::type_name::<T>();
        Error::new(Code::Unserializable, format!("a value of type {name} cannot be encoded: {error}"))
    })?;
    Ok(Encoded { value: Value { format: Format::MsgPack, data, refs: keep.ids(), ..Value::default() }, keep })
}

pub(super) fn decode<T: DeserializeOwned>(value: &Value) -> Result<T> {
    if value.format == Format::Raw
        && let Some(decoded) = super::raw::decode(&value.data)
    {
        return Ok(decoded);
    }
    if value.format != Format::MsgPack {
        return Err(unsupported::<T>(value));
    }
    decode_bytes(&value.data)
}

pub(crate) fn decode_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    if !super::text::is_utf8(bytes) {
        return Err(mismatch::<T>("it has text that is not UTF-8"));
    }
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(DEPTH_MAX);
    let decoded = T::deserialize(&mut deserializer).map_err(|error| mismatch::<T>(&error.to_string()))?;
    // The reader does not tell what is left, but it fails in just one way where nothing is.
    match IgnoredAny::deserialize(&mut deserializer) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(decoded),
        _ => Err(mismatch::<T>("more bytes follow the value")),
    }
}

fn mismatch<T>(reason: &str) -> Error {
    Error::invalid(format!("the value is not a {}: {reason}", std::any::type_name::<T>()))
}
