//! A gRPC stream: one message is one frame. No shared memory, no descriptors; works across machines.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use thornback_wire::Message;
use thornback_wire::framing::FRAME_BYTES_MAX;
use thornback_wire::grpc::SessionClient;
use thornback_wire::v1::ClientFrame;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::transport::Endpoint;

use super::{Address, OUT_BYTES_MAX, unreachable_node};
use crate::{Error, Result};

/// Frames between this carrier and the task that speaks HTTP/2, in either direction.
const FRAMES_MAX: usize = 32;

/// Dropping it ends the stream.
pub(in super::super) struct Grpc {
    to_node: mpsc::Sender<ClientFrame>,
    from_node: mpsc::Receiver<std::result::Result<Bytes, Status>>,
    came: VecDeque<Bytes>,
    /// Why the stream ended, if it did with an error.
    failed: Option<Status>,
    out: VecDeque<(ClientFrame, usize)>,
    out_bytes: usize,
}

impl Grpc {
    pub(super) async fn connect(host_port: &str, token: &str) -> Result<Grpc> {
        let address = Address::Tcp(host_port.to_owned());
        let endpoint = Endpoint::from_shared(format!("http://{host_port}"))
            .map_err(|error| Error::invalid(format!("{host_port:?} is no address of a node: {error}")))?;
        let channel =
            endpoint.tcp_nodelay(true).connect().await.map_err(|error| unreachable_node(&address, &error))?;
        let client = SessionClient::new(channel)
            .max_decoding_message_size(FRAME_BYTES_MAX)
            .max_encoding_message_size(FRAME_BYTES_MAX);
        let metadata = authorization(token)?;
        let (to_node, outgoing) = mpsc::channel(FRAMES_MAX);
        let (incoming, from_node) = mpsc::channel(FRAMES_MAX);
        // The answer's headers may come only after the first frame has gone out, so that nothing here waits for them.
        tokio::spawn(speak(client, metadata, outgoing, incoming));
        Ok(Grpc {
            to_node,
            from_node,
            came: VecDeque::new(),
            failed: None,
            out: VecDeque::new(),
            out_bytes: 0,
        })
    }

    /// Waits until a frame came or the stream ended; for one that is behind, also until there is room.
    pub(super) async fn ready(&mut self, behind: bool) -> io::Result<()> {
        if !self.came.is_empty() {
            return Ok(());
        }
        if let Some(status) = self.failed.take() {
            return Err(lost(&status));
        }
        tokio::select! {
            frame = self.from_node.recv() => match frame {
                Some(Ok(body)) => self.came.push_back(body),
                Some(Err(status)) => return Err(lost(&status)),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            },
            room = self.to_node.reserve(), if behind => {
                // One that is closed says why by way of `from_node`.
                if room.is_err() {
                    return Err(self.from_node.recv().await.and_then(std::result::Result::err).map_or_else(
                        || io::ErrorKind::BrokenPipe.into(),
                        |status| lost(&status),
                    ));
                }
            }
        }
        Ok(())
    }

    pub(super) fn frame(&mut self) -> Option<Bytes> {
        if let Some(body) = self.came.pop_front() {
            return Some(body);
        }
        match self.from_node.try_recv() {
            Ok(Ok(body)) => Some(body),
            Ok(Err(status)) => {
                self.failed = Some(status);
                None
            }
            // The end is seen by `ready`, once what came before it was taken.
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    pub(super) fn wants_more(&self) -> bool {
        self.out_bytes < OUT_BYTES_MAX
    }

    pub(super) fn queue(&mut self, body: Bytes) {
        let bytes = body.len();
        // The session made these bytes; were they no frame, the node would end the conversation as it must.
        let frame = ClientFrame::decode(body).unwrap_or_default();
        self.out_bytes += bytes;
        self.out.push_back((frame, bytes));
    }

    pub(super) fn write(&mut self) -> io::Result<()> {
        while let Some((frame, bytes)) = self.out.pop_front() {
            match self.to_node.try_send(frame) {
                Ok(()) => self.out_bytes -= bytes,
                Err(TrySendError::Full(frame)) => {
                    self.out.push_front((frame, bytes));
                    return Ok(());
                }
                // `ready` says why.
                Err(TrySendError::Closed(frame)) => {
                    self.out.push_front((frame, bytes));
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    pub(super) fn is_behind(&self) -> bool {
        !self.out.is_empty()
    }
}

/// Carries frames between the channels and the stream until either ends.
async fn speak(
    mut client: SessionClient<tonic::transport::Channel>,
    metadata: MetadataMap,
    outgoing: mpsc::Receiver<ClientFrame>,
    incoming: mpsc::Sender<std::result::Result<Bytes, Status>>,
) {
    let frames =
        stream::unfold(outgoing, async |mut outgoing| outgoing.recv().await.map(|frame| (frame, outgoing)));
    let mut request = tonic::Request::new(frames);
    *request.metadata_mut() = metadata;
    let mut answers = match client.connect(request).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => {
            // Nobody listens once the carrier is dropped.
            let _ = incoming.send(Err(status)).await;
            return;
        }
    };
    while let Some(answer) = answers.next().await {
        let answer = answer.map(|frame| Bytes::from(frame.encode_to_vec()));
        let over = answer.is_err();
        if incoming.send(answer).await.is_err() || over {
            return;
        }
    }
}

fn authorization(token: &str) -> Result<MetadataMap> {
    let mut headers = http::HeaderMap::new();
    if !token.is_empty() {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            Error::invalid(
                "the token has characters that no token has; read it from the node's token file".to_owned(),
            )
        })?;
        headers.insert(AUTHORIZATION, value);
    }
    Ok(MetadataMap::from_headers(headers))
}

fn lost(status: &Status) -> io::Error {
    io::Error::other(format!("the node ended the stream ({:?}): {}", status.code(), status.message()))
}
