//! gRPC: one `Session.Connect` stream, whose messages are frames. They pass through as bytes, so that one decoder serves all carriers.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use futures_util::FutureExt;
use http::uri::PathAndQuery;
use thornback_wire::framing::FRAME_BYTES_MAX;
use tokio::sync::mpsc;
use tonic::client::Grpc as GrpcClient;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code as GrpcCode, Request, Status};

use crate::{Code, Error, Result};

const CONNECT: PathAndQuery = PathAndQuery::from_static("/thornback.v1.Session/Connect");

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of one stream that may be on their way; the session's own window is narrower or the same.
const WINDOW_BYTES: u32 = 8 << 20;

/// Frames between the session and the connection.
const FRAMES_WAITING: usize = 8;

pub(in super::super) struct Grpc {
    sender: mpsc::Sender<Bytes>,
    incoming: Incoming,
    received: VecDeque<Bytes>,
    /// Why nothing more comes; told once what came before has been taken.
    ended: Option<io::Error>,
    out: VecDeque<Bytes>,
}

/// The server's half. It begins once the server has answered, which it may do only after the hello.
enum Incoming {
    Opening(Pin<Box<dyn Future<Output = Result<Streaming<Bytes>, Status>> + Send>>),
    Open(Box<Streaming<Bytes>>),
}

impl Grpc {
    pub(super) async fn connect(host_port: &str, token: &str) -> Result<Grpc> {
        let unreachable = |error: &dyn std::fmt::Display| {
            Error::new(
                Code::ConnectionLost,
                format!(
                    "no node answers at {host_port} ({error}); see whether one runs there, and listens on that port"
                ),
            )
        };
        let channel = Endpoint::from_shared(format!("http://{host_port}"))
            .map_err(|error| Error::invalid(format!("{host_port:?} is no address: {error}")))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .connect()
            .await
            .map_err(|error| unreachable(&deepest(&error)))?;
        let (sender, mut frames) = mpsc::channel(FRAMES_WAITING);
        let mut request = Request::new(futures_util::stream::poll_fn(move |cx| frames.poll_recv(cx)));
        if !token.is_empty() {
            let value = format!("Bearer {token}")
                .parse()
                .map_err(|_| Error::invalid("the token holds characters that no token has"))?;
            request.metadata_mut().insert("authorization", value);
        }
        let opening = Box::pin(async move {
            let mut client: GrpcClient<Channel> =
                GrpcClient::new(channel).max_decoding_message_size(FRAME_BYTES_MAX);
            client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            client.streaming(request, CONNECT, Frames).await.map(tonic::Response::into_inner)
        });
        Ok(Grpc {
            sender,
            incoming: Incoming::Opening(opening),
            received: VecDeque::new(),
            ended: None,
            out: VecDeque::new(),
        })
    }

    pub(super) async fn ready(&mut self, behind: bool) -> io::Result<()> {
        if !self.received.is_empty() {
            return Ok(());
        }
        if let Some(error) = self.ended.take() {
            return Err(error);
        }
        tokio::select! {
            frame = self.incoming.next() => self.received.push_back(frame?),
            permit = self.sender.reserve(), if behind => {
                let permit = permit.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
                if let Some(frame) = self.out.pop_front() {
                    permit.send(frame);
                }
            }
        }
        Ok(())
    }

    /// Takes what else is there.
    pub(super) fn read(&mut self) {
        while self.received.len() < FRAMES_WAITING
            && self.ended.is_none()
            && let Some(frame) = self.incoming.next().now_or_never()
        {
            match frame {
                Ok(frame) => self.received.push_back(frame),
                Err(error) => self.ended = Some(error),
            }
        }
    }

    pub(super) fn frame(&mut self) -> Option<Bytes> {
        self.received.pop_front()
    }

    pub(super) fn wants_more(&self) -> bool {
        self.out.len() < FRAMES_WAITING
    }

    pub(super) fn queue(&mut self, body: Bytes) {
        self.out.push_back(body);
    }

    pub(super) fn write(&mut self) -> io::Result<()> {
        while let Some(frame) = self.out.pop_front() {
            match self.sender.try_send(frame) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(frame)) => {
                    self.out.push_front(frame);
                    return Ok(());
                }
                // Why the connection is gone is told by its other half.
                Err(mpsc::error::TrySendError::Closed(_)) => return Ok(()),
            }
        }
        Ok(())
    }

    pub(super) fn is_behind(&self) -> bool {
        !self.out.is_empty()
    }
}

impl Incoming {
    /// The next frame. Nothing is lost if this is dropped before it is there.
    async fn next(&mut self) -> io::Result<Bytes> {
        if let Incoming::Opening(opening) = self {
            let stream = opening.await.map_err(|status| failed(&status))?;
            *self = Incoming::Open(Box::new(stream));
        }
        let Incoming::Open(stream) = self else { return Err(io::ErrorKind::NotConnected.into()) };
        match stream.message().await {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(status) => Err(failed(&status)),
        }
    }
}

fn failed(status: &Status) -> io::Error {
    let code = match status.code() {
        GrpcCode::Unauthenticated => Code::Unauthenticated,
        GrpcCode::PermissionDenied => Code::PermissionDenied,
        GrpcCode::ResourceExhausted => Code::LimitExceeded,
        _ => Code::ConnectionLost,
    };
    io::Error::other(Error::new(code, status.message()))
}

/// What an error of several layers is about.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

/// Messages as they are.
struct Frames;

impl Codec for Frames {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Frames;
    type Decoder = Frames;

    fn encoder(&mut self) -> Frames {
        Frames
    }

    fn decoder(&mut self) -> Frames {
        Frames
    }
}

impl Encoder for Frames {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, frame: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(frame);
        Ok(())
    }
}

impl Decoder for Frames {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
