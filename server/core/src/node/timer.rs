//! What is due at a time. One ordered set holds all of it; an entry that has become pointless does nothing when it is due.

use thornback_types::{ObjectId, SessionId, TaskId, Time, WorkerId};

use crate::node::Node;
use crate::node::queue::ClassId;

/// Something to look at later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    Heartbeat,
    Deadline(TaskId),
    /// A process should have said hello.
    WorkerStart(WorkerId),
    /// A worker may have been idle for long enough to end.
    WorkerIdle(WorkerId),
    /// Tasks wait behind one that takes long.
    Overtake(WorkerId),
    /// A class has waited without any node that could run it.
    Infeasible(ClassId),
    /// A request for room in the store has waited long enough.
    StoreWait(ObjectId),
    /// The link broke off while bytes were copied from another node: who waits for them tries again.
    Pull(ObjectId),
    /// A driver has been held back for a while.
    Pace(SessionId),
}

impl Node {
    pub(crate) fn at(&mut self, time: Time, timer: Timer) {
        self.timers.insert((time, timer));
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.timers.first().map(|(time, _)| *time)
    }

    pub(crate) fn run_timers(&mut self) {
        while let Some(&(time, timer)) = self.timers.first() {
            if time > self.now {
                break;
            }
            self.timers.pop_first();
            match timer {
                Timer::Heartbeat => self.heartbeat(),
                Timer::Deadline(task) => self.deadline_passed(task),
                Timer::WorkerStart(worker) => self.worker_start_overdue(worker),
                Timer::WorkerIdle(worker) => self.worker_idle_overdue(worker),
                Timer::Overtake(worker) => self.overtake(worker),
                Timer::Infeasible(class) => self.notice_infeasible(class),
                Timer::StoreWait(object) => self.store_wait_over(object),
                Timer::Pull(object) => self.serve_fetchers(object),
                Timer::Pace(session) => self.pace_overdue(session),
            }
        }
        if self.schedule_due {
            self.schedule();
        }
    }
}
