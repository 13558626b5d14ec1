//! From WIT's kebab-case names to those of a language, none twice and none that the language keeps to itself.

use std::collections::BTreeSet;

/// `max-width` as `max_width`.
pub(crate) fn snake(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

/// `max-width` as `MAX_WIDTH`.
pub(crate) fn shout(name: &str) -> String {
    snake(name).to_ascii_uppercase()
}

/// `max-width` as `MaxWidth`.
pub(crate) fn pascal(name: &str) -> String {
    let mut text = String::new();
    for part in name.split('-') {
        let mut chars = part.chars();
        text.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        text.push_str(&chars.as_str().to_ascii_lowercase());
    }
    text
}

/// `max-width` as `maxWidth`.
pub(crate) fn camel(name: &str) -> String {
    let (first, rest) = name.split_once('-').unwrap_or((name, ""));
    format!("{}{}", first.to_ascii_lowercase(), pascal(rest))
}

/// Gives names of one scope out, each once.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    taken: BTreeSet<String>,
}

impl Scope {
    /// A scope in which these names mean something already.
    pub(crate) fn without(reserved: &[&str]) -> Scope {
        Scope { taken: reserved.iter().map(|name| (*name).to_owned()).collect() }
    }

    /// The name, or with as many underscores behind it as make it a new one.
    pub(crate) fn take(&mut self, name: String) -> String {
        let mut name = name;
        while !self.taken.insert(name.clone()) {
            name.push('_');
        }
        name
    }
}
