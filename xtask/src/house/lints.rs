//! Every crate takes the workspace's lints, and the crates without input or output keep their bans.
//!
//! Clippy reads only the nearest `clippy.toml`, so a crate that has one repeats the root's entries, or loses them.

use super::Complaint;
use crate::repo::{Repo, Result};

/// Crates in which the same inputs give the same outputs, always.
const PURE: &[&str] = &["protocol/types", "protocol/session", "server/core", "server/sim"];

/// What a pure crate must ban at least.
const BANS: &[&str] = &[
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::thread::sleep",
    "std::collections::HashMap::iter",
    "std::collections::HashSet::iter",
];

pub fn check(repo: &Repo) -> Result<Vec<Complaint>> {
    let mut complaints = Vec::new();
    let root = repo.read("clippy.toml")?;
    for file in repo.files()? {
        let text = || repo.read(&file);
        if let Some(folder) = file.strip_suffix("/Cargo.toml") {
            if !takes_lints(&text()?) {
                complaints.push(Complaint::new(&file, "must have `[lints] workspace = true`"));
            }
            if PURE.contains(&folder) && !repo.path(folder).join("clippy.toml").is_file() {
                complaints
                    .push(Complaint::new(folder, "must have a clippy.toml with the bans of a pure crate"));
            }
        }
        if let Some(folder) = file.strip_suffix("/clippy.toml") {
            let text = text()?;
            for entry in missing(&root, &text) {
                complaints.push(Complaint::new(&file, format!("must repeat the root's `{entry}`")));
            }
            let banned = |ban: &&str| text.contains(&format!("\"{ban}\""));
            for ban in BANS.iter().filter(|ban| PURE.contains(&folder) && !banned(ban)) {
                complaints.push(Complaint::new(&file, format!("must ban {ban}")));
            }
        }
    }
    Ok(complaints)
}

fn takes_lints(manifest: &str) -> bool {
    let mut section = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    section.find(|line| !line.is_empty()) == Some("workspace = true")
}

/// The root's entries that another file lacks.
fn missing<'a>(root: &'a str, other: &str) -> Vec<&'a str> {
    let entries = |line: &&str| !line.is_empty() && !line.starts_with('#');
    root.lines().filter(entries).filter(|entry| !other.lines().any(|line| line == *entry)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_the_root_that_is_not_repeated_is_found() {
        assert_eq!(missing("# why\na = 1\nb = 2\n", "b = 2\nc = 3\n"), ["a = 1"]);
    }

    #[test]
    fn a_crate_that_forgets_the_lints_is_found() {
        assert!(takes_lints("[package]\n\n[lints]\nworkspace = true\n"));
        assert!(!takes_lints("[package]\n[lints]\nrust = {}\n"));
        assert!(!takes_lints("[package]\n"));
    }
}
