//! Which rule has which cases: a page that is made from both, so that it cannot be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::case::Case;
use crate::spec::RULES;

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
        "# Rules and their cases\n\nMade by `cargo xtask conformance --trace`; do not edit. {} templates. Of {musts} rules with a MUST {covered} have a case, of {} others {others}.\n\n\
         | rule | | cases |\n|---|---|---|\n",
        cases.len(),
        RULES.len() - musts,
    );
    let mut rules: Vec<_> = RULES.iter().collect();
    rules.sort_by_key(|(id, rule)| (rule.page, (*id).clone()));
    for (id, rule) in rules {
        let names = cited.get(id.as_str()).map_or_else(
            || "–".to_owned(),
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
