//! What is remembered though nothing should be: how the simulator and the tests find leaks.

use crate::node::Node;

impl Node {
    /// What is left when no driver, detached actor or placement group is. In words; empty if all is well.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let counts = [
            ("sessions", self.sessions.len()),
            ("jobs", self.jobs.len()),
            ("workers", self.workers.len()),
            ("tasks", self.tasks.len()),
            ("runs", self.runs.len()),
            ("streams", self.streams.len()),
            ("actors that are called", self.called.len()),
            ("actors that are hosted", self.hosted.len()),
            ("objects", self.objects.len()),
            ("pulls", self.pulling.len()),
            ("rooms being filled", self.restoring.len()),
            ("ranges being given back", self.store.punching.len()),
            ("spills of freed objects", self.spills_to_drop.len()),
            ("fills of freed objects", self.fills_to_drop.len()),
            ("refs on their way", self.passing.len()),
            ("jobs with rights to what others made", self.rights.len()),
            ("bundles", self.bundles.len()),
            ("classes with queued tasks", self.waiting.len()),
            ("tasks without a pool", self.pools.undecided.len()),
            ("pools of jobs", self.pools.by_number.values().filter(|pool| pool.job.is_some()).count()),
            ("bytes in use", usize::try_from(self.store.used()).unwrap_or(usize::MAX)),
            ("bytes on disk", usize::try_from(self.store.spilled_bytes).unwrap_or(usize::MAX)),
            ("requests for room", self.store.waiting()),
        ];
        let mut left: Vec<String> =
            counts.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}")).collect();
        if self.available != self.config.resources {
            left.push(format!("{} of {} are available", self.available, self.config.resources));
        }
        left
    }
}
