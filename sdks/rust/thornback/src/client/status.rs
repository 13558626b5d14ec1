//! What goes on in a node, for people and tools.

use std::collections::BTreeMap;
use std::time::Duration;

use thornback_types::UNITS_PER_WHOLE;
use thornback_wire::v1;

use super::Client;
use crate::actor::unexpected_reply;
use crate::{Code, Error, Result};

/// A node's state at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// Its version.
    pub server_version: String,
    /// How long it has run.
    pub uptime: Duration,
    /// Resources that it has, by name.
    pub total: BTreeMap<String, f64>,
    /// Resources that nothing holds.
    pub available: BTreeMap<String, f64>,
    /// Bytes of the object store in use.
    pub store_used_bytes: u64,
    /// Bytes that the object store can hold.
    pub store_capacity_bytes: u64,
    /// Bytes of objects that were written to disk to make room.
    pub spilled_bytes: u64,
    /// Open sessions.
    pub sessions: u64,
    /// Tasks that wait.
    pub tasks_queued: u64,
    /// Tasks that run.
    pub tasks_running: u64,
    /// Tasks that are over.
    pub tasks_finished: u64,
    /// Live actors.
    pub actors: u64,
    /// Live objects.
    pub objects: u64,
    /// Nodes of the cluster.
    pub nodes: u64,
    /// Its worker processes.
    pub workers: Vec<Worker>,
}

/// One worker process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Worker {
    /// Its process id.
    pub pid: u64,
    /// The pool that it belongs to.
    pub pool: String,
    /// `"starting"`, `"idle"`, `"busy"` or `"actor"`.
    pub state: String,
    /// Memory that it has, in bytes.
    pub rss_bytes: u64,
}

/// Live things of one kind; see [`Client::list`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Listing {
    /// A JSON object each, with at least `id` and, where the thing has one, `state` and `name`. Other keys may come and go.
    pub items: Vec<serde_json::Value>,
    /// Whether there were more than were asked for.
    pub truncated: bool,
}

impl Client {
    /// Live things of a kind: `"tasks"`, `"actors"`, `"objects"`, `"workers"`, `"pools"` or `"sessions"`. At most `limit` of them; with 0, as many as the
    /// node chooses.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::Code::InvalidArgument) if there is no such kind, or if the session is over.
    pub async fn list(&self, kind: &str, limit: u32) -> Result<Listing> {
        let list = v1::ListState { kind: kind.into(), limit };
        let v1::reply::Reply::State(found) = self.link.request(v1::request::Request::ListState(list)).await?
        else {
            return Err(unexpected_reply());
        };
        let items =
            found.items.iter().map(|item| serde_json::from_str(item)).collect::<std::result::Result<_, _>>();
        let items = items.map_err(|error| {
            Error::new(Code::Internal, format!("the node listed something that is no JSON: {error}"))
        })?;
        Ok(Listing { items, truncated: found.truncated })
    }

    /// What goes on in the node.
    ///
    /// # Errors
    /// If the session is over.
    pub async fn status(&self) -> Result<Status> {
        let reply = self.link.request(v1::request::Request::GetStatus(v1::GetStatus {})).await?;
        let v1::reply::Reply::Status(status) = reply else { return Err(unexpected_reply()) };
        Ok(Status {
            server_version: status.server_version,
            uptime: Duration::from_millis(status.uptime_ms),
            total: amounts(status.total),
            available: amounts(status.available),
            store_used_bytes: status.store_used_bytes,
            store_capacity_bytes: status.store_capacity_bytes,
            spilled_bytes: status.spilled_bytes,
            sessions: status.sessions,
            tasks_queued: status.tasks_queued,
            tasks_running: status.tasks_running,
            tasks_finished: status.tasks_finished,
            actors: status.actors,
            objects: status.objects,
            nodes: status.nodes,
            workers: status.worker_list.into_iter().map(worker).collect(),
        })
    }
}

fn worker(info: v1::WorkerInfo) -> Worker {
    Worker { pid: info.pid, pool: info.pool, state: info.state, rss_bytes: info.rss_bytes }
}

fn amounts(resources: Option<v1::Resources>) -> BTreeMap<String, f64> {
    let amounts = resources.unwrap_or_default().amounts;
    amounts.into_iter().map(|(name, units)| (name, units as f64 / UNITS_PER_WHOLE as f64)).collect()
}
