//! The client's side of the same operations: `Run` and `Completion` read, `Submit`, `Call`, `Done` and `Refs` written.
//!
//! Why: a message of shared slices, made only to be taken apart, was most of what a driver and a worker spent on a call; and the generated code walks
//! through it once for each level to learn lengths, and again to write. Here an owner makes its own form of what comes, from borrowed bytes, and
//! arguments are encoded where they are given, as [`Fields`]. As on the other side, what is unusual or wrong is left to the generated code.

use bytes::{Buf, Bytes};
use prost::encoding::{decode_varint, encode_varint, encoded_len_varint};
use prost::{DecodeError, Message};
use thornback_types::{ActorId, Format, Id, ObjectId, TaskId, Value};

use super::{
    ID_BYTES, Write, arg_len, byte, bytes, field_len, format_of, number, number_len, once, put_id,
    put_length, put_number, put_value,
};
use crate::v1::{self, arg, completion, server_op};

/// What an owner makes of a server's operations.
pub trait Make: Sized {
    /// `Run` of a task or call whose arguments are plain values.
    fn run(run: Run<'_>) -> Self;
    /// `Completion` with a plain value.
    fn completion(object: ObjectId, value: Plain<'_>) -> Self;
    /// Any other operation, and these where they are unusual.
    fn other(op: server_op::Op) -> Self;
}

/// A value that refers to nothing and has neither buffers nor a schema, in the frame that it came in.
#[derive(Debug, Clone, Copy)]
pub struct Plain<'a> {
    /// How to read `data`.
    pub format: Format,
    /// The encoded value.
    pub data: &'a [u8],
    frame: &'a Bytes,
}

impl Plain<'_> {
    /// The encoded value as a slice of its frame, which it keeps in memory.
    #[must_use]
    pub fn share(self) -> Bytes {
        if self.data.is_empty() { Bytes::new() } else { self.frame.slice_ref(self.data) }
    }

    /// The value, as a slice of its frame.
    #[must_use]
    pub fn to_value(self) -> Value {
        Value::new(self.format, self.share())
    }
}

/// `ServerOp.run`.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// What to answer.
    pub task: TaskId,
    /// Which attempt it is.
    pub attempt: u32,
    /// What to run.
    pub declaration: u32,
    /// Set for a call.
    pub actor: Option<ActorId>,
    args: &'a [u8],
    frame: &'a Bytes,
}

impl Run<'_> {
    /// Its arguments, to be read when they are wanted. They keep the frame in memory.
    #[must_use]
    pub fn args(&self) -> Args {
        Args(if self.args.is_empty() { Bytes::new() } else { self.frame.slice_ref(self.args) })
    }
}

/// Arguments that were looked through, and are read one after the other.
#[derive(Debug, Clone, Default)]
pub struct Args(Bytes);

impl Args {
    /// The next argument: its keyword, empty for a positional one, with what it is.
    #[inline]
    pub fn take<R>(&mut self, read: impl FnOnce(&str, Plain<'_>) -> R) -> Option<R> {
        let mut rest = &self.0[..];
        let taken = next_arg(&self.0, &mut rest).map(|(keyword, value)| read(keyword, value));
        let left = rest.len();
        self.0.advance(if taken.is_some() { self.0.len() - left } else { self.0.len() });
        taken
    }

    /// The next argument if it is a positional one; else it stays.
    #[inline]
    pub fn take_positional<R>(&mut self, read: impl FnOnce(Plain<'_>) -> R) -> Option<R> {
        let mut rest = &self.0[..];
        let (_, value) = next_arg(&self.0, &mut rest).filter(|(keyword, _)| keyword.is_empty())?;
        let taken = read(value);
        let left = rest.len();
        self.0.advance(self.0.len() - left);
        Some(taken)
    }

    /// The keyword of the next one, if there is one.
    #[must_use]
    pub fn next_keyword(&self) -> Option<&str> {
        next_arg(&self.0, &mut &self.0[..]).map(|(keyword, _)| keyword)
    }

    /// All of them as messages.
    pub fn into_messages(mut self) -> impl Iterator<Item = v1::Arg> {
        std::iter::from_fn(move || {
            self.take(|keyword, value| v1::Arg {
                keyword: keyword.to_owned(),
                arg: Some(arg::Arg::Value(value.to_value().into())),
            })
        })
    }
}

/// An element of a server's frame.
#[derive(Debug)]
pub enum Slot<M> {
    /// Read here.
    Hot(M),
    /// Read by the generated code.
    Cold(v1::ServerOp),
}

/// A server's frame.
#[derive(Debug)]
pub struct ServerFrame<M> {
    /// `ServerFrame.seq`.
    pub seq: u64,
    /// `ServerFrame.ack`.
    pub ack: u64,
    /// `ServerFrame.ops`.
    pub ops: Vec<Slot<M>>,
}

/// Reads a server's frame of about `ops` operations.
///
/// # Errors
/// As the generated code has them.
pub fn server_frame<M: Make>(body: Bytes, ops: usize) -> Result<ServerFrame<M>, DecodeError> {
    let mut frame = ServerFrame { seq: 0, ack: 0, ops: Vec::with_capacity(ops) };
    let mut rest = &body[..];
    while !rest.is_empty() {
        match byte(&mut rest) {
            Some(0x08) => frame.seq = decode_varint(&mut rest)?,
            Some(0x10) => frame.ack = decode_varint(&mut rest)?,
            Some(0x1a) => {
                let Some(op) = bytes(&mut rest) else { return cold(body) };
                frame.ops.push(match server_op(&body, op) {
                    Some(op) => Slot::Hot(op),
                    None => Slot::Cold(v1::ServerOp::decode(body.slice_ref(op))?),
                });
            }
            _ => return cold(body),
        }
    }
    Ok(frame)
}

fn cold<M>(body: Bytes) -> Result<ServerFrame<M>, DecodeError> {
    let v1::ServerFrame { seq, ack, ops } = v1::ServerFrame::decode(body)?;
    Ok(ServerFrame { seq, ack, ops: ops.into_iter().map(Slot::Cold).collect() })
}

/// An operation, if it is one of these and plain.
#[inline]
fn server_op<M: Make>(frame: &Bytes, op: &[u8]) -> Option<M> {
    // A key of a field above 15 has two bytes. A second operation in the same slot would replace the first.
    match op {
        [0x5a, rest @ ..] => run(frame, super::alone(rest)?),
        [0xa2, 0x01, rest @ ..] => short_completion(frame, op)
            .map(|(object, value)| M::completion(object, value))
            .or_else(|| completed(frame, super::alone(rest)?)),
        _ => None,
    }
}

fn run<'a, M: Make>(frame: &'a Bytes, mut rest: &'a [u8]) -> Option<M> {
    let (mut task, mut attempt, mut declaration, mut actor) = (None, None, None, None);
    let mut args: &[u8] = &[];
    while !rest.is_empty() {
        match byte(&mut { rest })? {
            0x0a => once(&mut task, TaskId(field_id(&mut rest)?))?,
            0x10 => once(&mut attempt, field_number(&mut rest)? as u32)?,
            0x18 => once(&mut declaration, field_number(&mut rest)? as u32)?,
            0x22 => {
                // All of them in one piece, as every server writes them.
                if !args.is_empty() {
                    return None;
                }
                let all = rest;
                while rest.first() == Some(&0x22) {
                    next_arg(frame, &mut rest)?;
                }
                args = &all[..all.len() - rest.len()];
            }
            0x2a => once(&mut actor, ActorId(field_id(&mut rest)?))?,
            _ => return None,
        }
    }
    let (attempt, declaration) = (attempt.unwrap_or(0), declaration.unwrap_or(0));
    Some(M::run(Run { task: task?, attempt, declaration, actor, args, frame }))
}

/// A field of which only the key was looked at.
fn field_id(rest: &mut &[u8]) -> Option<Id> {
    byte(rest)?;
    Id::from_slice(bytes(rest)?)
}

fn field_number(rest: &mut &[u8]) -> Option<u64> {
    byte(rest)?;
    number(rest)
}

/// An argument that is a plain value, with its key.
#[inline]
fn next_arg<'a>(frame: &'a Bytes, rest: &mut &'a [u8]) -> Option<(&'a str, Plain<'a>)> {
    byte(rest)?;
    let mut inner = bytes(rest)?;
    let (mut given, mut keyword) = (None, None);
    while !inner.is_empty() {
        match byte(&mut inner)? {
            0x0a => once(&mut given, plain(frame, bytes(&mut inner)?)?)?,
            0x1a => once(&mut keyword, std::str::from_utf8(bytes(&mut inner)?).ok()?)?,
            _ => return None,
        }
    }
    Some((keyword.unwrap_or_default(), given?))
}

/// A completion as servers write it whose lengths have one byte each: most of all there are, so it is compared as a whole.
#[inline]
fn short_completion<'a>(frame: &'a Bytes, op: &'a [u8]) -> Option<(ObjectId, Plain<'a>)> {
    let (head, data) = op.split_first_chunk::<27>()?;
    let &[0xa2, 0x01, body, 0x0a, 0x10, ref id @ .., 0x12, value, 0x08, format, 0x12, length] = head else {
        return None;
    };
    let short = u8::try_from(data.len()).ok().filter(|short| usize::from(*short) <= SHORT_MAX - 18)?;
    if (body, value, length) != (short + 24, short + 4, short) {
        return None;
    }
    let plain = Plain { format: format_of(format.into())?, data, frame };
    Some((ObjectId(Id(*id)), plain))
}

/// A completion with a value.
fn completed<M: Make>(frame: &Bytes, mut rest: &[u8]) -> Option<M> {
    let (mut object, mut given) = (None, None);
    while !rest.is_empty() {
        match byte(&mut rest)? {
            0x0a => once(&mut object, Id::from_slice(bytes(&mut rest)?)?)?,
            0x12 => once(&mut given, plain(frame, bytes(&mut rest)?)?)?,
            _ => return None,
        }
    }
    Some(M::completion(ObjectId(object?), given?))
}

#[inline]
fn plain<'a>(frame: &'a Bytes, mut rest: &'a [u8]) -> Option<Plain<'a>> {
    let (mut format, mut data) = (None, None);
    while !rest.is_empty() {
        match byte(&mut rest)? {
            0x08 => {
                once(&mut format, format_of(number(&mut rest)?)?)?;
            }
            0x12 => once(&mut data, bytes(&mut rest)?)?,
            _ => return None,
        }
    }
    Some(Plain { format: format?, data: data.unwrap_or_default(), frame })
}

/// The messages themselves, for an owner that wants no other form.
impl Make for server_op::Op {
    fn run(run: Run<'_>) -> Self {
        Self::Run(v1::Run {
            task: super::shared(run.task.0),
            attempt: run.attempt,
            declaration: run.declaration,
            args: run.args().into_messages().collect(),
            actor: run.actor.map(|actor| super::shared(actor.0)).unwrap_or_default(),
            setup: None,
        })
    }

    fn completion(object: ObjectId, value: Plain<'_>) -> Self {
        let outcome = Some(completion::Outcome::Value(value.to_value().into()));
        Self::Completion(v1::Completion { object: super::shared(object.0), outcome })
    }

    fn other(op: server_op::Op) -> Self {
        op
    }
}

/// Arguments of a call, or results of a task, as they go into the operation. `Submit.args` and `Done.results` look alike.
#[derive(Debug, Default)]
pub struct Fields(Vec<u8>);

/// `Submit.args` and `Done.results`; and `Call.args`.
const FIELD_KEY: u8 = 0x1a;
const CALL_FIELD_KEY: u8 = 0x22;

/// What stands before the data of a plain value, with lengths of one byte each: keys of the field, its value, the format and the data.
const HEAD: [u8; 8] = [FIELD_KEY, 0, 0x0a, 0, 0x08, 0, 0x12, 0];

/// Data up to this length leaves all lengths in one byte.
const SHORT_MAX: usize = 0x7f - (HEAD.len() - 2);

impl Fields {
    /// None yet, in the memory of others that are not needed any more.
    #[must_use]
    pub fn reusing(mut bytes: Vec<u8>) -> Fields {
        bytes.clear();
        Fields(bytes)
    }

    /// The memory, to be used again.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The encoded fields.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Where the next one begins.
    #[must_use]
    pub fn end(&self) -> usize {
        self.0.len()
    }

    /// Adds a value.
    pub fn value(&mut self, value: &Value) {
        put_length(FIELD_KEY, arg_len(b"", value), &mut self.0);
        put_value(0x0a, value, &mut self.0);
    }

    /// Adds an argument that is a ref.
    pub fn reference(&mut self, object: ObjectId) {
        put_length(FIELD_KEY, ID_BYTES, &mut self.0);
        put_id(0x12, object.0, &mut self.0);
    }

    /// Adds a result that was stored.
    pub fn stored(&mut self) {
        self.0.extend_from_slice(&[FIELD_KEY, 2, 0x10, 1]);
    }

    /// Adds a value whose data `write` appends. One that is not plain, or longer than `limit` or what is short, is handed back instead, with what `write`
    /// gave: its data is then moved out, and may be added as any value.
    ///
    /// # Errors
    /// Those of `write`; then nothing was added.
    #[inline]
    pub fn written<R, E>(
        &mut self,
        format: Format,
        limit: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<R, E>,
        is_plain: impl FnOnce(&R) -> bool,
    ) -> Result<Option<(Bytes, R)>, E> {
        let start = self.0.len();
        self.0.extend_from_slice(&HEAD);
        let written = match write(&mut self.0) {
            Ok(written) => written,
            Err(error) => {
                self.0.truncate(start);
                return Err(error);
            }
        };
        let data = start + HEAD.len();
        let length = self.0.len() - data;
        if length > SHORT_MAX.min(limit) || length == 0 || !is_plain(&written) {
            let before = self.0[..start].to_vec();
            let all = Bytes::from(std::mem::replace(&mut self.0, before));
            return Ok(Some((all.slice(data..), written)));
        }
        let short = length as u8;
        let head = &mut self.0[start..data];
        head[1] = short + 6;
        head[3] = short + 4;
        head[5] = super::format_number(format);
        head[7] = short;
        Ok(None)
    }

    /// Gives the argument that begins at `start`, the last one, its keyword.
    pub fn name(&mut self, start: usize, keyword: &str) {
        if keyword.is_empty() {
            return;
        }
        let last = self.0.split_off(start);
        let mut rest = &last[1..];
        let body = bytes(&mut rest).unwrap_or_default();
        put_length(FIELD_KEY, body.len() + field_len(keyword.len()), &mut self.0);
        self.0.extend_from_slice(body);
        super::put_bytes(0x1a, keyword.as_bytes(), &mut self.0);
    }

    /// As messages, for operations that are seldom enough.
    ///
    /// # Errors
    /// If these are results.
    pub fn to_args(&self) -> Result<Vec<v1::Arg>, DecodeError> {
        v1::Submit::decode(&self.0[..]).map(|submit| submit.args)
    }
}

/// `ClientOp.submit`.
#[derive(Debug, Clone, Copy)]
pub struct Submit<'a> {
    /// The task that is made.
    pub task: TaskId,
    /// What to run.
    pub declaration: u32,
    /// Its arguments.
    pub args: &'a Fields,
    /// The task that submits it.
    pub parent: Option<TaskId>,
}

/// `ClientOp.call`.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The task that is made.
    pub task: TaskId,
    /// Whose method it is.
    pub actor: ActorId,
    /// What to run.
    pub declaration: u32,
    /// Its arguments.
    pub args: &'a Fields,
    /// The task that calls.
    pub parent: Option<TaskId>,
}

/// `ClientOp.done` without a failure.
#[derive(Debug, Clone, Copy)]
pub struct Done<'a> {
    /// The task that is over.
    pub task: TaskId,
    /// Which attempt it was.
    pub attempt: u32,
    /// What came of it.
    pub results: &'a Fields,
    /// How many items its stream has.
    pub yielded: u64,
}

/// `ClientOp.refs`.
#[derive(Debug, Clone, Copy)]
pub struct Refs<'a> {
    /// Counts to add.
    pub retain: &'a [ObjectId],
    /// Counts to give back.
    pub drop: &'a [ObjectId],
}

/// An operation that was written already.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a>(pub &'a [u8]);

fn optional_id_len<T>(id: Option<T>) -> usize {
    id.map_or(0, |_| ID_BYTES)
}

impl Submit<'_> {
    fn body(&self) -> usize {
        ID_BYTES + number_len(self.declaration.into()) + self.args.0.len() + optional_id_len(self.parent)
    }
}

impl Write for Submit<'_> {
    fn encoded_len(&self) -> usize {
        field_len(self.body())
    }

    fn encode(&self, to: &mut Vec<u8>) {
        put_length(0x5a, self.body(), to);
        put_id(0x0a, self.task.0, to);
        put_number(0x10, self.declaration.into(), to);
        to.extend_from_slice(&self.args.0);
        if let Some(parent) = self.parent {
            put_id(0x22, parent.0, to);
        }
    }
}

impl Call<'_> {
    fn body(&self) -> usize {
        2 * ID_BYTES + number_len(self.declaration.into()) + self.args.0.len() + optional_id_len(self.parent)
    }
}

impl Write for Call<'_> {
    fn encoded_len(&self) -> usize {
        field_len(self.body())
    }

    fn encode(&self, to: &mut Vec<u8>) {
        put_length(0x62, self.body(), to);
        put_id(0x0a, self.task.0, to);
        put_id(0x12, self.actor.0, to);
        put_number(0x18, self.declaration.into(), to);
        let mut at = to.len();
        to.extend_from_slice(&self.args.0);
        while let Some(key) = to.get_mut(at) {
            *key = CALL_FIELD_KEY;
            let mut rest = &to[at + 1..];
            let Some(_) = bytes(&mut rest) else { break };
            at = to.len() - rest.len();
        }
        if let Some(parent) = self.parent {
            put_id(0x2a, parent.0, to);
        }
    }
}

impl Done<'_> {
    fn body(&self) -> usize {
        ID_BYTES + number_len(self.attempt.into()) + self.results.0.len() + number_len(self.yielded)
    }
}

impl Write for Done<'_> {
    fn encoded_len(&self) -> usize {
        1 + field_len(self.body())
    }

    fn encode(&self, to: &mut Vec<u8>) {
        // Field 30.
        to.push(0xf2);
        put_length(0x01, self.body(), to);
        put_id(0x0a, self.task.0, to);
        put_number(0x10, self.attempt.into(), to);
        to.extend_from_slice(&self.results.0);
        put_number(0x28, self.yielded, to);
    }
}

impl Refs<'_> {
    fn body(&self) -> usize {
        (self.retain.len() + self.drop.len()) * ID_BYTES
    }
}

impl Write for Refs<'_> {
    fn encoded_len(&self) -> usize {
        2 + encoded_len_varint(self.body() as u64) + self.body()
    }

    fn encode(&self, to: &mut Vec<u8>) {
        // Field 24.
        to.extend_from_slice(&[0xc2, 0x01]);
        encode_varint(self.body() as u64, to);
        for (key, ids) in [(0x0a, self.retain), (0x12, self.drop)] {
            for id in ids {
                put_id(key, id.0, to);
            }
        }
    }
}

impl Write for Written<'_> {
    #[inline]
    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.0);
    }
}
