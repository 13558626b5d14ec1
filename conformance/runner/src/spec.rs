//! The ids of the specification, and of the error codes.

use std::collections::BTreeMap;
use std::sync::LazyLock;

include!(concat!(env!("OUT_DIR"), "/spec.rs"));

const CODES: &str = include_str!("../../../protocol/errors/codes.yaml");

/// What a page defines under an id.
pub struct Rule {
    pub page: &'static str,
    /// Whether it is a duty: it says MUST.
    pub must: bool,
    pub text: String,
}

/// Every rule by its id.
pub static RULES: LazyLock<BTreeMap<String, Rule>> = LazyLock::new(|| {
    let mut rules = BTreeMap::new();
    for (page, text) in SPEC {
        let mut last: Option<String> = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("- **")
                && let Some((id, rule)) = rest.split_once("** ")
            {
                rules.insert(id.to_owned(), Rule { page, must: false, text: rule.to_owned() });
                last = Some(id.to_owned());
            } else if let Some(id) = last.as_ref().filter(|_| line.starts_with("  ")) {
                let rule: &mut Rule = rules.get_mut(id).expect("it was just put there");
                rule.text.push(' ');
                rule.text.push_str(line.trim());
            } else {
                last = None;
            }
        }
    }
    for rule in rules.values_mut() {
        rule.must = rule.text.contains("MUST");
    }
    rules
});

/// Numbers of the registry by name.
pub static CODE_NUMBERS: LazyLock<BTreeMap<String, u64>> = LazyLock::new(|| {
    let field = |line: &str, key: &str| {
        line.split_once(key).map(|(_, rest)| rest.split(',').next().unwrap_or("").trim().to_owned())
    };
    CODES
        .lines()
        .filter_map(|line| Some((field(line, "name:")?, field(line, "code:")?.parse().ok()?)))
        .collect()
});

/// Whether a page defines it.
pub fn is_known(id: &str) -> bool {
    RULES.contains_key(id)
}

/// The name of a code, or its number.
pub fn code_name(number: u64) -> String {
    CODE_NUMBERS
        .iter()
        .find(|(_, n)| **n == number)
        .map_or_else(|| number.to_string(), |(name, _)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_and_the_registry_can_be_read() {
        assert!(RULES.len() > 200, "{}", RULES.len());
        assert!(RULES["SESSION-010"].must && RULES["SESSION-012"].text.contains("FEATURE_NOT_AGREED"));
        assert_eq!((CODE_NUMBERS["CANCELLED"], CODE_NUMBERS.len()), (25, 45));
    }
}
