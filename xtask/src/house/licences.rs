//! Every crate that we depend on has a licence that `deny.toml` accepts.
//!
//! The list lives in `deny.toml` alone, so `cargo deny` and this rule cannot disagree. This one needs nothing installed.

use super::Complaint;
use crate::repo::{Repo, Result};

pub fn check(repo: &Repo) -> Result<Vec<Complaint>> {
    let allowed = allowed(&repo.read("deny.toml")?);
    if allowed.is_empty() {
        return Ok(vec![Complaint::new("deny.toml", "[licenses] allow is empty or not where it was")]);
    }
    let metadata = super::metadata(repo)?;
    let mut complaints = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or("?");
        match package["license"].as_str() {
            None => complaints.push(Complaint::new(name, "declares no licence")),
            Some(expression) => match accepted(expression, &allowed) {
                Some(true) => {}
                Some(false) => {
                    complaints.push(Complaint::new(
                        name,
                        format!("its licence `{expression}` is not in deny.toml"),
                    ));
                }
                None => complaints
                    .push(Complaint::new(name, format!("its licence `{expression}` cannot be read"))),
            },
        }
    }
    Ok(complaints)
}

/// The strings of the list `allow` under `[licenses]`.
pub fn allowed(deny: &str) -> Vec<String> {
    deny.lines()
        .map(str::trim)
        .skip_while(|line| *line != "[licenses]")
        .skip_while(|line| !line.starts_with("allow"))
        .skip(1)
        .take_while(|line| !line.starts_with(']'))
        .filter_map(|line| line.strip_prefix('"')?.split('"').next())
        .map(str::to_owned)
        .collect()
}

/// Whether an SPDX expression can be satisfied with licences from the list; `None` if it is no such expression.
pub fn accepted(expression: &str, allowed: &[String]) -> Option<bool> {
    // Before SPDX, cargo's way of saying OR was a slash.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { words: &words, allowed };
    let verdict = parser.any()?;
    parser.words.is_empty().then_some(verdict)
}

/// `any = all {"OR" all}`, `all = one {"AND" one}`, `one = "(" any ")" | id ["WITH" exception]`.
struct Parser<'a> {
    words: &'a [&'a str],
    allowed: &'a [String],
}

impl Parser<'_> {
    fn any(&mut self) -> Option<bool> {
        let mut verdict = self.all()?;
        while self.eat("OR") {
            verdict |= self.all()?;
        }
        Some(verdict)
    }

    fn all(&mut self) -> Option<bool> {
        let mut verdict = self.one()?;
        while self.eat("AND") {
            verdict &= self.one()?;
        }
        Some(verdict)
    }

    fn one(&mut self) -> Option<bool> {
        if self.eat("(") {
            let verdict = self.any()?;
            return self.eat(")").then_some(verdict);
        }
        let (id, rest) = self.words.split_first()?;
        self.words = rest;
        if self.eat("WITH") {
            let (exception, rest) = self.words.split_first()?;
            self.words = rest;
            let whole = format!("{id} WITH {exception}");
            return Some(self.allowed.contains(&whole));
        }
        Some(self.allowed.iter().any(|allowed| allowed == id))
    }

    fn eat(&mut self, word: &str) -> bool {
        match self.words.split_first() {
            Some((first, rest)) if *first == word => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(expression: &str) -> Option<bool> {
        let list = "[licenses]\nallow = [\n    \"MIT\",\n    \"Apache-2.0\",\n    \"Unicode-3.0\",\n]\n";
        accepted(expression, &allowed(list))
    }

    #[test]
    fn or_needs_one_and_and_needs_both() {
        assert_eq!(verdict("MIT"), Some(true));
        assert_eq!(verdict("GPL-3.0-only"), Some(false));
        assert_eq!(verdict("GPL-3.0-only OR MIT"), Some(true));
        assert_eq!(verdict("GPL-3.0-only/MIT"), Some(true));
        assert_eq!(verdict("GPL-3.0-only AND MIT"), Some(false));
        assert_eq!(verdict("(MIT OR GPL-3.0-only) AND Unicode-3.0"), Some(true));
        assert_eq!(verdict("Apache-2.0 WITH LLVM-exception OR GPL-2.0"), Some(false));
    }

    #[test]
    fn what_is_no_expression_is_not_taken_for_one() {
        assert_eq!(verdict(""), None);
        assert_eq!(verdict("MIT OR"), None);
        assert_eq!(verdict("(MIT"), None);
        assert_eq!(verdict("MIT Apache-2.0"), None);
    }
}
