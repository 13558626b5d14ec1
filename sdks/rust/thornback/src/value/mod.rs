//! What user data looks like on the wire: any `serde` type, and a few that travel without being copied.
//!
//! | Rust type, at the top level of an argument, result or `put` | format |
//! |---|---|
//! | [`Bytes`], `Vec<u8>` | raw bytes |
//! | [`Tensor`] | tensor: shape and strides, elements in place |
//! | everything else that is `Serialize + DeserializeOwned` | MessagePack, structs as maps by field name |
//!
//! What has an extension type of its own goes through a module of this one with `#[serde(with = "…")]`: [`uuid`], [`timestamp`] and [`big_integer`].
//!
//! Inside MessagePack, a [`Ref`](crate::Ref) or an actor handle is an extension type, and the value names it beside its bytes so that the
//! server can count it. The server never decodes a value; neither does this module decide where one is kept.

pub mod big_integer;
mod ext;
mod fields;
mod fit;
mod msgpack;
mod raw;
mod refs;
mod tensor;
mod text;
pub mod timestamp;

use std::any::Any;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thornback_types::{Code, Format, Value};
use thornback_wire::hot::client::Plain;

use crate::{Error, Result};

pub use big_integer::BigInteger;
pub use ext::uuid;
pub(crate) use ext::{Extension, deserialize_extension, serialize_extension};
pub(crate) use fields::{Added, add_owned, add_text, add_value, recycle, reused};
pub(crate) use refs::{Keep, collect, collected, decode_context, with_decode_context};
pub use tensor::{Element, Tensor};

/// What can be an argument, a result, or an object: anything that `serde` can write and read, owned, and able to move between threads.
///
/// Implemented for all such types; there is nothing to implement by hand.
pub trait Data: Serialize + DeserializeOwned + Send + 'static {}
impl<T: Serialize + DeserializeOwned + Send + 'static> Data for T {}

/// An encoded value with the refs that it contains, which must be kept until the server has counted them.
pub(crate) struct Encoded {
    pub(crate) value: Value,
    pub(crate) keep: Keep,
}

/// Encodes a value that the caller gives away: large byte buffers are not copied.
pub(crate) fn encode_owned<T: Data>(value: T) -> Result<Encoded> {
    // A downcast of a type that is known when this is compiled: the branches that do not apply vanish.
    let mut slot = Some(value);
    let any: &mut dyn Any = &mut slot;
    if let Some(bytes) = any.downcast_mut::<Option<Vec<u8>>>().and_then(Option::take) {
        return Ok(plain(Value::raw(bytes)));
    }
    if let Some(bytes) = any.downcast_mut::<Option<Bytes>>().and_then(Option::take) {
        return Ok(plain(Value::raw(bytes)));
    }
    if let Some(tensor) = any.downcast_mut::<Option<Tensor>>().and_then(Option::take) {
        return Ok(plain(tensor.into_value()));
    }
    match &slot {
        Some(value) => msgpack::encode(value),
        // Each branch that takes the value returns.
        None => Err(Error::new(Code::Internal, "a value was encoded twice")),
    }
}

/// Encodes a value that the caller keeps.
pub(crate) fn encode<T: Data>(value: &T) -> Result<Encoded> {
    let any: &dyn Any = value;
    if let Some(bytes) = any.downcast_ref::<Vec<u8>>() {
        return Ok(plain(Value::raw(Bytes::copy_from_slice(bytes))));
    }
    if let Some(bytes) = any.downcast_ref::<Bytes>() {
        return Ok(plain(Value::raw(bytes.clone())));
    }
    if let Some(tensor) = any.downcast_ref::<Tensor>() {
        return Ok(plain(tensor.clone().into_value()));
    }
    msgpack::encode(value)
}

/// Why a value cannot be read.
pub(crate) enum Unread {
    /// It is not what the type wants; `path` leads to where, as `.options.sizes[0]`.
    Misfit {
        /// The type.
        wanted: &'static str,
        path: String,
        reason: String,
    },
    Other(Error),
}

impl Unread {
    /// As told of a value of an interface, which stands at `place`: the argument `resize.image`, or what `resize()` gave.
    pub(crate) fn at(self, place: impl std::fmt::Display) -> Error {
        match self {
            Unread::Misfit { path, reason, .. } => Error::invalid(format!("{place}{path}: {reason}")),
            Unread::Other(error) => {
                let message = format!("{place}: {}", error.message());
                Error::new(error.code().unwrap_or(Code::InvalidArgument), message)
            }
        }
    }
}

impl From<Error> for Unread {
    fn from(error: Error) -> Unread {
        Unread::Other(error)
    }
}

impl From<Unread> for Error {
    fn from(unread: Unread) -> Error {
        match unread {
            Unread::Misfit { wanted, path, reason } if path.is_empty() => {
                Error::invalid(format!("the value is not a {wanted}: {reason}"))
            }
            Unread::Misfit { wanted, path, reason } => {
                let path = path.strip_prefix('.').unwrap_or(&path);
                Error::invalid(format!("the value is not a {wanted}: {path}: {reason}"))
            }
            Unread::Other(error) => error,
        }
    }
}

/// Decodes a value. Refs inside it belong to the client of the surrounding [`with_decode_context`].
pub(crate) fn decode<T: Data>(value: Value) -> Result<T> {
    Ok(decode_as(value, false)?)
}

/// Decodes a value of an interface.
pub(crate) fn decode_typed<T: Data>(value: Value) -> Result<T, Unread> {
    decode_as(value, true)
}

/// Decodes a value that is still in its frame, and refers to nothing; `typed` is for one of an interface.
pub(crate) fn decode_plain<T: Data>(value: Plain<'_>, typed: bool) -> Result<T, Unread> {
    match value.format {
        // No type asks for these bytes as they are.
        Format::MsgPack => msgpack::decode_bytes(value.data, typed),
        _ => decode_as(value.to_value(), typed),
    }
}

/// Decodes what a call gave. `of` is the name of the interface's function that was called, and empty where there is no interface.
pub(crate) fn decode_result<T: Data>(value: Value, of: &str) -> Result<T> {
    match of {
        "" => decode(value),
        function => decode_typed(value).map_err(|unread| unread.at(format_args!("{function}()"))),
    }
}

fn decode_as<T: Data>(value: Value, typed: bool) -> Result<T, Unread> {
    let mut slot: Option<T> = None;
    let any: &mut dyn Any = &mut slot;
    if let Some(slot) = any.downcast_mut::<Option<Bytes>>() {
        if matches!(value.format, Format::Raw | Format::Arrow) {
            *slot = Some(value.data.into());
        } else {
            *slot = Some(msgpack::decode(&value, typed)?);
        }
    } else if let Some(slot) = any.downcast_mut::<Option<Vec<u8>>>() {
        *slot = Some(if value.format == Format::Raw {
            value.data.into()
        } else {
            msgpack::decode(&value, typed)?
        });
    } else if let Some(slot) = any.downcast_mut::<Option<Tensor>>() {
        *slot = Some(if value.format == Format::Tensor {
            Tensor::from_value(value)?
        } else {
            msgpack::decode(&value, typed)?
        });
    } else {
        return msgpack::decode(&value, typed);
    }
    slot.ok_or_else(|| Error::new(Code::Internal, "a value was decoded into nothing").into())
}

/// [`decode_result`] of a short value without refs and buffers.
pub(crate) fn decode_tiny<T: Data>(format: Format, bytes: &[u8], of: &str) -> Result<T> {
    match format {
        // No type asks for these bytes as they are.
        Format::MsgPack if of.is_empty() => Ok(msgpack::decode_bytes(bytes, false)?),
        _ => decode_result(Value::new(format, thornback_types::Data::copy(bytes)), of),
    }
}

fn plain(value: Value) -> Encoded {
    Encoded { value, keep: Keep::default() }
}

/// Says what a value of another format would have to be received as.
fn unsupported<T>(value: &Value) -> Error {
    let wanted = std::any::type_name::<T>();
    let message = match value.format {
        Format::Raw => format!(
            "the value is raw bytes and cannot be read as {wanted}; receive it as thornback::Bytes or Vec<u8>"
        ),
        Format::Tensor => {
            format!("the value is a tensor and cannot be read as {wanted}; receive it as thornback::Tensor")
        }
        Format::Arrow => format!(
            "the value is an Arrow stream and cannot be read as {wanted}; receive it as thornback::Bytes and give that to an Arrow reader"
        ),
        Format::Private => format!(
            "the value is in the private format {:?}, which Rust cannot read; its sender should pass plain data (numbers, text, bytes, lists, maps)",
            String::from_utf8_lossy(value.schema())
        ),
        Format::MsgPack => format!("the value cannot be read as {wanted}"),
    };
    Error::new(Code::UnsupportedFormat, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    fn round<T: Data + PartialEq + std::fmt::Debug>(value: T) -> Value {
        let by_ref = encode(&value).expect("encodes").value;
        let back: T = decode(by_ref.clone()).expect("decodes");
        assert_eq!(back, value);
        assert_eq!(encode_owned(value).expect("encodes").value, by_ref);
        by_ref
    }

    #[test]
    fn bytes_are_raw_and_are_not_copied() {
        let bytes = Bytes::from(vec![7; 1000]);
        let encoded = encode(&bytes).expect("encodes").value;
        assert_eq!((encoded.format, encoded.data.as_ptr()), (Format::Raw, bytes.as_ptr()));
        let back: Bytes = decode(encoded).expect("decodes");
        assert_eq!(back.as_ptr(), bytes.as_ptr());

        let vec = vec![9u8; 1000];
        let address = vec.as_ptr();
        assert_eq!(encode_owned(vec).expect("encodes").value.data.as_ptr(), address);
        assert_eq!(round(Vec::<u8>::new()).format, Format::Raw);
    }

    #[test]
    fn values_of_serde_come_back() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        enum Shape {
            Point,
            Circle(f64),
            Square { side: u64 },
        }
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Everything {
            yes: bool,
            low: i64,
            high: u64,
            text: String,
            blob: Vec<u8>,
            none: Option<u8>,
            some: Option<String>,
            map: BTreeMap<String, Vec<i32>>,
            shapes: Vec<Shape>,
            pair: (f32, char),
            unit: (),
        }
        let value = round(Everything {
            yes: true,
            low: i64::MIN,
            high: u64::MAX,
            text: "Rochen \u{1F980}".into(),
            blob: vec![0, 255],
            none: None,
            some: Some(String::new()),
            map: BTreeMap::from([("a".into(), vec![1, -2]), (String::new(), vec![])]),
            shapes: vec![Shape::Point, Shape::Circle(f64::INFINITY), Shape::Square { side: 1 }],
            pair: (-0.0, 'ß'),
            unit: (),
        });
        assert_eq!(value.format, Format::MsgPack);
    }

    #[test]
    fn a_struct_is_a_map_by_name_so_that_other_languages_can_read_it() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Point {
            x: i64,
        }
        assert_eq!(&round(Point { x: 1 }).data[..], b"\x81\xa1x\x01");
        assert_eq!(&round(()).data[..], b"\xc0");
    }

    #[test]
    fn a_byte_vector_inside_a_value_is_binary() {
        assert_eq!(&round((vec![1u8, 2], 3)).data[..], b"\x92\xc4\x02\x01\x02\x03");
    }

    #[test]
    fn a_value_of_the_wrong_format_says_what_to_use() {
        let error = decode::<i64>(Value::raw(&b"x"[..])).expect_err("bytes are no number");
        assert!(error.is(Code::UnsupportedFormat) && error.message().contains("Vec<u8>"), "{error}");
        let pickle = Value::new(Format::Private, Bytes::new()).with_schema("python/pickle5");
        assert!(decode::<String>(pickle).expect_err("private").message().contains("python/pickle5"));
    }

    #[test]
    fn a_value_of_the_wrong_shape_names_both() {
        let value = encode(&"text".to_string()).expect("encodes").value;
        let error = decode::<i64>(value).expect_err("text is no number");
        assert!(error.is(Code::InvalidArgument) && error.message().contains("i64"), "{error}");
    }

    #[test]
    fn bytes_after_the_value_are_refused() {
        let value = Value::new(Format::MsgPack, &b"\x01\x02"[..]);
        assert!(decode::<i64>(value).is_err());
    }

    /// Takes text and binary alike.
    #[derive(Debug, Serialize)]
    struct Either;

    impl<'de> Deserialize<'de> for Either {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Either, D::Error> {
            struct Any;
            impl serde::de::Visitor<'_> for Any {
                type Value = Either;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("text or bytes")
                }
                fn visit_str<E>(self, _: &str) -> std::result::Result<Either, E> {
                    Ok(Either)
                }
                fn visit_bytes<E>(self, _: &[u8]) -> std::result::Result<Either, E> {
                    Ok(Either)
                }
            }
            from.deserialize_any(Any)
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_whatever_type_is_asked_for() {
        let value = |data: &'static [u8]| Value::new(Format::MsgPack, data);
        assert!(decode::<Either>(value(b"\xa1x")).is_ok());
        assert!(decode::<Either>(value(b"\xc4\x01\xff")).is_ok());
        let error = decode::<Either>(value(b"\xa1\xff")).expect_err("no text");
        assert!(error.message().contains("UTF-8"), "{error}");
        assert!(decode::<Vec<Either>>(value(b"\x92\xa1x\xa1\xff")).is_err());
    }

    #[test]
    fn no_bytes_make_the_decoder_panic_or_allocate_wildly() {
        let seed = encode(&BTreeMap::from([("k".to_string(), vec![Some("v".to_string()), None])]))
            .expect("encodes")
            .value
            .data;
        for at in 0..seed.len() {
            for byte in 0..=255u8 {
                let mut data = seed.to_vec();
                data[at] = byte;
                for data in [Bytes::from(data.clone()), Bytes::copy_from_slice(&data[..at])] {
                    let value = Value::new(Format::MsgPack, data);
                    let _ = decode::<BTreeMap<String, Vec<Option<String>>>>(value);
                }
            }
        }
        let lying = Value::new(Format::MsgPack, &b"\xdd\xff\xff\xff\xff"[..]);
        assert!(decode::<Vec<String>>(lying).is_err());
    }
}
