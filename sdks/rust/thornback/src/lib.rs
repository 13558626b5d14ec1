//! Thornback for Rust programs: run functions on other processes and machines, keep state in actors, and share large values by reference.
//!
//! A **driver** connects with [`Client`] and submits; a **worker** serves with [`Worker`]. The two find each other through a node, which keeps all hard
//! state: this crate holds ids, encodes values and raises errors.
//!
//! ```no_run
//! use thornback::{Client, Pool, Result, Worker};
//!
//! #[thornback::task]
//! async fn add(a: i64, b: i64) -> i64 {
//!     a + b
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<()> {
//!     // One program for both: the node starts it again as a worker.
//!     if Worker::is_launched() {
//!         return Worker::new().register::<add>().serve().await;
//!     }
//!     let client = Client::local().await?;
//!     client.declare_pool(Pool::this_program("demo").serves::<add>()).await?;
//!
//!     let three = add::submit(&client, 1, 2);
//!     let ten = add::submit(&client, &three, 7);
//!     println!("{}", ten.await?);
//!     Ok(())
//! }
//! ```
//!
//! # Where to look
//!
//! | to | see |
//! |---|---|
//! | make a function remote | [`task`](macro@task), [`Task`], [`Context`] |
//! | keep state in a worker | [`actor`](macro@actor), [`Class`], [`Method`], [`ActorHandle`] |
//! | wait for results | [`Ref`], [`get_all`], [`wait`], [`RefStream`] |
//! | share large values | [`Client::put`], [`Client::create`], [`Bytes`], [`Tensor`] |
//! | call another language | [`Task::named`], [`Class::named`], [`Args`] |
//! | reserve resources | [`Task::num_cpus`], [`Client::create_placement_group`] |
//! | understand an error | [`Error`], [`Code`] |
//!
//! # Futures
//!
//! Every future of this crate may be dropped at any time, and nothing is lost by that: what was asked of the node is done all the same, and what was waited
//! for can be waited for again. A task is ended with [`Ref::cancel`], not by dropping what waits for it; only dropping a [`RefStream`] ends its task.
//!
//! All handles ([`Client`], [`Ref`], [`RefStream`], [`ActorHandle`], [`Context`]) can be sent to and, but for streams, shared by threads.
//!
//! # What it never does
//!
//! It decides nothing about where and when something runs, and retries nothing: the node does. It needs no particular executor: each session has a thread of
//! its own, and everything that can be awaited works on any executor or none ([`Ref::blocking_get`]). It has no unsafe code but the mapping of shared memory.

#![deny(unsafe_code)]

// The attributes write `::thornback`, also where they are used in here.
extern crate self as thornback;

mod actor;
mod arg;
mod client;
mod error;
pub mod interface;
mod link;
mod object;
mod options;
mod scope;
mod task;
pub mod value;
mod worker;

pub use actor::{ActorHandle, Class, Creating, KillOptions, Method};
pub use arg::{Arg, Args};
pub use bytes::Bytes;
pub use client::{Client, ConnectOptions, Listing, PlacementGroup, Pool, Status, Strategy, WorkerStatus};
pub use error::{Code, Error, Fault, Result};
pub use futures_core::Stream;
pub use object::{Buffer, CancelOptions, Get, Ref, RefStream, Wait, Waited, get_all, wait};
pub use task::{Returns, Task};
pub use thornback_macros::{actor, task};
pub use thornback_types::{ActorId, JobId, NodeId, ObjectId, PlacementGroupId, TaskId};
pub use value::{Data, Element, Tensor};
pub use worker::{Context, Serve, ServeActor, Worker};

/// What the attributes' code is written against. No part of the public interface.
#[doc(hidden)]
pub mod __private {
    use std::result::Result;

    use futures_util::{Stream, StreamExt};

    pub use crate::worker::{
        ClassDefinition, Definition, MethodDefinition, build, call_mut, call_shared, drive, many, one,
        user_error,
    };
    pub use serde;

    /// A `Result`, whatever it is called.
    pub trait Fallible {
        /// What it holds if all went well.
        type Ok;
    }

    impl<T, E> Fallible for Result<T, E> {
        type Ok = T;
    }

    /// The items of a stream that does not fail.
    pub fn items<T>(stream: impl Stream<Item = T>) -> impl Stream<Item = crate::Result<T>> {
        stream.map(Ok)
    }

    /// The items of a stream that may fail, with errors as they go back to the caller.
    pub fn try_items<T, E>(stream: impl Stream<Item = Result<T, E>>) -> impl Stream<Item = crate::Result<T>>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        stream.map(|item| item.map_err(user_error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_and_futures_can_be_sent_between_threads() {
        fn shared<T: Send + Sync>() {}
        fn sent<T: Send>(_: impl FnOnce() -> T) {}
        // What a ref stands for need not be shareable.
        type Local = std::cell::Cell<u8>;
        shared::<Client>();
        shared::<Context>();
        shared::<Ref<Local>>();
        shared::<ActorHandle>();
        shared::<Task<(Local,), Ref<Local>>>();
        shared::<Class<(Local,), ActorHandle>>();
        shared::<Method<(Local,), Ref<Local>>>();
        shared::<Tensor>();
        shared::<Error>();
        shared::<Pool>();
        shared::<PlacementGroup>();
        shared::<ConnectOptions>();
        shared::<Buffer>();
        sent(|| -> Option<RefStream<Local>> { None });
        sent(|| -> Option<Get<Local>> { None });
        sent(|| -> Option<Wait<Local>> { None });
        sent(|| get_all::<u8>([]));
        sent(|| Client::connect(""));
        sent(|| Worker::new().serve());
    }
}
