//! The words of Thornback: ids, time, resources, values and failures as plain Rust values.
//!
//! This crate knows nothing of bytes on a wire, of sockets, of clocks or of scheduling. Everything else may depend on it; it depends on
//! `bytes` alone, whose reference-counted buffers let a value pass from one session to another without a copy.

#![forbid(unsafe_code)]

mod code;
mod data;
mod failure;
mod id;
mod resources;
mod time;
mod value;

pub use code::{Code, Fault};
pub use data::Data;
pub use failure::Failure;
pub use id::{ActorId, Id, JobId, NodeId, ObjectId, PlacementGroupId, SessionId, TaskId, WorkerId};
pub use resources::{Amount, ResourceError, Resources, UNITS_PER_WHOLE};
pub use time::Time;
pub use value::{Format, More, Value};
