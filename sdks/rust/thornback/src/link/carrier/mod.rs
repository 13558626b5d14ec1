//! What carries frames: a Unix socket on the same machine, or gRPC.

#[cfg(feature = "grpc")]
mod grpc;
mod unix;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::str::FromStr;

use bytes::Bytes;
use thornback_session::Transmit;

use crate::{Code, Error, Result};

/// Where a node listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// `unix:/run/thornback/node.sock`, or just the path.
    Unix(PathBuf),
    /// `127.0.0.1:6380`.
    Tcp(String),
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Address> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(unreadable(text)) } else { Ok(Address::Unix(path.into())) };
        }
        if text.starts_with(['/', '.']) {
            return Ok(Address::Unix(text.into()));
        }
        let host_port = text.strip_prefix("grpc://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
        match host_port.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Address::Tcp(host_port.into()))
            }
            _ => Err(unreadable(text)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Tcp(address) => f.write_str(address),
        }
    }
}

fn unreadable(text: &str) -> Error {
    Error::invalid(format!(
        "{text:?} is no address of a node; use \"unix:/path/of/the/socket\" or \"host:port\""
    ))
}

/// One connection.
pub(super) enum Carrier {
    Unix(unix::Unix),
    #[cfg(feature = "grpc")]
    Grpc(grpc::Grpc),
}

/// Bytes that wait for the carrier before the session is asked for more frames. What is not asked for yet can still be gathered into one frame.
const OUT_BYTES_MAX: usize = 1 << 20;

impl Carrier {
    /// # Errors
    /// With the reason and what to do about it. `token` is for carriers that ask for one before the hello.
    pub(super) async fn connect(address: &Address, token: &str) -> Result<Carrier> {
        match address {
            Address::Unix(path) => unix::Unix::connect(path)
                .await
                .map(Carrier::Unix)
                .map_err(|error| unreachable_node(address, &error)),
            #[cfg(feature = "grpc")]
            Address::Tcp(host_port) => grpc::Grpc::connect(host_port, token).await.map(Carrier::Grpc),
            #[cfg(not(feature = "grpc"))]
            Address::Tcp(_) => {
                let _ = token;
                Err(Error::invalid(format!(
                    "{address} needs the gRPC carrier; build thornback with its feature \"grpc\", or use the node's Unix socket"
                )))
            }
        }
    }

    /// Whether a node there that did not take a connection is gone for good. No session outlives a node, and one on this machine that is there takes
    /// connections, if not always at once.
    pub(super) fn is_gone(address: &Address) -> bool {
        let Address::Unix(path) = address else { return false };
        std::os::unix::net::UnixStream::connect(path).is_err_and(|error| {
            matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
        })
    }

    pub(super) fn has_shared_memory(address: &Address) -> bool {
        matches!(address, Address::Unix(_))
    }

    /// Waits until something came, or, for one that is behind, something can be written.
    pub(super) async fn ready(&mut self, behind: bool) -> io::Result<()> {
        match self {
            Carrier::Unix(unix) => unix.ready(behind).await,
            #[cfg(feature = "grpc")]
            Carrier::Grpc(grpc) => grpc.ready(behind).await,
        }
    }

    /// Takes what came, without waiting. Then ask [`Carrier::frame`] until there is none.
    pub(super) fn read(&mut self, descriptors: &mut VecDeque<OwnedFd>) -> io::Result<()> {
        match self {
            Carrier::Unix(unix) => unix.read(descriptors),
            #[cfg(feature = "grpc")]
            Carrier::Grpc(grpc) => {
                grpc.read();
                Ok(())
            }
        }
    }

    /// The body of the next frame that is there whole.
    pub(super) fn frame(&mut self) -> Result<Option<Bytes>> {
        match self {
            Carrier::Unix(unix) => unix.frame(),
            #[cfg(feature = "grpc")]
            Carrier::Grpc(grpc) => Ok(grpc.frame()),
        }
    }

    /// Whether another frame should be asked of the session.
    pub(super) fn wants_more(&self) -> bool {
        match self {
            Carrier::Unix(unix) => unix.waiting_bytes() < OUT_BYTES_MAX,
            #[cfg(feature = "grpc")]
            Carrier::Grpc(grpc) => grpc.wants_more(),
        }
    }

    pub(super) fn queue(&mut self, transmit: &Transmit) {
        match self {
            Carrier::Unix(unix) => unix.queue(transmit.framed()),
            #[cfg(feature = "grpc")]
            Carrier::Grpc(grpc) => grpc.queue(transmit.body()),
        }
    }

    /// Writes what it can without waiting.
    pub(super) fn write(&mut self) -> io::Result<()> {
        match self {
            Carrier::Unix(unix) => unix.write(),
            #[cfg(feature = "grpc")]
            Carrier::Grpc(grpc) => grpc.write(),
        }
    }

    /// Whether something waits to be written.
    pub(super) fn is_behind(&self) -> bool {
        match self {
            Carrier::Unix(unix) => unix.waiting_bytes() > 0,
            #[cfg(feature = "grpc")]
            Carrier::Grpc(grpc) => grpc.is_behind(),
        }
    }
}

fn unreachable_node(address: &Address, error: &dyn fmt::Display) -> Error {
    Error::new(
        Code::ConnectionLost,
        format!(
            "no node answers at {address} ({error}); start one with `thornback start`, or use Client::local"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_sockets_or_hosts() {
        for (text, address) in [
            ("unix:/run/t.sock", Address::Unix("/run/t.sock".into())),
            ("unix:///run/t.sock", Address::Unix("/run/t.sock".into())),
            ("/run/t.sock", Address::Unix("/run/t.sock".into())),
            ("127.0.0.1:6380", Address::Tcp("127.0.0.1:6380".into())),
            ("[::1]:6380", Address::Tcp("[::1]:6380".into())),
            ("grpc://localhost:1", Address::Tcp("localhost:1".into())),
        ] {
            assert_eq!(text.parse::<Address>().expect(text), address);
        }
        for text in ["", "unix:", "localhost", "localhost:", ":80", "localhost:99999", "http://x"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
