//! Bytes to messages and back. This crate never opens a socket, reads a clock or decides anything.
//!
//! - [`v1`]: the messages of protocol version 1, generated from `protocol/proto`.
//! - [`grpc`] (feature `grpc`): the generated clients and servers of the gRPC carrier.
//!
//! Decoding from [`bytes::Bytes`] copies no payload: values, buffers and ids are slices of the frame that they came in.

#![forbid(unsafe_code)]

#[allow(missing_docs, clippy::all, clippy::pedantic, rustdoc::all)]
#[rustfmt::skip]
#[path = "gen/messages.rs"]
pub mod v1;

#[cfg(feature = "grpc")]
pub mod grpc;
