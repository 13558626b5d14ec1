//! The event loop of one node: bytes become inputs of the core through the session, and effects of the core become input and output.
//!
//! It makes no decision of its own: what to run where, whom to tell, what to keep and what to give up is `thornback_core`'s to say. An
//! interesting `if` in here is in the wrong crate.
//!
//! Everything happens on one thread, so there is no lock and no queue between a socket and the core. The path of an operation:
//!
//! 1. `connection`: a socket is readable; what there is goes into a buffer, and whole frames out of it.
//! 2. `thornback_session`: a frame becomes operations, each once and in order.
//! 3. `convert`: an operation becomes an [`Op`](thornback_core::Op) of the core, or is refused.
//! 4. `node`: the core takes it, and `effects` carries out what it orders. Messages gather in the sessions that they are for.
//! 5. `node`: once the buffer is empty, each session that was told something sends it with one system call (`link`).
//!
//! Only the gRPC carrier has a thread of its own, and gives and takes whole frames.

#![forbid(unsafe_code)]

mod arenas;
mod config;
mod connection;
mod control;
mod convert;
mod effects;
mod link;
mod node;
mod patience;
mod processes;
mod quiet;
mod repeats;
mod run;
mod session;
mod turn;

pub use config::{Config, Ended, Error, Listening};
pub use run::run;
pub use thornback_core::input::{Function, PoolSpec};
pub use thornback_workers::Environment;
