//! Actors: the callers' side ([`Called`]) and the side of the node that hosts one ([`Hosted`]). The registry, which decides where an actor lives
//! and whether it lives again, is the control plane's (`cluster/actors.rs`).
//!
//! Order: calls of one session on one actor leave in the order in which they were made, each once its arguments are ready, so that one caller's
//! slow argument holds up only that caller. A call that is lost with its worker waits for the registry's word: restarted, or dead.

mod call;
mod host;

use thornback_types::{ActorId, Code, Failure};

pub(crate) use call::Called;
pub(crate) use host::Hosted;

/// What a call on nobody's actor fails with, and one by a session that has no right to the actor.
pub(crate) fn unknown_actor(actor: ActorId) -> Failure {
    let message = format!("Nobody knows the actor {actor}: it ended long ago, or its id was never used.");
    Failure::new(Code::ActorNotFound, message).of_actor(actor)
}
