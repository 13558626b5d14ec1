//! How many templates there are of each kind of thing. It only counts; that no group shrinks is for its test to say.

use std::fmt::Write as _;

use crate::case::Case;

/// What the files of cases are about together.
struct Group {
    about: &'static str,
    files: &'static [&'static str],
    /// Fewer than this were an oversight.
    least: usize,
}

const GROUPS: &[Group] = &[
    Group { about: "hello and negotiation", files: &["hello"], least: 25 },
    Group { about: "values and types", files: &["value"], least: 40 },
    Group { about: "tasks and errors", files: &["task", "error"], least: 35 },
    Group { about: "cancel and deadline", files: &["cancel"], least: 20 },
    Group { about: "refs: put, get, wait, borrow, spill", files: &["object"], least: 30 },
    Group { about: "actors", files: &["actor"], least: 30 },
    Group { about: "streams and credit", files: &["stream"], least: 15 },
    Group { about: "a server that misbehaves", files: &["misbehaving"], least: 20 },
    Group { about: "sessions, as a server keeps them", files: &["session"], least: 25 },
    Group { about: "typed interfaces", files: &["interface"], least: 10 },
    Group { about: "rights between jobs", files: &["rights"], least: 6 },
    Group {
        about: "the rest of a server, frame by frame",
        files: &["server-task", "server-stream", "server-actor", "server-object", "control"],
        least: 60,
    },
    Group { about: "workers, frame by frame", files: &["worker"], least: 25 },
];

fn file(case: &Case) -> &str {
    case.name.split('/').next().unwrap_or_default()
}

/// The counts as text: a line for each group, and one for all.
pub fn table(cases: &[Case]) -> String {
    let mut text = String::new();
    for group in GROUPS {
        let count = cases.iter().filter(|case| group.files.contains(&file(case))).count();
        // A string takes whatever is written.
        let _ = writeln!(
            text,
            "{count:5}  {} ({}; at least {})",
            group.about,
            group.files.join(", "),
            group.least
        );
    }
    let instances: usize = cases.iter().map(|case| case.instances().len()).sum();
    let _ = writeln!(text, "{:5}  templates, {instances} with their parameters filled in", cases.len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_group_has_fewer_templates_than_it_should_and_every_file_is_in_one() {
        let cases = crate::read_cases(&[]).expect("the cases inside are good");
        for group in GROUPS {
            for name in group.files {
                assert!(cases.iter().any(|case| file(case) == *name), "there is no {name}.yaml");
            }
            let count = cases.iter().filter(|case| group.files.contains(&file(case))).count();
            assert!(count >= group.least, "{}: {count} of {}", group.about, group.least);
        }
        for case in &cases {
            let groups = GROUPS.iter().filter(|group| group.files.contains(&file(case))).count();
            assert_eq!(groups, 1, "{} is in {groups} groups", case.name);
        }
        let counted: usize = table(&cases)
            .lines()
            .take(GROUPS.len())
            .map(|line| {
                line.split_whitespace().next().and_then(|n| n.parse::<usize>().ok()).expect("a number")
            })
            .sum();
        assert_eq!(counted, cases.len());
    }
}
