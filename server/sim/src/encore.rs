//! After the work, with everything well again: what must still be possible, and that nothing is left anywhere of a job that is over.

use std::time::Duration;

use thornback_core::Listing;
use thornback_types::JobId;

use crate::world::{Kind, World};

/// How long a guest's work may take to begin, and its nodes to forget it: less than idle workers are kept for.
const SOON: Duration = Duration::from_secs(20);

impl World {
    /// A guest comes to the node that is farthest from the head, gets something done with the help of others, and leaves. `false` if there is a problem.
    pub(crate) fn encore(&mut self) -> bool {
        let Some(host) = (0..self.hosts.len()).rev().find(|host| self.hosts[*host].core.is_some()) else {
            return true;
        };
        let Some(guest) = self.new_driver_with(host, |_, _| 0) else { return true };
        let Some(job) = self.hosts[host].core.as_ref().and_then(|core| core.job_of(guest)) else {
            return true;
        };
        // Its workers start, and nodes that were down are known to be back.
        if !self.run_until(self.now + SOON, |_| false) {
            return false;
        }
        self.with_client(guest, |client, cx| {
            if let Kind::Driver(driver) = &mut client.kind {
                driver.perform(cx);
            }
        });
        // News of others may be on its way just now.
        if !self.run_until(self.now + Duration::from_millis(1), |_| false) || !self.settle() {
            return false;
        }
        self.close(guest);
        if !self.run_until(self.now + SOON, |_| false) {
            return false;
        }
        self.look_for_leftovers_of(job);
        self.history.problems.is_empty()
    }

    fn look_for_leftovers_of(&mut self, job: JobId) {
        let job = job.to_string();
        for host in 0..self.hosts.len() {
            let Some(core) = &self.hosts[host].core else { continue };
            let of_it = |item: &thornback_core::node::status::Item| {
                item.fields.iter().any(|(name, value)| *name == "job" && *value == job)
            };
            let kinds = [Listing::Pools, Listing::Sessions];
            let left: Vec<_> =
                kinds.into_iter().flat_map(|kind| core.list(kind, usize::MAX)).filter(of_it).collect();
            let id = self.hosts[host].id;
            for item in left {
                self.history.problem(format!("on {id} is left of the job {job}, which is over: {item:?}"));
            }
        }
    }
}
