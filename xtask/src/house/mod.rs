//! The rules of the house: what must be true of the repository itself, whatever the code does.
//!
//! Each rule is a function from the tree to a list of [`Complaint`]s, with tests of its own on trees that break it.
//! All rules run, so that one look shows everything there is to mend.

mod crates;
mod docs;
mod errors;
mod foreign_licences;
mod licences;
mod lints;
mod sources;
mod spec;

use crate::repo::{Repo, Result};

/// One thing that is not as the house wants it: where, what, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Complaint(String);

impl Complaint {
    fn new(place: &str, what: impl std::fmt::Display) -> Self {
        Self(format!("{place}: {what}"))
    }
}

type Rule = fn(&Repo) -> Result<Vec<Complaint>>;

/// Every rule, by the name that its report carries.
const RULES: &[(&str, Rule)] = &[
    ("crates depend only downward", crates::check),
    ("dependencies have a licence that we accept", licences::check),
    ("Go modules and npm packages have a licence that we accept", foreign_licences::check),
    ("every crate takes the workspace's lints, and pure ones their bans", lints::check),
    ("error codes have a page, and a name in every language", errors::check),
    ("spec ids are unique, well-formed and exist where they are cited", spec::check),
    ("sources open with what they are and stay small", sources::check_shape),
    ("sources name no machine and leave nothing undone", sources::check_words),
    ("documents name paths, links and commands that exist", docs::check),
];

/// Complaints of one rule that are printed; beyond that they have one cause, as a rule.
const SHOWN_MAX: usize = 20;

/// Runs every rule and prints how each came out. Gives back (kept, broken).
pub fn check(repo: &Repo) -> Result<(u64, u64)> {
    let (mut kept, mut broken) = (0, 0);
    for (name, rule) in RULES {
        let complaints = rule(repo).map_err(|e| format!("{name}: {e}"))?;
        if complaints.is_empty() {
            println!("  ok      {name}");
            kept += 1;
        } else {
            println!("  BROKEN  {name}");
            for Complaint(text) in complaints.iter().take(SHOWN_MAX) {
                println!("          {text}");
            }
            if complaints.len() > SHOWN_MAX {
                println!("          … and {} more", complaints.len() - SHOWN_MAX);
            }
            broken += 1;
        }
    }
    Ok((kept, broken))
}

/// The workspace and all that it depends on, as cargo sees it, with every feature. What only other systems than Linux
/// need is left out: nobody here has built it, and most of it has not even been downloaded.
fn metadata(repo: &Repo) -> Result<serde_json::Value> {
    let text = crate::run::Program::cargo(repo.root())
        .args(["metadata", "--format-version", "1", "--locked", "--all-features", "--quiet"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .capture()?;
    serde_json::from_str(&text).map_err(|e| format!("cargo metadata gave something that is not JSON: {e}"))
}
