//! What can go wrong with object bytes, sorted by who can do something about it.

use std::io;

use thornback_types::ObjectId;

/// Why bytes could not be stored or read. After any error of [`crate::Spill::spill`] the object is still whole in its arena.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk (or the share of it that may be used) is full. Nothing that was stored before is touched.
    #[error(
        "{needed} bytes do not fit into the spill directory, which has room for {free} besides \
         {kept} that are always left free; \
         free disk space, choose another spill directory, or drop references to objects"
    )]
    OutOfDisk {
        /// Bytes that were to be written.
        needed: u64,
        /// Bytes that could be written; 0 if the storage said that it is full and not by how much.
        free: u64,
        /// Bytes that stay free on the disk in any case, for others.
        kept: u64,
    },
    /// The machine has no memory left for pages of the arena.
    #[error(
        "no memory for {len} bytes of an arena; free memory, or start the node with a smaller object store"
    )]
    OutOfMemory {
        /// Bytes that were to be written.
        len: u64,
    },
    /// The object is not in the spill directory: it was never spilled, or is deleted.
    #[error("object {0} is not in the spill directory")]
    NotSpilled(ObjectId),
    /// What lies in the spill directory is not what was written there. The object is lost on this node.
    #[error("object {object} was changed or cut short in the spill directory: {problem}")]
    Corrupt {
        /// The object that cannot be read back.
        object: ObjectId,
        /// What does not match.
        problem: String,
    },
    /// A defect of the caller: the range does not lie within the arena.
    #[error("bytes {offset}..{offset}+{len} do not lie within an arena of {size} bytes")]
    OutOfRange {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        len: u64,
        /// Size of the arena in bytes.
        size: u64,
    },
    /// The storage answered with some other error.
    #[error("the spill storage failed: {0}")]
    Storage(#[source] object_store::Error),
    /// The operating system answered with some other error.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let doing = doing.into();
        move |source| Error::Io { doing, source }
    }
}

/// Whether somewhere below `error` the system said that the disk, or the user's share of it, is full.
pub(crate) fn says_disk_is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
            return true;
        }
        cause = error.source();
    }
    false
}
