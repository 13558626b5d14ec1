//! The operations of which a busy session has hundreds of thousands a second, read and written by hand: `Submit`, `Call`, `Done` and `Refs` from
//! clients, `Run` and `Completion` to them.
//!
//! Why: the generated code makes a message of shared slices, which the owner then takes apart again to make its own operation of copies; together
//! that was half of what the server spent on a task. Here an operation is made in one step.
//!
//! Only the plain shape is read here, which is what every SDK sends: known fields, each at most once, ids of 16 bytes, small values. Anything else is
//! left to the generated code, which so remains what decides about all that is unusual or wrong. Nothing here refuses anything.

pub mod client;

use bytes::Bytes;
use prost::encoding::{decode_varint, encode_varint, encoded_len_varint};
use prost::{DecodeError, Message};
use thornback_types::{ActorId, Data, Format, Id, More, ObjectId, TaskId, Value};

use crate::v1::{self, client_op};

/// Largest operation that is read here. Its bytes are copied, so that it does not keep the frame; a larger one is better shared.
const OP_BYTES_MAX: usize = 16 << 10;

/// What an owner makes of operations.
pub trait Make: Sized {
    /// An argument.
    type Arg;
    /// A result.
    type Output;

    /// An argument that is a value.
    fn value(keyword: Bytes, value: Value) -> Self::Arg;
    /// An argument that is a ref.
    fn reference(keyword: Bytes, object: ObjectId) -> Self::Arg;
    /// A result that is a value, or that was stored.
    fn output(value: Option<Value>) -> Self::Output;

    /// `Submit`.
    fn submit(task: TaskId, declaration: u32, args: Vec<Self::Arg>, parent: Option<TaskId>) -> Self;
    /// `Call`.
    fn call(
        task: TaskId,
        actor: ActorId,
        declaration: u32,
        args: Vec<Self::Arg>,
        parent: Option<TaskId>,
    ) -> Self;
    /// `Done` without a failure.
    fn done(task: TaskId, attempt: u32, results: Vec<Self::Output>, yielded: u64) -> Self;
    /// `Refs`.
    fn refs(retain: Vec<ObjectId>, drop: Vec<ObjectId>) -> Self;
    /// Any other operation, and these where they are unusual.
    fn other(op: client_op::Op) -> Self;
}

/// One element of a client's frame.
#[derive(Debug)]
pub enum Slot<M> {
    /// Read here.
    Hot(M),
    /// Read by the generated code. Apart, because it is far larger and rare.
    Cold(Box<v1::ClientOp>),
}

/// A client's frame.
#[derive(Debug)]
pub struct ClientFrame<M> {
    /// `ClientFrame.seq`.
    pub seq: u64,
    /// `ClientFrame.ack`.
    pub ack: u64,
    /// `ClientFrame.ops`.
    pub ops: Vec<Slot<M>>,
}

/// Reads a client's frame of about `ops` operations.
///
/// # Errors
/// As the generated code has them.
pub fn client_frame<M: Make>(body: Bytes, ops: usize) -> Result<ClientFrame<M>, DecodeError> {
    let mut frame = ClientFrame { seq: 0, ack: 0, ops: Vec::with_capacity(ops) };
    let mut rest = &body[..];
    while !rest.is_empty() {
        match (byte(&mut rest), &mut frame) {
            (Some(0x08), frame) => frame.seq = decode_varint(&mut rest)?,
            (Some(0x10), frame) => frame.ack = decode_varint(&mut rest)?,
            (Some(0x1a), frame) => {
                let Some(op) = bytes(&mut rest) else { return cold(body) };
                frame.ops.push(match client_op(op) {
                    Some(hot) => Slot::Hot(hot),
                    None => Slot::Cold(Box::new(v1::ClientOp::decode(body.slice_ref(op))?)),
                });
            }
            _ => return cold(body),
        }
    }
    Ok(frame)
}

fn cold<M>(body: Bytes) -> Result<ClientFrame<M>, DecodeError> {
    let v1::ClientFrame { seq, ack, ops } = v1::ClientFrame::decode(body)?;
    Ok(ClientFrame { seq, ack, ops: ops.into_iter().map(Box::new).map(Slot::Cold).collect() })
}

/// An operation, if it is one of these and plain.
fn client_op<M: Make>(op: &[u8]) -> Option<M> {
    if op.len() > OP_BYTES_MAX {
        return None;
    }
    // A key of a field above 15 has two bytes.
    match op {
        [0x5a, rest @ ..] => submit(alone(rest)?),
        [0x62, rest @ ..] => call(alone(rest)?),
        [0xc2, 0x01, rest @ ..] => refs(alone(rest)?),
        [0xf2, 0x01, rest @ ..] => done(alone(rest)?),
        _ => None,
    }
}

/// The body of an operation behind its key. A second one in the same slot would replace the first.
fn alone(mut rest: &[u8]) -> Option<&[u8]> {
    let body = bytes(&mut rest)?;
    rest.is_empty().then_some(body)
}

fn submit<M: Make>(rest: &[u8]) -> Option<M> {
    let (task, mut rest) = task_first(rest)?;
    let (mut declaration, mut args, mut parent) = (None, Vec::new(), None);
    while !rest.is_empty() {
        match byte(&mut rest)? {
            0x10 => once(&mut declaration, number(&mut rest)? as u32)?,
            0x1a => add(&mut args, arg::<M>(bytes(&mut rest)?)?),
            0x22 => once(&mut parent, optional_task_id(bytes(&mut rest)?)?)?,
            _ => return None,
        }
    }
    Some(M::submit(task, declaration.unwrap_or(0), args, parent.flatten()))
}

fn call<M: Make>(rest: &[u8]) -> Option<M> {
    let (task, mut rest) = task_first(rest)?;
    let (mut actor, mut declaration, mut args, mut parent) = (None, None, Vec::new(), None);
    while !rest.is_empty() {
        match byte(&mut rest)? {
            0x12 => once(&mut actor, ActorId(id(bytes(&mut rest)?)?))?,
            0x18 => once(&mut declaration, number(&mut rest)? as u32)?,
            0x22 => add(&mut args, arg::<M>(bytes(&mut rest)?)?),
            0x2a => once(&mut parent, optional_task_id(bytes(&mut rest)?)?)?,
            _ => return None,
        }
    }
    Some(M::call(task, actor?, declaration.unwrap_or(0), args, parent.flatten()))
}

fn done<M: Make>(rest: &[u8]) -> Option<M> {
    let (task, mut rest) = task_first(rest)?;
    let (mut attempt, mut results, mut yielded) = (None, Vec::new(), None);
    while !rest.is_empty() {
        match byte(&mut rest)? {
            0x10 => once(&mut attempt, number(&mut rest)? as u32)?,
            0x1a => add(&mut results, result::<M>(bytes(&mut rest)?)?),
            0x28 => once(&mut yielded, number(&mut rest)?)?,
            _ => return None,
        }
    }
    Some(M::done(task, attempt.unwrap_or(0), results, yielded.unwrap_or(0)))
}

fn refs<M: Make>(mut rest: &[u8]) -> Option<M> {
    // A field has a key, a length and 16 bytes.
    let (mut retain, mut drop) = (Vec::new(), Vec::with_capacity(rest.len() / 18));
    while !rest.is_empty() {
        match byte(&mut rest)? {
            0x0a => retain.push(ObjectId(id(bytes(&mut rest)?)?)),
            0x12 => drop.push(ObjectId(id(bytes(&mut rest)?)?)),
            _ => return None,
        }
    }
    Some(M::refs(retain, drop))
}

#[inline]
fn arg<M: Make>(mut rest: &[u8]) -> Option<M::Arg> {
    // A positional argument that is a value, and nothing else: nearly all are.
    if let [0x0a, length @ ..0x80, value_bytes @ ..] = rest
        && usize::from(*length) == value_bytes.len()
    {
        return Some(M::value(Bytes::new(), value(value_bytes)?));
    }
    let (mut given, mut object, mut keyword) = (None, None, None);
    while !rest.is_empty() {
        match byte(&mut rest)? {
            0x0a => once(&mut given, value(bytes(&mut rest)?)?)?,
            0x12 => once(&mut object, ObjectId(id(bytes(&mut rest)?)?))?,
            0x1a => once(&mut keyword, text(bytes(&mut rest)?)?)?,
            _ => return None,
        }
    }
    let keyword = keyword.unwrap_or_default();
    match (given, object) {
        (Some(value), None) => Some(M::value(keyword, value)),
        (None, Some(object)) => Some(M::reference(keyword, object)),
        _ => None,
    }
}

fn result<M: Make>(mut rest: &[u8]) -> Option<M::Output> {
    let given = match byte(&mut rest)? {
        0x0a => Some(value(bytes(&mut rest)?)?),
        0x10 if number(&mut rest)? == 1 => None,
        _ => return None,
    };
    rest.is_empty().then(|| M::output(given))
}

#[inline]
fn value(rest: &[u8]) -> Option<Value> {
    // Format and short data: compared as a whole, because nearly every value looks so.
    if let [0x08, format, 0x12, length @ ..0x80, data @ ..] = rest
        && usize::from(*length) == data.len()
    {
        return Some(Value::new(format_of(u64::from(*format))?, Data::copy(data)));
    }
    any_value(rest)
}

fn any_value(mut rest: &[u8]) -> Option<Value> {
    let (mut format, mut data, mut schema) = (None, None, None);
    let (mut refs, mut buffers) = (Vec::new(), Vec::new());
    while !rest.is_empty() {
        match byte(&mut rest)? {
            0x08 => {
                once(&mut format, format_of(number(&mut rest)?)?)?;
            }
            0x12 => once(&mut data, bytes(&mut rest)?)?,
            0x1a => refs.push(ObjectId(id(bytes(&mut rest)?)?)),
            0x22 => buffers.push(Bytes::copy_from_slice(bytes(&mut rest)?)),
            0x2a => once(&mut schema, text(bytes(&mut rest)?)?)?,
            _ => return None,
        }
    }
    let value = Value::new(format?, Data::copy(data.unwrap_or_default()));
    Some(value.with(More { buffers, refs, schema: schema.unwrap_or_default() }))
}

/// Text as bytes; nearly all of it is empty or one of a few names, and those need no allocation.
fn text(bytes: &[u8]) -> Option<Bytes> {
    match bytes {
        b"" => Some(Bytes::new()),
        b"python/pickle5" => Some(Bytes::from_static(b"python/pickle5")),
        _ => std::str::from_utf8(bytes).ok().map(|text| Bytes::copy_from_slice(text.as_bytes())),
    }
}

fn id(bytes: &[u8]) -> Option<Id> {
    Id::from_slice(bytes)
}

/// The id of a task, which has index 0, where it stands first, as every SDK writes it; and what is behind it.
#[inline]
fn task_first(rest: &[u8]) -> Option<(TaskId, &[u8])> {
    let (&[0x0a, 0x10, ref id @ ..], behind) = rest.split_first_chunk::<18>()? else { return None };
    let id = Id(*id);
    (id.index() == 0).then_some((TaskId(id), behind))
}

/// Nearly all have one, and a vector that grows by itself makes room for four.
#[inline]
fn add<T>(to: &mut Vec<T>, one: T) {
    if to.is_empty() {
        to.reserve_exact(1);
    }
    to.push(one);
}

fn optional_task_id(bytes: &[u8]) -> Option<Option<TaskId>> {
    if bytes.is_empty() { Some(None) } else { id(bytes).map(|id| Some(TaskId(id))) }
}

fn once<T>(field: &mut Option<T>, value: T) -> Option<()> {
    field.replace(value).is_none().then_some(())
}

#[inline]
fn byte(rest: &mut &[u8]) -> Option<u8> {
    let (first, behind) = rest.split_first()?;
    *rest = behind;
    Some(*first)
}

#[inline]
fn number(rest: &mut &[u8]) -> Option<u64> {
    match rest.first()? {
        small @ 0..0x80 => {
            *rest = &rest[1..];
            Some(u64::from(*small))
        }
        _ => decode_varint(rest).ok(),
    }
}

#[inline]
fn bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (bytes, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(bytes)
}

/// An operation that is written by hand.
pub trait Write {
    /// Bytes of the operation.
    fn encoded_len(&self) -> usize;
    /// Appends just so many bytes.
    fn encode(&self, to: &mut Vec<u8>);
}

/// `ServerOp.completion` with a value.
#[derive(Debug, Clone, Copy)]
pub struct Completion<'a> {
    /// The object that is ready.
    pub object: ObjectId,
    /// Its value.
    pub value: &'a Value,
}

/// `ServerOp.run` of a task whose arguments are values, or of such a call on an actor.
#[derive(Debug, Clone)]
pub struct Run<I> {
    /// What to answer.
    pub task: TaskId,
    /// Which attempt it is.
    pub attempt: u32,
    /// What to run.
    pub declaration: u32,
    /// Keyword, empty for a positional argument, and value.
    pub args: I,
    /// Set for a call.
    pub actor: Option<ActorId>,
}

/// Key, length and bytes of an id.
const ID_BYTES: usize = 2 + 16;

impl Completion<'_> {
    fn body(&self) -> usize {
        ID_BYTES + field_len(value_len(self.value))
    }
}

impl Write for Completion<'_> {
    fn encoded_len(&self) -> usize {
        1 + field_len(self.body())
    }

    fn encode(&self, to: &mut Vec<u8>) {
        // Field 20.
        to.extend_from_slice(&[0xa2, 0x01]);
        encode_varint(self.body() as u64, to);
        put_id(0x0a, self.object.0, to);
        put_value(0x12, self.value, to);
    }
}

impl<'a, I: Iterator<Item = (&'a [u8], &'a Value)> + Clone> Run<I> {
    fn body(&self) -> usize {
        let args = self.args.clone().map(|(keyword, value)| field_len(arg_len(keyword, value)));
        let actor = if self.actor.is_some() { ID_BYTES } else { 0 };
        ID_BYTES
            + number_len(self.attempt.into())
            + number_len(self.declaration.into())
            + args.sum::<usize>()
            + actor
    }
}

impl<'a, I: Iterator<Item = (&'a [u8], &'a Value)> + Clone> Write for Run<I> {
    fn encoded_len(&self) -> usize {
        field_len(self.body())
    }

    fn encode(&self, to: &mut Vec<u8>) {
        // Field 11.
        put_length(0x5a, self.body(), to);
        put_id(0x0a, self.task.0, to);
        put_number(0x10, self.attempt.into(), to);
        put_number(0x18, self.declaration.into(), to);
        for (keyword, value) in self.args.clone() {
            put_length(0x22, arg_len(keyword, value), to);
            put_value(0x0a, value, to);
            if !keyword.is_empty() {
                put_bytes(0x1a, keyword, to);
            }
        }
        if let Some(actor) = self.actor {
            put_id(0x2a, actor.0, to);
        }
    }
}

fn arg_len(keyword: &[u8], value: &Value) -> usize {
    let keyword = if keyword.is_empty() { 0 } else { field_len(keyword.len()) };
    field_len(value_len(value)) + keyword
}

fn value_len(value: &Value) -> usize {
    let some = |bytes: &[u8]| if bytes.is_empty() { 0 } else { field_len(bytes.len()) };
    let plain = 2 + some(&value.data);
    if value.is_plain() {
        return plain;
    }
    plain
        + value.refs().len() * ID_BYTES
        + value.buffers().iter().map(|buffer| field_len(buffer.len())).sum::<usize>()
        + some(value.schema())
}

fn put_value(key: u8, value: &Value, to: &mut Vec<u8>) {
    put_length(key, value_len(value), to);
    to.extend_from_slice(&[0x08, format_number(value.format)]);
    if !value.data.is_empty() {
        put_bytes(0x12, &value.data, to);
    }
    if value.is_plain() {
        return;
    }
    for object in value.refs() {
        put_id(0x1a, object.0, to);
    }
    for buffer in value.buffers() {
        put_bytes(0x22, buffer, to);
    }
    if !value.schema().is_empty() {
        put_bytes(0x2a, value.schema(), to);
    }
}

#[inline]
fn format_of(number: u64) -> Option<Format> {
    Some(match number {
        1 => Format::Raw,
        2 => Format::MsgPack,
        3 => Format::Arrow,
        4 => Format::Tensor,
        5 => Format::Private,
        _ => return None,
    })
}

fn format_number(format: Format) -> u8 {
    match format {
        Format::Raw => 1,
        Format::MsgPack => 2,
        Format::Arrow => 3,
        Format::Tensor => 4,
        Format::Private => 5,
    }
}

/// What a field of so many bytes takes, with a key of one byte and its length.
fn field_len(bytes: usize) -> usize {
    1 + encoded_len_varint(bytes as u64) + bytes
}

/// What a number takes with its key; nothing if it is 0.
fn number_len(number: u64) -> usize {
    if number == 0 { 0 } else { 1 + encoded_len_varint(number) }
}

fn put_number(key: u8, number: u64, to: &mut Vec<u8>) {
    if number != 0 {
        to.push(key);
        encode_varint(number, to);
    }
}

fn put_length(key: u8, length: usize, to: &mut Vec<u8>) {
    if length < 0x80 {
        to.extend_from_slice(&[key, length as u8]);
    } else {
        to.push(key);
        encode_varint(length as u64, to);
    }
}

fn put_bytes(key: u8, bytes: &[u8], to: &mut Vec<u8>) {
    put_length(key, bytes.len(), to);
    to.extend_from_slice(bytes);
}

fn put_id(key: u8, id: Id, to: &mut Vec<u8>) {
    let mut field = [16; ID_BYTES];
    field[0] = key;
    field[2..].copy_from_slice(&id.0);
    to.extend_from_slice(&field);
}

/// The messages themselves, for an owner that wants no other form.
impl Make for client_op::Op {
    type Arg = v1::Arg;
    type Output = v1::Result;

    fn value(keyword: Bytes, value: Value) -> v1::Arg {
        v1::Arg { keyword: name(&keyword), arg: Some(v1::arg::Arg::Value(value.into())) }
    }

    fn reference(keyword: Bytes, object: ObjectId) -> v1::Arg {
        v1::Arg { keyword: name(&keyword), arg: Some(v1::arg::Arg::Ref(shared(object.0))) }
    }

    fn output(value: Option<Value>) -> v1::Result {
        use v1::result::Result;
        v1::Result { result: Some(value.map_or(Result::Stored(true), |value| Result::Value(value.into()))) }
    }

    fn submit(task: TaskId, declaration: u32, args: Vec<v1::Arg>, parent: Option<TaskId>) -> Self {
        let parent = parent.map(|parent| shared(parent.0)).unwrap_or_default();
        Self::Submit(v1::Submit { task: shared(task.0), declaration, args, parent })
    }

    fn call(
        task: TaskId,
        actor: ActorId,
        declaration: u32,
        args: Vec<v1::Arg>,
        parent: Option<TaskId>,
    ) -> Self {
        let parent = parent.map(|parent| shared(parent.0)).unwrap_or_default();
        let (task, actor) = (shared(task.0), shared(actor.0));
        Self::Call(v1::Call { task, actor, declaration, args, parent })
    }

    fn done(task: TaskId, attempt: u32, results: Vec<v1::Result>, yielded: u64) -> Self {
        Self::Done(v1::Done { task: shared(task.0), attempt, results, failure: None, yielded })
    }

    fn refs(retain: Vec<ObjectId>, drop: Vec<ObjectId>) -> Self {
        let all = |ids: Vec<ObjectId>| ids.into_iter().map(|id| shared(id.0)).collect();
        Self::Refs(v1::Refs { retain: all(retain), drop: all(drop) })
    }

    fn other(op: client_op::Op) -> Self {
        op
    }
}

fn shared(id: Id) -> Bytes {
    Bytes::copy_from_slice(&id.0)
}

fn name(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
