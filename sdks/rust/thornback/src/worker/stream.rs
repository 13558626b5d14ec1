//! Functions that yield.

use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::task::Poll;

use futures_util::{Stream, StreamExt};
use thornback_wire::convert::WireId;
use thornback_wire::v1;

use super::Context;
use super::call::Call;
use super::invocation::{Output, Outputs};
use crate::link::Item;
use crate::object::store_result;
use crate::scope::Waiting;
use crate::value::{Data, Encoded, encode_owned};
use crate::{Error, Result};

/// Where the items of a stream go: to the node, as fast as the consumer takes them.
pub struct Sink {
    context: Context,
    window: u64,
}

impl Sink {
    pub(super) fn new(context: Context) -> Sink {
        let window = context.scope().call.declared.stream_window.into();
        Sink { context, window }
    }

    fn call(&self) -> &Call {
        &self.context.scope().call
    }

    async fn send(&self, encoded: Encoded) -> Result<()> {
        self.room().await;
        let index = self.call().yielded.load(Ordering::Relaxed);
        let Encoded { value, keep } = encoded;
        let link = &self.context.link;
        let result = if link.is_inline(&value) {
            v1::result::Result::Value(value.into())
        } else {
            let number = u32::try_from(index)
                .map_err(|_| Error::invalid("a stream has more items than can be numbered"))?;
            store_result(
                &self.context,
                self.context.task_id(),
                self.call().attempt,
                number,
                Encoded { value, keep: Default::default() },
            )
            .await?;
            v1::result::Result::Stored(true)
        };
        let item = Some(v1::Result { result: Some(result) });
        let item =
            v1::Yield { task: self.context.task_id().write(), attempt: self.call().attempt, index, item };
        let item = Box::new(v1::client_op::Op::Yield(Box::new(item)));
        link.push_lazily(|outbox| outbox.push(Item::Op(item)));
        link.nudge();
        drop(keep);
        self.call().yielded.store(index + 1, Ordering::Relaxed);
        Ok(())
    }

    /// Waits while the consumer is too far behind. Meanwhile others may have the processor: what consumes the items, perhaps.
    async fn room(&self) {
        let (call, window) = (self.call(), self.window);
        let yielded = call.yielded.load(Ordering::Relaxed);
        let mut waiting = None;
        poll_fn(|cx| {
            let open = || window == 0 || yielded < call.consumed().saturating_add(window);
            if open() {
                return Poll::Ready(());
            }
            call.gate.register(cx.waker());
            // It may have moved on between the look and the registration.
            if open() {
                return Poll::Ready(());
            }
            waiting.get_or_insert_with(|| Waiting::begin(None, false));
            Poll::Pending
        })
        .await;
    }
}

/// Sends every item of a stream, up to its first error: one of its own, or of encoding or storing an item.
///
/// # Errors
/// None: an error of the stream is part of what it gives.
pub async fn drive<T: Data>(stream: impl Stream<Item = Result<T>>, sink: Sink) -> Result<Output> {
    let mut stream = std::pin::pin!(stream);
    while let Some(item) = stream.next().await {
        let sent = match item {
            Ok(item) => match encode_owned(item) {
                Ok(encoded) => sink.send(encoded).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            return Ok(Output(Outputs::Streamed(Err(error))));
        }
    }
    Ok(Output(Outputs::Streamed(Ok(()))))
}
