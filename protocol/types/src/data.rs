//! The bytes of a value: a short one has them in itself, a longer one shares them.
//!
//! Why: most values are numbers, flags and short text. As shared bytes each takes an allocation, and another one for the count once somebody shares it;
//! on its way through a server that was four for each task.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// Most bytes that are kept in place: what [`Bytes`] take, less the pointer that is never null and the length.
const SHORT_MAX: usize = 23;

/// Bytes that are cheap to clone and never change.
#[derive(Clone)]
pub struct Data(Form);

/// Everything short is kept in place, whatever it was made of: a slice of a frame would keep the frame.
#[derive(Clone)]
enum Form {
    Short { length: u8, bytes: [u8; SHORT_MAX] },
    Long(Bytes),
}

impl Data {
    /// No bytes.
    pub const EMPTY: Data = Data(Form::Short { length: 0, bytes: [0; SHORT_MAX] });

    /// A copy of these bytes.
    #[inline]
    #[must_use]
    pub fn copy(from: &[u8]) -> Data {
        Data::short(from).unwrap_or_else(|| Data(Form::Long(Bytes::copy_from_slice(from))))
    }

    #[inline]
    fn short(from: &[u8]) -> Option<Data> {
        let mut bytes = [0; SHORT_MAX];
        bytes.get_mut(..from.len())?.copy_from_slice(from);
        Some(Data(Form::Short { length: from.len() as u8, bytes }))
    }
}

impl Default for Data {
    fn default() -> Self {
        Data::EMPTY
    }
}

impl Deref for Data {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            // (The length is never more; the compiler need not know.)
            Form::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or(bytes),
            Form::Long(bytes) => bytes,
        }
    }
}

impl From<Bytes> for Data {
    #[inline]
    fn from(bytes: Bytes) -> Self {
        Data::short(&bytes).unwrap_or(Data(Form::Long(bytes)))
    }
}

impl From<Vec<u8>> for Data {
    fn from(bytes: Vec<u8>) -> Self {
        Data::short(&bytes).unwrap_or_else(|| Data(Form::Long(bytes.into())))
    }
}

impl From<&'static [u8]> for Data {
    fn from(bytes: &'static [u8]) -> Self {
        Data::from(Bytes::from_static(bytes))
    }
}

impl From<Data> for Bytes {
    fn from(data: Data) -> Bytes {
        match data.0 {
            Form::Short { .. } => Bytes::copy_from_slice(&data),
            Form::Long(bytes) => bytes,
        }
    }
}

impl From<Data> for Vec<u8> {
    fn from(data: Data) -> Vec<u8> {
        match data.0 {
            Form::Short { .. } => data.to_vec(),
            Form::Long(bytes) => bytes.into(),
        }
    }
}

impl PartialEq for Data {
    fn eq(&self, other: &Data) -> bool {
        **self == **other
    }
}

impl Eq for Data {}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lengths_are_kept_whatever_they_come_from() {
        assert_eq!(size_of::<Data>(), size_of::<Bytes>());
        for length in 0..100_u8 {
            let all: Vec<u8> = (0..length).collect();
            for data in [Data::copy(&all), all.clone().into(), Bytes::from(all.clone()).into()] {
                assert_eq!((&data[..], data.clone()), (&all[..], Data::copy(&all)));
                assert_eq!((Bytes::from(data.clone()), Vec::from(data)), (all.clone().into(), all.clone()));
            }
        }
        assert!(Data::default().is_empty());
    }

    #[test]
    fn what_is_long_is_shared_and_what_is_short_keeps_nothing_else() {
        let frame = Bytes::from(vec![7; 1000]);
        let long = Data::from(frame.slice(1..));
        assert_eq!(long.as_ptr(), frame[1..].as_ptr());
        assert_eq!(long.clone().as_ptr(), frame[1..].as_ptr());
        let short = Data::from(frame.slice(..SHORT_MAX));
        drop(long);
        assert!(frame.is_unique(), "{} bytes hold it", short.len());
    }
}
