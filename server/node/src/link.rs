//! The sending side of one connection: frames that go out whole, in order, as fast as the peer takes them.
//!
//! It belongs to the node's thread alone. Frames are pushed and flushed while the node works; only what a full socket did not take waits
//! here, for the connection's task to flush once there is room.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use bytes::{Buf, Bytes};
use thornback_session::{Descriptor, Transmit};
use thornback_transport::unix;
use tokio::sync::{Notify, mpsc};

use crate::arenas::Arenas;

/// Frames in one system call.
const PARTS_MAX: usize = 64;

/// Bytes that may wait here. What is beyond waits in the session, where it is counted against its limit.
const QUEUE_BYTES_MAX: usize = 1 << 20;

/// One connection, as the node sends on it.
#[derive(Debug)]
pub(crate) struct Link {
    carrier: Carrier,
    queue: RefCell<Queue>,
    /// The connection's task is to look at the queue.
    changed: Notify,
    /// Nothing more comes from the peer.
    heard_out: Cell<bool>,
    ended: Notify,
}

#[derive(Debug)]
enum Carrier {
    Unix(unix::Writer),
    Grpc(mpsc::Sender<Bytes>),
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// The carrier takes no more for now.
    full: bool,
    /// Nothing is to follow what is queued.
    closing: bool,
    /// The carrier failed; nothing more can be sent.
    broken: bool,
}

#[derive(Debug)]
struct Frame {
    // What is still to be sent of it.
    bytes: Bytes,
    // Go with its first byte.
    descriptors: Vec<Descriptor>,
}

/// What the connection's task is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// There is room again: let the node flush.
    Flush,
    /// All is said: close.
    Close,
    /// Nothing more can be said. What the peer said before may still lie there.
    HearOut,
}

impl Link {
    pub(crate) fn unix(writer: unix::Writer) -> Self {
        Self::new(Carrier::Unix(writer))
    }

    pub(crate) fn grpc(sender: mpsc::Sender<Bytes>) -> Self {
        Self::new(Carrier::Grpc(sender))
    }

    fn new(carrier: Carrier) -> Self {
        Self {
            carrier,
            queue: RefCell::default(),
            changed: Notify::new(),
            heard_out: Cell::new(false),
            ended: Notify::new(),
        }
    }

    /// Takes a frame to be sent at the next flush.
    pub(crate) fn push(&self, transmit: &Transmit) {
        let mut queue = self.queue.borrow_mut();
        if queue.closing || queue.broken {
            return;
        }
        let bytes = match self.carrier {
            Carrier::Unix(_) => transmit.framed(),
            Carrier::Grpc(_) => transmit.body(),
        };
        queue.bytes += bytes.len();
        queue.frames.push_back(Frame { bytes, descriptors: transmit.descriptors().to_vec() });
    }

    /// Whether another frame is better left in its session for now.
    pub(crate) fn is_full(&self) -> bool {
        let queue = self.queue.borrow();
        queue.broken || queue.closing || queue.bytes >= QUEUE_BYTES_MAX
    }

    /// Sends what the carrier takes without waiting.
    pub(crate) fn flush(&self, arenas: &Arenas) {
        let mut queue = self.queue.borrow_mut();
        if queue.full || queue.broken || (queue.frames.is_empty() && !queue.closing) {
            return;
        }
        let sent = match &self.carrier {
            Carrier::Unix(writer) => send_all(writer, &mut queue, arenas),
            Carrier::Grpc(sender) => hand_over_all(sender, &mut queue),
        };
        match sent {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => queue.full = true,
            Err(error) => {
                tracing::debug!(%error, "a connection cannot be written to");
                queue.broken = true;
            }
        }
        if queue.full || queue.broken || queue.closing {
            self.changed.notify_one();
        }
    }

    /// Lets what is queued go out, and then closes.
    pub(crate) fn close(&self) {
        self.queue.borrow_mut().closing = true;
        self.changed.notify_one();
    }

    /// All that the peer ever sent has been taken.
    pub(crate) fn heard_out(&self) {
        self.heard_out.set(true);
        self.ended.notify_waiters();
    }

    /// Waits until all that the peer ever sent has been taken.
    pub(crate) async fn hear_out(&self) {
        while !self.heard_out.get() {
            self.ended.notified().await;
        }
    }

    /// Waits until the connection's task has something to do.
    pub(crate) async fn due(&self) -> Due {
        loop {
            let full = {
                let queue = self.queue.borrow();
                if queue.broken {
                    return if queue.closing { Due::Close } else { Due::HearOut };
                }
                if queue.closing && queue.frames.is_empty() {
                    return Due::Close;
                }
                queue.full
            };
            if full {
                let room = match &self.carrier {
                    Carrier::Unix(writer) => writer.writable().await.is_ok(),
                    Carrier::Grpc(sender) => sender.reserve().await.is_ok(),
                };
                let mut queue = self.queue.borrow_mut();
                queue.full = false;
                queue.broken |= !room;
                if room {
                    return Due::Flush;
                }
                continue;
            }
            self.changed.notified().await;
        }
    }
}

fn send_all(writer: &unix::Writer, queue: &mut Queue, arenas: &Arenas) -> io::Result<()> {
    while let Some(front) = queue.frames.front() {
        let sent = if front.descriptors.is_empty() {
            // A frame with descriptors begins a message of its own, so that they come with its first byte.
            let parts = queue.frames.iter().take_while(|frame| frame.descriptors.is_empty()).take(PARTS_MAX);
            let mut slices = [IoSlice::new(&[]); PARTS_MAX];
            let count =
                parts.zip(&mut slices).map(|(frame, slice)| *slice = IoSlice::new(&frame.bytes)).count();
            writer.try_send(&slices[..count], &[])?
        } else {
            let descriptors: Vec<BorrowedFd<'_>> = front
                .descriptors
                .iter()
                .map(|descriptor| arenas.descriptor(descriptor.arena, descriptor.writable))
                .collect();
            writer.try_send(&[IoSlice::new(&front.bytes)], &descriptors)?
        };
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        queue.advance(sent);
    }
    Ok(())
}

fn hand_over_all(sender: &mpsc::Sender<Bytes>, queue: &mut Queue) -> io::Result<()> {
    while !queue.frames.is_empty() {
        let permit = sender.try_reserve().map_err(|error| match error {
            mpsc::error::TrySendError::Full(()) => io::Error::from(io::ErrorKind::WouldBlock),
            mpsc::error::TrySendError::Closed(()) => io::Error::from(io::ErrorKind::BrokenPipe),
        })?;
        if let Some(frame) = queue.frames.pop_front() {
            queue.bytes -= frame.bytes.len();
            permit.send(frame.bytes);
        }
    }
    Ok(())
}

impl Queue {
    /// So many bytes are gone.
    fn advance(&mut self, mut sent: usize) {
        self.bytes -= sent;
        while let Some(front) = self.frames.front_mut() {
            if sent < front.bytes.len() {
                if sent > 0 {
                    front.bytes.advance(sent);
                    front.descriptors.clear();
                }
                return;
            }
            sent -= front.bytes.len();
            self.frames.pop_front();
        }
    }
}
