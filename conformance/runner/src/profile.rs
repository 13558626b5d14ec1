//! Profiles: how the real server of a run is set up, and what the run does to it meanwhile. Which cases a profile has follows from what they are.

use crate::case::{Case, Kind};
use crate::mishap;

/// One profile.
#[derive(Clone, Copy)]
pub struct Profile {
    pub name: &'static str,
    pub about: &'static str,
    pub flags: &'static [&'static str],
    pub trouble: Trouble,
}

/// What happens to a run besides what its cases say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    None,
    /// The links between testees and server split, delay and cut what they carry.
    Link,
    /// Processes are killed.
    Kill,
}

const USUAL: &[&str] = &["--num-cpus", "8", "--store-bytes", "64MiB", "--resources", "{\"slot\":1}"];

pub const PROFILES: &[Profile] = &[
    Profile { name: "default", about: "eight CPUs, a store of 64 MiB", flags: USUAL, trouble: Trouble::None },
    Profile {
        name: "tiny-store",
        about: "a store of 8 MiB, so that what is large is spilled",
        flags: &["--num-cpus", "8", "--store-bytes", "8MiB", "--resources", "{\"slot\":1}"],
        trouble: Trouble::None,
    },
    Profile {
        name: "one-cpu",
        about: "one CPU, so that tasks wait for each other",
        flags: &["--num-cpus", "1", "--store-bytes", "64MiB", "--resources", "{\"slot\":1}"],
        trouble: Trouble::None,
    },
    Profile {
        name: "lossy-link",
        about: "links that split, delay and cut what they carry, so that sessions resume",
        flags: USUAL,
        trouble: Trouble::Link,
    },
    Profile {
        name: "kill",
        about: "workers, their templates and drivers' connections that die at any moment",
        flags: USUAL,
        trouble: Trouble::Kill,
    },
];

/// The profile of that name.
pub fn find(name: &str) -> Option<Profile> {
    PROFILES.iter().find(|profile| profile.name == name).copied()
}

impl Profile {
    /// Whether it has the case. What a case says of profiles is said of set-ups: trouble has the default one.
    pub fn has(&self, case: &Case) -> bool {
        let set_up = if self.trouble == Trouble::None { self.name } else { "default" };
        let fits = case.profiles.is_empty() || case.profiles.iter().any(|name| name == set_up);
        fits && match self.trouble {
            Trouble::None => true,
            // Where the runner speaks itself, the frames and cuts of the case are its own.
            Trouble::Link => case.kind == Kind::Sdk,
            Trouble::Kill => case.kind == Kind::Sdk && mishap::leaves_answers_alone(case),
        }
    }
}
