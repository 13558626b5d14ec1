//! Which things go wrong in a run.

use crate::rng::Rng;

/// A choice of faults by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Nothing but what programs do to themselves.
    None,
    /// Packets between nodes are lost, doubled, delayed and reordered, and links are cut for a while.
    Loss,
    /// Worker processes die, and nodes other than the head.
    Crash,
    /// All of these, and slow, full and lying disks, and workers that do not start.
    All,
}

impl Profile {
    /// All profiles, with the names by which they are chosen.
    pub const ALL: [(&'static str, Profile); 4] =
        [("none", Profile::None), ("loss", Profile::Loss), ("crash", Profile::Crash), ("all", Profile::All)];
}

/// How often what goes wrong, per thousand.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) packet_lost: u64,
    pub(crate) packet_doubled: u64,
    pub(crate) packet_slow: u64,
    /// Links are cut for up to two seconds, now and then.
    pub(crate) partitions: bool,
    pub(crate) worker_dies: u64,
    pub(crate) node_dies: bool,
    pub(crate) worker_does_not_start: u64,
    pub(crate) disk_fails: u64,
}

impl Faults {
    pub(crate) fn new(profile: Profile, nodes: u64, rng: &mut Rng) -> Faults {
        let mut faults = Faults::default();
        if matches!(profile, Profile::Loss | Profile::All) {
            faults.packet_lost = rng.pick(&[0, 10, 100, 300]);
            faults.packet_doubled = rng.pick(&[0, 10, 100]);
            faults.packet_slow = rng.pick(&[0, 10, 200]);
            faults.partitions = rng.chance(500);
        }
        if matches!(profile, Profile::Crash | Profile::All) {
            faults.worker_dies = rng.pick(&[0, 50, 300]);
            faults.node_dies = nodes > 1 && rng.chance(500);
        }
        if profile == Profile::All {
            faults.worker_does_not_start = rng.pick(&[0, 0, 20, 200]);
            faults.disk_fails = rng.pick(&[0, 0, 20, 300]);
        }
        faults
    }
}
