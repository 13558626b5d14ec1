//! Actors: the callers' side ([`Called`]) and the side of the node that hosts one ([`Hosted`]). The registry, which decides where an actor lives
//! and whether it lives again, is the control plane's (`cluster/actors.rs`).
//!
//! Order: calls of one session on one actor leave in the order in which they were made, each once its arguments are ready, so that one caller's
//! slow argument holds up only that caller. A call that is lost with its worker waits for the registry's word: restarted, or dead.

mod call;
mod host;

pub(crate) use call::Called;
pub(crate) use host::Hosted;
