//! The operations of a frame that came.

use thornback_wire::hot;

/// Where an operation stood: what `Refused` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The frame's number.
    pub seq: u64,
    /// The operation's place in it, from 0.
    pub index: u32,
}

/// An element of a frame: an operation, or nothing if this version does not know it.
pub trait Slot {
    /// The operation.
    type Op;

    /// The operation, if it is known.
    fn open(self) -> Option<Self::Op>;
}

impl<M: hot::Make> Slot for hot::Slot<M> {
    type Op = M;

    #[inline]
    fn open(self) -> Option<M> {
        match self {
            hot::Slot::Hot(op) => Some(op),
            hot::Slot::Cold(slot) => slot.op.map(M::other),
        }
    }
}

impl<M: hot::client::Make> Slot for hot::client::Slot<M> {
    type Op = M;

    #[inline]
    fn open(self) -> Option<M> {
        match self {
            hot::client::Slot::Hot(op) => Some(op),
            hot::client::Slot::Cold(slot) => slot.op.map(M::other),
        }
    }
}

/// The operations of one frame, in order, each with its position. It borrows nothing, so answers may be sent while it is read.
#[derive(Debug)]
#[must_use = "operations that are not read are lost: the frame counts as taken"]
pub struct Received<S> {
    seq: u64,
    next: u32,
    slots: std::vec::IntoIter<S>,
}

impl<S> Received<S> {
    pub(crate) fn new(seq: u64, slots: Vec<S>) -> Self {
        Self { seq, next: 0, slots: slots.into_iter() }
    }

    pub(crate) fn nothing() -> Self {
        Self::new(0, Vec::new())
    }
}

impl<S: Slot> Iterator for Received<S> {
    type Item = (Position, S::Op);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let op = self.slots.next()?.open();
            let position = Position { seq: self.seq, index: self.next };
            self.next += 1;
            if let Some(op) = op {
                return Some((position, op));
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.slots.size_hint().1)
    }
}
