//! How much is sent ahead to a worker, from an estimate of how long the tasks of a class take. It knows only when answers came.
//!
//! From one answer of a worker to its next is what a task takes. Until the first answer of a worker that had nothing is at least that, but on a crowded
//! machine most of it may be the wait for a processor. Taken for the task's time, it would have one task sent a turn, each of them a first one:
//! a job that is unlucky once would stay so, while another has hundreds of tasks done in its turns.

use std::time::Duration;

/// Work that is sent ahead to a worker, in time. More would not make it faster, and would be in the wrong place when another becomes free.
const AHEAD: Duration = Duration::from_millis(2);
/// However short they are. The shortest take a worker a microsecond each, and while the node is at one turn of a driver, a worker with less runs dry.
const AHEAD_TASKS_MAX: u64 = 1024;

/// After so many first answers in a row one task more is sent, so that there is a second.
const FIRSTS_MAX: u8 = 4;

/// What a worker lets the node hear of the task that it is at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Heard {
    /// Its answer, so long after it was sent to a worker that had nothing.
    First(Duration),
    /// Its answer, so long after the worker's last.
    Next(Duration),
    /// No answer yet, after so long.
    Nothing(Duration),
}

/// How long the tasks of a class take.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Estimate {
    /// In nanoseconds, once anything is known.
    mean: Option<u64>,
    /// First answers since the last that was not.
    firsts: u8,
}

impl Estimate {
    /// Tasks that a worker may have besides the one that it is at.
    pub(crate) fn ahead(self) -> u64 {
        match self.mean {
            Some(mean) => {
                let least = u64::from(self.firsts >= FIRSTS_MAX);
                (nanoseconds(AHEAD) / mean.max(1)).clamp(least, AHEAD_TASKS_MAX)
            }
            None => 1,
        }
    }

    pub(crate) fn note(&mut self, heard: Heard) {
        match heard {
            Heard::First(took) => {
                self.firsts = self.firsts.saturating_add(1);
                // It took no longer than that, which says something only if it is short.
                if took <= AHEAD {
                    let took = nanoseconds(took);
                    self.mean = Some(self.mean.map_or(took, |mean| mean.min(took)));
                }
            }
            Heard::Next(took) => {
                self.firsts = 0;
                self.learn(took);
            }
            Heard::Nothing(took) => self.learn(took),
        }
    }

    fn learn(&mut self, took: Duration) {
        let took = nanoseconds(took);
        self.mean = Some(match self.mean {
            // Down at once and up slowly: among short tasks a long one is mostly one that had to wait for its processor.
            Some(mean) if took < mean => mean.midpoint(took),
            Some(mean) => mean - mean / 8 + took / 8,
            None => took,
        });
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_micros(10);
    const LONG: Duration = Duration::from_millis(100);

    #[test]
    fn of_short_tasks_hundreds_are_sent_ahead_and_of_long_ones_none() {
        let (mut short, mut long) = (Estimate::default(), Estimate::default());
        for _ in 0..8 {
            short.note(Heard::Next(SHORT));
            long.note(Heard::Next(LONG));
        }
        assert_eq!((short.ahead(), long.ahead()), (200, 0));
    }

    #[test]
    fn a_late_first_answer_says_nothing_about_the_task() {
        let mut estimate = Estimate::default();
        estimate.note(Heard::First(LONG));
        assert_eq!(estimate.ahead(), 1, "nothing is known yet");
        estimate.note(Heard::Next(SHORT));
        estimate.note(Heard::First(LONG));
        assert_eq!(estimate.ahead(), 200);
        estimate.note(Heard::First(SHORT / 2));
        assert_eq!(estimate.ahead(), 400, "an early one says that it takes no longer");
    }

    #[test]
    fn what_was_taken_for_long_is_looked_at_again() {
        let mut estimate = Estimate::default();
        estimate.note(Heard::Nothing(LONG));
        assert_eq!(estimate.ahead(), 0);
        for _ in 0..FIRSTS_MAX {
            estimate.note(Heard::First(LONG));
        }
        assert_eq!(estimate.ahead(), 1);
        estimate.note(Heard::Next(LONG));
        assert_eq!(estimate.ahead(), 0, "it is long");
        for _ in 0..10 {
            estimate.note(Heard::Next(SHORT));
        }
        assert!(estimate.ahead() > 10, "it is short by now");
    }
}
