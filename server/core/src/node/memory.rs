//! What to do when the machine runs out of memory: end one worker, never the node.

use std::cmp::Reverse;

use thornback_types::{Code, Failure, WorkerId};

use crate::input::Retries;
use crate::node::Node;
use crate::node::worker::{Worker, WorkerState};

/// What ending a worker costs, from little to much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Loss {
    /// It is idle.
    Nothing,
    /// Time: its task may be run again, or its actor made anew.
    Again,
    /// A task that may run only once.
    Task,
    /// An actor with all that it remembers, and every call to come.
    Actor,
}

impl Node {
    /// Ends at most one worker for each reading: the next reading shows what that gave.
    pub(crate) fn memory_read(&mut self, total: u64, available: u64, workers: &[(WorkerId, u64)]) {
        let used = total.saturating_sub(available);
        if total == 0 || used / (total / 100).max(1) < self.config.memory_limit_percent {
            return;
        }
        // The least loss first; of equal ones that which began last; then the largest.
        let rank = |id: &WorkerId, rss: u64| {
            let worker = self.workers.get(id)?;
            Some((self.loss(worker), Reverse(worker.head_since), Reverse(rss), *id))
        };
        let victim = workers.iter().filter_map(|(id, rss)| rank(id, *rss).map(|rank| (rank, *rss))).min();
        let Some(((.., id), rss)) = victim else { return };
        let limit = self.config.memory_limit_percent;
        let message = format!(
            "The worker was ended because the node's memory was {}% full ({} MiB free, the limit is {limit}%); it used {} MiB. Ask for `memory`, or run fewer at once.",
            used / (total / 100).max(1),
            available >> 20,
            rss >> 20
        );
        let pid = self.workers.get(&id).map_or(0, |worker| worker.pid);
        let failure = Failure::new(Code::OutOfMemory, message)
            .with("pid", pid)
            .with("used_bytes", rss)
            .with("node_used_bytes", used)
            .with("node_limit_bytes", u128::from(total) * u128::from(limit) / 100);
        self.end_worker_for(id, failure);
    }

    /// What would be lost with a worker.
    fn loss(&self, worker: &Worker) -> Loss {
        if let WorkerState::Actor(actor) = worker.state {
            // Its state is gone with it, whether or not a call runs just now.
            let restarts =
                self.hosted.get(&actor).is_some_and(|hosted| match hosted.spec.options.max_restarts {
                    Retries::Unlimited => true,
                    Retries::Limited(n) => u64::from(n) >= u64::from(hosted.life),
                });
            return if restarts { Loss::Again } else { Loss::Actor };
        }
        if !worker.is_busy() {
            return Loss::Nothing;
        }
        let task = worker.running.front().and_then(|task| self.tasks.get(task));
        if task.is_none_or(|task| task.retries != Retries::Limited(0)) { Loss::Again } else { Loss::Task }
    }
}
