//! Between the generated messages and the words of `thornback-types`.
//!
//! From the wire is a parse: what comes out cannot be wrong in form, and what is wrong is an [`Invalid`] that says which field. To the wire
//! cannot fail. Bytes are shared, not copied, in both directions; [`Compact`] is for what outlives its frame.

use std::cell::RefCell;
use std::fmt;

use bytes::{Bytes, BytesMut};
use thornback_types::{
    ActorId, Code, Data, Failure, Format, Id, JobId, More, NodeId, ObjectId, PlacementGroupId, Resources,
    TaskId, Value,
};

use crate::v1;

/// A field that has no meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Its name in the schema.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// An id that is not 16 bytes long.
    IdLength(usize),
    /// It must be there and is not.
    Missing,
    /// A format that this version does not know.
    Format(i32),
    /// Failures nested deeper than [`CAUSES_MAX`].
    TooDeep,
    /// Larger than `Limits.inline_bytes` (first how large, then the limit).
    TooLarge(usize, usize),
}

impl Invalid {
    /// The registry's code for it.
    #[must_use]
    pub fn code(&self) -> Code {
        match self.reason {
            Reason::Format(_) => Code::UnsupportedFormat,
            Reason::TooLarge(..) => Code::LimitExceeded,
            Reason::IdLength(_) | Reason::Missing | Reason::TooDeep => Code::InvalidArgument,
        }
    }

    /// The failure to answer with.
    #[must_use]
    pub fn failure(&self) -> Failure {
        Failure::new(self.code(), self.to_string())
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = self.field;
        match self.reason {
            Reason::IdLength(length) => write!(f, "`{field}` has {length} bytes; an id has 16"),
            Reason::Missing => write!(f, "`{field}` is missing"),
            Reason::Format(format) => {
                write!(
                    f,
                    "`{field}` is {format}, which this version does not know; use FORMAT_MSGPACK or FORMAT_RAW"
                )
            }
            Reason::TooDeep => {
                write!(f, "`{field}` is a chain of more than {CAUSES_MAX} failures; cut it shorter")
            }
            Reason::TooLarge(size, limit) => {
                write!(
                    f,
                    "`{field}` has {size} bytes and a value in a frame may have {limit}; store it with Create instead"
                )
            }
        }
    }
}

impl std::error::Error for Invalid {}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        invalid.failure()
    }
}

/// The longest chain of causes that is taken.
pub const CAUSES_MAX: usize = 32;

/// Anything that is 16 bytes on the wire.
pub trait WireId: Sized + Copy {
    /// From exactly 16 bytes.
    fn from_id(id: Id) -> Self;
    /// The 16 bytes.
    fn id(self) -> Id;

    /// Reads the field called `field`.
    ///
    /// # Errors
    /// If there are not exactly 16 bytes.
    fn read(bytes: &[u8], field: &'static str) -> Result<Self, Invalid> {
        match Id::from_slice(bytes) {
            Some(id) => Ok(Self::from_id(id)),
            None if bytes.is_empty() => Err(Invalid { field, reason: Reason::Missing }),
            None => Err(Invalid { field, reason: Reason::IdLength(bytes.len()) }),
        }
    }

    /// The same for a field that may be empty.
    ///
    /// # Errors
    /// If there are neither 0 nor 16 bytes.
    fn read_optional(bytes: &[u8], field: &'static str) -> Result<Option<Self>, Invalid> {
        if bytes.is_empty() { Ok(None) } else { Self::read(bytes, field).map(Some) }
    }

    /// The same for a repeated field.
    ///
    /// # Errors
    /// If any of them is not 16 bytes long.
    fn read_all(all: &[Bytes], field: &'static str) -> Result<Vec<Self>, Invalid> {
        all.iter().map(|bytes| Self::read(bytes, field)).collect()
    }

    /// As a field of a message.
    ///
    /// Ids are cut one after the other from a block, so that one costs no allocation of its own, neither here nor when the message is encoded.
    #[must_use]
    fn write(self) -> Bytes {
        ID_BLOCK.with_borrow_mut(|block| {
            if block.capacity() < 16 {
                block.reserve(ID_BLOCK_BYTES);
            }
            block.extend_from_slice(&self.id().0);
            block.split().freeze()
        })
    }

    /// As a field that is empty for `None`.
    #[must_use]
    fn write_optional(id: Option<Self>) -> Bytes {
        id.map_or_else(Bytes::new, Self::write)
    }

    /// As a repeated field. All of them share one allocation.
    #[must_use]
    fn write_all(ids: &[Self]) -> Vec<Bytes> {
        let mut joined = Vec::with_capacity(ids.len() * 16);
        for id in ids {
            joined.extend_from_slice(&id.id().0);
        }
        let mut joined = Bytes::from(joined);
        ids.iter().map(|_| joined.split_to(16)).collect()
    }
}

/// Two hundred and fifty-six ids.
const ID_BLOCK_BYTES: usize = 4096;

thread_local! {
    static ID_BLOCK: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

macro_rules! wire_ids {
    ($($name:ident)*) => {$(
        impl WireId for $name {
            fn from_id(id: Id) -> Self {
                Self(id)
            }

            fn id(self) -> Id {
                self.0
            }
        }
    )*};
}

wire_ids! { TaskId ObjectId ActorId PlacementGroupId JobId NodeId }

/// The format with this number.
///
/// # Errors
/// If it is `FORMAT_UNSPECIFIED` or unknown.
pub fn format(number: i32) -> Result<Format, Invalid> {
    match v1::Format::try_from(number) {
        Ok(v1::Format::Raw) => Ok(Format::Raw),
        Ok(v1::Format::Msgpack) => Ok(Format::MsgPack),
        Ok(v1::Format::Arrow) => Ok(Format::Arrow),
        Ok(v1::Format::Tensor) => Ok(Format::Tensor),
        Ok(v1::Format::Private) => Ok(Format::Private),
        Ok(v1::Format::Unspecified) | Err(_) => {
            Err(Invalid { field: "format", reason: Reason::Format(number) })
        }
    }
}

/// The number of a format.
#[must_use]
pub const fn format_number(format: Format) -> i32 {
    match format {
        Format::Raw => v1::Format::Raw as i32,
        Format::MsgPack => v1::Format::Msgpack as i32,
        Format::Arrow => v1::Format::Arrow as i32,
        Format::Tensor => v1::Format::Tensor as i32,
        Format::Private => v1::Format::Private as i32,
    }
}

impl TryFrom<v1::Value> for Value {
    type Error = Invalid;

    fn try_from(value: v1::Value) -> Result<Self, Invalid> {
        let (buffers, schema) = (value.buffers, schema(value.schema));
        let more = More { buffers, refs: ObjectId::read_all(&value.refs, "refs")?, schema };
        Ok(Value::new(format(value.format)?, value.data).with(more))
    }
}

/// Nearly every schema is one of a few names, and those need no allocation to be shared.
fn schema(name: String) -> Bytes {
    match name.as_str() {
        "" => Bytes::new(),
        "python/pickle5" => Bytes::from_static(b"python/pickle5"),
        _ => Bytes::from(name),
    }
}

impl From<Value> for v1::Value {
    fn from(mut value: Value) -> Self {
        let More { buffers, refs, schema } = value.take_more();
        Self {
            format: format_number(value.format),
            data: value.data.into(),
            refs: ObjectId::write_all(&refs),
            buffers,
            schema: text(&schema),
        }
    }
}

/// `Value.schema` is bytes so that it can be shared; one that came from a message is text already.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Reads a value, and refuses one that is over the limit for values in frames.
///
/// # Errors
/// If it is not valid or has more than `inline_bytes` bytes.
pub fn inline_value(value: v1::Value, inline_bytes: usize) -> Result<Value, Invalid> {
    let value = Value::try_from(value)?;
    if value.size() > inline_bytes {
        return Err(Invalid { field: "value", reason: Reason::TooLarge(value.size(), inline_bytes) });
    }
    Ok(value)
}

impl TryFrom<v1::Failure> for Failure {
    type Error = Invalid;

    fn try_from(failure: v1::Failure) -> Result<Self, Invalid> {
        read_failure(failure, CAUSES_MAX)
    }
}

fn read_failure(failure: v1::Failure, causes_left: usize) -> Result<Failure, Invalid> {
    let cause = match (failure.cause, causes_left.checked_sub(1)) {
        (None, _) => None,
        (Some(_), None) => return Err(Invalid { field: "cause", reason: Reason::TooDeep }),
        (Some(cause), Some(left)) => Some(Box::new(read_failure(*cause, left)?)),
    };
    Ok(Failure {
        code: failure.code,
        message: failure.message,
        types: failure.types,
        language: failure.language,
        stack: failure.stack,
        cause,
        task: TaskId::read_optional(&failure.task, "task")?,
        actor: ActorId::read_optional(&failure.actor, "actor")?,
        details: failure.details.into_iter().collect(),
        exception: match failure.exception {
            Some(value) => Some(Box::new(Value::try_from(*value)?)),
            None => None,
        },
    })
}

impl From<Failure> for v1::Failure {
    fn from(failure: Failure) -> Self {
        Self {
            code: failure.code,
            message: failure.message,
            types: failure.types,
            language: failure.language,
            stack: failure.stack,
            cause: failure.cause.map(|cause| Box::new(Self::from(*cause))),
            task: TaskId::write_optional(failure.task),
            actor: ActorId::write_optional(failure.actor),
            details: failure.details.into_iter().collect(),
            exception: failure.exception.map(|value| Box::new(v1::Value::from(*value))),
        }
    }
}

impl From<v1::Resources> for Resources {
    fn from(resources: v1::Resources) -> Self {
        resources.amounts.iter().fold(Self::new(), |set, (name, amount)| set.with(name, *amount))
    }
}

impl From<&Resources> for v1::Resources {
    fn from(resources: &Resources) -> Self {
        Self { amounts: resources.iter().map(|(name, amount)| (name.to_owned(), amount)).collect() }
    }
}

/// Lets go of the frame.
///
/// A decoded value is a slice of its frame, and keeps all of that frame alive: five bytes that are kept for an hour may hold 4 MiB. What is kept
/// is therefore copied, unless it is most of its frame anyway.
pub trait Compact {
    /// Copies what is much smaller than the `frame_bytes` that it came in.
    fn compact(&mut self, frame_bytes: usize);
}

impl Compact for Bytes {
    fn compact(&mut self, frame_bytes: usize) {
        if !self.is_empty() && self.len() < frame_bytes / 2 {
            *self = Self::copy_from_slice(self);
        }
    }
}

impl Compact for Data {
    fn compact(&mut self, frame_bytes: usize) {
        if self.len() < frame_bytes / 2 {
            *self = Self::copy(self);
        }
    }
}

impl Compact for Value {
    fn compact(&mut self, frame_bytes: usize) {
        self.data.compact(frame_bytes);
        for buffer in self.buffers_mut() {
            buffer.compact(frame_bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn object(byte: u8) -> ObjectId {
        ObjectId(Id([byte; 16]))
    }

    #[test]
    fn ids_are_sixteen_bytes_or_refused() {
        for length in (0..40).filter(|length| *length != 16) {
            let refused = TaskId::read(&vec![7; length], "task").unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument);
        }
        assert_eq!(TaskId::read(&[7; 16], "task"), Ok(TaskId(Id([7; 16]))));
        assert_eq!(TaskId::read_optional(&[], "task"), Ok(None));
        assert!(TaskId::read_optional(&[1], "task").is_err());
    }

    #[test]
    fn many_ids_come_back_in_order() {
        let ids: Vec<ObjectId> = (0..5).map(object).collect();
        assert_eq!(ObjectId::read_all(&ObjectId::write_all(&ids), "refs"), Ok(ids));
    }

    #[test]
    fn a_value_comes_back() {
        let value = Value::new(Format::Private, &b"data"[..])
            .with_buffers(vec![Bytes::new(), Bytes::from_static(b"buffer")])
            .with_refs(vec![object(1), object(2)])
            .with_schema("python/pickle5");
        assert_eq!(Value::try_from(v1::Value::from(value.clone())), Ok(value));
    }

    #[test]
    fn a_value_names_its_format() {
        for number in [0, 6, -1, i32::MAX] {
            let value = v1::Value { format: number, ..Default::default() };
            assert_eq!(Value::try_from(value).unwrap_err().code(), Code::UnsupportedFormat);
        }
    }

    #[test]
    fn a_value_over_the_limit_is_refused() {
        let value = || v1::Value::from(Value::raw("123").with_buffers(vec![Bytes::from_static(&[0; 3])]));
        assert!(inline_value(value(), 6).is_ok());
        assert_eq!(inline_value(value(), 5).unwrap_err().code(), Code::LimitExceeded);
    }

    #[test]
    fn a_failure_comes_back_with_its_chain() {
        let failure = Failure {
            types: vec!["builtins.KeyError".to_owned()],
            language: "python".to_owned(),
            stack: "Traceback".to_owned(),
            details: vec![("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())],
            exception: Some(Box::new(Value::raw("exception"))),
            ..Failure::new(Code::TaskFailed, "no such key")
                .of_task(TaskId(Id([3; 16])))
                .of_actor(ActorId(Id([4; 16])))
                .caused_by(Failure { code: 4_000_000, ..Failure::default() })
        };
        assert_eq!(Failure::try_from(v1::Failure::from(failure.clone())), Ok(failure));
    }

    #[test]
    fn a_chain_ends_somewhere() {
        let chain = |length: usize| {
            let last = v1::Failure { code: 1, ..Default::default() };
            (1..length)
                .fold(last, |cause, _| v1::Failure { cause: Some(Box::new(cause)), ..Default::default() })
        };
        assert!(Failure::try_from(chain(CAUSES_MAX)).is_ok());
        assert!(Failure::try_from(chain(CAUSES_MAX + 1)).is_ok());
        assert_eq!(Failure::try_from(chain(CAUSES_MAX + 2)).unwrap_err().reason, Reason::TooDeep);
        // The longest chain that is taken, in the deepest place that it can have in a frame, is still within prost's recursion limit.
        let op = v1::client_op::Op::Done(v1::Done {
            failure: Some(Box::new(chain(CAUSES_MAX + 1))),
            ..Default::default()
        });
        let frame = v1::ClientFrame { ops: vec![v1::ClientOp { op: Some(op) }], ..Default::default() };
        assert_eq!(v1::ClientFrame::decode(&frame.encode_to_vec()[..]), Ok(frame));
    }

    #[test]
    fn resources_come_back_without_zeroes() {
        let wire = v1::Resources { amounts: [("CPU".to_owned(), 5_000), ("GPU".to_owned(), 0)].into() };
        let resources = Resources::from(wire);
        assert_eq!(resources, Resources::new().with("CPU", 5_000));
        assert_eq!(Resources::from(v1::Resources::from(&resources)), resources);
    }

    #[test]
    fn only_what_is_small_in_its_frame_is_copied() {
        let frame = Bytes::from(vec![1; 1000]);
        let mut small = frame.slice(..10);
        small.compact(frame.len());
        assert!(!frame.as_ptr_range().contains(&small.as_ptr()));
        let mut large = frame.slice(100..);
        large.compact(frame.len());
        assert!(frame.as_ptr_range().contains(&large.as_ptr()));
    }
}
