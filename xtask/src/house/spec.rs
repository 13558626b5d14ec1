//! Spec ids (`TASK-012`): each is defined once under `protocol/spec/`, and cited only if it is defined.
//!
//! A definition is an id that stands first on its line, after the marks of a list, a table, a heading or emphasis.
//! Everything else is a citation: in prose, in code, in a test's name.

use std::collections::BTreeMap;

use super::Complaint;
use crate::repo::{Repo, Result};

/// Files that may cite an id.
const CITING: &[&str] = &[".md", ".rs", ".py", ".proto", ".yaml", ".fbs", ".txt", ".go", ".ts"];

pub fn check(repo: &Repo) -> Result<Vec<Complaint>> {
    let files = repo.files()?;
    let mut complaints = Vec::new();
    let mut defined: BTreeMap<String, String> = BTreeMap::new();
    for file in files.iter().filter(|file| file.starts_with("protocol/spec/") && file.ends_with(".md")) {
        for (id, line) in definitions(&repo.read(file)?) {
            let place = format!("{file}:{line}");
            if id.split_once('-').is_none_or(|(_, number)| number.len() != 3) {
                complaints.push(Complaint::new(&place, format!("{id} must have three digits")));
            }
            if let Some(first) = defined.insert(id.to_owned(), place.clone()) {
                complaints.push(Complaint::new(&place, format!("{id} is defined already, at {first}")));
            }
        }
    }
    if defined.is_empty() {
        return Ok(vec![Complaint::new("protocol/spec", "no spec id is defined there")]);
    }
    let nouns: Vec<&str> = defined.keys().filter_map(|id| id.split_once('-').map(|(noun, _)| noun)).collect();
    for file in files.iter().filter(|file| CITING.iter().any(|suffix| file.ends_with(suffix))) {
        let Ok(text) = repo.read(file) else { continue };
        for (at, line) in text.lines().enumerate() {
            for id in ids(line).filter(|id| !defined.contains_key(*id)) {
                let ours = id.split_once('-').is_some_and(|(noun, _)| nouns.contains(&noun));
                if ours {
                    let place = format!("{file}:{}", at + 1);
                    complaints.push(Complaint::new(
                        &place,
                        format!("{id} is cited, but protocol/spec does not define it"),
                    ));
                }
            }
        }
    }
    Ok(complaints)
}

/// The ids that a page defines, with their line numbers.
fn definitions(text: &str) -> impl Iterator<Item = (&str, usize)> {
    text.lines().enumerate().filter_map(|(at, line)| {
        let bare = line.trim_start_matches(|c: char| c.is_whitespace() || "-*#|`[_".contains(c));
        ids(bare).next().filter(|id| bare.starts_with(id)).map(|id| (id, at + 1))
    })
}

/// Everything in `line` of the form `LETTERS-DIGITS`.
fn ids(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).filter(|word| {
        word.split_once('-').is_some_and(|(noun, number)| {
            noun.len() >= 2
                && noun.bytes().all(|b| b.is_ascii_uppercase())
                && !number.is_empty()
                && number.bytes().all(|b| b.is_ascii_digit())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_stands_first_and_a_citation_does_not() {
        let page =
            "# Tasks\n- **TASK-001** A node MUST answer.\n| TASK-002 | MUST | x |\nAs TASK-001 says.\n";
        assert_eq!(definitions(page).collect::<Vec<_>>(), [("TASK-001", 2), ("TASK-002", 3)]);
    }

    #[test]
    fn what_only_looks_like_an_id_is_left_alone() {
        assert_eq!(
            ids("SHA-256, task-001, TASK-, A-1, OBJ-003.").collect::<Vec<_>>(),
            ["SHA-256", "OBJ-003"]
        );
    }
}
