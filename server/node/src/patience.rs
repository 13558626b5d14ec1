//! Staying awake for a moment while the next message is likely to come within it.
//!
//! A program that waits for each of its calls sends the next message within microseconds of an answer. Had the node gone to sleep in
//! between, the call would wait for a processor to wake up, which in a virtual machine takes longer than all of the node's work on it.
//! So while messages follow each other that closely, the node looks for the next one instead, as KVM does for its guests
//! (<https://docs.kernel.org/virt/kvm/halt-polling.html>). Whoever else wants the processor gets it at each look, and if somebody did, or
//! nothing came for a moment, the node sleeps: an idle one costs nothing.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use thornback_types::Time;
use tokio::sync::Notify;

use crate::node::Node;

/// The longest that the node stays awake for nothing: a little more than a short call takes in a worker.
const AWAKE_MAX: Duration = Duration::from_micros(100);

/// A message that came within this while the node slept would have come within [`AWAKE_MAX`] had it not.
const CLOSE: Duration = Duration::from_micros(200);

/// Two looks further apart than this had somebody else on the processor between them.
const CROWDED: Duration = Duration::from_micros(20);

/// Whether to wait awake. It knows times alone.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    // When all work was done, if no more has come.
    done: Option<Time>,
    // Messages are looked for until then; `None` asleep.
    until: Option<Time>,
    // When the last look was.
    looked: Option<Time>,
    // The last message came close behind the one before.
    close: bool,
    asked: Rc<Notify>,
}

impl Patience {
    /// Work came.
    pub(crate) fn came(&mut self, now: Time) {
        if let Some(done) = self.done.take() {
            self.close = now.since(done) <= CLOSE;
        }
    }

    /// All work is done.
    pub(crate) fn done(&mut self, now: Time) {
        self.done = Some(now);
        self.looked = None;
        let asleep = self.until.is_none();
        self.until = self.close.then(|| now + AWAKE_MAX);
        if asleep && self.close {
            self.asked.notify_one();
        }
    }

    /// Whether to look for messages once more.
    fn look(&mut self, now: Time) -> bool {
        let crowded = self.looked.replace(now).is_some_and(|looked| now.since(looked) > CROWDED);
        self.until = self.until.filter(|until| now < *until && !crowded);
        self.until.is_some()
    }
}

/// Keeps the node's thread awake while that is worth it.
pub(crate) async fn stay_awake(node: Rc<RefCell<Node>>) {
    let asked = Rc::clone(&node.borrow().patience.asked);
    loop {
        asked.notified().await;
        while node.borrow_mut().looks_on() {
            std::thread::yield_now();
            // Has the runtime look for messages without waiting for them.
            tokio::task::yield_now().await;
        }
    }
}

impl Node {
    fn looks_on(&mut self) -> bool {
        let now = self.clock();
        self.patience.look(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(micros: u64) -> Time {
        Time::ZERO + Duration::from_micros(micros)
    }

    /// Looks every 5 µs from `from` on, and gives how often it was worth it.
    fn looks(patience: &mut Patience, from: u64) -> u64 {
        (0..1000).take_while(|n| patience.look(micros(from + 5 * n))).count() as u64
    }

    #[test]
    fn it_sleeps_until_messages_follow_each_other_closely() {
        let mut patience = Patience::default();
        patience.came(micros(0));
        patience.done(micros(10));
        assert_eq!(looks(&mut patience, 10), 0, "nothing is known of the next message");
        patience.came(micros(1000));
        patience.done(micros(1010));
        assert_eq!(looks(&mut patience, 1010), 0, "it came late");
        patience.came(micros(1200));
        patience.done(micros(1210));
        assert_eq!(
            looks(&mut patience, 1210),
            20,
            "it came soon, so the next one is waited for, a hundred microseconds"
        );
        patience.came(micros(1310));
        patience.done(micros(1320));
        assert_eq!(looks(&mut patience, 1320), 20, "asleep or awake");
        patience.came(micros(9000));
        patience.done(micros(9010));
        assert_eq!(looks(&mut patience, 9010), 0, "it let itself be waited for");
    }

    #[test]
    fn each_message_is_waited_for_anew() {
        let mut patience = Patience::default();
        for start in [0, 100, 200, 300] {
            patience.came(micros(start));
            patience.done(micros(start + 50));
        }
        assert!(patience.look(micros(355)));
        patience.came(micros(360));
        patience.done(micros(445));
        assert!(patience.look(micros(500)), "though the first look was long ago");
    }

    #[test]
    fn it_sleeps_if_somebody_else_wants_the_processor() {
        let mut patience = Patience::default();
        for start in [0, 100] {
            patience.came(micros(start));
            patience.done(micros(start + 10));
        }
        assert!(patience.look(micros(111)));
        assert!(patience.look(micros(115)));
        assert!(!patience.look(micros(160)), "somebody else had it for 45 µs");
        assert!(!patience.look(micros(161)));
    }
}
