//! A Unix socket: frames behind their length, descriptors of shared memory beside them.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use bytes::{Buf, Bytes, BytesMut};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use thornback_types::Failure;
use thornback_wire::framing::{Decoder, FRAME_BYTES_MAX};
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::{Code, Error, Result};

/// What one read takes: a few hundred operations.
const READ_BYTES: usize = 128 << 10;

/// Descriptors that may come with one read.
const DESCRIPTORS_MAX: usize = 16;

/// Frames that one write takes.
const WRITE_FRAMES_MAX: usize = 16;

pub(in super::super) struct Unix {
    stream: UnixStream,
    decoder: Decoder,
    /// Read into once and for all, so that no read has to clear memory first.
    scratch: Box<[u8]>,
    received: BytesMut,
    out: VecDeque<Bytes>,
    out_bytes: usize,
}

impl Unix {
    pub(super) async fn connect(path: &Path) -> io::Result<Unix> {
        Ok(Unix::new(UnixStream::connect(path).await?))
    }

    pub(super) fn new(stream: UnixStream) -> Unix {
        Unix {
            stream,
            decoder: Decoder::new(FRAME_BYTES_MAX),
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            received: BytesMut::new(),
            out: VecDeque::new(),
            out_bytes: 0,
        }
    }

    pub(super) async fn ready(&self, behind: bool) -> io::Result<()> {
        let interest = if behind { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        self.stream.ready(interest).await.map(drop)
    }

    pub(super) fn read(&mut self, descriptors: &mut VecDeque<OwnedFd>) -> io::Result<()> {
        if self.received.is_empty() {
            // What is left here belongs to frames that were taken before, or came twice.
            descriptors.clear();
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let (stream, scratch) = (&self.stream, &mut self.scratch);
        let read = stream.try_io(Interest::READABLE, || {
            let mut buffers = [IoSliceMut::new(scratch)];
            Ok(recvmsg(stream.as_fd(), &mut buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?)
        });
        let bytes = match read {
            Ok(message) => message.bytes,
            // Somebody else was woken for it, or it was taken already.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        };
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                descriptors.extend(received);
            }
        }
        if bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.received.extend_from_slice(&self.scratch[..bytes]);
        Ok(())
    }

    pub(super) fn frame(&mut self) -> Result<Option<Bytes>> {
        self.decoder
            .next(&mut self.received)
            .map_err(|error| Error::from(Failure::new(Code::FrameTooLarge, error.to_string())))
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.out_bytes
    }

    pub(super) fn queue(&mut self, framed: Bytes) {
        self.out_bytes += framed.len();
        self.out.push_back(framed);
    }

    pub(super) fn write(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            let mut slices = [IoSlice::new(&[]); WRITE_FRAMES_MAX];
            let count = self.out.len().min(WRITE_FRAMES_MAX);
            for (slice, frame) in slices.iter_mut().zip(&self.out) {
                *slice = IoSlice::new(frame);
            }
            match self.stream.try_write_vectored(&slices[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.written(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn written(&mut self, mut bytes: usize) {
        self.out_bytes -= bytes;
        while let Some(frame) = self.out.front_mut() {
            if bytes < frame.len() {
                frame.advance(bytes);
                return;
            }
            bytes -= frame.len();
            self.out.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn frames_come_out_as_they_went_in() {
        let (a, b) = UnixStream::pair().expect("makes a pair");
        let (mut a, mut b) = (Unix::new(a), Unix::new(b));
        let body = vec![7u8; 300_000];
        let mut framed = Vec::from(300_000u32.to_be_bytes());
        framed.extend_from_slice(&body);
        for _ in 0..3 {
            a.queue(framed.clone().into());
        }
        let mut frames = 0;
        let mut descriptors = VecDeque::new();
        while frames < 3 {
            a.write().expect("writes");
            // The writer is woken only once most of what it wrote was read.
            tokio::select! {
                ready = a.ready(true), if a.waiting_bytes() > 0 => ready.expect("takes more"),
                ready = b.ready(false) => ready.expect("has more to read"),
            }
            b.read(&mut descriptors).expect("reads");
            while let Some(frame) = b.frame().expect("is a frame") {
                assert_eq!(frame, body);
                frames += 1;
            }
        }
        assert_eq!(a.waiting_bytes(), 0);
        drop(a);
        b.ready(false).await.expect("sees the end");
        assert_eq!(b.read(&mut descriptors).expect_err("is over").kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_lying_length_is_an_error_and_no_allocation() {
        let (a, b) = UnixStream::pair().expect("makes a pair");
        let (mut a, mut b) = (Unix::new(a), Unix::new(b));
        a.queue(Bytes::from_static(&[0xff; 8]));
        a.write().expect("writes");
        b.ready(false).await.expect("has something");
        b.read(&mut VecDeque::new()).expect("reads");
        assert!(b.frame().expect_err("too large").is(Code::FrameTooLarge));
    }
}
