//! What processes print: bytes from two pipes become lines, within bounds.
//!
//! A line is at most [`LINE_BYTES`] long, and a stream brings at most [`WINDOW_LINES`] lines and [`WINDOW_BYTES`] in a second; what is
//! beyond is left out, and a line in its place says how much. A process is slowed down by a full pipe only while the node itself is behind.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::event::{Event, Source, Stream};

/// Most bytes of one line; the rest of it is left out.
const LINE_BYTES: usize = 16 << 10;
/// Most lines of one stream in one window.
const WINDOW_LINES: u32 = 10_000;
/// Most bytes of one stream in one window.
const WINDOW_BYTES: usize = 4 << 20;
const WINDOW: Duration = Duration::from_secs(1);
/// Of what a process wrote last to stderr, so much is kept for the message that tells of its end.
const LAST_WORDS_BYTES: usize = 2 << 10;
/// A pipe is emptied no further than this after its process is gone, in case one that escaped from its group keeps writing.
const DRAIN_BYTES: usize = 1 << 20;

/// Both outputs of one process.
pub(crate) struct Outputs {
    source: Source,
    pipes: [Pipe; 2],
    pending: VecDeque<Event>,
    last_words: VecDeque<String>,
}

struct Pipe {
    stream: Stream,
    // None after its end.
    receiver: Option<pipe::Receiver>,
    lines: Lines,
}

impl Outputs {
    /// `first` is passed on before anything that the process prints.
    pub(crate) fn new(
        source: Source,
        stdout: OwnedFd,
        stderr: OwnedFd,
        first: Option<Event>,
    ) -> io::Result<Outputs> {
        let pipe = |stream, fd| {
            Ok::<_, io::Error>(Pipe {
                stream,
                receiver: Some(pipe::Receiver::from_owned_fd(fd)?),
                lines: Lines::new(Instant::now()),
            })
        };
        Ok(Outputs {
            source,
            pipes: [pipe(Stream::Stdout, stdout)?, pipe(Stream::Stderr, stderr)?],
            pending: VecDeque::from_iter(first),
            last_words: VecDeque::new(),
        })
    }

    /// Passes something on, or reads something. Can be dropped at any point without loss; never ends if there is nothing more to come.
    pub(crate) async fn step(&mut self, events: &mpsc::Sender<Event>) {
        // What was read goes first, so that a reader that is behind slows the process down.
        if !self.pending.is_empty() {
            let permit = events.reserve().await;
            // Taken out only now, for a wait that is dropped loses nothing.
            if let (Ok(permit), Some(event)) = (permit, self.pending.pop_front()) {
                permit.send(event);
            }
            return;
        }
        let [stdout, stderr] = &mut self.pipes;
        let (index, lines) = tokio::select! {
            lines = stdout.next() => (0, lines),
            lines = stderr.next() => (1, lines),
        };
        self.push(index, lines);
    }

    /// Passes on what the pipes still hold, once the process is gone, and closes them.
    pub(crate) async fn finish(mut self, events: &mpsc::Sender<Event>) -> String {
        self.pass_on(events).await;
        for index in 0..self.pipes.len() {
            for lines in self.pipes[index].drain() {
                self.push(index, lines);
            }
            self.pass_on(events).await;
        }
        Vec::from(self.last_words).join("\n")
    }

    async fn pass_on(&mut self, events: &mpsc::Sender<Event>) {
        for event in self.pending.drain(..) {
            // With nobody left to read, there is nobody to lose it.
            let _ = events.send(event).await;
        }
    }

    fn push(&mut self, index: usize, lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        let stream = self.pipes[index].stream;
        if stream == Stream::Stderr {
            self.remember(&lines);
        }
        self.pending.push_back(Event::Lines { source: self.source, stream, lines });
    }

    fn remember(&mut self, lines: &[String]) {
        self.last_words.extend(lines.iter().map(|line| {
            let cut = (0..=line.len().min(LAST_WORDS_BYTES)).rev().find(|&at| line.is_char_boundary(at));
            line[..cut.unwrap_or(0)].to_owned()
        }));
        let mut bytes: usize = self.last_words.iter().map(|line| line.len() + 1).sum();
        while bytes > LAST_WORDS_BYTES + 1
            && let Some(line) = self.last_words.pop_front()
        {
            bytes -= line.len() + 1;
        }
    }
}

impl Pipe {
    /// Waits for lines. May give none. Loses nothing when dropped.
    async fn next(&mut self) -> Vec<String> {
        let Some(receiver) = &self.receiver else {
            return std::future::pending().await;
        };
        tokio::select! {
            biased;
            readable = receiver.readable() => {
                if readable.is_err() {
                    return self.close();
                }
            }
            () = tokio::time::sleep_until(self.lines.window_end), if self.lines.is_hiding() => {}
        }
        let now = Instant::now();
        match self.read() {
            Ok(0) => self.close(),
            Ok(_) => self.lines.take(now),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.lines.take(now),
            Err(_) => self.close(),
        }
    }

    fn drain(&mut self) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        let mut bytes = 0;
        while self.receiver.is_some() && bytes < DRAIN_BYTES {
            match self.read() {
                Ok(0) | Err(_) => break,
                Ok(n) => bytes += n,
            }
            all.push(self.lines.take(Instant::now()));
        }
        all.push(self.close());
        all
    }

    fn read(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 8 << 10];
        let receiver = self.receiver.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        let n = receiver.try_read(&mut buffer)?;
        self.lines.feed(Instant::now(), &buffer[..n]);
        Ok(n)
    }

    fn close(&mut self) -> Vec<String> {
        self.receiver = None;
        self.lines.finish()
    }
}

/// Cuts one stream into lines and counts them. Without input or output, so that it can be tested alone.
struct Lines {
    // The line that has not ended yet, and how many bytes of it were left out.
    line: Vec<u8>,
    line_left_out: usize,
    ready: Vec<String>,
    window_end: Instant,
    window_lines: u32,
    window_bytes: usize,
    left_out_lines: u64,
    left_out_bytes: u64,
}

impl Lines {
    fn new(now: Instant) -> Lines {
        Lines {
            line: Vec::new(),
            line_left_out: 0,
            ready: Vec::new(),
            window_end: now + WINDOW,
            window_lines: 0,
            window_bytes: 0,
            left_out_lines: 0,
            left_out_bytes: 0,
        }
    }

    /// Whether a line about what was left out is due at the end of the window.
    fn is_hiding(&self) -> bool {
        self.left_out_lines > 0
    }

    fn feed(&mut self, now: Instant, mut bytes: &[u8]) {
        self.turn_window(now);
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.extend_line(&bytes[..end]);
            self.end_line();
            bytes = &bytes[end + 1..];
        }
        self.extend_line(bytes);
    }

    /// The lines that may be passed on by now.
    fn take(&mut self, now: Instant) -> Vec<String> {
        self.turn_window(now);
        std::mem::take(&mut self.ready)
    }

    /// Everything that is left, after the end of the stream.
    fn finish(&mut self) -> Vec<String> {
        if !self.line.is_empty() || self.line_left_out > 0 {
            self.end_line();
        }
        self.tell_what_was_left_out();
        std::mem::take(&mut self.ready)
    }

    fn extend_line(&mut self, bytes: &[u8]) {
        let kept = bytes.len().min(LINE_BYTES - self.line.len());
        self.line.extend_from_slice(&bytes[..kept]);
        self.line_left_out += bytes.len() - kept;
    }

    fn end_line(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        let left_out = std::mem::take(&mut self.line_left_out);
        self.window_lines += 1;
        self.window_bytes += line.len() + left_out;
        if self.window_lines > WINDOW_LINES || self.window_bytes > WINDOW_BYTES {
            self.left_out_lines += 1;
            self.left_out_bytes += (line.len() + left_out) as u64;
            return;
        }
        if line.last() == Some(&b'\r') && left_out == 0 {
            line.pop();
        }
        let mut line = String::from_utf8(line)
            .unwrap_or_else(|invalid| String::from_utf8_lossy(invalid.as_bytes()).into_owned());
        if left_out > 0 {
            line.push_str(&format!(" … [{left_out} more bytes of this line are left out]"));
        }
        self.ready.push(line);
    }

    fn turn_window(&mut self, now: Instant) {
        if now < self.window_end {
            return;
        }
        self.tell_what_was_left_out();
        self.window_end = now + WINDOW;
        self.window_lines = 0;
        self.window_bytes = 0;
    }

    fn tell_what_was_left_out(&mut self) {
        if self.left_out_lines > 0 {
            self.ready.push(format!(
                "[{} lines ({} bytes) are left out: more than {WINDOW_LINES} lines or {} MiB in a second]",
                self.left_out_lines,
                self.left_out_bytes,
                WINDOW_BYTES >> 20
            ));
            self.left_out_lines = 0;
            self.left_out_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &[u8], chunk: usize) -> Vec<String> {
        let now = Instant::now();
        let mut lines = Lines::new(now);
        let mut out = Vec::new();
        for part in input.chunks(chunk) {
            lines.feed(now, part);
            out.extend(lines.take(now));
        }
        out.extend(lines.finish());
        out
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_arrive() {
        let input = "one\r\ntwo\n\nvier ä\nunfinished".as_bytes();
        for chunk in 1..=input.len() {
            assert_eq!(all(input, chunk), ["one", "two", "", "vier ä", "unfinished"], "chunks of {chunk}");
        }
    }

    #[test]
    fn invalid_utf8_is_replaced_and_nothing_else_lost() {
        assert_eq!(all(b"a\xff\xfeb\nnext\n", 3), ["a\u{fffd}\u{fffd}b", "next"]);
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory_and_says_what_is_missing() {
        let now = Instant::now();
        let mut lines = Lines::new(now);
        for _ in 0..100 {
            lines.feed(now, &[b'x'; LINE_BYTES]);
        }
        assert!(lines.line.capacity() <= 2 * LINE_BYTES);
        lines.feed(now, b"\nshort\n");
        let out = lines.take(now);
        assert_eq!(out.len(), 2);
        assert!(out[0].starts_with("xxx"));
        assert!(out[0].ends_with(&format!("[{} more bytes of this line are left out]", 99 * LINE_BYTES)));
        assert_eq!(out[1], "short");
    }

    #[test]
    fn a_flood_is_cut_and_says_so_at_the_end_of_its_window() {
        let start = Instant::now();
        let mut lines = Lines::new(start);
        lines.feed(start, "x\n".repeat(WINDOW_LINES as usize + 500).as_bytes());
        assert_eq!(lines.take(start).len(), WINDOW_LINES as usize);
        assert!(lines.is_hiding());
        let later = start + WINDOW;
        let out = lines.take(later);
        assert_eq!(out.len(), 1);
        assert!(out[0].starts_with("[500 lines (500 bytes) are left out"), "{out:?}");
        assert!(!lines.is_hiding());
        lines.feed(later, b"calm again\n");
        assert_eq!(lines.take(later), ["calm again"]);
    }

    #[test]
    fn a_flood_that_ends_with_its_stream_says_so_too() {
        let start = Instant::now();
        let mut lines = Lines::new(start);
        let long = [vec![b'y'; 1 << 10], vec![b'\n']].concat();
        for _ in 0..(WINDOW_BYTES >> 10) + 3 {
            lines.feed(start, &long);
        }
        assert_eq!(lines.take(start).len(), WINDOW_BYTES >> 10);
        assert!(lines.finish()[0].starts_with("[3 lines (3072 bytes)"));
    }
}
