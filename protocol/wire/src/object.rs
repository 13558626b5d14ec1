//! The header of an object in the store: a FlatBuffer that is read in place, and the region around it.
//!
//! ```text
//! u32 length | FlatBuffer | zeros up to a multiple of 64 | data and buffers, each at a multiple of 64 after that
//! ```
//!
//! The length and the FlatBuffer together are what FlatBuffers calls a size-prefixed buffer. A header comes from another process, so every
//! offset is checked against the object's size before anyone sees it.

use std::fmt;
use std::ops::Range;

use thornback_types::Format;

use crate::convert;
use crate::object_header::thornback::object as generated;

/// Where buffers may begin.
pub const ALIGNMENT: u64 = 64;
/// Out-of-band buffers that one object may have.
pub const BUFFERS_MAX: usize = 1 << 16;

/// DLPack's number for the memory of the CPU.
pub const DEVICE_CPU: i32 = 1;

/// How an object is laid out, all ranges counted from its first byte and within its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// How to read `data`.
    pub format: Format,
    /// Qualifies `format`.
    pub schema: String,
    /// The in-band bytes.
    pub data: Range<u64>,
    /// The out-of-band buffers.
    pub buffers: Vec<Range<u64>>,
    /// Where the buffers are meant to be read, as DLPack's device type and id; the CPU is (1, 0).
    pub device: (i32, i32),
}

/// A layout being planned: the header's bytes, and where everything after it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The header region: length, FlatBuffer and zeros. Goes to the object's first byte.
    pub header: Vec<u8>,
    /// Where the in-band bytes go.
    pub data: Range<u64>,
    /// Where the buffers go.
    pub buffers: Vec<Range<u64>>,
    /// Bytes of the whole object.
    pub size: u64,
}

impl Plan {
    /// Lays out an object of CPU memory with so many in-band bytes and buffers of these lengths.
    ///
    /// # Errors
    /// If there are more than [`BUFFERS_MAX`] buffers, or the sum of the lengths overflows.
    pub fn new(format: Format, schema: &str, data: u64, buffers: &[u64]) -> Result<Self, InvalidHeader> {
        if buffers.len() > BUFFERS_MAX {
            return Err(InvalidHeader("it has more buffers than an object may have"));
        }
        let mut end = 0_u64;
        let mut place = |length: u64| {
            let begin = end.checked_next_multiple_of(ALIGNMENT)?;
            end = begin.checked_add(length)?;
            Some(begin..end)
        };
        let overflow = InvalidHeader("its lengths overflow");
        let data = place(data).ok_or(overflow)?;
        let buffers: Vec<Range<u64>> =
            buffers.iter().map(|length| place(*length)).collect::<Option<_>>().ok_or(overflow)?;

        let mut builder = flatbuffers::FlatBufferBuilder::with_capacity(128 + 16 * buffers.len());
        let schema = (!schema.is_empty()).then(|| builder.create_string(schema));
        let entries: Vec<generated::Buffer> = buffers.iter().map(entry).collect();
        let entries = (!entries.is_empty()).then(|| builder.create_vector(&entries));
        let args = generated::ObjectHeaderArgs {
            // The numbers of `Format` are small.
            format: u8::try_from(convert::format_number(format)).unwrap_or(0),
            schema,
            data: Some(&entry(&data)),
            buffers: entries,
            device: None,
        };
        let root = generated::ObjectHeader::create(&mut builder, &args);
        builder.finish_size_prefixed(root, None);

        let mut header = builder.finished_data().to_vec();
        header.resize(header.len().next_multiple_of(ALIGNMENT as usize), 0);
        let base = header.len() as u64;
        let shift = |range: Range<u64>| Some(range.start.checked_add(base)?..range.end.checked_add(base)?);
        Ok(Self {
            header,
            data: shift(data).ok_or(overflow)?,
            buffers: buffers.into_iter().map(shift).collect::<Option<_>>().ok_or(overflow)?,
            size: end.checked_add(base).ok_or(overflow)?,
        })
    }
}

fn entry(range: &Range<u64>) -> generated::Buffer {
    generated::Buffer::new(range.start, range.end - range.start)
}

impl Layout {
    /// How many of the first bytes of an object are its header region, from its first four bytes.
    ///
    /// # Errors
    /// If there are fewer than four bytes, or the region would be larger than the `size` of the object.
    pub fn header_bytes(first: &[u8], size: u64) -> Result<usize, InvalidHeader> {
        let Some((length, _)) = first.split_first_chunk::<4>() else {
            return Err(InvalidHeader("it is shorter than its length"));
        };
        let region = (u64::from(u32::from_le_bytes(*length)) + 4).next_multiple_of(ALIGNMENT);
        match usize::try_from(region) {
            Ok(bytes) if region <= size => Ok(bytes),
            _ => Err(InvalidHeader("its header is longer than the object")),
        }
    }

    /// Reads the header of an object of `size` bytes, of which `bytes` are the first (at least the header region).
    ///
    /// # Errors
    /// If it is not a header, or names a place outside the object.
    pub fn read(bytes: &[u8], size: u64) -> Result<Self, InvalidHeader> {
        let base = Self::header_bytes(bytes, size)?;
        let region = bytes.get(..base).ok_or(InvalidHeader("it is cut short"))?;
        let header = generated::size_prefixed_root_as_object_header(region)
            .map_err(|_| InvalidHeader("it is not a valid FlatBuffer"))?;
        let place = |buffer: &generated::Buffer| {
            let begin = buffer.offset().checked_add(base as u64)?;
            let end = begin.checked_add(buffer.length())?;
            (buffer.offset().is_multiple_of(ALIGNMENT) && end <= size).then_some(begin..end)
        };
        let outside = InvalidHeader("a buffer is not aligned to 64 bytes, or ends outside the object");
        let entries = header.buffers();
        if entries.as_ref().is_some_and(|entries| entries.len() > BUFFERS_MAX) {
            return Err(InvalidHeader("it has more buffers than an object may have"));
        }
        Ok(Self {
            format: convert::format(i32::from(header.format()))
                .map_err(|_| InvalidHeader("its format is unknown"))?,
            schema: header.schema().unwrap_or_default().to_owned(),
            data: header.data().map_or(Some(base as u64..base as u64), place).ok_or(outside)?,
            buffers: entries.iter().flatten().map(place).collect::<Option<_>>().ok_or(outside)?,
            device: header.device().map_or((DEVICE_CPU, 0), |device| (device.type_(), device.id())),
        })
    }
}

/// Bytes that should begin with an object header and do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidHeader(&'static str);

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the object cannot be read: {}", self.0)
    }
}

impl std::error::Error for InvalidHeader {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_object_without_buffers() {
        let plan = Plan::new(Format::Raw, "", 5, &[]).unwrap();
        assert_eq!(plan.header.len() % 64, 0);
        assert_eq!(plan.size, plan.header.len() as u64 + 5);
        let layout = Layout::read(&plan.header, plan.size).unwrap();
        assert_eq!(layout.data, plan.data);
        assert_eq!((layout.format, layout.device), (Format::Raw, (DEVICE_CPU, 0)));
    }

    #[test]
    fn lengths_that_overflow_are_refused() {
        assert!(Plan::new(Format::Raw, "", u64::MAX, &[]).is_err());
        assert!(Plan::new(Format::Raw, "", 1, &[u64::MAX - 64, 64]).is_err());
    }

    #[test]
    fn an_object_must_hold_what_its_header_names() {
        let plan = Plan::new(Format::Raw, "", 5, &[10]).unwrap();
        for size in 0..plan.size {
            assert!(Layout::read(&plan.header, size).is_err(), "{size}");
        }
    }

    proptest! {
        #[test]
        fn a_plan_comes_back(schema in "[a-z/0-9]{0,20}", data in 0u64..1 << 40, buffers in prop::collection::vec(0u64..1 << 40, 0..20)) {
            let plan = Plan::new(Format::Private, &schema, data, &buffers).unwrap();
            let layout = Layout::read(&plan.header, plan.size).unwrap();
            prop_assert_eq!(layout.schema, schema);
            prop_assert_eq!(&layout.data, &plan.data);
            prop_assert_eq!(&layout.buffers, &plan.buffers);
            let mut places: Vec<_> = [plan.data].into_iter().chain(plan.buffers).collect();
            places.sort_by_key(|place| place.start);
            prop_assert!(places.windows(2).all(|pair| pair[0].end <= pair[1].start));
            prop_assert!(places.iter().all(|place| place.start % 64 == 0));
        }

        #[test]
        fn a_flipped_byte_never_points_outside(at: prop::sample::Index, flip in 1u8.., size in 0u64..2000) {
            let plan = Plan::new(Format::Private, "python/pickle5", 100, &[64, 1000]).unwrap();
            let mut header = plan.header;
            let at = at.index(header.len());
            header[at] ^= flip;
            if let Ok(layout) = Layout::read(&header, size) {
                prop_assert!(layout.data.end <= size);
                prop_assert!(layout.buffers.iter().all(|buffer| buffer.end <= size));
            }
        }

        #[test]
        fn arbitrary_bytes_are_read_or_refused(bytes: Vec<u8>, size: u64) {
            let _ = Layout::read(&bytes, size);
        }
    }
}
