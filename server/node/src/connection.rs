//! The task of one connection: it waits for bytes and for room, and leaves everything else to the node.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use thornback_transport::{grpc, unix};
use thornback_types::{Code, Failure};
use thornback_wire::framing::{Decoder, FRAME_BYTES_MAX};
use tokio::time::{Instant, sleep_until, timeout};

use crate::link::{Due, Link};
use crate::node::{Door, Node, frame_failure};
use crate::turn::Next;

/// Room for one read. A frame that is larger is read in several.
pub(crate) const BUFFER_BYTES: usize = 64 << 10;

/// Most room that is made ahead for a large frame, whatever its length claims.
const AHEAD_BYTES_MAX: usize = 1 << 20;

/// How long a connection may take to say hello.
const HELLO: Duration = Duration::from_secs(10);

/// How long the last words of a session may take to leave, and those of its peer to be heard.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Serves a connection of the Unix socket until it ends.
pub(crate) async fn serve_unix(node: Rc<RefCell<Node>>, connection: unix::Connection) {
    let unix::Connection { mut reader, writer, pid } = connection;
    let link = Rc::new(Link::unix(writer));
    let decoder = Decoder::new(FRAME_BYTES_MAX);
    let mut buffer = BytesMut::with_capacity(BUFFER_BYTES);
    let first = timeout(HELLO, first_frame(&mut reader, decoder, &mut buffer)).await;
    let body = match first {
        Ok(Some(Ok(body))) => body,
        // It went as it came.
        Ok(None) => return,
        Ok(Some(Err(failure))) => return turn_away(&node, &link, failure).await,
        Err(_) => return turn_away(&node, &link, no_hello()).await,
    };
    let session = node.borrow_mut().knock(&link, Door::Unix { pid }, body);
    if let Some(id) = session {
        let mut next = if buffer.is_empty() { Next::Read } else { Next::Again };
        let mut deaf_until = None;
        while next != Next::Close {
            if next == Next::Again {
                tokio::task::yield_now().await;
                next = node.borrow_mut().bytes_came(&link, id, decoder, &mut buffer);
                continue;
            }
            make_room(decoder, &mut buffer);
            tokio::select! {
                read = reader.read(&mut buffer) => {
                    let filled = buffer.len() == buffer.capacity();
                    next = match read {
                        Ok(1..) => node.borrow_mut().bytes_came(&link, id, decoder, &mut buffer),
                        _ => Next::Close,
                    };
                    if filled {
                        // There is more where this came from. Others first.
                        tokio::task::yield_now().await;
                    }
                }
                due = link.due(), if deaf_until.is_none() => match due {
                    Due::Flush => node.borrow_mut().has_room(&link, Some(id)),
                    Due::Close => next = Next::Close,
                    Due::HearOut => deaf_until = Some(Instant::now() + LAST_WORDS),
                },
                () = reached(deaf_until) => next = Next::Close,
            }
        }
        node.borrow_mut().connection_lost(&link, id);
    }
    let_go(&node, &link).await;
}

/// Serves a gRPC stream until it ends.
pub(crate) async fn serve_grpc(node: Rc<RefCell<Node>>, session: grpc::Session) {
    let grpc::Session { mut frames, sender, authorized } = session;
    let link = Rc::new(Link::grpc(sender));
    let body = match timeout(HELLO, frames.recv()).await {
        Ok(Some(Ok(body))) => body,
        Ok(None) => return,
        Ok(Some(Err(error))) => return turn_away(&node, &link, frame_failure(error, FRAME_BYTES_MAX)).await,
        Err(_) => return turn_away(&node, &link, no_hello()).await,
    };
    let session = node.borrow_mut().knock(&link, Door::Grpc { authorized }, body);
    if let Some(id) = session {
        let mut next = Next::Read;
        let mut deaf_until = None;
        while next != Next::Close {
            if next == Next::Again {
                tokio::task::yield_now().await;
                next = node.borrow_mut().frame_came(&link, id, None);
                continue;
            }
            tokio::select! {
                frame = frames.recv() => {
                    next = match frame {
                        Some(frame) => node.borrow_mut().frame_came(&link, id, Some(frame)),
                        None => Next::Close,
                    };
                    tokio::task::yield_now().await;
                }
                due = link.due(), if deaf_until.is_none() => match due {
                    Due::Flush => node.borrow_mut().has_room(&link, Some(id)),
                    Due::Close => next = Next::Close,
                    Due::HearOut => deaf_until = Some(Instant::now() + LAST_WORDS),
                },
                () = reached(deaf_until) => next = Next::Close,
            }
        }
        node.borrow_mut().connection_lost(&link, id);
    }
    let_go(&node, &link).await;
}

/// The body of the first frame; `None` if the connection ends before.
async fn first_frame(
    reader: &mut unix::Reader,
    decoder: Decoder,
    buffer: &mut BytesMut,
) -> Option<Result<Bytes, Failure>> {
    loop {
        match decoder.next(buffer) {
            Ok(Some(body)) => return Some(Ok(body)),
            Ok(None) => {}
            Err(too_large) => return Some(Err(Failure::new(Code::FrameTooLarge, too_large.to_string()))),
        }
        make_room(decoder, buffer);
        if !matches!(reader.read(buffer).await, Ok(1..)) {
            return None;
        }
    }
}

/// Makes room for the next read: enough for what there usually is, more within a large frame, and never what only a length claims.
fn make_room(decoder: Decoder, buffer: &mut BytesMut) {
    let missing = decoder.missing(buffer).unwrap_or(0);
    if buffer.capacity() - buffer.len() < BUFFER_BYTES / 4 || missing > BUFFER_BYTES {
        buffer.reserve(missing.clamp(BUFFER_BYTES, AHEAD_BYTES_MAX));
    }
}

/// Waits for a time; for ever if there is none.
async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn turn_away(node: &Rc<RefCell<Node>>, link: &Link, failure: Failure) {
    node.borrow().turn_away(link, failure);
    let_go_of(node, link).await;
}

/// Waits until the last words have left, for a while.
async fn let_go(node: &Rc<RefCell<Node>>, link: &Rc<Link>) {
    link.close();
    let_go_of(node, link).await;
}

async fn let_go_of(node: &Rc<RefCell<Node>>, link: &Link) {
    let leave = async {
        while link.due().await == Due::Flush {
            link.flush(&node.borrow().arenas);
        }
    };
    // A peer that does not read its last words does not get them.
    let _ = timeout(LAST_WORDS, leave).await;
}

fn no_hello() -> Failure {
    Failure::new(Code::NotHello, format!("no Hello came within {} s", HELLO.as_secs()))
}
