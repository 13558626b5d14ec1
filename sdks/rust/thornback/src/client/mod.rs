//! The driver's side of a session: connecting, and what is asked of the node as a whole.

mod connect;
mod local;
mod placement;
mod pool;
mod status;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use thornback_types::{JobId, NodeId, TaskId};
use thornback_wire::convert::WireId;
use thornback_wire::v1;
use tokio::sync::oneshot;

use crate::link::{Item, Link};
use crate::object::{Get, Ref};
use crate::scope::Scope;
use crate::value::Data;
use crate::{Error, Result};

pub use connect::ConnectOptions;
pub(crate) use connect::{Where, env_address, hello, read_token};
pub(crate) use local::LocalServer;
pub use placement::{PlacementGroup, Strategy};
pub use pool::Pool;
pub use status::{Listing, Status, Worker as WorkerStatus};

/// A session with a node.
///
/// Cheap to clone; clones share the session, which ends when the last clone, ref and actor handle of it is gone, or with [`Client::close`]. A driver's work
/// ends with its session. All methods may be called from any thread, inside or outside of any executor.
///
/// ```no_run
/// # async fn example() -> thornback::Result<()> {
/// use thornback::Client;
///
/// let client = Client::local().await?;                         // a node of its own, for as long as it lives
/// let client = Client::connect("unix:/run/thornback.sock").await?; // one that runs already
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) link: Arc<Link>,
    /// The task that this client belongs to, in a worker.
    pub(crate) scope: Option<Arc<Scope>>,
}

/// Wishes that may wait for the session's thread before [`Client::ready`] waits.
const READY_ITEMS_MAX: usize = 16 * 1024;

impl Client {
    /// Connects to the node at `address`: `"unix:/path/of/the/socket"`, or `"host:port"` with the feature `grpc`. For anything else to be said, see
    /// [`ConnectOptions`].
    ///
    /// # Errors
    /// If no node answers there, or it refuses the session.
    pub async fn connect(address: &str) -> Result<Client> {
        ConnectOptions::new().connect(address).await
    }

    /// Connects to the node that `THORNBACK_ADDRESS` names.
    ///
    /// # Errors
    /// If it is not set; otherwise as for [`Client::connect`].
    pub async fn from_env() -> Result<Client> {
        ConnectOptions::new().connect_from_env().await
    }

    /// Starts a node for this program alone, and connects to it. It ends with the session, or with the program.
    ///
    /// The server is the program `thornback`, found through `THORNBACK_BINARY` or `PATH`.
    ///
    /// # Errors
    /// If it is not found or does not start.
    pub async fn local() -> Result<Client> {
        ConnectOptions::new().local().await
    }

    /// The client of the task that runs on this thread, if one does. A task that takes a [`Context`](crate::Context) has it there.
    #[must_use]
    pub fn current() -> Option<Client> {
        crate::scope::current_client()
    }

    /// Waits for the value of a ref; the same as awaiting it.
    pub fn get<T: Data>(&self, r: &Ref<T>) -> Get<T> {
        r.get()
    }

    /// Waits while more calls are on their way than the session keeps up with.
    ///
    /// Submitting never waits by itself. A program that submits without end, and without awaiting results, awaits this now and then, so that what it has
    /// submitted does not pile up in its memory.
    ///
    /// # Errors
    /// If the session is over.
    pub async fn ready(&self) -> Result<()> {
        if self.link.waiting_items() < READY_ITEMS_MAX { Ok(()) } else { self.flush().await }
    }

    /// Waits until everything that was submitted before is on its way to the node.
    ///
    /// # Errors
    /// If the session is over.
    pub async fn flush(&self) -> Result<()> {
        let (sender, receiver) = oneshot::channel();
        self.link.push(Item::Flush(sender));
        receiver.await.unwrap_or_else(|_| Err(Error::connection_lost("the session is over")))
    }

    /// Ends the session, also for clones, refs and handles that still exist: a driver's work ends, and what is awaited fails. Gives back once the node has
    /// been told.
    pub async fn close(self) {
        let (sender, receiver) = oneshot::channel();
        self.link.push(Item::Close(Some(sender)));
        // Dropped without a word when it is done.
        let _ = receiver.await;
    }

    /// The node that the session is with.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.link.welcome.node
    }

    /// The job that the session's work belongs to.
    #[must_use]
    pub fn job_id(&self) -> Option<JobId> {
        self.link.welcome.job
    }

    /// The namespace in which named actors are made and looked up.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.link.welcome.namespace
    }

    /// The server's name and version.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.link.welcome.server
    }

    /// The task that submits through this client, as it goes on the wire.
    pub(crate) fn parent(&self) -> Bytes {
        TaskId::write_optional(self.parent_task())
    }

    /// The task that submits through this client.
    pub(crate) fn parent_task(&self) -> Option<TaskId> {
        self.scope.as_ref().map(|scope| scope.task)
    }

    /// Sends a request that is answered by "done".
    pub(crate) async fn request_done(&self, request: v1::request::Request) -> Result<()> {
        match self.link.request(request).await? {
            v1::reply::Reply::Done(_) => Ok(()),
            _ => Err(crate::actor::unexpected_reply()),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({} at node {})", self.link.welcome.server, self.node_id())
    }
}
