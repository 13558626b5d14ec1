//! The carriers of a session: the Unix socket and the gRPC stream. Frames go in and out as bytes; what they mean is decided elsewhere.
//!
//! Nothing here knows a message of the protocol, a session or the core. What a carrier owes the node is the same for both: only peers
//! that may speak get in (by credentials on the socket, by token on TCP), nothing is unbounded, and nothing listens beyond this machine.

#![forbid(unsafe_code)]

mod directory;
pub mod grpc;
mod token;
pub mod unix;

pub use directory::{Directory, DirectoryError};
pub use token::Token;
