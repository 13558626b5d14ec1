//! Which rule has which cases: a page that is made from both, so that it cannot be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::case::Case;
use crate::spec::RULES;

/// Rules with a MUST that no case can hold anybody to, and why. What tests of ours there are stands here too.
const BEYOND: &[(&str, &str)] = &[
    ("CONTROL-004", "the runner has no gRPC of its own; the server's tests hold it to that"),
    (
        "DATA-012",
        "the runner sends no descriptors; the profile lossy-link has them come again and apart from their frames",
    ),
    ("DATA-013", "who writes where in shared memory is seen by nobody"),
    ("DATA-025", "what a location held before is seen by its writer alone"),
    (
        "DATA-035",
        "what a program does to memory of its own is not on the wire; tests of the SDKs look at how it is given",
    ),
    ("DATA-041", "a case cannot fill a disk; a test of the Python SDK gives the server a small one"),
    (
        "INTERFACE-010",
        "a worker that the node starts has a number that no case knows; scenarios of the core and tests of the SDKs are refused so",
    ),
    ("INTERFACE-013", "as INTERFACE-010"),
    ("INTERFACE-020", "testees know no interface; the tests of each SDK's stubs write every type"),
    ("INTERFACE-021", "as INTERFACE-020"),
    ("INTERFACE-022", "as INTERFACE-020"),
    ("WORKER-062", "templates are Python's alone; its tests and the server's play the other side"),
    ("WORKER-063", "as WORKER-062"),
    ("WORKER-064", "as WORKER-062"),
    ("WORKER-065", "as WORKER-062"),
];

pub fn page(cases: &[Case]) -> String {
    let mut cited: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for case in cases {
        for id in &case.spec {
            cited.entry(id).or_default().insert(&case.name);
        }
    }
    let musts = RULES.values().filter(|rule| rule.must).count();
    let covered = RULES.iter().filter(|(id, rule)| rule.must && cited.contains_key(id.as_str())).count();
    let others = RULES.iter().filter(|(id, rule)| !rule.must && cited.contains_key(id.as_str())).count();
    let mut page = format!(
        "# Rules and their cases\n\nMade by `cargo xtask conformance --trace`; do not edit. {} templates. Of {musts} rules with a MUST {covered} have a case, and the rest a reason why not; of {} others {others} have one.\n\n\
         | rule | | cases |\n|---|---|---|\n",
        cases.len(),
        RULES.len() - musts,
    );
    let mut rules: Vec<_> = RULES.iter().collect();
    rules.sort_by_key(|(id, rule)| (rule.page, (*id).clone()));
    for (id, rule) in rules {
        let names = cited.get(id.as_str()).map_or_else(
            || {
                BEYOND
                    .iter()
                    .find(|(beyond, _)| beyond == id)
                    .map_or("–".to_owned(), |(_, why)| format!("none: {why}"))
            },
            |names| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" "),
        );
        // A string takes whatever is written.
        let _ = writeln!(
            page,
            "| [{id}](../../protocol/spec/{}.md) | {} | {names} |",
            rule.page,
            if rule.must { "MUST" } else { "" }
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_must_has_a_case_or_a_reason_and_no_reason_is_stale() {
        let cases = crate::read_cases(&[]).expect("the cases inside are good");
        let has_case = |id: &str| cases.iter().any(|case| case.spec.iter().any(|cited| cited == id));
        for (id, rule) in RULES.iter().filter(|(_, rule)| rule.must) {
            let reason = BEYOND.iter().any(|(beyond, _)| beyond == id);
            assert!(has_case(id) != reason, "{id} on {} needs a case, or a reason and no case", rule.page);
        }
        for (id, _) in BEYOND {
            assert!(RULES.get(*id).is_some_and(|rule| rule.must), "{id} is no rule with a MUST");
        }
    }
}
