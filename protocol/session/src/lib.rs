//! One conversation of the protocol, both roles. It never touches a socket, a clock, a thread or a source of randomness: bytes and the time come in,
//! operations and frames go out.
//!
//! [`Client`] is the role of a driver or worker, [`Server`] that of a node. Both are driven the same way. After anything that was told to one
//! (a frame came, the time passed, an operation is to be sent), drain what it has to say:
//!
//! 1. [`handle_frame`](Client::handle_frame), [`handle_timeout`](Client::handle_timeout) or [`connection_lost`](Client::connection_lost): what happened.
//!    The operations of a frame are in the answer of `handle_frame`.
//! 2. [`poll_event`](Client::poll_event) until nothing: what became of the session.
//! 3. [`send`](Client::send): any number of operations; they gather into frames.
//! 4. [`poll_transmit`](Client::poll_transmit) until nothing: frames to be sent, each whole and in order.
//! 5. [`poll_timeout`](Client::poll_timeout): when to call `handle_timeout` at the latest.
//!
//! What it takes care of: the hello, version and features; frames cut at the agreed size; credit in both directions; numbers and
//! acknowledgements; keeping what may have to be sent again, and sending it again after [`reconnect`](Client::reconnect) and [`resume`](Server::resume);
//! dropping what comes twice; pings; the grace period; refusing what is not known; ending the session when the peer breaks the protocol.
//! What it leaves to its owner: who may have a session, what operations mean, and every number in them.
//!
//! ```
//! use bytes::Bytes;
//! use thornback_session::{Accept, Client, Event, Knock, Limits, Server, client};
//! use thornback_types::Time;
//! use thornback_wire::v1::{self, client_op::Op};
//!
//! let now = Time::ZERO;
//! let hello = v1::Hello { role: v1::Role::Driver.into(), ..Default::default() };
//! let mut client = <Client>::new(now, client::Config::new(hello));
//!
//! // The first frame of a connection is a hello. The node judges it, and opens a session.
//! let hello = client.poll_transmit(now).unwrap();
//! let knock = Knock::read(hello.body()).unwrap();
//! let mut server = <Server>::new(now, &knock, Accept {
//!     session: [1; 16],
//!     secret: [2; 16], // 16 random bytes
//!     node: Bytes::from_static(&[3; 16]),
//!     job: Bytes::from_static(&[4; 16]),
//!     server: "thornback/0.1.0".to_owned(),
//!     namespace: "default".to_owned(),
//!     features: &["actors", "streams"],
//!     limits: Limits::default(),
//!     queue_bytes_max: 64 << 20,
//! });
//!
//! let welcome = server.poll_transmit(now).unwrap();
//! assert_eq!(client.handle_frame(now, welcome.body()).count(), 0);
//! assert!(matches!(client.poll_event(), Some(Event::Welcomed(_))));
//!
//! // Operations gather until a frame is asked for.
//! client.send(Op::Cancel(v1::Cancel { id: Bytes::from_static(&[5; 16]), ..Default::default() })).unwrap();
//! client.send(Op::Watch(v1::Watch::default())).unwrap();
//! let frame = client.poll_transmit(now).unwrap();
//! let ops: Vec<_> = server.handle_frame(now, frame.body()).collect();
//! assert_eq!(ops.len(), 2);
//! assert_eq!((ops[1].0.seq, ops[1].0.index), (1, 1));
//! ```

#![forbid(unsafe_code)]
// A failure ends a session or refuses an operation: nothing that happens often returns one.
#![allow(clippy::result_large_err)]

pub mod client;
mod conversation;
mod event;
mod inbox;
mod limits;
mod outbox;
mod received;
mod scan;
pub mod server;
mod side;
mod transmit;

pub use client::Client;
pub use event::{End, Event};
pub use limits::{FRAME_BYTES_MIN, Limits, OPS_MAX, VERSION, WINDOW_BYTES_DEFAULT};
pub use outbox::SendError;
pub use received::{Position, Received, Slot};
pub use server::{Accept, Knock, Server, refusal};
pub use transmit::{Descriptor, Transmit};
