//! The Unix socket: who may connect, and bytes with descriptors beside them. It never looks into the bytes.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg, sockopt};
use tokio::io::AsyncReadExt;
use tokio::net::UnixListener;
use tokio::net::unix::pipe;

/// Most descriptors in one message: the kernel's own bound (SCM_MAX_FD).
pub const DESCRIPTORS_MAX: usize = 253;

/// How long accepting rests when the process or the system has no descriptor left: a connection then waits in the backlog.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// A listening socket that lets in only processes of this user.
#[derive(Debug)]
pub struct Listener {
    inner: UnixListener,
    uid: u32,
}

impl Listener {
    /// Listens at `path`, which must not exist. Call it within a tokio runtime.
    pub fn bind(path: &Path) -> io::Result<Self> {
        Ok(Self { inner: UnixListener::bind(path)?, uid: rustix::process::geteuid().as_raw() })
    }

    /// The next connection from a process of this user. A peer of another user is closed without a word.
    pub async fn accept(&self) -> io::Result<Connection> {
        loop {
            match self.inner.accept().await {
                Ok((stream, _)) => match sockopt::socket_peercred(&stream) {
                    // The superuser could read our memory anyway.
                    Ok(peer) if peer.uid.as_raw() == self.uid || peer.uid.is_root() => {
                        let pid = peer.pid.as_raw_nonzero().get().unsigned_abs();
                        match stream.into_std().and_then(|stream| Connection::new(stream, pid)) {
                            Ok(connection) => return Ok(connection),
                            Err(error) => {
                                tracing::warn!(%error, "cannot serve a connection; it is closed");
                                if is_exhaustion(&error) {
                                    tokio::time::sleep(ACCEPT_REST).await;
                                }
                            }
                        }
                    }
                    Ok(peer) => {
                        tracing::warn!(uid = peer.uid.as_raw(), "refused a connection of another user");
                    }
                    Err(error) => tracing::warn!(%error, "cannot tell who connects; refused"),
                },
                Err(error) if is_passing(&error) => {}
                Err(error) if is_exhaustion(&error) => {
                    tracing::warn!(%error, "cannot accept a connection; trying again shortly");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The peer gave up between connecting and being accepted.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
}

fn is_exhaustion(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| {
        [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&Errno::from_raw_os_error(code))
    })
}

/// A connection, its two directions apart so that one task may wait to read while others write.
#[derive(Debug)]
pub struct Connection {
    /// Bytes from the peer.
    pub reader: Reader,
    /// Bytes to the peer. Dropping it ends that direction.
    pub writer: Writer,
    /// Process at the other end when it connected.
    pub pid: u32,
}

impl Connection {
    fn new(stream: UnixStream, pid: u32) -> io::Result<Self> {
        // A tokio stream would hear of room to send as well as of bytes to read: each time that the peer takes something off the
        // socket, which would wake the node twice a task for nothing. A pipe's receiver hears of bytes to read, and only reads.
        let reader = pipe::Receiver::from_owned_fd_unchecked(OwnedFd::from(stream.try_clone()?))?;
        Ok(Self { reader: Reader { inner: reader }, writer: Writer { stream }, pid })
    }
}

/// The receiving direction.
#[derive(Debug)]
pub struct Reader {
    inner: pipe::Receiver,
}

impl Reader {
    /// Appends what there is to `buffer`'s spare capacity, waiting for at least a byte; 0 at the end. Safe to drop while it waits.
    pub async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        // Not `try_read`: this one knows that a short read leaves nothing behind, and saves the call that would say so.
        self.inner.read_buf(buffer).await
    }
}

/// The sending direction.
#[derive(Debug)]
pub struct Writer {
    stream: UnixStream,
}

impl Writer {
    /// Sends as much as fits without waiting, and `descriptors` (at most [`DESCRIPTORS_MAX`]) with the first byte.
    /// Returns how much of `parts` went; the descriptors went if any byte did.
    pub fn try_send(&self, parts: &[IoSlice<'_>], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
        if descriptors.len() > DESCRIPTORS_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("at most {DESCRIPTORS_MAX} descriptors can be sent with one message"),
            ));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other("the descriptors do not fit their buffer"));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        loop {
            match sendmsg(self.stream.as_fd(), parts, &mut control, flags) {
                Err(Errno::INTR) => {}
                sent => return Ok(sent?),
            }
        }
    }

    /// Waits until something may fit again. It is asked for seldom, so what watches the socket is made here, and goes with the answer.
    pub async fn writable(&self) -> io::Result<()> {
        tokio::net::UnixStream::from_std(self.stream.try_clone()?)?.writable().await
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The reader may outlive this. A peer that has gone already has nothing to be told.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Seek, Write};

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    use super::*;

    #[tokio::test]
    async fn bytes_come_and_go_with_descriptors_beside_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = Listener::bind(&path).unwrap();
        let mut client = UnixStream::connect(&path).unwrap();
        let mut connection = listener.accept().await.unwrap();
        assert_eq!(connection.pid, std::process::id());

        client.write_all(b"hello").unwrap();
        let mut buffer = BytesMut::with_capacity(64);
        assert_eq!(connection.reader.read(&mut buffer).await.unwrap(), 5);
        assert_eq!(&buffer[..], b"hello");

        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"shared").unwrap();
        connection.writer.writable().await.unwrap();
        let sent =
            connection.writer.try_send(&[IoSlice::new(b"ab"), IoSlice::new(b"cd")], &[file.as_fd()]).unwrap();
        assert_eq!(sent, 4);

        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut bytes = [0; 8];
        let received =
            recvmsg(&client, &mut [io::IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)
                .unwrap();
        assert_eq!(&bytes[..received.bytes], b"abcd");
        let Some(RecvAncillaryMessage::ScmRights(mut rights)) = control.drain().next() else {
            panic!("no descriptor came")
        };
        let mut twin = File::from(rights.next().unwrap());
        twin.rewind().unwrap();
        let mut text = String::new();
        twin.read_to_string(&mut text).unwrap();
        assert_eq!(text, "shared");

        drop(connection);
        assert_eq!(client.read(&mut bytes).unwrap(), 0, "dropping both directions ends the connection");
    }

    #[tokio::test]
    async fn a_full_socket_says_so_and_recovers() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = Listener::bind(&path).unwrap();
        let mut client = UnixStream::connect(&path).unwrap();
        let connection = listener.accept().await.unwrap();
        connection.writer.writable().await.unwrap();
        let block = vec![7; 1 << 16];
        let mut sent = 0;
        loop {
            match connection.writer.try_send(&[IoSlice::new(&block)], &[]) {
                Ok(bytes) => sent += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        let mut taken = vec![0; sent];
        client.read_exact(&mut taken).unwrap();
        connection.writer.writable().await.unwrap();
        assert!(connection.writer.try_send(&[IoSlice::new(&block)], &[]).unwrap() > 0);
    }
}
