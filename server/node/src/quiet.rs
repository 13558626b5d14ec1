//! Whether messages have stopped coming for a moment, for what does not matter while there is work. It knows times alone.

use std::time::Duration;

use thornback_types::Time;

/// After so long without messages a node is quiet.
const QUIET: Duration = Duration::from_millis(250);

/// Tells, once each time, that messages have stopped coming.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    // When the last message came, unless its being the last was told.
    came: Option<Time>,
}

impl Quiet {
    /// A message came.
    pub(crate) fn came(&mut self, now: Time) {
        self.came = Some(now);
    }

    /// Whether it has become quiet.
    pub(crate) fn begins(&mut self, now: Time) -> bool {
        self.came.take_if(|came| now.since(*came) >= QUIET).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(micros: u64) -> Time {
        Time::ZERO + Duration::from_micros(micros)
    }

    #[test]
    fn quiet_is_told_once_each_time() {
        let mut quiet = Quiet::default();
        assert!(!quiet.begins(micros(900_000)), "nothing has come yet");
        quiet.came(micros(1_000_000));
        quiet.came(micros(1_200_000));
        let told = [1_300_000, 1_449_999, 1_450_000, 1_700_000].map(|at| quiet.begins(micros(at)));
        assert_eq!(told, [false, false, true, false]);
        quiet.came(micros(2_000_000));
        assert!(quiet.begins(micros(9_000_000)));
    }
}
