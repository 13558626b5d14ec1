//! Object bytes: the shared-memory arena that sessions map, and the spill directory that takes what does not fit.
//!
//! This crate decides nothing: which offsets an object gets, what to evict and what to bring back is the core's to say, and it alone
//! knows which ranges are in use. It knows nothing of sessions, of values or of the network, and has no unsafe code: the server never
//! maps an arena (see [`Arena`]).
//!
//! - [`Arena`]: a sealed, sparse piece of shared memory; read, write, give pages back, hand out descriptors.
//! - [`Spill`]: copies ranges of an arena to durable-enough storage and back, verified by length and checksum.

#![forbid(unsafe_code)]

mod arena;
mod error;
mod spill;

pub use arena::Arena;
pub use error::Error;
pub use spill::{Options as SpillOptions, Spill};
