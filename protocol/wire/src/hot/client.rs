//! The client's side of the same operations: `Submit`, `Call`, `Done` and `Refs` written, `Run` and `Completion` read, as messages.
//!
//! Why: the generated code walks through a message once for each level of it to learn lengths, and again to write; for reading it asks the buffer field by
//! field. That was a quarter of what a driver spent on a call. As on the other side, what is unusual or wrong is left to the generated code.

use bytes::Bytes;
use prost::encoding::decode_varint;
use prost::{DecodeError, Message};

use super::{Write, byte, bytes, field_len, number, number_len, once, put_bytes, put_length, put_number};
use crate::v1::{self, arg, client_op, completion, result, server_op};

/// Reads a server's frame of about `ops` operations.
///
/// # Errors
/// As the generated code has them.
pub fn server_frame(body: Bytes, ops: usize) -> Result<v1::ServerFrame, DecodeError> {
    let mut frame = v1::ServerFrame { seq: 0, ack: 0, ops: Vec::with_capacity(ops) };
    let mut rest = &body[..];
    while !rest.is_empty() {
        match byte(&mut rest) {
            Some(0x08) => frame.seq = decode_varint(&mut rest)?,
            Some(0x10) => frame.ack = decode_varint(&mut rest)?,
            Some(0x1a) => {
                let Some(op) = bytes(&mut rest) else { return v1::ServerFrame::decode(body) };
                let op = match server_op(&body, op) {
                    Some(op) => v1::ServerOp { op: Some(op) },
                    None => v1::ServerOp::decode(body.slice_ref(op))?,
                };
                frame.ops.push(op);
            }
            _ => return v1::ServerFrame::decode(body),
        }
    }
    Ok(frame)
}

/// An operation, if it is one of these and plain. Its bytes are slices of `body`.
fn server_op(body: &Bytes, op: &[u8]) -> Option<server_op::Op> {
    // A key of a field above 15 has two bytes. A second operation in the same slot would replace the first.
    match op {
        [0x5a, rest @ ..] => run(body, super::alone(rest)?).map(server_op::Op::Run),
        [0xa2, 0x01, rest @ ..] => completed(body, super::alone(rest)?).map(server_op::Op::Completion),
        _ => None,
    }
}

fn run(body: &Bytes, mut rest: &[u8]) -> Option<v1::Run> {
    let (mut task, mut attempt, mut declaration, mut actor) = (None, None, None, None);
    let mut args = Vec::new();
    while !rest.is_empty() {
        match byte(&mut rest)? {
            0x0a => once(&mut task, body.slice_ref(bytes(&mut rest)?))?,
            0x10 => once(&mut attempt, number(&mut rest)? as u32)?,
            0x18 => once(&mut declaration, number(&mut rest)? as u32)?,
            0x22 => {
                if args.is_empty() {
                    // Nearly always there are few: room for no more.
                    args.reserve_exact(1);
                }
                args.push(given(body, bytes(&mut rest)?)?);
            }
            0x2a => once(&mut actor, body.slice_ref(bytes(&mut rest)?))?,
            _ => return None,
        }
    }
    Some(v1::Run {
        task: task.unwrap_or_default(),
        attempt: attempt.unwrap_or(0),
        declaration: declaration.unwrap_or(0),
        args,
        actor: actor.unwrap_or_default(),
        setup: None,
    })
}

/// An argument that is a value.
fn given(body: &Bytes, mut rest: &[u8]) -> Option<v1::Arg> {
    let (mut given, mut keyword) = (None, None);
    while !rest.is_empty() {
        match byte(&mut rest)? {
            0x0a => once(&mut given, value(body, bytes(&mut rest)?)?)?,
            0x1a => once(&mut keyword, text(bytes(&mut rest)?)?)?,
            _ => return None,
        }
    }
    Some(v1::Arg { keyword: keyword.unwrap_or_default(), arg: Some(arg::Arg::Value(given?)) })
}

/// A completion with a value.
fn completed(body: &Bytes, mut rest: &[u8]) -> Option<v1::Completion> {
    let (mut object, mut given) = (None, None);
    while !rest.is_empty() {
        match byte(&mut rest)? {
            0x0a => once(&mut object, body.slice_ref(bytes(&mut rest)?))?,
            0x12 => once(&mut given, value(body, bytes(&mut rest)?)?)?,
            _ => return None,
        }
    }
    let outcome = Some(completion::Outcome::Value(given?));
    Some(v1::Completion { object: object.unwrap_or_default(), outcome })
}

fn value(body: &Bytes, mut rest: &[u8]) -> Option<v1::Value> {
    let (mut format, mut data, mut schema) = (None, None, None);
    let (mut refs, mut buffers) = (Vec::new(), Vec::new());
    while !rest.is_empty() {
        match byte(&mut rest)? {
            0x08 => once(&mut format, i32::try_from(number(&mut rest)?).ok()?)?,
            0x12 => once(&mut data, body.slice_ref(bytes(&mut rest)?))?,
            0x1a => refs.push(body.slice_ref(bytes(&mut rest)?)),
            0x22 => buffers.push(body.slice_ref(bytes(&mut rest)?)),
            0x2a => once(&mut schema, text(bytes(&mut rest)?)?)?,
            _ => return None,
        }
    }
    Some(v1::Value {
        format: format.unwrap_or(0),
        data: data.unwrap_or_default(),
        refs,
        buffers,
        schema: schema.unwrap_or_default(),
    })
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// A `ClientOp` that is written by hand.
#[derive(Debug, Clone, Copy)]
pub enum Op<'a> {
    /// `ClientOp.submit`.
    Submit(&'a v1::Submit),
    /// `ClientOp.call`.
    Call(&'a v1::Call),
    /// `ClientOp.done` without a failure.
    Done(&'a v1::Done),
    /// `ClientOp.refs`.
    Refs(&'a v1::Refs),
}

impl<'a> Op<'a> {
    /// The operation, if it is one of these.
    #[must_use]
    pub fn of(op: &'a client_op::Op) -> Option<Op<'a>> {
        match op {
            client_op::Op::Submit(submit) => Some(Op::Submit(submit)),
            client_op::Op::Call(call) => Some(Op::Call(call)),
            client_op::Op::Done(done) if done.failure.is_none() => Some(Op::Done(done)),
            client_op::Op::Refs(refs) => Some(Op::Refs(refs)),
            _ => None,
        }
    }

    fn body(&self) -> usize {
        match self {
            Op::Submit(submit) => {
                some_len(&submit.task)
                    + number_len(submit.declaration.into())
                    + args_len(&submit.args)
                    + some_len(&submit.parent)
            }
            Op::Call(call) => {
                some_len(&call.task)
                    + some_len(&call.actor)
                    + number_len(call.declaration.into())
                    + args_len(&call.args)
                    + some_len(&call.parent)
            }
            Op::Done(done) => {
                some_len(&done.task)
                    + number_len(done.attempt.into())
                    + done.results.iter().map(|result| field_len(result_len(result))).sum::<usize>()
                    + number_len(done.yielded)
            }
            Op::Refs(refs) => all_len(&refs.retain) + all_len(&refs.drop),
        }
    }

    /// Bytes of the field's key.
    fn key(&self) -> &'static [u8] {
        match self {
            Op::Submit(_) => &[0x5a],
            Op::Call(_) => &[0x62],
            Op::Refs(_) => &[0xc2, 0x01],
            Op::Done(_) => &[0xf2, 0x01],
        }
    }
}

impl Write for Op<'_> {
    fn encoded_len(&self) -> usize {
        // `field_len` has one byte for a key.
        self.key().len() - 1 + field_len(self.body())
    }

    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.key());
        prost::encoding::encode_varint(self.body() as u64, to);
        match self {
            Op::Submit(submit) => {
                put_some(0x0a, &submit.task, to);
                put_number(0x10, submit.declaration.into(), to);
                put_args(0x1a, &submit.args, to);
                put_some(0x22, &submit.parent, to);
            }
            Op::Call(call) => {
                put_some(0x0a, &call.task, to);
                put_some(0x12, &call.actor, to);
                put_number(0x18, call.declaration.into(), to);
                put_args(0x22, &call.args, to);
                put_some(0x2a, &call.parent, to);
            }
            Op::Done(done) => {
                put_some(0x0a, &done.task, to);
                put_number(0x10, done.attempt.into(), to);
                for result in &done.results {
                    put_result(0x1a, result, to);
                }
                put_number(0x28, done.yielded, to);
            }
            Op::Refs(refs) => {
                put_all(0x0a, &refs.retain, to);
                put_all(0x12, &refs.drop, to);
            }
        }
    }
}

fn args_len(args: &[v1::Arg]) -> usize {
    args.iter().map(|arg| field_len(arg_len(arg))).sum()
}

fn arg_len(arg: &v1::Arg) -> usize {
    let given = match &arg.arg {
        Some(arg::Arg::Value(value)) => field_len(value_len(value)),
        Some(arg::Arg::Ref(object)) => field_len(object.len()),
        Some(arg::Arg::Stored(stored)) => field_len(stored.encoded_len()),
        None => 0,
    };
    given + some_len(arg.keyword.as_bytes())
}

fn put_args(key: u8, args: &[v1::Arg], to: &mut Vec<u8>) {
    for arg in args {
        put_length(key, arg_len(arg), to);
        match &arg.arg {
            Some(arg::Arg::Value(value)) => put_value(0x0a, value, to),
            Some(arg::Arg::Ref(object)) => put_bytes(0x12, object, to),
            Some(arg::Arg::Stored(_)) | None => {}
        }
        put_some(0x1a, arg.keyword.as_bytes(), to);
        if let Some(arg::Arg::Stored(stored)) = &arg.arg {
            put_length(0x22, stored.encoded_len(), to);
            stored.encode_raw(to);
        }
    }
}

fn result_len(result: &v1::Result) -> usize {
    match &result.result {
        Some(result::Result::Value(value)) => field_len(value_len(value)),
        Some(result::Result::Stored(_)) => 2,
        None => 0,
    }
}

fn put_result(key: u8, result: &v1::Result, to: &mut Vec<u8>) {
    put_length(key, result_len(result), to);
    match &result.result {
        Some(result::Result::Value(value)) => put_value(0x0a, value, to),
        Some(result::Result::Stored(stored)) => to.extend_from_slice(&[0x10, u8::from(*stored)]),
        None => {}
    }
}

fn value_len(value: &v1::Value) -> usize {
    number_len(format(value))
        + some_len(&value.data)
        + all_len(&value.refs)
        + all_len(&value.buffers)
        + some_len(value.schema.as_bytes())
}

fn put_value(key: u8, value: &v1::Value, to: &mut Vec<u8>) {
    put_length(key, value_len(value), to);
    put_number(0x08, format(value), to);
    put_some(0x12, &value.data, to);
    put_all(0x1a, &value.refs, to);
    put_all(0x22, &value.buffers, to);
    put_some(0x2a, value.schema.as_bytes(), to);
}

/// As an enumeration goes on the wire: a negative number has ten bytes.
fn format(value: &v1::Value) -> u64 {
    i64::from(value.format) as u64
}

fn some_len(bytes: &[u8]) -> usize {
    if bytes.is_empty() { 0 } else { field_len(bytes.len()) }
}

fn put_some(key: u8, bytes: &[u8], to: &mut Vec<u8>) {
    if !bytes.is_empty() {
        put_bytes(key, bytes, to);
    }
}

fn all_len(all: &[Bytes]) -> usize {
    all.iter().map(|bytes| field_len(bytes.len())).sum()
}

fn put_all(key: u8, all: &[Bytes], to: &mut Vec<u8>) {
    for bytes in all {
        put_bytes(key, bytes, to);
    }
}
