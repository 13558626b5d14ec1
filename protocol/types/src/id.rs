//! The 16-byte ids that senders make (`protocol/spec/session.md`).
//!
//! 12 bytes are unique to a thing, the last 4 are a big-endian index into it: 0 is the task, actor or placement group itself, `i + 1` its
//! return value, stream item or readiness object number `i`. So a submission names its results without a round trip.

use std::fmt;

/// The 16 bytes that every kind of id wraps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Id(pub [u8; 16]);

impl Id {
    /// The id made of zeroes, which names nothing.
    pub const NIL: Id = Id([0; 16]);

    /// An id of 8 bytes of salt, a counter and an index.
    #[must_use]
    pub fn new(salt: [u8; 8], counter: u32, index: u32) -> Id {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&salt);
        bytes[8..12].copy_from_slice(&counter.to_be_bytes());
        bytes[12..].copy_from_slice(&index.to_be_bytes());
        Id(bytes)
    }

    /// Reads an id, if there are exactly 16 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Id> {
        bytes.try_into().ok().map(Id)
    }

    /// The trailing index.
    #[must_use]
    #[inline]
    pub fn index(self) -> u32 {
        let [.., a, b, c, d] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }

    /// The same prefix with another index.
    #[must_use]
    #[inline]
    pub fn with_index(self, index: u32) -> Id {
        let mut bytes = self.0;
        bytes[12..].copy_from_slice(&index.to_be_bytes());
        Id(bytes)
    }

    /// Whether this is [`Id::NIL`].
    #[must_use]
    pub fn is_nil(self) -> bool {
        self == Id::NIL
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub Id);

        impl $name {
            /// Reads an id, if there are exactly 16 bytes.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                Id::from_slice(bytes).map(Self)
            }

            /// The bytes that go on the wire.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    )*};
}

ids! {
    /// One call of a function or method. Its index is 0.
    TaskId;
    /// An immutable value: a return value, a stream item or something put.
    ObjectId;
    /// A stateful worker. Its index is 0.
    ActorId;
    /// A reservation of resources. Its index is 0.
    PlacementGroupId;
    /// All work of one driver.
    JobId;
    /// One server process.
    NodeId;
}

impl TaskId {
    /// Return value or stream item number `i`, from 0.
    #[must_use]
    #[inline]
    pub fn output(self, i: u32) -> ObjectId {
        ObjectId(self.0.with_index(i.saturating_add(1)))
    }
}

impl ObjectId {
    /// The task that would make this object, if it is an output of one. (A put object has a prefix that no task has.)
    #[must_use]
    #[inline]
    pub fn task(self) -> TaskId {
        TaskId(self.0.with_index(0))
    }
}

impl ActorId {
    /// The task that runs the actor's constructor.
    #[must_use]
    pub fn creation(self) -> TaskId {
        TaskId(self.0)
    }
}

impl PlacementGroupId {
    /// The object that becomes ready when all bundles are reserved.
    #[must_use]
    pub fn ready(self) -> ObjectId {
        ObjectId(self.0.with_index(1))
    }
}

/// A conversation, numbered by its node; not seen by users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SessionId(pub u64);

impl SessionId {
    /// The session by which a node itself speaks to its core: for the pools of its configuration, and for control requests that come without a
    /// session. Nobody drops what it is given, so it is given nothing.
    pub const OWN: SessionId = SessionId(0);
}

/// A worker process, numbered by its node when it is launched (or when it dials in by itself).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WorkerId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_share_the_prefix_of_their_task() {
        let task = TaskId(Id::new(*b"saltsalt", 7, 0));
        assert_eq!(task.output(0).0.index(), 1);
        assert_eq!(task.output(41).task(), task);
        assert_eq!(&task.output(3).0.0[..12], &task.0.0[..12]);
    }

    #[test]
    fn only_sixteen_bytes_are_an_id() {
        assert_eq!(Id::from_slice(&[1; 15]), None);
        assert_eq!(Id::from_slice(&[1; 17]), None);
        assert_eq!(Id::from_slice(&[1; 16]), Some(Id([1; 16])));
    }
}
