//! What the documents say exists, exists: relative links everywhere, the paths in `docs/ARCHITECTURE.md`, and every
//! `cargo xtask …` line.

use clap::CommandFactory;

use super::Complaint;
use crate::repo::{Repo, Result};

pub fn check(repo: &Repo) -> Result<Vec<Complaint>> {
    let mut complaints = Vec::new();
    for file in repo.files()?.iter().filter(|file| file.ends_with(".md")) {
        let text = repo.read(file)?;
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (at, line, fenced) in lines(&text) {
            let place = format!("{file}:{at}");
            if !fenced {
                for target in links(line).filter(|target| !repo.path(folder).join(target).exists()) {
                    complaints
                        .push(Complaint::new(&place, format!("links to {target}, which does not exist")));
                }
            }
            if file == "docs/ARCHITECTURE.md" {
                for path in paths(line).filter(|path| !repo.path(path).exists()) {
                    complaints.push(Complaint::new(&place, format!("names {path}, which does not exist")));
                }
            }
            for command in commands(line) {
                if let Err(why) = understood(&command) {
                    complaints.push(Complaint::new(&place, format!("`{command}`: {why}")));
                }
            }
        }
    }
    Ok(complaints)
}

/// Lines with their numbers, and whether each is inside a fenced block.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str, bool)> {
    let mut fenced = false;
    text.lines().enumerate().map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (at + 1, line, fenced || fence)
    })
}

/// The relative targets of Markdown links, without their anchors.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', ' ']).next()?.split('#').next()?;
        (!target.is_empty() && !target.contains("://") && !target.starts_with("mailto:")).then_some(target)
    })
}

/// Words in backquotes that can only be a path of this tree: a slash, no spaces, no pattern, no leading `/`, `~` or `$`.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2).filter_map(|word| {
        let plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
        (plain && word.contains('/') && !word.starts_with('/') && !word.starts_with("target/"))
            .then(|| word.trim_end_matches('/'))
    })
}

/// The `cargo xtask …` commands of a line, in backquotes or alone in a fenced block.
fn commands(line: &str) -> impl Iterator<Item = String> {
    line.split('`').filter_map(|part| {
        let command = part.trim().trim_start_matches("$ ");
        command
            .starts_with("cargo xtask ")
            .then(|| command.split(" #").next().unwrap_or(command).trim().to_owned())
    })
}

/// Whether our own command line takes it. A word in `<angle>` brackets or CAPITALS stands for what a reader puts there.
fn understood(command: &str) -> std::result::Result<(), String> {
    let words: Vec<String> =
        words(command).into_iter().skip(2).filter(|word| word != "…" && word != "...").collect();
    if words.first().is_none_or(|word| word.starts_with('<')) {
        return Ok(());
    }
    let bare = |word: &String| word.trim_matches(|c| "[]".contains(c)).to_owned();
    let plain: Vec<String> = words.iter().map(bare).filter(|word| !word.is_empty()).collect();
    let cli = crate::Cli::command().no_binary_name(true);
    match cli.try_get_matches_from(plain) {
        Ok(_) => Ok(()),
        Err(e) if e.exit_code() == 0 => Ok(()),
        Err(e) => Err(e.to_string().lines().next().unwrap_or("not understood").to_owned()),
    }
}

/// The words of a command line; what stands in double quotes is one.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lose_their_anchor_and_foreign_ones_are_left_alone() {
        let line = "See [a](b/c.md#d), [e](https://example.org/x) and [f](#here).";
        assert_eq!(links(line).collect::<Vec<_>>(), ["b/c.md"]);
    }

    #[test]
    fn a_path_is_told_from_a_word() {
        let line = "`server/core/` and `a::b/c d` and `/etc/x` and `Node` and `core/{a,b}`";
        assert_eq!(paths(line).collect::<Vec<_>>(), ["server/core"]);
    }

    #[test]
    fn a_command_that_we_do_not_have_is_refused() {
        assert_eq!(understood("cargo xtask test --only house"), Ok(()));
        assert_eq!(understood("cargo xtask <command>"), Ok(()));
        assert_eq!(understood("cargo xtask bench --only \"tasks sync\" --rounds 3"), Ok(()));
        assert!(understood("cargo xtask frobnicate").is_err());
        assert!(understood("cargo xtask test --frobnicate").is_err());
    }
}
