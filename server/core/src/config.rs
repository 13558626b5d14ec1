//! What a node is told when it starts.

use std::time::Duration;

use thornback_types::{NodeId, Resources};

/// The facts and limits of one node. `Config::new` gives the defaults.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node: one start of one process. A server that starts again is another node.
    pub node: NodeId,
    /// The node that runs the control plane; this one, unless it joins a cluster.
    pub head: NodeId,
    /// Seeds the hashes. Unpredictable in production, fixed in tests.
    pub seed: u64,
    /// What the node has to give.
    pub resources: Resources,
    /// Bytes of shared memory for objects.
    pub store_bytes: u64,
    /// Largest value kept in the node's own memory, bytes. Larger ones are refused as values and belong in the store.
    pub inline_bytes: u64,
    /// Bytes of calls that drivers may have submitted and that have not ended; those that have any share it. A driver with more than its share is given
    /// no more credit.
    pub backlog_bytes: u64,
    /// Bytes of such calls above which a session's submissions are refused. Only workers, who are never held back, can come so far.
    pub backlog_bytes_max: u64,
    /// Workers of one pool that may exist at once besides actors and blocked ones.
    pub workers_per_pool: usize,
    /// A worker with nothing to do ends after this long, unless it is among the pool's `prestart`.
    pub idle_worker: Duration,
    /// A started process that has not said hello by then has failed.
    pub worker_start: Duration,
    /// A task that fits on no node is worth a notice after this long.
    pub infeasible_notice: Duration,
    /// A store request that nothing can make room for fails after this long.
    pub store_wait: Duration,
    /// Share of memory in use above which a worker is ended, in percent.
    pub memory_limit_percent: u64,
    /// Nodes tell the head that they live this often; a node silent for five times as long is dead.
    pub heartbeat: Duration,
    /// Whether plain tasks go the short way. It changes no effect, which a test shows by turning it off.
    pub short_way: bool,
}

impl Config {
    /// A node of its own with these resources and defaults otherwise.
    #[must_use]
    pub fn new(node: NodeId, resources: Resources) -> Config {
        let cpus =
            usize::try_from(resources.get(Resources::CPU) / thornback_types::UNITS_PER_WHOLE).unwrap_or(1);
        Config {
            node,
            head: node,
            seed: 0,
            resources,
            store_bytes: 1 << 30,
            inline_bytes: 100 * 1024,
            backlog_bytes: 1 << 30,
            backlog_bytes_max: 4 << 30,
            workers_per_pool: (cpus * 4).max(16),
            idle_worker: Duration::from_secs(60),
            worker_start: Duration::from_secs(60),
            infeasible_notice: Duration::from_secs(5),
            store_wait: Duration::from_secs(10),
            memory_limit_percent: 95,
            heartbeat: Duration::from_secs(1),
            short_way: true,
        }
    }
}
