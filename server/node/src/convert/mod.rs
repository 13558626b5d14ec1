//! Messages of the protocol to words of the core, and back. What is taken in is checked here once; nothing behind this module meets an id of
//! the wrong length or a number without meaning.
//!
//! A refusal is a [`Failure`] that names the field. Nothing here decides anything else.

mod client;
mod hot;
mod server;
mod value;

pub(crate) use client::{Asked, functions, makes, op, request};
pub(crate) use hot::{Taken, send};
pub(crate) use server::{located_elsewhere, message, reply};
pub(crate) use value::INLINE_BYTES;

/// A message's bytes on the wire.
pub(crate) fn encode(message: &impl thornback_wire::Message) -> bytes::Bytes {
    message.encode_to_vec().into()
}
