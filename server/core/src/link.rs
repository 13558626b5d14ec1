//! Reliable, ordered messages between two nodes over packets that may be lost, repeated and reordered.
//!
//! Selective buffering on the receiver's side, cumulative acknowledgement, retransmission on a timer with backoff. An incarnation number on both sides tells a restarted
//! peer from a slow one: what was meant for a former life is dropped.

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
pub struct Packet {
    /// The sender's life.
    pub from_life: u64,
    /// The receiver's life that the sender knows; 0 before it has heard of any.
    pub to_life: u64,
    /// All messages below this number have been taken.
    pub ack: u64,
    /// The message and its number, from 0; none for a bare acknowledgement.
    pub body: Option<(u64, Arc<PeerMessage>)>,
}

/// One end of a link.
#[derive(Debug)]
pub struct Link {
    life: u64,
    peer_life: u64,
    /// Number of the first message in `unacked`.
    base: u64,
    unacked: VecDeque<Arc<PeerMessage>>,
    /// How many of `unacked` have been sent at least once.
    sent: usize,
    resend_at: Option<Time>,
    resend_wait: Duration,
    /// Number of the next message to hand up.
    expected: u64,
    early: BTreeMap<u64, Arc<PeerMessage>>,
    ack_due: bool,
}

/// What a packet brought.
#[derive(Debug, Default)]
pub struct Received {
    /// Messages in order, each once.
    pub messages: Vec<Arc<PeerMessage>>,
    /// The peer has started anew: what was under way with its former life is void.
    pub peer_restarted: bool,
}

impl Link {
    /// A link of a node whose present life has this number (never 0, greater than any earlier one).
    #[must_use]
    pub fn new(life: u64) -> Link {
        Link {
            life,
            peer_life: 0,
            base: 0,
            unacked: VecDeque::new(),
            sent: 0,
            resend_at: None,
            resend_wait: RETRY_MIN,
            expected: 0,
            early: BTreeMap::new(),
            ack_due: false,
        }
    }

    /// Queues a message.
    pub fn send(&mut self, message: PeerMessage) {
        self.unacked.push_back(Arc::new(message));
    }

    /// Takes a packet in.
    pub fn receive(&mut self, packet: &Packet) -> Received {
        let mut received = Received::default();
        if packet.from_life < self.peer_life || (packet.to_life != 0 && packet.to_life != self.life) {
            return received;
        }
        if packet.from_life > self.peer_life {
            received.peer_restarted = self.peer_life != 0;
            self.forget_peer(packet.from_life, received.peer_restarted);
        }
        if packet.to_life == self.life {
            self.acknowledge(packet.ack);
        }
        if let Some((number, message)) = &packet.body {
            self.ack_due = true;
            if *number >= self.expected && *number < self.expected + 4 * WINDOW as u64 {
                self.early.insert(*number, Arc::clone(message));
            }
            while let Some(message) = self.early.remove(&self.expected) {
                self.expected += 1;
                received.messages.push(message);
            }
        }
        received
    }

    /// Packets to send now.
    pub fn poll_transmit(&mut self, now: Time, out: &mut Vec<Packet>) {
        if self.resend_at.is_some_and(|at| at <= now) {
            self.sent = 0;
            self.resend_at = None;
            self.resend_wait = (self.resend_wait * 2).min(RETRY_MAX);
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
            self.resend_at = Some(now + self.resend_wait);
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
        Packet { from_life: self.life, to_life: self.peer_life, ack: self.expected, body }
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
        self.resend_wait = RETRY_MIN;
        self.resend_at = None;
    }

    fn forget_peer(&mut self, life: u64, restarted: bool) {
        self.peer_life = life;
        self.expected = 0;
        self.early.clear();
        if restarted {
            // What was queued was meant for the former life; whoever queued it is told of the restart and starts over.
            self.base = 0;
            self.unacked.clear();
            self.sent = 0;
            self.resend_at = None;
        }
    }
}
