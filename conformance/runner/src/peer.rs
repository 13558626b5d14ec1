//! One connection that the runner speaks itself, as a client or as a server, frame by frame.
//!
//! It answers pings and gives credit back unless a case does that by hand. Everything else waits until a step asks for it.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::ledger::Ledger;
use crate::pattern::{Names, brief};
use crate::schema::{self, Frame, Side, op_parts};

static PATIENCE: OnceLock<Duration> = OnceLock::new();

/// Nothing that is alive takes this long. It ends what hangs, and says nothing about speed.
pub fn patience() -> Duration {
    *PATIENCE.get_or_init(|| Duration::from_secs(15))
}

/// Sets [`patience()`], once, before anything asks for it.
pub fn set_patience(patience: Duration) {
    // Only main sets it, and before it starts anything.
    let _ = PATIENCE.set(patience);
}

/// More than any frame may have, so that what is too large is still seen.
const READ_MAX: usize = 16 << 20;

pub struct Peer {
    stream: UnixStream,
    /// Who we are.
    side: Side,
    frames: Receiver<Vec<u8>>,
    ledger: Ledger,
    /// Operations that came and that no step has asked for.
    waiting: VecDeque<Json>,
    /// Frames that came, for `expect_frame`.
    headers: VecDeque<Frame>,
    next_seq: u64,
    taken: u64,
    closed: bool,
    manual_credit: bool,
    /// What was said, for people.
    pub trace: Vec<String>,
    /// Rules that the other side broke.
    pub breaches: Vec<String>,
}

impl Peer {
    pub fn new(stream: UnixStream, side: Side) -> Result<Self, String> {
        let reader = stream.try_clone().map_err(|error| error.to_string())?;
        let (sender, frames) = channel();
        // Ends with the connection.
        std::thread::spawn(move || read_frames(reader, &mut |frame| sender.send(frame).is_ok()));
        Ok(Self {
            stream,
            side,
            frames,
            ledger: Ledger::new(),
            waiting: VecDeque::new(),
            headers: VecDeque::new(),
            next_seq: 1,
            taken: 0,
            closed: false,
            manual_credit: false,
            trace: Vec::new(),
            breaches: Vec::new(),
        })
    }

    pub fn manual_credit(&mut self) {
        self.manual_credit = true;
    }

    /// On a new connection of a session: goes on with its numbers.
    pub fn resume_from(&mut self, next_seq: u64, taken: u64) {
        self.next_seq = next_seq;
        self.taken = taken;
    }

    /// Sends operations in a counted frame.
    pub fn send(&mut self, ops: &[Json], grease: bool, split: bool) -> Result<(), String> {
        let (seq, ack) = (self.next_seq, self.taken);
        self.next_seq += 1;
        self.send_frame(seq, ack, ops, grease, split)
    }

    /// Sends a frame as it is told.
    pub fn send_frame(
        &mut self,
        seq: u64,
        ack: u64,
        ops: &[Json],
        grease: bool,
        split: bool,
    ) -> Result<(), String> {
        let body = schema::encode(self.side, seq, ack, ops, grease)?;
        self.trace.push(format!("→ seq {seq} ack {ack} {}", brief(&json!(ops))));
        let _ = self.ledger.see(self.side, &body);
        let bytes = [&u32::try_from(body.len()).map_err(|error| error.to_string())?.to_be_bytes()[..], &body]
            .concat();
        if split {
            for byte in bytes {
                self.write(&[byte])?;
            }
            return Ok(());
        }
        self.write(&bytes)
    }

    /// Sends bytes that need be no frame.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.trace.push(format!(
            "→ {} bytes: {}",
            bytes.len(),
            crate::value::hex(&bytes[..bytes.len().min(40)])
        ));
        // A whole frame counts: what answers it must not look like a breach.
        if bytes.len() >= 4
            && u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize == bytes.len() - 4
        {
            let _ = self.ledger.see(self.side, &bytes[4..]);
        }
        self.write(bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        // The other side may have closed already because of what was sent before: a case that minds expects something of it.
        match self.stream.write_all(bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            outcome => outcome.map_err(|error| format!("the connection cannot be written: {error}")),
        }
    }

    /// Takes the first operation of the pattern's kind, which must match.
    pub fn expect(&mut self, pattern: &Json, names: &mut Names) -> Result<Json, String> {
        let (kind, body) = op_parts(pattern);
        let kind = kind.to_owned();
        let until = Instant::now() + patience();
        loop {
            if let Some(index) = self.waiting.iter().position(|op| op_parts(op).0 == kind) {
                let op = self.waiting.remove(index).unwrap_or_default();
                let found = op_parts(&op).1;
                return match names.matches(&body, Some(&found)) {
                    Ok(()) => Ok(found),
                    Err(reason) => Err(format!("{kind}{reason}")),
                };
            }
            if let Some(goodbye) = self.waiting.iter().find(|op| op_parts(op).0 == "goodbye") {
                return Err(format!("expected {kind}, but the session was ended: {}", brief(goodbye)));
            }
            if !self.pump(until)? {
                return Err(format!("expected {kind}, but the connection was closed"));
            }
        }
    }

    /// Waits for a frame whose numbers match.
    pub fn expect_frame(&mut self, pattern: &Json, names: &mut Names) -> Result<(), String> {
        let until = Instant::now() + patience();
        loop {
            while let Some(frame) = self.headers.pop_front() {
                let kinds: Vec<&str> = frame.ops.iter().map(|op| op_parts(op).0).collect();
                if names
                    .matches(pattern, Some(&json!({"seq": frame.seq, "ack": frame.ack, "ops": kinds})))
                    .is_ok()
                {
                    return Ok(());
                }
            }
            if !self.pump(until)? {
                return Err(format!("no frame came that matches {}", brief(pattern)));
            }
        }
    }

    /// Whether the other side still answers; everything that it had to say about what was sent before has then come.
    pub fn alive(&mut self, names: &mut Names, nonce: u64) -> Result<(), String> {
        self.send_frame(0, self.taken, &[json!({"ping": {"nonce": nonce}})], false, false)?;
        self.expect(&json!({"pong": {"nonce": nonce}}), names)?;
        Ok(())
    }

    /// That no operation like this came.
    pub fn never(&mut self, pattern: &Json, names: &mut Names) -> Result<(), String> {
        let (kind, body) = op_parts(pattern);
        match self
            .waiting
            .iter()
            .find(|op| op_parts(op).0 == kind && names.matches(&body, Some(&op_parts(op).1)).is_ok())
        {
            Some(op) => Err(format!("this must not come: {}", brief(op))),
            None => Ok(()),
        }
    }

    /// Waits until the other side closes the connection.
    pub fn closed(&mut self) -> Result<(), String> {
        let until = Instant::now() + patience();
        while self.pump(until)? {}
        Ok(())
    }

    pub fn cut(&mut self) {
        self.trace.push("cut".to_owned());
        // It may be closed already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Takes one frame. False once the connection is closed.
    fn pump(&mut self, until: Instant) -> Result<bool, String> {
        match self.receive(until)? {
            Some(open) => Ok(open),
            None => Err(format!("nothing came for {:?}", patience())),
        }
    }

    /// Whether the other side says something before it closes the connection.
    pub fn begins(&mut self, until: Instant) -> Result<bool, String> {
        self.pump(until)
    }

    /// Takes what has come already, so that the other side goes on while something else is waited for.
    pub fn service(&mut self) -> Result<(), String> {
        while self.receive(Instant::now())? == Some(true) {}
        Ok(())
    }

    /// The number of the next counted frame.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The last counted frame of the other side.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Uses up a number for a frame that is sent by hand.
    pub fn use_number(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq - 1
    }

    /// Takes one frame: false once the connection is closed, nothing if none comes in time.
    fn receive(&mut self, until: Instant) -> Result<Option<bool>, String> {
        if self.closed {
            return Ok(Some(false));
        }
        let bytes = match self.frames.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(bytes) => bytes,
            Err(RecvTimeoutError::Timeout) => return Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                self.closed = true;
                self.trace.push("closed by the other side".to_owned());
                return Ok(Some(false));
            }
        };
        let (frame, wrong) = self.ledger.see(self.side.other(), &bytes);
        self.breaches.extend(wrong);
        let Some(frame) = frame else { return Ok(Some(true)) };
        self.trace.push(format!("← seq {} ack {} {}", frame.seq, frame.ack, brief(&json!(frame.ops))));
        if frame.seq > self.taken {
            self.taken = frame.seq;
        }
        if frame.seq != 0 && !self.manual_credit {
            let credit = json!({"credit": {"bytes": bytes.len()}});
            self.send_frame(0, self.taken, &[credit], false, false)?;
        }
        for op in &frame.ops {
            match op_parts(op) {
                ("ping", body) if !self.manual_credit => {
                    let pong = json!({"pong": {"nonce": body["nonce"]}});
                    self.send_frame(0, self.taken, &[pong], false, false)?;
                }
                // What an SDK asks for while it opens a session (a pool of its own) is granted.
                ("request", body) if self.side == Side::Server => {
                    self.send(&[json!({"reply": {"number": body["number"], "done": {}}})], false, false)?;
                }
                _ => self.waiting.push_back(op.clone()),
            }
        }
        self.headers.push_back(frame);
        Ok(Some(true))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// Cuts frames out of a stream until it ends, or `take` has enough.
fn read_frames(mut stream: UnixStream, take: &mut dyn FnMut(Vec<u8>) -> bool) {
    loop {
        let mut length = [0; 4];
        if stream.read_exact(&mut length).is_err() {
            return;
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > READ_MAX {
            return;
        }
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).is_err() || !take(body) {
            return;
        }
    }
}
