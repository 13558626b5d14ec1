//! Fixed seeds that must stay good. A seed that once failed and was mended belongs here too.
//!
//! One node, every profile of faults. Clusters of two and three run in the binary (`--nodes 3`); their seeds come here as the core learns to
//! pass them, and `ARCHITECTURE.md` says that it does not yet.

use thornback_sim::{Options, Profile, run};

fn all_is_well(profile: Profile, seeds: &[u64]) {
    for seed in seeds {
        let report = run(&Options { seed: *seed, nodes: 1, steps: 60, profile, trace: 0 });
        assert_eq!(report.problems, Vec::<String>::new(), "seed {seed}");
        assert!(report.counts.submitted > 0, "seed {seed} submits nothing");
    }
}

#[test]
fn one_node_without_faults() {
    all_is_well(Profile::None, &[1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 13]);
}

#[test]
fn one_node_with_losses() {
    all_is_well(Profile::Loss, &[1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 13]);
}

#[test]
fn one_node_with_crashes() {
    all_is_well(Profile::Crash, &[1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 13]);
}

#[test]
fn one_node_with_all_faults() {
    all_is_well(Profile::All, &[1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 13]);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let options = Options { seed: 3, nodes: 3, steps: 40, profile: Profile::All, trace: 0 };
    assert_eq!(run(&options).fingerprint, run(&options).fingerprint);
}
