//! Bytes to messages and back. This crate never opens a socket, reads a clock or decides anything.
//!
//! - [`v1`]: the messages of protocol version 1, generated from `protocol/proto`.
//! - [`framing`]: frames on a stream of bytes.
//! - [`convert`]: between messages and the words of `thornback-types`.
//! - [`object`]: the header of an object in shared memory.
//! - [`hot`]: the few operations of which there are most, without the generated code.
//! - `grpc` (with the feature of that name): the generated clients and servers of the gRPC carrier.
//!
//! Decoding from [`bytes::Bytes`] copies no payload: values, buffers and ids are slices of the frame that they came in.

pub mod convert;
pub mod framing;
#[cfg(feature = "grpc")]
pub mod grpc;
pub mod hot;
pub mod object;

pub use prost::{DecodeError, Message};

#[allow(missing_docs, clippy::all, clippy::pedantic, rustdoc::all)]
#[rustfmt::skip]
#[path = "gen/messages.rs"]
pub mod v1;

// Reading in place is pointer work; flatc writes it, and a verifier runs before any of it.
#[allow(missing_docs, unsafe_code, unreachable_pub, dead_code, unused, clippy::all, clippy::pedantic, rustdoc::all)]
#[allow(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]
#[rustfmt::skip]
#[path = "gen/object_header.rs"]
mod object_header;
