//! The gRPC carrier: `Session.Connect` and `Control.Send` over HTTP/2, on a thread and runtime of their own.
//!
//! Messages pass through as bytes. The node decodes them, so there is one decoder and one set of refusals for both carriers, and this
//! thread knows no message at all. It listens on the loopback interface only: anything else needs TLS, which this carrier does not have.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{io, thread};

use bytes::{Buf, BufMut, Bytes};
use http::{Request, Response};
use hyper::body::Incoming as HttpBody;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::{Code, Status};

use crate::Token;

const CONNECT: &str = "/thornback.v1.Session/Connect";
const SEND: &str = "/thornback.v1.Control/Send";

/// Bounds of the carrier. Every one is finite.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest frame or request taken, in bytes.
    pub frame_bytes: usize,
    /// TCP connections at once; one more waits in the listening socket's backlog.
    pub connections: usize,
    /// Streams (sessions and requests) at once on one connection.
    pub streams: u32,
    /// Frames that may wait between this thread and the node, per session and direction.
    pub frames_waiting: usize,
    /// How often a quiet connection is asked whether it still lives.
    pub keepalive: Duration,
    /// How long it may take to answer that.
    pub keepalive_timeout: Duration,
    /// How long a request may take to arrive and be answered.
    pub request_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 4 << 20,
            connections: 256,
            streams: 64,
            frames_waiting: 16,
            keepalive: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(20),
            request_timeout: Duration::from_secs(60),
        }
    }
}

/// Why the node does not listen where it was told to.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address can be reached from other machines.
    #[error(
        "refused to listen on {0}: it can be reached from other machines, which needs TLS (the flags --tls-cert and --tls-key), and this \
         version has no TLS yet; listen on 127.0.0.1 and use a tunnel such as `ssh -L` to reach it from elsewhere"
    )]
    NotLoopback(SocketAddr),
    /// The system refused.
    #[error("cannot listen on {address}: {source}; choose another --grpc-port (0 takes any), or --no-grpc")]
    Io {
        /// Where.
        address: SocketAddr,
        /// The refusal.
        source: io::Error,
    },
}

/// Listens on a loopback address; port 0 takes any free one.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    if !address.ip().is_loopback() {
        return Err(BindError::NotLoopback(address));
    }
    let bind = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|source| BindError::Io { address, source })
}

/// What comes to the node through this carrier.
#[derive(Debug)]
pub enum Incoming {
    /// A `Session.Connect` stream began.
    Session(Session),
    /// A `Control.Send` request. Its peer has shown the token.
    Control(Control),
}

/// One `Session.Connect` stream.
#[derive(Debug)]
pub struct Session {
    /// Encoded `ClientFrame`s. Ends when the client ends the stream or is lost; an error is the last item.
    pub frames: mpsc::Receiver<Result<Bytes, FrameError>>,
    /// Encoded `ServerFrame`s. Dropping it ends the stream.
    pub sender: mpsc::Sender<Bytes>,
    /// The metadata carried the token. If not, the `Hello` must.
    pub authorized: bool,
}

/// One `Control.Send` request.
#[derive(Debug)]
pub struct Control {
    /// Encoded `Request`.
    pub request: Bytes,
    /// Takes the encoded `Reply`. Dropping it answers with an error.
    pub reply: oneshot::Sender<Bytes>,
}

/// A frame that could not be taken; nothing follows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FrameError {
    /// It was larger than [`Limits::frame_bytes`].
    TooLarge,
    /// It was cut short, compressed, or not gRPC.
    Malformed(String),
}

/// The running carrier. Dropping it ends every connection and the thread.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Serves `listener` on a new thread. What comes is sent to `incoming`; when its receiver is gone, clients get UNAVAILABLE.
    pub fn start(
        listener: TcpListener,
        token: Token,
        limits: Limits,
        incoming: mpsc::Sender<Incoming>,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let shared = Arc::new(Shared { token, limits, incoming });
        let thread = thread::Builder::new().name("grpc".into()).spawn(move || {
            runtime.block_on(serve(listener, shared, stopped));
            // Ends the tasks of connections that are still open.
            runtime.shutdown_timeout(Duration::from_millis(100));
        })?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Shared {
    token: Token,
    limits: Limits,
    incoming: mpsc::Sender<Incoming>,
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the gRPC carrier cannot listen"),
    };
    let permits = Arc::new(Semaphore::new(shared.limits.connections));
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let window = u32::try_from(shared.limits.frame_bytes).unwrap_or(u32::MAX / 2).clamp(1 << 16, 1 << 24);
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(shared.limits.keepalive)
        .keep_alive_timeout(shared.limits.keepalive_timeout)
        .max_concurrent_streams(shared.limits.streams)
        .max_frame_size(1 << 16)
        .initial_stream_window_size(window)
        .initial_connection_window_size(window * 2)
        .max_send_buf_size(1 << 20)
        .max_header_list_size(16 << 10)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100);
    loop {
        let accept = async {
            // Never closed: `permits` outlives the loop.
            let permit = Arc::clone(&permits).acquire_owned().await.ok();
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            accepted = accept => accepted,
            _ = stopped.changed() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again shortly");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        let service = hyper::service::service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(answer(&shared, request).await) }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a gRPC connection ended");
            }
            drop(permit);
        });
    }
}

async fn answer(shared: &Arc<Shared>, request: Request<HttpBody>) -> Response<Body> {
    let authorization = match authorize(&shared.token, &request) {
        Ok(authorization) => authorization,
        Err(status) => return status.into_http(),
    };
    let mut grpc = tonic::server::Grpc::new(Raw)
        .max_decoding_message_size(shared.limits.frame_bytes)
        .max_encoding_message_size(usize::MAX);
    let shared = Arc::clone(shared);
    match request.uri().path() {
        CONNECT => {
            grpc.streaming(Connect { shared, authorized: authorization == Authorization::Shown }, request)
                .await
        }
        SEND if authorization == Authorization::Absent => {
            unauthenticated("the request carries no token").into_http()
        }
        SEND => {
            let limit = shared.limits.request_timeout;
            match tokio::time::timeout(limit, grpc.unary(Send { shared }, request)).await {
                Ok(response) => response,
                Err(_) => Status::deadline_exceeded("the request took too long").into_http(),
            }
        }
        other => Status::unimplemented(format!("no method {other}: this server has {CONNECT} and {SEND}"))
            .into_http(),
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Authorization {
    Shown,
    Absent,
}

fn authorize(token: &Token, request: &Request<HttpBody>) -> Result<Authorization, Status> {
    let Some(value) = request.headers().get(http::header::AUTHORIZATION) else {
        return Ok(Authorization::Absent);
    };
    let offered = value.to_str().ok().and_then(|text| text.strip_prefix("Bearer "));
    if offered.is_some_and(|offered| token.matches(offered)) {
        return Ok(Authorization::Shown);
    }
    Err(unauthenticated("the token is wrong"))
}

fn unauthenticated(what: &str) -> Status {
    Status::unauthenticated(format!(
        "{what}: send the contents of the node's token file as metadata `authorization: Bearer <token>` (`thornback status --json` names the file)"
    ))
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<tonic::Response<T>, Status>> + std::marker::Send>>;

struct Connect {
    shared: Arc<Shared>,
    authorized: bool,
}

impl tonic::server::StreamingService<Bytes> for Connect {
    type Response = Bytes;
    type ResponseStream = Outgoing;
    type Future = Answer<Outgoing>;

    fn call(&mut self, request: tonic::Request<Streaming<Bytes>>) -> Self::Future {
        let (shared, authorized) = (Arc::clone(&self.shared), self.authorized);
        Box::pin(async move {
            let (frames_in, frames) = mpsc::channel(shared.limits.frames_waiting);
            let (sender, frames_out) = mpsc::channel(shared.limits.frames_waiting);
            let session = Incoming::Session(Session { frames, sender, authorized });
            shared.incoming.send(session).await.map_err(|_| stopping())?;
            tokio::spawn(receive(request.into_inner(), frames_in));
            Ok(tonic::Response::new(Outgoing { inner: ReceiverStream::new(frames_out) }))
        })
    }
}

/// Carries frames from the stream to the node until either ends.
async fn receive(mut stream: Streaming<Bytes>, frames: mpsc::Sender<Result<Bytes, FrameError>>) {
    loop {
        let next = tokio::select! {
            next = stream.next() => next,
            // The node has ended the session: stop reading, which resets the stream.
            () = frames.closed() => return,
        };
        let item = match next {
            None => return,
            Some(Ok(frame)) => Ok(frame),
            Some(Err(status)) => match status.code() {
                Code::OutOfRange | Code::ResourceExhausted => Err(FrameError::TooLarge),
                // The peer went away, which is no fault of the frame.
                Code::Cancelled | Code::Unavailable | Code::Unknown => return,
                _ => Err(FrameError::Malformed(status.message().to_owned())),
            },
        };
        let last = item.is_err();
        if frames.send(item).await.is_err() || last {
            return;
        }
    }
}

/// The response stream of a session.
struct Outgoing {
    inner: ReceiverStream<Bytes>,
}

impl Stream for Outgoing {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.inner).poll_next(context).map(|next| next.map(Ok))
    }
}

struct Send {
    shared: Arc<Shared>,
}

impl tonic::server::UnaryService<Bytes> for Send {
    type Response = Bytes;
    type Future = Answer<Bytes>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let control = Incoming::Control(Control { request: request.into_inner(), reply });
            shared.incoming.send(control).await.map_err(|_| stopping())?;
            answer.await.map(tonic::Response::new).map_err(|_| stopping())
        })
    }
}

fn stopping() -> Status {
    Status::unavailable("the node is stopping")
}

/// Messages as the bytes that they are on the wire.
#[derive(Clone, Copy, Debug, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http::uri::PathAndQuery;
    use tonic::transport::{Channel, Endpoint};

    use super::*;

    struct Bench {
        server: Server,
        token: String,
        incoming: mpsc::Receiver<Incoming>,
    }

    fn bench(limits: Limits) -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let token = Token::create(&path).unwrap();
        let (sender, incoming) = mpsc::channel(8);
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let server = Server::start(listener, token, limits, sender).unwrap();
        Bench { server, token: std::fs::read_to_string(path).unwrap(), incoming }
    }

    impl Bench {
        async fn client(&self) -> tonic::client::Grpc<Channel> {
            let channel = Endpoint::from_shared(format!("http://{}", self.server.address()))
                .unwrap()
                .connect()
                .await
                .unwrap();
            let mut client = tonic::client::Grpc::new(channel);
            client.ready().await.unwrap();
            client
        }

        fn with_token<T>(&self, message: T) -> tonic::Request<T> {
            let mut request = tonic::Request::new(message);
            request.metadata_mut().insert("authorization", format!("Bearer {}", self.token).parse().unwrap());
            request
        }
    }

    #[tokio::test]
    async fn frames_pass_both_ways_and_the_end_is_seen() {
        let mut bench = bench(Limits::default());
        let mut client = bench.client().await;
        let (frames_out, frames) = mpsc::channel(4);
        frames_out.send(Bytes::from_static(b"one")).await.unwrap();
        let request = bench.with_token(ReceiverStream::new(frames));
        let response = client.streaming(request, PathAndQuery::from_static(CONNECT), Raw).await.unwrap();
        let mut answers = response.into_inner();
        let Some(Incoming::Session(mut session)) = bench.incoming.recv().await else {
            panic!("no session came")
        };
        assert!(session.authorized);
        assert_eq!(session.frames.recv().await, Some(Ok(Bytes::from_static(b"one"))));
        session.sender.send(Bytes::from_static(b"two")).await.unwrap();
        assert_eq!(answers.next().await.unwrap().unwrap(), Bytes::from_static(b"two"));
        drop(frames_out);
        assert_eq!(session.frames.recv().await, None);
        drop(session);
        assert!(answers.next().await.is_none());
    }

    #[tokio::test]
    async fn requests_need_the_token() {
        let mut bench = bench(Limits::default());
        let mut client = bench.client().await;
        let path = PathAndQuery::from_static(SEND);
        let refused = client
            .unary::<_, Bytes, _>(tonic::Request::new(Bytes::new()), path.clone(), Raw)
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        let mut wrong = tonic::Request::new(Bytes::new());
        wrong.metadata_mut().insert("authorization", "Bearer 0123".parse().unwrap());
        client.ready().await.unwrap();
        let refused = client.unary::<_, Bytes, _>(wrong, path.clone(), Raw).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        let request = bench.with_token(Bytes::from_static(b"ask"));
        client.ready().await.unwrap();
        let answer = client.unary::<_, Bytes, _>(request, path, Raw);
        let node = async {
            let Some(Incoming::Control(control)) = bench.incoming.recv().await else {
                panic!("no request came")
            };
            assert_eq!(control.request, Bytes::from_static(b"ask"));
            control.reply.send(Bytes::from_static(b"answer")).unwrap();
        };
        let (answer, ()) = tokio::join!(answer, node);
        assert_eq!(answer.unwrap().into_inner(), Bytes::from_static(b"answer"));
    }

    #[tokio::test]
    async fn a_frame_over_the_limit_is_named_as_such() {
        let mut bench = bench(Limits { frame_bytes: 1000, ..Limits::default() });
        let mut client = bench.client().await;
        let request = tonic::Request::new(tokio_stream::iter([Bytes::from(vec![0; 1001])]));
        let _response = client
            .streaming::<_, _, Bytes, _>(request, PathAndQuery::from_static(CONNECT), Raw)
            .await
            .unwrap();
        let Some(Incoming::Session(mut session)) = bench.incoming.recv().await else {
            panic!("no session came")
        };
        assert!(!session.authorized);
        assert_eq!(session.frames.recv().await, Some(Err(FrameError::TooLarge)));
        assert_eq!(session.frames.recv().await, None);
    }

    #[tokio::test]
    async fn unknown_methods_and_a_gone_node_are_told_plainly() {
        let mut bench = bench(Limits::default());
        let mut client = bench.client().await;
        let request = bench.with_token(Bytes::new());
        let path = PathAndQuery::from_static("/thornback.v1.Session/Leave");
        let refused = client.unary::<_, Bytes, _>(request, path, Raw).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented);
        bench.incoming.close();
        let request = bench.with_token(Bytes::new());
        client.ready().await.unwrap();
        let refused =
            client.unary::<_, Bytes, _>(request, PathAndQuery::from_static(SEND), Raw).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
    }

    #[test]
    fn listens_on_loopback_only() {
        for address in ["0.0.0.0:0", "10.1.2.3:0", "[::]:0"] {
            let refused = bind(address.parse().unwrap()).unwrap_err();
            assert!(refused.to_string().contains("--tls-cert"), "{refused}");
        }
        bind("[::1]:0".parse().unwrap())
            .or_else(|error| match error {
                // A machine without IPv6.
                BindError::Io { .. } => bind("127.0.0.1:0".parse().unwrap()),
                refused @ BindError::NotLoopback(_) => Err(refused),
            })
            .unwrap();
    }
}
