//! A whole cluster in one thread, from one seed: cores with a fake clock, network, disk, workers and drivers, and checkers of what they did.
//!
//! Everything that happens in a run follows from its [`Options`]: a seed that fails once fails always. The simulator uses the same `Core` as the
//! server, and none of the crates that do real input or output. It never reads a clock.
//!
//! ```
//! use thornback_sim::{Options, Profile, run};
//!
//! let report = run(&Options { seed: 1, nodes: 1, steps: 50, profile: Profile::None, trace: 0, lose: None });
//! assert_eq!(report.problems, Vec::<String>::new());
//! ```

#![forbid(unsafe_code)]

mod client;
mod driver;
mod effects;
mod encore;
mod faults;
mod history;
mod memory;
mod program;
mod rng;
mod stranger;
mod worker;
mod world;

pub use faults::Profile;
pub use history::Counts;
pub use rng::Rng;

/// What makes a run what it is.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Two runs with the same options are the same.
    pub seed: u64,
    /// How many nodes, at least 1. The first is the head.
    pub nodes: u64,
    /// How many things drivers do, all together.
    pub steps: u64,
    /// What goes wrong meanwhile.
    pub profile: Profile,
    /// How many of the last events to keep in words; 0 is much faster.
    pub trace: usize,
    /// Breaks the core: messages of this kind (a variant of `PeerMessage`) mean nothing on arrival at another node. A checker that lets that pass checks
    /// nothing.
    pub lose: Option<&'static str>,
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// What should not have happened, the first things first; empty if all is well.
    pub problems: Vec<String>,
    /// The last events, if they were asked for.
    pub trace: Vec<String>,
    /// How much happened.
    pub counts: Counts,
    /// Events, of all kinds.
    pub events: u64,
    /// A hash of all that happened, to see that two runs are the same.
    pub fingerprint: u64,
}

/// Runs a cluster from its seed to its end.
#[must_use]
pub fn run(options: &Options) -> Report {
    world::World::new(options).run()
}
