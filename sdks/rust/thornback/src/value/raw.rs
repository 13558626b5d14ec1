//! Raw bytes for a type that reads itself through `serde`: given as bytes, and as nothing else.

use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, Visitor, value::Error};
use serde::forward_to_deserialize_any;

/// Reads `T` from raw bytes, if it is a type that takes bytes. A string does not: that the bytes happen to be text is no reason to call them so.
pub(super) fn decode<T: DeserializeOwned>(data: &[u8]) -> Option<T> {
    T::deserialize(Raw(data)).ok()
}

/// A deserializer that has these bytes and nothing else.
pub(super) struct Raw<'a>(pub(super) &'a [u8]);

impl<'de> Deserializer<'de> for Raw<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bytes(self.0)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_str<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(refused("text"))
    }

    fn deserialize_string<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(refused("text"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple tuple_struct map struct enum
        identifier ignored_any
    }
}

fn refused(wanted: impl fmt::Display) -> Error {
    serde::de::Error::custom(format_args!("raw bytes are no {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_types_that_take_bytes_read_raw_bytes() {
        assert_eq!(decode::<bytes::Bytes>(b"\x00\xff").as_deref(), Some(&b"\x00\xff"[..]));
        assert_eq!(decode::<Option<bytes::Bytes>>(b"x").flatten().as_deref(), Some(&b"x"[..]));
        assert_eq!(decode::<String>(b"text"), None);
        assert_eq!(decode::<i64>(b"1"), None);
        assert_eq!(decode::<Vec<i64>>(b"1"), None);
    }
}
