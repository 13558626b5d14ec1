//! What goes out: operations gather into frames, frames wait for credit, and are kept until the peer has acknowledged them.

use std::collections::VecDeque;
use std::fmt;

use thornback_types::{Code, Failure};

use crate::limits::OPS_MAX;
use crate::transmit::{Descriptor, Draft, TAIL_BYTES_MAX, Transmit, op_bytes};

/// The counted frames of one direction.
#[derive(Debug)]
pub(crate) struct Outbox {
    frame_bytes_max: usize,
    queue_bytes_max: usize,
    draft: Draft,
    /// Finished and not acknowledged, by number. The first `sent` of them were handed out on this connection.
    frames: VecDeque<(u64, Transmit)>,
    sent: usize,
    /// Number of the last finished frame, and of the last one that was ever handed out.
    seq: u64,
    seq_sent: u64,
    /// Bytes of finished frames that were not handed out on this connection.
    waiting_bytes: usize,
    /// Bytes of those that were, which are kept until they are acknowledged.
    kept_bytes: usize,
    /// Bytes that the peer still takes. Below zero once a frame has overdrawn it.
    credit: i64,
}

/// Why an operation was not taken. Nothing of it is sent, and the session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// Alone in a frame it would still be over the limit.
    TooLarge {
        /// What the frame would have.
        bytes: usize,
        /// `Limits.frame_bytes`.
        limit: usize,
    },
    /// So much waits for the peer's credit that no more is taken. The operation may be sent again later.
    QueueFull {
        /// Bytes that wait.
        bytes: usize,
    },
    /// There was no `Welcome` yet, or the session is over.
    NotOpen,
}

impl SendError {
    /// The failure to tell the user or the peer.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let code = match self {
            Self::TooLarge { .. } => Code::FrameTooLarge,
            Self::QueueFull { .. } => Code::LimitExceeded,
            Self::NotOpen => Code::ConnectionLost,
        };
        Failure::new(code, self.to_string())
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes, limit } => {
                write!(
                    f,
                    "the operation needs a frame of {bytes} bytes and the limit is {limit}; put large values in the store"
                )
            }
            Self::QueueFull { bytes } => {
                write!(f, "{bytes} bytes wait for a peer that takes no more; wait for it, or end the session")
            }
            Self::NotOpen => f.write_str("the session is not open"),
        }
    }
}

impl std::error::Error for SendError {}

/// The peer acknowledged a frame that it cannot have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NeverSent;

impl Outbox {
    pub(crate) fn new(frame_bytes_max: usize, queue_bytes_max: usize) -> Self {
        Self {
            frame_bytes_max,
            queue_bytes_max,
            draft: Draft::default(),
            frames: VecDeque::new(),
            sent: 0,
            seq: 0,
            seq_sent: 0,
            waiting_bytes: 0,
            kept_bytes: 0,
            credit: 0,
        }
    }

    pub(crate) fn set_frame_bytes_max(&mut self, bytes: usize) {
        self.frame_bytes_max = bytes;
    }

    /// Takes an operation, to be sent behind all others. `ack` goes along if its frame is finished by that.
    pub(crate) fn push(
        &mut self,
        op: &impl prost::Message,
        arena: Option<Descriptor>,
        ack: u64,
    ) -> Result<(), SendError> {
        self.push_bytes(op.encoded_len(), |to| op.encode_raw(to), arena, ack)
    }

    /// The same for an operation of `bytes` bytes, which `write` appends.
    pub(crate) fn push_bytes(
        &mut self,
        bytes: usize,
        write: impl FnOnce(&mut Vec<u8>),
        arena: Option<Descriptor>,
        ack: u64,
    ) -> Result<(), SendError> {
        let alone = op_bytes(bytes) + TAIL_BYTES_MAX;
        if alone > self.frame_bytes_max {
            return Err(SendError::TooLarge { bytes: alone, limit: self.frame_bytes_max });
        }
        let queued = self.queued_bytes();
        // A peer that gives credit and never acknowledges would have us keep everything that we ever sent.
        if queued + alone > self.queue_bytes_max || self.kept_bytes > self.queue_bytes_max {
            return Err(SendError::QueueFull { bytes: queued + self.kept_bytes });
        }
        if self.draft.len() + alone > self.frame_bytes_max || self.draft.ops() == OPS_MAX {
            self.finish_draft(ack);
        }
        self.draft.push(bytes, write);
        if let Some(arena) = arena {
            self.draft.attach(arena);
        }
        Ok(())
    }

    /// The next frame, if there is one and the peer takes it.
    pub(crate) fn transmit(&mut self, ack: u64) -> Option<Transmit> {
        if self.credit <= 0 {
            return None;
        }
        if self.sent == self.frames.len() {
            if self.draft.is_empty() {
                return None;
            }
            self.finish_draft(ack);
        }
        let (seq, frame) = self.frames.get(self.sent)?.clone();
        let bytes = frame.body_bytes();
        self.sent += 1;
        self.seq_sent = self.seq_sent.max(seq);
        self.waiting_bytes -= bytes;
        self.kept_bytes += bytes;
        self.credit = self.credit.saturating_sub_unsigned(bytes as u64);
        Some(frame)
    }

    /// Lets go of what the peer has.
    pub(crate) fn acknowledged(&mut self, ack: u64) -> Result<(), NeverSent> {
        if ack > self.seq_sent {
            return Err(NeverSent);
        }
        while let Some((seq, frame)) = self.frames.front() {
            if *seq > ack {
                break;
            }
            match self.sent.checked_sub(1) {
                Some(sent) => {
                    self.sent = sent;
                    self.kept_bytes -= frame.body_bytes();
                }
                None => self.waiting_bytes -= frame.body_bytes(),
            }
            self.frames.pop_front();
        }
        Ok(())
    }

    /// The peer takes so many more bytes.
    pub(crate) fn add_credit(&mut self, bytes: u64) {
        self.credit = self.credit.saturating_add_unsigned(bytes);
    }

    /// A new connection with a new window: all that is not acknowledged goes out again.
    pub(crate) fn restart(&mut self, window: u64) {
        self.credit = i64::try_from(window).unwrap_or(i64::MAX);
        self.waiting_bytes += std::mem::take(&mut self.kept_bytes);
        self.sent = 0;
    }

    /// Whether the peer has acknowledged all that was ever pushed.
    pub(crate) fn is_settled(&self) -> bool {
        self.frames.is_empty() && self.draft.is_empty()
    }

    /// Bytes that wait to be sent.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.waiting_bytes + self.draft.len()
    }

    fn finish_draft(&mut self, ack: u64) {
        self.seq += 1;
        let frame = self.draft.finish(self.seq, ack);
        self.waiting_bytes += frame.body_bytes();
        self.frames.push_back((self.seq, frame));
    }
}
