//! MessagePack through `serde`: the portable default between languages.

use std::cell::RefCell;

use bytes::{BufMut, BytesMut};
use rmp_serde::config::BytesMode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thornback_types::{Code, Format, Value};

use super::fit::Trail;
use super::text::{Look, look};
use super::{Encoded, Keep, Unread, collect, unsupported};
use crate::{Error, Result};

/// Values are cut one after the other from a block of this size, so that a small one costs no allocation of its own.
const BLOCK_BYTES: usize = 64 * 1024;

/// The protocol's limit: deep enough for any honest value, and a hostile one does not exhaust the stack.
const DEPTH_MAX: usize = 512;

thread_local! {
    static BLOCK: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// Encodes a value into memory that there is already, and gives what it refers to.
pub(super) fn write<T: Serialize + ?Sized>(value: &T, to: &mut Vec<u8>) -> Result<Keep> {
    let mut serializer =
        rmp_serde::Serializer::new(to).with_struct_map().with_bytes(BytesMode::ForceIterables);
    let (written, keep) = collect(|| value.serialize(&mut serializer));
    match written {
        Ok(()) => Ok(keep),
        Err(error) => Err(unserializable::<T>(&error)),
    }
}

fn unserializable<T: ?Sized>(error: &rmp_serde::encode::Error) -> Error {
    let name = std::any::type_name::<T>();
    Error::new(Code::Unserializable, format!("a value of type {name} cannot be encoded: {error}"))
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
    written.map_err(|error| unserializable::<T>(&error))?;
    Ok(Encoded { value: Value::new(Format::MsgPack, data).with_refs(keep.ids()), keep })
}

/// Reads a value; `typed` is for one of an interface, where there is more to refuse.
pub(super) fn decode<T: DeserializeOwned>(value: &Value, typed: bool) -> Result<T, Unread> {
    if value.format == Format::Raw {
        if typed {
            let trail = Trail::new(true);
            return T::deserialize(trail.follow(super::raw::Raw(&value.data)))
                .map_err(|error| misfit::<T>(trail.tell(&error)));
        }
        if let Some(decoded) = super::raw::decode(&value.data) {
            return Ok(decoded);
        }
    }
    if value.format != Format::MsgPack {
        return Err(unsupported::<T>(value).into());
    }
    decode_bytes(&value.data, typed)
}

pub(crate) fn decode_bytes<T: DeserializeOwned>(bytes: &[u8], typed: bool) -> Result<T, Unread> {
    let whole = |reason: &str| misfit::<T>((String::new(), reason.to_owned()));
    let look = look(bytes);
    if look == Look::NoText {
        return Err(whole("it has text that is not UTF-8"));
    }
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(DEPTH_MAX);
    let trail = Trail::new(typed);
    let decoded = match T::deserialize(trail.follow(&mut deserializer)) {
        Ok(decoded) => decoded,
        Err(error) => return Err(misfit::<T>(trail.tell(&error))),
    };
    // The reader does not tell what is left.
    match look {
        Look::Whole(0) => Ok(decoded),
        _ => Err(whole("more bytes follow the value")),
    }
}

fn misfit<T>((path, reason): (String, String)) -> Unread {
    Unread::Misfit { wanted: std::any::type_name::<T>(), path, reason }
}
