//! What to do when the machine runs out of memory: end one worker, never the node.

use thornback_types::{Code, Failure, WorkerId};

use crate::input::Retries;
use crate::node::Node;

impl Node {
    /// Ends at most one worker for each reading: the next reading shows what that gave.
    pub(crate) fn memory_read(&mut self, total: u64, available: u64, workers: &[(WorkerId, u64)]) {
        let used = total.saturating_sub(available);
        if total == 0 || used / (total / 100).max(1) < self.config.memory_limit_percent {
            return;
        }
        // Idle workers lose nothing; then tasks that may be run again, the latest first; then the largest.
        let rank = |id: &WorkerId, rss: u64| {
            let worker = self.workers.get(id)?;
            let task = worker.running.front();
            let again = task
                .and_then(|task| self.tasks.get(task))
                .is_none_or(|task| task.retries != Retries::Limited(0));
            Some((
                worker.is_busy(),
                !again,
                std::cmp::Reverse(worker.head_since),
                std::cmp::Reverse(rss),
                *id,
            ))
        };
        let victim = workers.iter().filter_map(|(id, rss)| rank(id, *rss).map(|rank| (rank, *rss))).min();
        let Some(((.., id), rss)) = victim else { return };
        let failure = Failure::new(
            Code::OutOfMemory,
            format!(
                "The worker was ended because the node's memory was {}% full ({} MiB free); it used {} MiB. Ask for `memory`, or run fewer at once.",
                used / (total / 100).max(1),
                available >> 20,
                rss >> 20
            ),
        );
        self.end_worker_for(id, failure);
    }
}
