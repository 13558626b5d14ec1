//! A Unix socket between a testee and its server, which passes everything on as it is, descriptors too, and reads along: every frame is held
//! against the schema and the rules, and the last ones are kept for the report of a failure. Where a run is about bad links, it is one.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde_json::json;

use crate::chance::Chance;
use crate::ledger::Ledger;
use crate::link::Link;
use crate::pattern::brief;
use crate::schema::Side;

const TRACE_MAX: usize = 80;
const DESCRIPTORS_MAX: usize = 64;
const READ_BYTES: usize = 256 << 10;

#[derive(Default)]
struct Seen {
    trace: VecDeque<String>,
    /// What clients, then servers, did against the rules.
    breaches: Vec<(Side, String)>,
    connections: Vec<(UnixStream, UnixStream)>,
}

/// The proxy of one testee: a socket of its own.
pub struct Proxy {
    pub path: PathBuf,
    label: String,
    seen: Arc<Mutex<Seen>>,
    link: Option<Arc<Link>>,
    ended: Arc<AtomicBool>,
}

impl Proxy {
    /// Listens at `path` and connects each client with `server`, over a link that is bad if it is `lossy`.
    pub fn start(path: PathBuf, server: &Path, label: &str, lossy: bool) -> Result<Self, String> {
        let listener = UnixListener::bind(&path)
            .map_err(|error| format!("the proxy cannot listen at {}: {error}", path.display()))?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let ended = Arc::new(AtomicBool::new(false));
        let link = lossy.then(|| Arc::new(Link::new()));
        let (shared, stop, server) = (Arc::clone(&seen), Arc::clone(&ended), server.to_owned());
        let shared_link = link.clone();
        std::thread::spawn(move || {
            let mut number = 0u32;
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                number += 1;
                // Who finds no server is sent away, as without a proxy.
                if let Ok(server) = UnixStream::connect(&server) {
                    join(client, server, number, &shared, shared_link.as_ref());
                }
            }
        });
        Ok(Self { path, label: label.to_owned(), seen, link, ended })
    }

    /// Cuts every connection.
    pub fn cut(&self) {
        let mut seen = self.seen.lock().expect("no holder panics");
        for (client, server) in seen.connections.drain(..) {
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        }
        seen.trace.push_back("-- the runner cut the connection".to_owned());
    }

    /// What was found since the last time, with who did it.
    pub fn take_breaches(&self) -> Vec<(Side, String)> {
        std::mem::take(&mut self.seen.lock().expect("no holder panics").breaches)
    }

    /// The last frames, oldest first.
    pub fn trace(&self) -> Vec<String> {
        self.seen
            .lock()
            .expect("no holder panics")
            .trace
            .iter()
            .map(|line| format!("{} {line}", self.label))
            .collect()
    }

    /// A case begins: forgets the frames so far, so that a trace is of one case. `chance` says what becomes of a bad link.
    pub fn begin(&self, chance: Chance) {
        self.seen.lock().expect("no holder panics").trace.clear();
        if let Some(link) = &self.link {
            link.begin(chance);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        self.cut();
        // Wakes the thread that accepts.
        let _ = UnixStream::connect(&self.path);
    }
}

fn join(
    client: UnixStream,
    server: UnixStream,
    number: u32,
    seen: &Arc<Mutex<Seen>>,
    link: Option<&Arc<Link>>,
) {
    let (Ok(client2), Ok(server2), Ok(client3), Ok(server3)) =
        (client.try_clone(), server.try_clone(), client.try_clone(), server.try_clone())
    else {
        return;
    };
    seen.lock().expect("no holder panics").connections.push((client3, server3));
    let ledger = Arc::new(Mutex::new(Ledger::new()));
    let open = Arc::new(AtomicBool::new(false));
    for (side, from, to) in [(Side::Client, client, server), (Side::Server, server2, client2)] {
        let mut reader =
            Reader { side, number, bytes: Vec::new(), ledger: Arc::clone(&ledger), seen: Arc::clone(seen) };
        let (link, open) = (link.cloned(), Arc::clone(&open));
        std::thread::spawn(move || {
            pass(&from, &to, &mut reader, link.as_deref(), &open);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
}

fn pass(from: &UnixStream, to: &UnixStream, reader: &mut Reader, link: Option<&Link>, open: &AtomicBool) {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let Ok(received) = recvmsg(
            from.as_fd(),
            &mut [IoSliceMut::new(&mut buffer)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        ) else {
            return;
        };
        let descriptors: Vec<OwnedFd> = ancillary
            .drain()
            .filter_map(|message| {
                if let RecvAncillaryMessage::ScmRights(rights) = message { Some(rights) } else { None }
            })
            .flatten()
            .collect();
        if received.bytes == 0 {
            return;
        }
        let bytes = &buffer[..received.bytes];
        // Read before it is passed on: an answer must not be seen before what it answers.
        reader.take(bytes);
        let sent = match link {
            Some(link) => send_badly(from, to, bytes, &descriptors, link, open, reader),
            None => send(to, bytes, &descriptors),
        };
        if sent.is_err() {
            return;
        }
        // The first thing that a server says is whether there is a session.
        if reader.side == Side::Server {
            open.store(true, Ordering::Release);
        }
    }
}

fn send_badly(
    from: &UnixStream,
    to: &UnixStream,
    mut bytes: &[u8],
    descriptors: &[OwnedFd],
    link: &Link,
    open: &AtomicBool,
    reader: &Reader,
) -> rustix::io::Result<()> {
    let mut descriptors = descriptors;
    while !bytes.is_empty() {
        let piece = link.next(bytes.len(), open);
        if let Some(late) = piece.late {
            std::thread::sleep(late);
        }
        let (now, rest) = bytes.split_at(piece.length);
        send(to, now, std::mem::take(&mut descriptors))?;
        bytes = rest;
        if piece.cut {
            reader.note("-- the link broke");
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
            return Err(rustix::io::Errno::PIPE);
        }
    }
    Ok(())
}

fn send(to: &UnixStream, mut bytes: &[u8], descriptors: &[OwnedFd]) -> rustix::io::Result<()> {
    let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut first = true;
    while !bytes.is_empty() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if first && !borrowed.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(&borrowed));
        }
        let sent = sendmsg(to.as_fd(), &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
        first = false;
        bytes = &bytes[sent..];
    }
    Ok(())
}

/// One direction, read along.
struct Reader {
    side: Side,
    number: u32,
    bytes: Vec<u8>,
    ledger: Arc<Mutex<Ledger>>,
    seen: Arc<Mutex<Seen>>,
}

impl Reader {
    fn note(&self, what: &str) {
        let line = format!("#{} {what}", self.number);
        self.seen.lock().expect("no holder panics").trace.push_back(line);
    }

    fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(length) = self.bytes.get(at..at + 4) {
            let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
            let Some(body) = self.bytes.get(at + 4..at + 4 + length) else { break };
            let (frame, wrong) = self.ledger.lock().expect("no holder panics").see(self.side, body);
            let arrow = if self.side == Side::Client { "→" } else { "←" };
            let mut seen = self.seen.lock().expect("no holder panics");
            if seen.trace.len() >= TRACE_MAX {
                seen.trace.pop_front();
            }
            let line = frame.map_or_else(
                || format!("{length} bytes"),
                |frame| format!("seq {} ack {} {}", frame.seq, frame.ack, brief(&json!(frame.ops))),
            );
            seen.trace.push_back(format!("#{} {arrow} {line}", self.number));
            for breach in wrong {
                seen.trace.push_back(format!("#{} {arrow} !! {breach}", self.number));
                seen.breaches.push((self.side, breach));
            }
            at += 4 + length;
        }
        self.bytes.drain(..at);
    }
}
