//! How much a session may have under way. What it submits stays in the node's memory until it has ended, so a driver that submits faster than its
//! tasks end is held back: it is given no more credit until half of its share is done. All drivers that have something under way share
//! one budget.
//!
//! What it may still send then is bounded too: the windows of all drivers together are worth no more than half of that budget, however small what they
//! submit is on the wire (and a little for each, so that the last of many can speak at all).
//!
//! A worker is never held back, because a task that waits for its children must be able to say so on the same session; far above the budget
//! its submissions are refused. Nothing here looks into a task: a submission weighs what its record and its inline arguments do.

use std::collections::BTreeMap;
use std::time::Duration;

use thornback_types::{Code, Failure, SessionId, Time};

use crate::effect::{Credit, Effect};
use crate::input::{Arg, ArgValue, Returns};
use crate::node::timer::Timer;
use crate::node::{Node, Taken};

/// What the records of a task without arguments take: those of the task, its run and its output, and their places in tables and queues. With 140,000
/// queued the core has 624 bytes for each, and a node is larger by 730 for each that has an argument; `tests/load/allocations.rs` holds it to that.
const RECORD_BYTES: u64 = 768;

/// A driver that is held back although nothing of its own ends may have work under way that waits for what it would say next. It is then
/// given a little more credit this often, up to half a share beyond its share.
const SPARE_EVERY: Duration = Duration::from_secs(1);

/// What a return object takes beyond the first.
const OUTPUT_BYTES: u64 = 256;

/// Bytes of records that a byte on the wire makes, at most: a submission without arguments has 24.
const RECORDS_FOR_A_BYTE: u64 = RECORD_BYTES / 24;

/// Largest and smallest window of a session, in bytes of frames.
const WINDOW_BYTES_MAX: u64 = 1 << 20;
const WINDOW_BYTES_MIN: u64 = 16 << 10;

/// What a session has under way.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Bytes of what it submitted and that has not ended.
    pub(crate) under_way: u64,
    /// It is given no credit.
    pub(crate) held: bool,
    /// Something of it has ended since the last look.
    moved: bool,
    /// When it is looked at next while it is held.
    look_at: Time,
    look_armed: bool,
    /// What it may send ahead of the node, in bytes of frames.
    pub(crate) window: u64,
}

impl Pace {
    /// Of a worker, whose window is no part of the budget.
    pub(crate) fn of_worker() -> Pace {
        Pace { window: WINDOW_BYTES_MAX, ..Pace::default() }
    }

    pub(crate) fn of_driver(window: u64) -> Pace {
        Pace { window, ..Pace::default() }
    }
}

impl Node {
    /// Refuses a submission of a session that has far too much under way.
    pub(crate) fn check_pace(&self, session: SessionId) -> Taken {
        let under_way = self.sessions.get(&session).map_or(0, |s| s.pace.under_way);
        if under_way <= self.config.backlog_bytes_max {
            return Ok(());
        }
        Err(Box::new(Failure::new(
            Code::LimitExceeded,
            format!(
                "Calls of {under_way} bytes that this session submitted have not ended, and {} is the limit; wait for some of them before submitting more.",
                self.config.backlog_bytes_max
            ),
        )))
    }

    /// A session has submitted something of this weight.
    pub(crate) fn pace_submitted(&mut self, id: SessionId, weight: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let before = session.pace.under_way;
        session.pace.under_way += weight;
        if session.worker.is_some() {
            return;
        }
        let (under_way, held) = (session.pace.under_way, session.pace.held);
        self.pacing_drivers += u64::from(before == 0);
        if !held && under_way > self.share() {
            self.hold_back(id);
        }
    }

    /// Something of this weight has ended.
    pub(crate) fn pace_ended(&mut self, id: SessionId, weight: u64) {
        if weight == 0 {
            return;
        }
        let share = self.share();
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let pace = &mut session.pace;
        pace.under_way -= weight;
        pace.moved = true;
        if session.worker.is_some() {
            return;
        }
        let (under_way, held) = (pace.under_way, pace.held);
        self.pacing_drivers -= u64::from(under_way == 0);
        if held && under_way <= share / 2 {
            session.pace.held = false;
            self.out.push(Effect::Pace { session: id, credit: Credit::Given });
        }
    }

    /// The window of the next driver: an eighth of what is left of half the budget, so that each of the first few has all that is of use to it.
    pub(crate) fn take_window(&mut self) -> u64 {
        let all = self.config.backlog_bytes / 2 / RECORDS_FOR_A_BYTE;
        let left = all.saturating_sub(self.windows);
        let window = (left / 8).clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
        self.windows += window;
        window
    }

    /// A session is gone; what it had under way counts for nobody.
    pub(crate) fn pace_closed(&mut self, is_driver: bool, pace: &Pace) {
        if is_driver {
            self.windows -= pace.window;
        }
        self.pacing_drivers -= u64::from(is_driver && pace.under_way > 0);
    }

    fn hold_back(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.pace.held = true;
            session.pace.moved = false;
            session.pace.look_at = self.now + SPARE_EVERY;
            self.out.push(Effect::Pace { session: id, credit: Credit::Held });
            self.arm_look(id);
        }
    }

    /// One timer for each driver, however often it is held back.
    fn arm_look(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id).filter(|session| !session.pace.look_armed) {
            session.pace.look_armed = true;
            let at = session.pace.look_at;
            self.at(at, Timer::Pace(id));
        }
    }

    /// A driver has been held back for a while.
    pub(crate) fn pace_overdue(&mut self, id: SessionId) {
        let share = self.share();
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let pace = &mut session.pace;
        pace.look_armed = false;
        if !pace.held {
            return;
        }
        if self.now >= pace.look_at {
            pace.look_at = self.now + SPARE_EVERY;
            let moved = std::mem::take(&mut pace.moved);
            if !moved && pace.under_way <= share + share / 2 {
                self.out.push(Effect::Pace { session: id, credit: Credit::Spared });
            }
        }
        self.arm_look(id);
    }

    /// What one driver may have under way.
    fn share(&self) -> u64 {
        self.config.backlog_bytes / self.pacing_drivers.max(1)
    }

    /// Sums that must add up, in words where they do not.
    pub(crate) fn check_paces(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let drivers = || self.sessions.values().filter(|session| session.worker.is_none());
        let windows: u64 = drivers().map(|session| session.pace.window).sum();
        if windows != self.windows {
            wrong.push(format!("drivers have windows of {windows} bytes and {} are counted", self.windows));
        }
        let mut drivers = 0;
        let mut sums: BTreeMap<SessionId, u64> = BTreeMap::new();
        self.tasks.sum(|task| {
            *sums.entry(task.submitter).or_default() += task.weight;
            0
        });
        for (id, session) in &self.sessions {
            let counted = sums.get(id).copied().unwrap_or(0);
            let pace = &session.pace;
            if pace.under_way != counted {
                wrong.push(format!(
                    "session {} is said to have {} bytes under way and has {counted}",
                    id.0, pace.under_way
                ));
            }
            if pace.held && (session.worker.is_some() || counted == 0) {
                wrong.push(format!("session {} is held back for ever", id.0));
            }
            drivers += u64::from(session.worker.is_none() && counted > 0);
        }
        if drivers != self.pacing_drivers {
            wrong.push(format!("{drivers} drivers share the budget and {} are counted", self.pacing_drivers));
        }
        wrong
    }
}

/// What a call takes in the node's memory until it has ended, in bytes.
pub(crate) fn weight(args: &[Arg], returns: Returns) -> u64 {
    let of_arg = |arg: &Arg| {
        arg.keyword.len()
            + match &arg.value {
                ArgValue::Ref(_) => 0,
                ArgValue::Value(value) => {
                    value.data.len()
                        + value.buffers().iter().map(bytes::Bytes::len).sum::<usize>()
                        + 16 * value.refs().len()
                }
            }
            + size_of::<Arg>()
    };
    let outputs = match returns {
        Returns::Fixed(n) => OUTPUT_BYTES * u64::from(n.saturating_sub(1)),
        Returns::Stream => 0,
    };
    RECORD_BYTES + outputs + args.iter().map(of_arg).sum::<usize>() as u64
}
