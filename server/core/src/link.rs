//! Reliable, ordered messages between two nodes over packets that may be lost, repeated and reordered.
//!
//! Selective buffering on the receiver's side, cumulative acknowledgement, retransmission on a timer with backoff. A node's id stands for one start of
//! one process, so a link never outlives either of its ends: a server that starts again is another node, with links of its own.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use thornback_types::Time;

use crate::message::PeerMessage;

/// First wait before a packet is sent again; doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// Packets sent and not acknowledged. More wait in the queue.
const WINDOW: usize = 256;

/// What travels between two nodes.
#[derive(Debug, Clone)]
pub enum Packet {
    /// Part of the conversation.
    Data {
        /// All messages below this number have been taken.
        ack: u64,
        /// The message and its number, from 0; none for a bare acknowledgement.
        body: Option<(u64, Arc<PeerMessage>)>,
    },
    /// The cluster has given the receiver up for dead, and what it sends is not heard any more.
    GivenUp,
}

/// One end of a link.
#[derive(Debug, Default)]
pub struct Link {
    /// Number of the first message in `unacked`.
    base: u64,
    unacked: VecDeque<Arc<PeerMessage>>,
    /// How many of `unacked` have been sent at least once.
    sent: usize,
    resend_at: Option<Time>,
    /// Doublings of the first wait since something was acknowledged.
    backoff: u32,
    /// Number of the next message to hand up.
    expected: u64,
    early: BTreeMap<u64, Arc<PeerMessage>>,
    ack_due: bool,
}

impl Link {
    /// Queues a message.
    pub fn send(&mut self, message: PeerMessage) {
        self.unacked.push_back(Arc::new(message));
    }

    /// Takes in what a packet held, and gives the messages that are next, in order and each once.
    pub fn receive(&mut self, ack: u64, body: Option<&(u64, Arc<PeerMessage>)>) -> Vec<Arc<PeerMessage>> {
        self.acknowledge(ack);
        let mut messages = Vec::new();
        if let Some((number, message)) = body {
            self.ack_due = true;
            if *number >= self.expected && *number < self.expected + 4 * WINDOW as u64 {
                self.early.insert(*number, Arc::clone(message));
            }
            while let Some(message) = self.early.remove(&self.expected) {
                self.expected += 1;
                messages.push(message);
            }
        }
        messages
    }

    /// Packets to send now.
    pub fn poll_transmit(&mut self, now: Time, out: &mut Vec<Packet>) {
        if self.resend_at.is_some_and(|at| at <= now) {
            self.sent = 0;
            self.resend_at = None;
            self.backoff += 1;
        }
        let end = self.unacked.len().min(WINDOW);
        for i in self.sent..end {
            out.push(self.packet(Some((self.base + i as u64, Arc::clone(&self.unacked[i])))));
        }
        if self.sent < end {
            self.sent = end;
            self.ack_due = false;
        }
        if self.sent > 0 && self.resend_at.is_none() {
            let wait = RETRY_MIN.saturating_mul(1 << self.backoff.min(10));
            self.resend_at = Some(now + wait.min(RETRY_MAX));
        }
        if std::mem::take(&mut self.ack_due) {
            out.push(self.packet(None));
        }
    }

    /// When to call [`Link::poll_transmit`] though nothing was received or sent.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.resend_at
    }

    /// Messages that the peer has not acknowledged.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.unacked.len()
    }

    fn packet(&self, body: Option<(u64, Arc<PeerMessage>)>) -> Packet {
        Packet::Data { ack: self.expected, body }
    }

    fn acknowledge(&mut self, ack: u64) {
        let taken = ack.saturating_sub(self.base).min(self.unacked.len() as u64);
        if taken == 0 {
            return;
        }
        self.base += taken;
        let taken = taken as usize;
        self.unacked.drain(..taken);
        self.sent = self.sent.saturating_sub(taken);
        self.backoff = 0;
        self.resend_at = None;
    }
}
