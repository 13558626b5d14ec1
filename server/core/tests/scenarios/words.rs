//! A command line in words: `submit d1 t1 f args="x",o1 force`.

use std::collections::BTreeMap;

/// What a command says. Options that nobody asked for are an error, so that a misspelt one is not taken for a default.
#[derive(Debug)]
pub struct Words {
    pub verb: String,
    positional: std::vec::IntoIter<String>,
    options: BTreeMap<String, String>,
}

pub type Parsed<T> = Result<T, String>;

impl Words {
    pub fn parse(line: &str) -> Words {
        let mut words = split(line, ' ').into_iter();
        let verb = words.next().unwrap_or_default();
        let (mut positional, mut options) = (Vec::new(), BTreeMap::new());
        for word in words {
            match word.split_once('=') {
                Some((name, value)) if !word.starts_with(['"', '[']) => {
                    options.insert(name.to_owned(), value.to_owned());
                }
                _ => positional.push(word),
            }
        }
        Words { verb, positional: positional.into_iter(), options }
    }

    pub fn next(&mut self, what: &str) -> Parsed<String> {
        self.positional.next().ok_or_else(|| format!("{} needs {what}", self.verb))
    }

    pub fn rest(&mut self) -> Vec<String> {
        self.positional.by_ref().collect()
    }

    pub fn flag(&mut self, name: &str) -> bool {
        let mut words: Vec<String> = self.positional.by_ref().collect();
        let at = words.iter().position(|word| word == name);
        if let Some(at) = at {
            words.remove(at);
        }
        self.positional = words.into_iter();
        at.is_some()
    }

    pub fn option(&mut self, name: &str) -> Option<String> {
        self.options.remove(name)
    }

    pub fn number<T: std::str::FromStr>(&mut self, name: &str) -> Parsed<Option<T>> {
        self.option(name)
            .map(|text| text.parse().map_err(|_| format!("{name}={text} is no number")))
            .transpose()
    }

    /// A comma-separated list.
    pub fn list(&mut self, name: &str) -> Vec<String> {
        self.option(name).map(|text| split(&text, ',')).unwrap_or_default()
    }

    pub fn end(mut self) -> Parsed<()> {
        if let Some(word) = self.positional.next().or_else(|| self.options.into_keys().next()) {
            return Err(format!("{} does not know {word}", self.verb));
        }
        Ok(())
    }
}

/// Splits outside of quotes and brackets.
pub fn split(text: &str, at: char) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let (mut quoted, mut depth) = (false, 0);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            '[' | '(' if !quoted => depth += 1,
            ']' | ')' if !quoted => depth -= 1,
            _ => {}
        }
        if c == at && !quoted && depth == 0 {
            if !part.is_empty() {
                parts.push(std::mem::take(&mut part));
            }
        } else {
            part.push(c);
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}
