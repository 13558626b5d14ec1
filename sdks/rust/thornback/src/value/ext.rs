//! The registered MessagePack extension types, through the newtype that `rmp-serde` reads and writes as one.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::{SerializeTuple, Serializer};
use serde::{Deserialize, Deserializer, Serialize};

/// The numbers of `protocol/spec/value.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub(crate) enum Extension {
    Timestamp = -1,
    Ref = 1,
    Actor = 2,
    Tensor = 3,
    Uuid = 5,
    BigInteger = 6,
}

pub(crate) fn serialize_extension<S: Serializer>(
    serializer: S,
    kind: Extension,
    payload: &[u8],
) -> Result<S::Ok, S::Error> {
    struct Tagged<'a>(i8, &'a [u8]);
    impl Serialize for Tagged<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut tuple = serializer.serialize_tuple(2)?;
            tuple.serialize_element(&self.0)?;
            tuple.serialize_element(&Payload(self.1))?;
            tuple.end()
        }
    }
    struct Payload<'a>(&'a [u8]);
    impl Serialize for Payload<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0)
        }
    }
    serializer.serialize_newtype_struct(rmp_serde::MSGPACK_EXT_STRUCT_NAME, &Tagged(kind as i8, payload))
}

/// Reads an extension of one kind and gives its payload to `read`, whose error becomes that of the deserializer.
pub(crate) fn deserialize_extension<'de, D, R, T>(
    deserializer: D,
    kind: Extension,
    read: R,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    R: FnOnce(&[u8]) -> Result<T, String>,
{
    struct Outer<R>(Extension, R);
    impl<'de, T, R: FnOnce(&[u8]) -> Result<T, String>> Visitor<'de> for Outer<R> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a MessagePack extension of type {} ({:?})", self.0 as i8, self.0)
        }

        fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
            deserialize_parts(deserializer, self.0, self.1)
        }
    }
    deserializer.deserialize_newtype_struct(rmp_serde::MSGPACK_EXT_STRUCT_NAME, Outer(kind, read))
}

/// The same where it is known already that there is an extension: reads its type and its payload.
pub(crate) fn deserialize_parts<'de, D, R, T>(
    deserializer: D,
    kind: Extension,
    read: R,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    R: FnOnce(&[u8]) -> Result<T, String>,
{
    struct Parts<R>(Extension, R);
    impl<'de, T, R: FnOnce(&[u8]) -> Result<T, String>> Visitor<'de> for Parts<R> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a MessagePack extension of type {} ({:?})", self.0 as i8, self.0)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
            let found: i8 =
                seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &"a type and a payload"))?;
            let payload: PayloadBuf =
                seq.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &"a type and a payload"))?;
            if found != self.0 as i8 {
                return Err(A::Error::custom(format_args!(
                    "found a MessagePack extension of type {found}, expected {} ({:?})",
                    self.0 as i8, self.0
                )));
            }
            (self.1)(&payload.0).map_err(A::Error::custom)
        }
    }
    deserializer.deserialize_tuple(2, Parts(kind, read))
}

/// Owned, because where `serde` buffers a value (an untagged enum, a flattened map) nothing can be borrowed from it.
struct PayloadBuf(Vec<u8>);

impl<'de> Deserialize<'de> for PayloadBuf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PayloadBuf, D::Error> {
        struct Buf;
        impl<'de> Visitor<'de> for Buf {
            type Value = PayloadBuf;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the bytes of a MessagePack extension")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<PayloadBuf, E> {
                Ok(PayloadBuf(bytes.to_vec()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<PayloadBuf, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(PayloadBuf(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Buf)
    }
}

/// For `#[serde(with = "thornback::value::uuid")]` on 16 bytes (`[u8; 16]`, or whatever converts to and from them, such as `uuid::Uuid`): the
/// extension that other languages read as their own UUID.
pub mod uuid {
    use super::{Deserializer, Extension, Serializer, deserialize_extension, serialize_extension};

    /// Writes the extension.
    ///
    /// # Errors
    /// Only those of the serializer.
    pub fn serialize<S: Serializer, T: Clone + Into<[u8; 16]>>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serialize_extension(serializer, Extension::Uuid, &value.clone().into())
    }

    /// Reads the extension.
    ///
    /// # Errors
    /// If the value is not a UUID.
    pub fn deserialize<'de, D: Deserializer<'de>, T: From<[u8; 16]>>(deserializer: D) -> Result<T, D::Error> {
        deserialize_extension(deserializer, Extension::Uuid, |payload| {
            <[u8; 16]>::try_from(payload)
                .map(T::from)
                .map_err(|_| format!("a UUID of {} bytes", payload.len()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BigInteger, decode, encode};
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Tagged {
        #[serde(with = "super::uuid")]
        id: [u8; 16],
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Tagged(Tagged),
    }

    #[test]
    fn extensions_survive_the_buffering_of_untagged_enums() {
        let value = Either::Tagged(Tagged { id: *b"0123456789abcdef" });
        let encoded = encode(&value).expect("encodes").value;
        assert_eq!(&encoded.data[..6], b"\x81\xa2id\xd8\x05");
        assert_eq!(decode::<Either>(encoded).expect("decodes"), value);
    }

    #[test]
    fn an_extension_of_another_type_is_refused() {
        let encoded = encode(&BigInteger::from(i128::MAX)).expect("encodes").value;
        let error = decode::<(Tagged,)>(encoded.clone()).expect_err("not a map");
        assert!(!error.message().is_empty());
        #[derive(Debug, Serialize, Deserialize)]
        struct Id(#[serde(with = "super::uuid")] [u8; 16]);
        let error = decode::<Id>(encoded).expect_err("another extension");
        assert!(error.message().contains("extension of type 6"), "{error}");
    }
}
