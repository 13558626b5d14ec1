//! What differs between the two roles: the messages. Everything else is shared.

use std::marker::PhantomData;

use bytes::Bytes;
use thornback_wire::v1::{self, client_op, server_op};
use thornback_wire::{DecodeError, Message, hot};

use crate::received::Slot;
use crate::transmit::Descriptor;

/// One role's view of the messages: what comes in, what goes out.
pub(crate) trait Side {
    /// What a frame that comes in holds.
    type Slot: Slot;
    /// An operation that goes out.
    type Out;
    /// What a frame that goes out holds.
    type OutSlot: Message;

    /// Reads a frame of `ops` operations.
    fn decode(body: Bytes, ops: usize) -> Result<Frame<Self::Slot>, DecodeError>;
    fn look(slot: &Self::Slot) -> Kind;
    fn control(slot: Self::Slot) -> Option<Control>;

    fn slot(op: Self::Out) -> Self::OutSlot;
    fn descriptor(op: &Self::Out) -> Option<Descriptor>;
    fn credit(credit: v1::Credit) -> Self::OutSlot;
    fn ping(ping: v1::Ping) -> Self::OutSlot;
    fn pong(pong: v1::Pong) -> Self::OutSlot;
    fn goodbye(goodbye: v1::Goodbye) -> Self::OutSlot;
    /// The answer to an operation that is not known. A client has none: it skips what it does not know.
    fn refused(refused: v1::Refused) -> Option<Self::Out>;
}

/// A decoded frame.
#[derive(Debug)]
pub(crate) struct Frame<Slot> {
    pub(crate) seq: u64,
    pub(crate) ack: u64,
    pub(crate) ops: Vec<Slot>,
}

/// Which rules an operation is under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Belongs into uncounted frames.
    Control,
    /// May stand in both.
    Goodbye,
    /// Belongs into counted frames.
    Counted,
    /// Not known.
    Unknown,
}

/// An operation on the conversation itself.
#[derive(Debug)]
pub(crate) enum Control {
    Hello,
    Welcome(Box<v1::Welcome>),
    Credit(v1::Credit),
    Ping(v1::Ping),
    Pong,
    Goodbye(Box<v1::Goodbye>),
}

/// The messages as a client sees them that makes `M` of a server's operations.
#[derive(Debug)]
pub(crate) struct ClientSide<M>(PhantomData<M>);

/// The messages as a server sees them that makes `M` of a client's operations.
#[derive(Debug)]
pub(crate) struct ServerSide<M>(PhantomData<M>);

impl<M: hot::client::Make> Side for ClientSide<M> {
    type Slot = hot::client::Slot<M>;
    type Out = client_op::Op;
    type OutSlot = v1::ClientOp;

    fn decode(body: Bytes, ops: usize) -> Result<Frame<hot::client::Slot<M>>, DecodeError> {
        let hot::client::ServerFrame { seq, ack, ops } = hot::client::server_frame(body, ops)?;
        Ok(Frame { seq, ack, ops })
    }

    fn look(slot: &hot::client::Slot<M>) -> Kind {
        use server_op::Op;
        let hot::client::Slot::Cold(slot) = slot else { return Kind::Counted };
        match &slot.op {
            Some(Op::Welcome(_) | Op::Credit(_) | Op::Ping(_) | Op::Pong(_)) => Kind::Control,
            Some(Op::Goodbye(_)) => Kind::Goodbye,
            Some(_) => Kind::Counted,
            None => Kind::Unknown,
        }
    }

    fn control(slot: hot::client::Slot<M>) -> Option<Control> {
        use server_op::Op;
        let hot::client::Slot::Cold(slot) = slot else { return None };
        Some(match slot.op? {
            Op::Welcome(welcome) => Control::Welcome(welcome),
            Op::Credit(credit) => Control::Credit(credit),
            Op::Ping(ping) => Control::Ping(ping),
            Op::Pong(_) => Control::Pong,
            Op::Goodbye(goodbye) => Control::Goodbye(goodbye),
            _ => return None,
        })
    }

    fn slot(op: client_op::Op) -> v1::ClientOp {
        v1::ClientOp { op: Some(op) }
    }

    fn descriptor(_op: &client_op::Op) -> Option<Descriptor> {
        None
    }

    fn credit(credit: v1::Credit) -> v1::ClientOp {
        Self::slot(client_op::Op::Credit(credit))
    }

    fn ping(ping: v1::Ping) -> v1::ClientOp {
        Self::slot(client_op::Op::Ping(ping))
    }

    fn pong(pong: v1::Pong) -> v1::ClientOp {
        Self::slot(client_op::Op::Pong(pong))
    }

    fn goodbye(goodbye: v1::Goodbye) -> v1::ClientOp {
        Self::slot(client_op::Op::Goodbye(Box::new(goodbye)))
    }

    fn refused(_refused: v1::Refused) -> Option<client_op::Op> {
        None
    }
}

impl<M: hot::Make> Side for ServerSide<M> {
    type Slot = hot::Slot<M>;
    type Out = server_op::Op;
    type OutSlot = v1::ServerOp;

    fn decode(body: Bytes, ops: usize) -> Result<Frame<hot::Slot<M>>, DecodeError> {
        let hot::ClientFrame { seq, ack, ops } = hot::client_frame(body, ops)?;
        Ok(Frame { seq, ack, ops })
    }

    fn look(slot: &hot::Slot<M>) -> Kind {
        use client_op::Op;
        let hot::Slot::Cold(slot) = slot else { return Kind::Counted };
        match &slot.op {
            Some(Op::Hello(_) | Op::Credit(_) | Op::Ping(_) | Op::Pong(_)) => Kind::Control,
            Some(Op::Goodbye(_)) => Kind::Goodbye,
            Some(_) => Kind::Counted,
            None => Kind::Unknown,
        }
    }

    fn control(slot: hot::Slot<M>) -> Option<Control> {
        use client_op::Op;
        let hot::Slot::Cold(slot) = slot else { return None };
        Some(match slot.op? {
            Op::Hello(_) => Control::Hello,
            Op::Credit(credit) => Control::Credit(credit),
            Op::Ping(ping) => Control::Ping(ping),
            Op::Pong(_) => Control::Pong,
            Op::Goodbye(goodbye) => Control::Goodbye(goodbye),
            _ => return None,
        })
    }

    fn slot(op: server_op::Op) -> v1::ServerOp {
        v1::ServerOp { op: Some(op) }
    }

    fn descriptor(op: &server_op::Op) -> Option<Descriptor> {
        match op {
            server_op::Op::Arena(arena) => Some(Descriptor { arena: arena.number, writable: arena.writable }),
            _ => None,
        }
    }

    fn credit(credit: v1::Credit) -> v1::ServerOp {
        Self::slot(server_op::Op::Credit(credit))
    }

    fn ping(ping: v1::Ping) -> v1::ServerOp {
        Self::slot(server_op::Op::Ping(ping))
    }

    fn pong(pong: v1::Pong) -> v1::ServerOp {
        Self::slot(server_op::Op::Pong(pong))
    }

    fn goodbye(goodbye: v1::Goodbye) -> v1::ServerOp {
        Self::slot(server_op::Op::Goodbye(Box::new(goodbye)))
    }

    fn refused(refused: v1::Refused) -> Option<server_op::Op> {
        Some(server_op::Op::Refused(Box::new(refused)))
    }
}
