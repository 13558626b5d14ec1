//! What a bad link does to bytes on their way: it splits and delays them anywhere, and cuts the connection a few times in each case. It loses nothing else, and changes no byte.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::chance::Chance;

/// Cuts in one case, at most. A session that resumes must get on, and every cut costs it a round trip.
const CUTS_MAX: usize = 3;
/// Pieces that pass before a cut, at most.
const PIECES_MAX: usize = 9;
/// How long a piece may be held up.
const DELAY: Duration = Duration::from_micros(700);

/// The fate of one link. All connections of a testee share it.
pub struct Link(Mutex<Fate>);

struct Fate {
    chance: Chance,
    cuts: usize,
    /// Pieces until the next cut.
    pieces: usize,
}

/// What becomes of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    /// How many of them pass together.
    pub length: usize,
    pub late: Option<Duration>,
    /// Whether the connection ends behind them.
    pub cut: bool,
}

impl Link {
    /// A link that does no harm until a case begins.
    pub fn new() -> Self {
        Self(Mutex::new(Fate { chance: Chance::new(0, &[]), cuts: 0, pieces: 0 }))
    }

    /// A case begins.
    pub fn begin(&self, mut chance: Chance) {
        let cuts = chance.below(CUTS_MAX + 1);
        let pieces = chance.below(PIECES_MAX);
        *self.0.lock().expect("no holder panics") = Fate { chance, cuts, pieces };
    }

    /// The next of `length` bytes. A connection is not cut before its session is `open`: nobody need try to open one twice.
    pub fn next(&self, length: usize, open: &AtomicBool) -> Piece {
        let mut fate = self.0.lock().expect("no holder panics");
        let length = if fate.chance.one_in(2) { length } else { fate.chance.below(length) + 1 };
        let late = fate.chance.one_in(4).then_some(DELAY);
        let mut cut = false;
        if fate.cuts > 0 && open.load(Ordering::Acquire) {
            cut = fate.pieces == 0;
            if cut {
                fate.cuts -= 1;
                fate.pieces = fate.chance.below(PIECES_MAX);
            } else {
                fate.pieces -= 1;
            }
        }
        Piece { length, late, cut }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_splits_and_cuts_a_few_times_in_each_case_and_no_session_that_is_not_open() {
        let (link, shut, open) = (Link::new(), AtomicBool::new(false), AtomicBool::new(true));
        let pieces = |open: &AtomicBool| (0..200).map(|_| link.next(100, open)).collect::<Vec<_>>();
        let cuts = |pieces: &[Piece]| pieces.iter().filter(|piece| piece.cut).count();
        assert_eq!(cuts(&pieces(&open)), 0, "before the first case");
        let mut most = 0;
        for case in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            link.begin(Chance::new(1, &[case]));
            assert_eq!(cuts(&pieces(&shut)), 0);
            let passed = pieces(&open);
            assert!(passed.iter().all(|piece| (1..=100).contains(&piece.length)));
            assert!(
                passed.iter().any(|piece| piece.length < 100)
                    && passed.iter().any(|piece| piece.late.is_some())
            );
            most = most.max(cuts(&passed));
        }
        assert!((1..=CUTS_MAX).contains(&most), "{most}");
    }
}
