//! What a conversation tells its owner besides operations.

use std::fmt;

use thornback_types::Failure;
use thornback_wire::v1;

/// Something that happened to the conversation as a whole.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The client was welcomed: the session is open, or goes on.
    Welcomed(Box<v1::Welcome>),
    /// The peer has been silent for too long. The connection is lost: close it, and (a client) make another.
    ConnectionDead,
    /// The session is over. Told once, and nothing follows it but what [`poll_transmit`](crate::Client::poll_transmit) still gives.
    Ended(End),
}

/// Why a session is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Our own side said goodbye.
    Left(Option<Failure>),
    /// The peer said goodbye.
    PeerLeft(Option<Failure>),
    /// The peer broke the protocol, and was told how.
    Violated(Failure),
    /// The connection was not made again within the grace period.
    Expired,
}

impl End {
    /// The failure of everything that was still open, if something went wrong.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::Left(failure) | Self::PeerLeft(failure) => failure.clone(),
            Self::Violated(failure) => Some(failure.clone()),
            Self::Expired => Some(Failure::new(
                thornback_types::Code::ConnectionLost,
                "the connection was lost and not made again within the session's grace period",
            )),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left(None) => f.write_str("closed"),
            Self::Left(Some(failure)) => write!(f, "closed: {failure}"),
            Self::PeerLeft(None) => f.write_str("closed by the peer"),
            Self::PeerLeft(Some(failure)) => write!(f, "closed by the peer: {failure}"),
            Self::Violated(failure) => write!(f, "the peer broke the protocol: {failure}"),
            Self::Expired => f.write_str("the connection was lost and did not come back in time"),
        }
    }
}
