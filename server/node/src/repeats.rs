//! Lines that several workers print alike, told once. Pure: it is given the time and gives lines back; it neither prints nor sends.
//!
//! The first worker's line passes at once. The same line from another worker within [`WINDOW`] is counted, and when the window ends it is
//! told once more, with the count. A worker that repeats itself is not silenced until another one joins in: a loop that prints the same
//! word is output, a thousand workers that warn alike are noise.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use thornback_types::Time;

/// How long after its first appearance a line's repetitions are counted together.
pub(crate) const WINDOW: Duration = Duration::from_secs(5);

/// Lines watched at once. Any more pass uncounted, so that neither memory nor output is ever lost to a flood.
const LINES_MAX: usize = 1024;

/// What one driver was shown of late.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    lines: HashMap<Key, Line>,
    // In the order in which their windows end.
    windows: VecDeque<(Time, Key)>,
}

/// A line whose repetitions are to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repeated {
    /// The worker that printed it last.
    pub(crate) source: String,
    /// It went to standard error.
    pub(crate) stderr: bool,
    /// The line.
    pub(crate) line: String,
    /// How often it was printed after it was shown.
    pub(crate) times: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    stderr: bool,
    line: String,
}

#[derive(Debug)]
struct Line {
    first: String,
    // The worker that printed it last, once it was not the first alone.
    last: Option<String>,
    held: u32,
}

impl Repeats {
    /// Whether a line that `source` printed is to be shown now.
    pub(crate) fn shows(&mut self, now: Time, source: &str, stderr: bool, line: &str) -> bool {
        // An empty line is layout. Watching it would tear texts apart.
        if line.trim().is_empty() {
            return true;
        }
        let key = Key { stderr, line: line.to_owned() };
        if let Some(known) = self.lines.get_mut(&key) {
            if known.last.is_none() && known.first == source {
                return true;
            }
            known.held = known.held.saturating_add(1);
            known.last = Some(source.to_owned());
            return false;
        }
        if self.lines.len() < LINES_MAX {
            self.windows.push_back((now + WINDOW, key.clone()));
            self.lines.insert(key, Line { first: source.to_owned(), last: None, held: 0 });
        }
        true
    }

    /// The lines whose windows have ended and that were printed again meanwhile.
    pub(crate) fn poll(&mut self, now: Time) -> Vec<Repeated> {
        let mut repeated = Vec::new();
        while self.windows.front().is_some_and(|(end, _)| *end <= now) {
            let Some((_, key)) = self.windows.pop_front() else { break };
            if let Some(Line { last: Some(source), held, .. }) = self.lines.remove(&key) {
                repeated.push(Repeated { source, stderr: key.stderr, line: key.line, times: held });
            }
        }
        repeated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_line_of_many_workers_is_shown_once_and_then_counted() {
        let mut repeats = Repeats::default();
        assert!(repeats.shows(at(0), "pid=1", false, "low on sleep"));
        for pid in 2..=8 {
            assert!(!repeats.shows(at(1), &format!("pid={pid}"), false, "low on sleep"));
        }
        assert_eq!(repeats.poll(at(4)), []);
        let told = repeats.poll(at(5));
        assert_eq!(
            told,
            [Repeated { source: "pid=8".into(), stderr: false, line: "low on sleep".into(), times: 7 }]
        );
        assert!(repeats.shows(at(6), "pid=3", false, "low on sleep"), "a new window begins");
    }

    #[test]
    fn a_worker_may_repeat_itself() {
        let mut repeats = Repeats::default();
        for second in 0..20 {
            assert!(repeats.shows(at(second), "pid=1", false, "tick"));
            assert_eq!(repeats.poll(at(second)), []);
        }
    }

    #[test]
    fn streams_and_empty_lines_are_apart() {
        let mut repeats = Repeats::default();
        assert!(repeats.shows(at(0), "pid=1", false, "x"));
        assert!(repeats.shows(at(0), "pid=2", true, "x"));
        assert!(repeats.shows(at(0), "pid=1", false, ""));
        assert!(repeats.shows(at(0), "pid=2", false, "  "));
    }

    #[test]
    fn a_flood_of_different_lines_passes_and_is_not_kept() {
        let mut repeats = Repeats::default();
        for n in 0..10 * LINES_MAX {
            assert!(repeats.shows(at(0), "pid=1", false, &n.to_string()));
        }
        assert_eq!(repeats.lines.len(), LINES_MAX);
        assert!(repeats.shows(at(0), "pid=2", false, "4000"), "not watched, so not held back");
        repeats.poll(at(5));
        assert!(repeats.lines.is_empty() && repeats.windows.is_empty());
    }
}
