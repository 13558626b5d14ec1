//! Integers beyond 64 bits, which other languages read as their own: [`BigInteger`] of any size, and `#[serde(with = "thornback::value::big_integer")]`
//! on an `i128`.
//!
//! It does no arithmetic. What fits 64 bits is written as any integer is, and read as well.

use std::fmt;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ext::{Extension, deserialize_parts, serialize_extension};

/// An integer of any size: a sign, and the magnitude as bytes, for the library of your choice to compute with.
///
/// ```
/// use thornback::value::BigInteger;
///
/// let number = BigInteger::new(true, &[1, 0, 0]);
/// assert_eq!(i128::try_from(&number), Ok(-65536));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BigInteger {
    negative: bool,
    magnitude: Vec<u8>,
}

impl BigInteger {
    /// An integer of this sign and magnitude, whose most significant byte is first. Zero has no sign.
    #[must_use]
    pub fn new(negative: bool, magnitude: &[u8]) -> BigInteger {
        let zeros = magnitude.iter().take_while(|byte| **byte == 0).count();
        BigInteger { negative: negative && zeros < magnitude.len(), magnitude: magnitude[zeros..].to_vec() }
    }

    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// How far it is from zero: the most significant byte first, without leading zeros.
    #[must_use]
    pub fn magnitude(&self) -> &[u8] {
        &self.magnitude
    }
}

impl From<i128> for BigInteger {
    fn from(value: i128) -> BigInteger {
        BigInteger::new(value.is_negative(), &value.unsigned_abs().to_be_bytes())
    }
}

/// An integer that does not fit into 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoesNotFit;

impl fmt::Display for DoesNotFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a big integer that does not fit in 128 bits; take it as a BigInteger")
    }
}

impl std::error::Error for DoesNotFit {}

impl TryFrom<&BigInteger> for i128 {
    type Error = DoesNotFit;

    fn try_from(value: &BigInteger) -> Result<i128, DoesNotFit> {
        let mut bytes = [0; 16];
        let start = bytes.len().checked_sub(value.magnitude.len()).ok_or(DoesNotFit)?;
        bytes[start..].copy_from_slice(&value.magnitude);
        let magnitude = u128::from_be_bytes(bytes);
        let fitting = if value.negative {
            0i128.checked_sub_unsigned(magnitude)
        } else {
            i128::try_from(magnitude).ok()
        };
        fitting.ok_or(DoesNotFit)
    }
}

impl Serialize for BigInteger {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let small = i128::try_from(self).ok();
        if let Some(small) = small.and_then(|small| i64::try_from(small).ok()) {
            return serializer.serialize_i64(small);
        }
        if let Some(small) = small.and_then(|small| u64::try_from(small).ok()) {
            return serializer.serialize_u64(small);
        }
        let mut payload = vec![u8::from(self.negative)];
        payload.extend_from_slice(&self.magnitude);
        serialize_extension(serializer, Extension::BigInteger, &payload)
    }
}

impl<'de> Deserialize<'de> for BigInteger {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<BigInteger, D::Error> {
        struct Look;
        impl<'de> Visitor<'de> for Look {
            type Value = BigInteger;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer")
            }

            fn visit_i64<E>(self, value: i64) -> Result<BigInteger, E> {
                Ok(i128::from(value).into())
            }

            fn visit_u64<E>(self, value: u64) -> Result<BigInteger, E> {
                Ok(i128::from(value).into())
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<BigInteger, D::Error> {
                deserialize_parts(deserializer, Extension::BigInteger, read)
            }
        }
        deserializer.deserialize_any(Look)
    }
}

fn read(payload: &[u8]) -> Result<BigInteger, String> {
    let (sign, magnitude) = payload.split_first().ok_or("a big integer without a sign")?;
    match sign {
        0 | 1 => Ok(BigInteger::new(*sign == 1, magnitude)),
        other => Err(format!("a big integer with the sign {other}")),
    }
}

/// Writes an `i128`.
///
/// # Errors
/// Only those of the serializer.
pub fn serialize<S: Serializer>(value: &i128, serializer: S) -> Result<S::Ok, S::Error> {
    BigInteger::from(*value).serialize(serializer)
}

/// Reads an `i128`.
///
/// # Errors
/// If the value is not an integer, or does not fit.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
    i128::try_from(&BigInteger::deserialize(deserializer)?).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::super::{decode, encode};
    use super::BigInteger;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Big(#[serde(with = "super")] i128);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Number(BigInteger),
    }

    #[test]
    fn what_fits_64_bits_is_written_as_an_integer() {
        let bytes = |value| encode(&Big(value)).expect("encodes").value.data.to_vec();
        assert_eq!(bytes(0), [0]);
        assert_eq!(bytes(-256), encode(&-256i64).expect("encodes").value.data.to_vec());
        assert_eq!(bytes(i128::from(u64::MAX)), encode(&u64::MAX).expect("encodes").value.data.to_vec());
        assert_eq!(bytes(1 << 64), [0xc7, 10, 6, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        let below = bytes(i128::from(i64::MIN) - 1);
        assert_eq!(below, [0xc7, 9, 6, 1, 0x80, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn integers_come_back_as_they_were() {
        for value in [0, 1, -1, i128::from(u64::MAX) + 1, i128::MAX, i128::MIN] {
            let encoded = encode(&Big(value)).expect("encodes").value;
            assert_eq!(decode::<Big>(encoded).expect("decodes"), Big(value));
        }
        let huge = Either::Number(BigInteger::new(true, &[7; 40]));
        assert_eq!(decode::<Either>(encode(&huge).expect("encodes").value).expect("decodes"), huge);
    }

    #[test]
    fn one_that_does_not_fit_is_refused_by_what_it_does_not_fit_into() {
        let encoded = encode(&BigInteger::new(false, &[1; 17])).expect("encodes").value;
        let error = decode::<Big>(encoded).expect_err("too big");
        assert!(error.message().contains("128 bits"), "{error}");
        assert!(super::read(&[2, 1]).expect_err("no sign").contains("sign 2"));
    }
}
