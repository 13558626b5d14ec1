//! What the thread makes of the node's operations: of those that are many, just what it needs, without a message between.

use thornback_types::ObjectId;
use thornback_wire::hot::client::{Make, Plain, Run};
use thornback_wire::v1::server_op;

use crate::object::Outcome;
use crate::worker;

/// One operation of the node.
pub(super) enum Incoming {
    Completion(ObjectId, Outcome),
    Run(worker::Run),
    Other(server_op::Op),
}

impl Make for Incoming {
    fn run(run: Run<'_>) -> Incoming {
        Incoming::Run(run.into())
    }

    #[inline]
    fn completion(object: ObjectId, value: Plain<'_>) -> Incoming {
        Incoming::Completion(object, value.into())
    }

    fn other(op: server_op::Op) -> Incoming {
        Incoming::Other(op)
    }
}
