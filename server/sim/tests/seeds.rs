//! Seeds that must stay good: the first of each cluster size and profile, and those that once failed and were mended. And the other way round: a
//! core whose nodes do not hear each other's messages of some kind must be found out, or the checkers check nothing.

use thornback_sim::{Options, Profile, run};

fn all_is_well(nodes: u64, profile: Profile, seeds: impl IntoIterator<Item = u64>) {
    for seed in seeds {
        let report = run(&Options { seed, nodes, steps: 60, profile, trace: 0, lose: None });
        assert_eq!(report.problems, Vec::<String>::new(), "seed {seed}, {nodes} nodes, {profile:?}");
        assert!(report.counts.submitted > 0, "seed {seed} submits nothing");
    }
}

#[test]
fn one_node_without_faults() {
    all_is_well(1, Profile::None, 1..=30);
}

#[test]
fn one_node_with_losses() {
    all_is_well(1, Profile::Loss, (1..=10).chain([123]));
}

#[test]
fn one_node_with_crashes() {
    all_is_well(1, Profile::Crash, (1..=30).chain([90, 98]));
}

#[test]
fn two_nodes_without_faults() {
    all_is_well(2, Profile::None, (1..=12).chain([265]));
}

#[test]
fn two_nodes_with_losses() {
    all_is_well(2, Profile::Loss, (1..=12).chain([200]));
}

#[test]
fn two_nodes_with_crashes() {
    all_is_well(2, Profile::Crash, (1..=12).chain([81, 98, 162, 172, 280, 341, 535, 575]));
}

#[test]
fn three_nodes_without_faults() {
    all_is_well(3, Profile::None, (1..=10).chain([45, 85, 91, 153, 181, 267, 314]));
}

#[test]
fn three_nodes_with_losses() {
    all_is_well(3, Profile::Loss, (1..=10).chain([46, 47, 68, 435, 455, 500]));
}

#[test]
fn three_nodes_with_crashes() {
    all_is_well(
        3,
        Profile::Crash,
        (1..=10).chain([23, 100, 124, 215, 278, 362, 392, 548, 894, 1020, 800083, 800086, 800352]),
    );
}

#[test]
fn one_node_with_all_faults() {
    all_is_well(1, Profile::All, [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 13]);
}

#[test]
fn two_nodes_with_all_faults() {
    all_is_well(2, Profile::All, (1..=8).chain([524, 843, 800340, 820368, 821134, 900331, 910454]));
}

#[test]
fn three_nodes_with_all_faults() {
    all_is_well(3, Profile::All, (1..=8).chain([1005, 1119, 1586, 800299, 840298]));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let options = Options { seed: 3, nodes: 3, steps: 40, profile: Profile::All, trace: 0, lose: None };
    let (one, other) = (run(&options), run(&options));
    assert_eq!((one.fingerprint, one.events), (other.fingerprint, other.events));
}

#[test]
fn a_core_that_loses_messages_of_a_kind_is_found_out() {
    for (kind, profile) in KINDS {
        let options = |seed| Options { seed, nodes: 3, steps: 60, profile, trace: 0, lose: Some(kind) };
        let found = (1..=40).any(|seed| !run(&options(seed)).problems.is_empty());
        assert!(found, "nodes that do not hear {kind} pass for good ones");
    }
}

/// Each changes what users see or what is left behind.
const KINDS: [(&str, Profile); 16] = [
    ("Join", Profile::None),
    ("Assign", Profile::None),
    ("Finished", Profile::None),
    ("Yielded", Profile::None),
    ("CancelRun", Profile::None),
    ("WatchObject", Profile::None),
    ("ObjectReady", Profile::None),
    ("Return", Profile::None),
    ("Pull", Profile::None),
    ("Pulled", Profile::None),
    ("FreeCopy", Profile::None),
    ("ActorState", Profile::None),
    ("NodeDead", Profile::Crash),
    ("Borrow", Profile::None),
    ("GroupPlaced", Profile::None),
    ("JobEnded", Profile::None),
];
