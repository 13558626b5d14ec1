//! What every source file owes its reader: an opening that says what it is, a size that can be read in one sitting, no
//! work left undone, and nothing that is true on one machine only.

use std::collections::BTreeMap;

use super::Complaint;
use crate::repo::{Repo, Result};

/// Lines that a file written by hand may have. The aim is six hundred; this is where it stops being a matter of taste.
const LINES_MAX: usize = 900;

pub fn check_shape(repo: &Repo) -> Result<Vec<Complaint>> {
    let mut complaints = Vec::new();
    // In Go it is a package that opens with what it is, in one of its files.
    let mut packages = BTreeMap::new();
    for file in repo.files()? {
        let opening = match file.rsplit_once('.').map(|(_, suffix)| suffix) {
            Some("rs") => Some(("//!", "a `//!` that says what the module is and what it never does")),
            Some("py") => Some(("\"\"\"", "a docstring that says what the module is")),
            Some("ts") => Some(("// ", "a comment that says what the module is and what it never does")),
            Some("proto" | "fbs" | "go") => None,
            _ => continue,
        };
        let Ok(text) = repo.read(&file) else { continue };
        if is_generated(&file, &text) {
            continue;
        }
        if file.ends_with(".go") && !file.ends_with("_test.go") {
            let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
            *packages.entry(folder).or_insert(false) |= opens_package(&text);
        }
        if let Some((mark, wanted)) = opening
            && !opens_with(&text, mark)
        {
            complaints.push(Complaint::new(&file, format!("must open with {wanted}")));
        }
        let lines = text.lines().count();
        if lines > LINES_MAX {
            complaints.push(Complaint::new(
                &file,
                format!("has {lines} lines; split it by noun (at most {LINES_MAX})"),
            ));
        }
    }
    for (folder, _) in packages.iter().filter(|(_, opens)| !**opens) {
        complaints
            .push(Complaint::new(folder, "must say above `package` in one of its files what the package is"));
    }
    Ok(complaints)
}

/// Whether a Go file says what its package is.
fn opens_package(text: &str) -> bool {
    let lines: Vec<&str> = text.lines().take_while(|line| !line.starts_with("package ")).collect();
    lines.last().is_some_and(|line| {
        line.starts_with("// ") && !line.starts_with("// +build") || line.trim_end().ends_with("*/")
    })
}

/// Whether the first line that is not a comment of another kind, an attribute of the file or blank begins with `mark`.
fn opens_with(text: &str, mark: &str) -> bool {
    text.trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim_start)
        .find(|line| {
            let passed_over = line.is_empty()
                || line.starts_with('#')
                || (line.starts_with("//") && !line.starts_with("//!") && mark != "// ");
            !passed_over
        })
        // An empty file (a package's `__init__.py`) has nothing to say.
        .is_none_or(|line| line.starts_with(mark) || line.starts_with(&format!("r{mark}")))
}

/// Generated code says so near its top, as its generator writes it.
fn is_generated(file: &str, text: &str) -> bool {
    let told = |line: &str| {
        line.contains("@generated")
            || line.contains("DO NOT EDIT")
            || line.contains("automatically generated")
    };
    file.contains("/generated/")
        || file.contains("/gen/")
        || file.contains("/_gen/")
        || text.lines().take(8).any(told)
}

pub fn check_words(repo: &Repo) -> Result<Vec<Complaint>> {
    let mut complaints = Vec::new();
    for file in repo.files()? {
        // Bytes that are no text (vectors, a fuzzing corpus) have no words.
        let Ok(text) = repo.read(&file) else { continue };
        for (at, line) in text.lines().enumerate() {
            for word in words_of_one_machine(line).chain(words_of_unfinished_work(&file, line)) {
                complaints.push(Complaint::new(
                    &format!("{file}:{}", at + 1),
                    format!("`{word}` does not belong here"),
                ));
            }
            if file == "Cargo.lock"
                && line.starts_with("source = ")
                && !line.contains("github.com/rust-lang/crates.io-index")
            {
                complaints.push(Complaint::new(
                    &format!("{file}:{}", at + 1),
                    "a crate from elsewhere than crates.io",
                ));
            }
        }
    }
    Ok(complaints)
}

/// Folders that exist where someone happens to work, and nowhere else.
fn words_of_one_machine(line: &str) -> impl Iterator<Item = &str> {
    // Put together here, or this line would be a complaint about itself.
    const FOLDERS: [&str; 4] =
        [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/tmp/", "brief"), concat!("/ho", "me/")];
    FOLDERS.into_iter().filter(|folder| {
        line.match_indices(folder).any(|(at, _)| {
            // A folder of ours may have such a name; only one that starts at the root of a machine is meant.
            let before = line[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || "._-}*".contains(c))
        })
    })
}

fn words_of_unfinished_work<'a>(file: &str, line: &'a str) -> impl Iterator<Item = &'a str> {
    const MARKS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    let source = [".rs", ".py", ".go", ".ts", ".proto", ".md", ".toml", ".yaml", ".fbs"]
        .iter()
        .any(|suffix| file.ends_with(suffix));
    MARKS.into_iter().filter(move |mark| source && line.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_may_follow_comments_and_a_shebang() {
        assert!(opens_with("// Copyright\n\n//! What.\n", "//!"));
        assert!(opens_with("#!/usr/bin/env python3\n\"\"\"What.\"\"\"\n", "\"\"\""));
        assert!(opens_with("", "\"\"\""));
        assert!(!opens_with("use std::fs;\n//! Late.\n", "//!"));
        assert!(!opens_with("import os\n", "\"\"\""));
        assert!(opens_with("#!/usr/bin/env node\n// What.\n", "// "));
        assert!(!opens_with("import fs from \"node:fs\";\n// Late.\n", "// "));
    }

    #[test]
    fn a_package_opens_right_above_its_name() {
        assert!(opens_package("// Package a is one.\npackage a\n"));
        assert!(opens_package("//go:build linux\n\n/* Command a. */\npackage main\n"));
        assert!(!opens_package("// Copyright\n\npackage a\n// Package a is one.\n"));
        assert!(!opens_package("package a\n"));
    }

    #[test]
    fn a_path_of_a_machine_is_told_from_a_path_of_ours() {
        let told = |line| words_of_one_machine(line).count();
        assert_eq!(told(concat!("see /wo", "rk/main")), 1);
        assert_eq!(told(concat!("(/ro", "ot/x)")), 1);
        assert_eq!(told(concat!("docs/wo", "rk/main.md")), 0);
        assert_eq!(told("a workaround"), 0);
    }

    #[test]
    fn generated_code_is_recognised() {
        assert!(is_generated("a/b.py", "# Generated by the protocol buffer compiler.  DO NOT EDIT!\n"));
        assert!(is_generated("a/generated/b.rs", ""));
        assert!(!is_generated("a/b.rs", "//! Hand-made.\n"));
    }
}
