//! Points in time, to the nanosecond: for `#[serde(with = "thornback::value::timestamp")]` on a [`SystemTime`], which other languages read as their own.
//!
//! It reads no clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::ser::Error as _;
use serde::{Deserializer, Serializer};

use super::ext::{Extension, deserialize_extension, serialize_extension};

const NANOSECONDS: i128 = 1_000_000_000;
/// Seconds have so many bits in the form that holds both parts in 64.
const SECONDS_BITS: u32 = 34;

/// Writes the extension, in the shortest of its three forms.
///
/// # Errors
/// If the time is further from 1970 than 2⁶³ seconds; else only those of the serializer.
pub fn serialize<S: Serializer>(value: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let since = match value.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos().cast_signed(),
        Err(before) => -before.duration().as_nanos().cast_signed(),
    };
    let seconds = i64::try_from(since.div_euclid(NANOSECONDS)).map_err(S::Error::custom)?;
    let nanoseconds = u32::try_from(since.rem_euclid(NANOSECONDS)).map_err(S::Error::custom)?;
    serialize_extension(serializer, Extension::Timestamp, &write(seconds, nanoseconds))
}

fn write(seconds: i64, nanoseconds: u32) -> Vec<u8> {
    if let (Ok(seconds), 0) = (u32::try_from(seconds), nanoseconds) {
        return seconds.to_be_bytes().to_vec();
    }
    match u64::try_from(seconds) {
        Ok(seconds) if seconds >> SECONDS_BITS == 0 => {
            (u64::from(nanoseconds) << SECONDS_BITS | seconds).to_be_bytes().to_vec()
        }
        _ => [&nanoseconds.to_be_bytes()[..], &seconds.to_be_bytes()].concat(),
    }
}

/// Reads the extension.
///
/// # Errors
/// If the value is not a timestamp, or this machine has no such time.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
    deserialize_extension(deserializer, Extension::Timestamp, read)
}

fn read(payload: &[u8]) -> Result<SystemTime, String> {
    let (seconds, nanoseconds) = match *payload {
        [a, b, c, d] => (u32::from_be_bytes([a, b, c, d]).into(), 0),
        [a, b, c, d, e, f, g, h] => {
            let both = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            ((both & ((1 << SECONDS_BITS) - 1)).cast_signed(), both >> SECONDS_BITS)
        }
        [i, j, k, l, a, b, c, d, e, f, g, h] => {
            (i64::from_be_bytes([a, b, c, d, e, f, g, h]), u32::from_be_bytes([i, j, k, l]).into())
        }
        _ => return Err(format!("a timestamp of {} bytes, which has 4, 8 or 12", payload.len())),
    };
    if i128::from(nanoseconds) >= NANOSECONDS {
        return Err(format!("a timestamp with {nanoseconds} nanoseconds, of which a second has 1000000000"));
    }
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let start = if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    start
        .and_then(|start| start.checked_add(Duration::from_nanos(nanoseconds)))
        .ok_or_else(|| format!("a timestamp {seconds} seconds from 1970, which is no time of this machine"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use serde::{Deserialize, Serialize};

    use super::super::{decode, encode};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Moment(#[serde(with = "super")] SystemTime);

    fn after(seconds: u64, nanoseconds: u32) -> SystemTime {
        UNIX_EPOCH + Duration::new(seconds, nanoseconds)
    }

    #[test]
    fn timestamps_take_the_shortest_form() {
        let bytes = |moment| encode(&Moment(moment)).expect("encodes").value.data.to_vec();
        assert_eq!(bytes(after(1, 0)), [0xd6, 0xff, 0, 0, 0, 1]);
        assert_eq!(bytes(after(1, 1)), [0xd7, 0xff, 0, 0, 0, 4, 0, 0, 0, 1]);
        let before = bytes(UNIX_EPOCH - Duration::from_nanos(1));
        assert_eq!(before, [[0xc7, 12, 0xff, 0x3b, 0x9a, 0xc9, 0xff].as_slice(), &[0xff; 8]].concat());
    }

    #[test]
    fn timestamps_come_back_as_they_were() {
        let moments = [
            UNIX_EPOCH,
            after(u64::from(u32::MAX), 0),
            after(1 << 32, 0),
            after((1 << 34) - 1, 999_999_999),
            after(1 << 34, 0),
            UNIX_EPOCH - Duration::new(1 << 40, 123),
        ];
        for moment in moments {
            let encoded = encode(&Moment(moment)).expect("encodes").value;
            assert_eq!(decode::<Moment>(encoded).expect("decodes"), Moment(moment));
        }
    }

    #[test]
    fn what_is_no_timestamp_is_refused() {
        assert!(super::read(&[0, 0]).expect_err("too short").contains("2 bytes"));
        let error = super::read(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]).expect_err("too many nanoseconds");
        assert!(error.contains("1073741823 nanoseconds"), "{error}");
        let far = [[0; 4].as_slice(), &i64::MIN.to_be_bytes()].concat();
        let outcome = super::read(&far);
        assert_eq!(outcome.ok(), UNIX_EPOCH.checked_sub(Duration::from_secs(1 << 63)));
    }
}
