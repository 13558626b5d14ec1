//! The registered MessagePack extension types, through the newtype that `rmp-serde` reads and writes as one.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::{SerializeTuple, Serializer};
use serde::{Deserialize, Deserializer, Serialize};

/// The numbers of `protocol/spec/value.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub(crate) enum Extension {
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
            deserializer.deserialize_tuple(2, self)
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
    deserializer.deserialize_newtype_struct(rmp_serde::MSGPACK_EXT_STRUCT_NAME, Outer(kind, read))
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

/// For `#[serde(with = "thornback::value::big_integer")]` on an `i128`: integers beyond 64 bits, which other languages read as their own.
pub mod big_integer {
    use super::{Deserializer, Extension, Serializer, deserialize_extension, serialize_extension};

    /// Writes the extension: a sign byte (0, or 1 for a negative number) and the magnitude, most significant byte first, without leading zeros.
    ///
    /// # Errors
    /// Only those of the serializer.
    pub fn serialize<S: Serializer>(value: &i128, serializer: S) -> Result<S::Ok, S::Error> {
        let magnitude = value.unsigned_abs().to_be_bytes();
        let zeros = magnitude.iter().take_while(|byte| **byte == 0).count();
        let mut payload = vec![u8::from(value.is_negative())];
        payload.extend_from_slice(&magnitude[zeros..]);
        serialize_extension(serializer, Extension::BigInteger, &payload)
    }

    /// Reads the extension.
    ///
    /// # Errors
    /// If the value is not a big integer, or does not fit.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
        deserialize_extension(deserializer, Extension::BigInteger, |payload| {
            let (sign, magnitude) = payload.split_first().ok_or("a big integer without a sign")?;
            let zeros = magnitude.iter().take_while(|byte| **byte == 0).count();
            let digits = &magnitude[zeros..];
            let mut bytes = [0; 16];
            let start =
                bytes.len().checked_sub(digits.len()).ok_or("a big integer that does not fit in 128 bits")?;
            bytes[start..].copy_from_slice(digits);
            let magnitude = u128::from_be_bytes(bytes);
            match sign {
                0 => i128::try_from(magnitude)
                    .map_err(|_| "a big integer that does not fit in 128 bits".to_string()),
                1 => 0i128
                    .checked_sub_unsigned(magnitude)
                    .ok_or_else(|| "a big integer that does not fit in 128 bits".to_string()),
                other => Err(format!("a big integer with the sign {other}")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{decode, encode};
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Big(#[serde(with = "super::big_integer")] i128);

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
    fn big_integers_are_sign_and_magnitude() {
        let bytes = |value| encode(&Big(value)).expect("encodes").value.data.to_vec();
        assert_eq!(bytes(-256), [0xc7, 3, 6, 1, 1, 0]);
        assert_eq!(bytes(0), [0xd4, 6, 0]);
        for value in [0, 1, -1, i128::from(u64::MAX) + 1, i128::MAX, i128::MIN] {
            assert_eq!(
                decode::<Big>(encode(&Big(value)).expect("encodes").value).expect("decodes"),
                Big(value)
            );
        }
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
        let encoded = encode(&Big(7)).expect("encodes").value;
        let error = decode::<(Tagged,)>(encoded.clone()).expect_err("not a map");
        assert!(!error.message().is_empty());
        #[derive(Debug, Serialize, Deserialize)]
        struct Id(#[serde(with = "super::uuid")] [u8; 16]);
        let error = decode::<Id>(encoded).expect_err("another extension");
        assert!(error.message().contains("extension of type 6"), "{error}");
    }
}
