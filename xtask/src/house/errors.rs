//! Every error code of the registry has a page beside it, and a name with the same number in Rust, Python and Go.

use std::collections::BTreeMap;

use super::Complaint;
use crate::repo::{Repo, Result};

const REGISTRY: &str = "protocol/errors/codes.yaml";

/// One line of the registry.
#[derive(Debug, PartialEq, Eq)]
struct Code {
    number: u32,
    name: String,
}

pub fn check(repo: &Repo) -> Result<Vec<Complaint>> {
    let (codes, mut complaints) = parse(&repo.read(REGISTRY)?);
    let files = repo.files()?;
    let text_under = |prefix: &str, suffix: &str| -> Result<String> {
        let mut all = String::new();
        for file in files.iter().filter(|file| file.starts_with(prefix) && file.ends_with(suffix)) {
            all.push_str(&repo.read(file)?);
        }
        Ok(all)
    };
    let rust = text_under("protocol/types/src/", ".rs")?;
    let python = text_under("sdks/python/src/thornback/", ".py")?;
    let go = text_under("sdks/go/", "code.go")?;
    for code in &codes {
        let page = format!("protocol/errors/{}.md", code.name);
        match repo.read(&page) {
            Ok(text) => {
                let title = text.lines().next().unwrap_or_default();
                if !title.starts_with('#')
                    || !has_word(title, &code.name)
                    || !has_word(title, &code.number.to_string())
                {
                    let wanted =
                        format!("its first line must be a heading with {} and {}", code.name, code.number);
                    complaints.push(Complaint::new(&page, wanted));
                }
            }
            Err(_) => complaints.push(Complaint::new(&page, "the page of this code is missing")),
        }
        complaints.extend(named(&rust, "protocol/types/src", code));
        complaints.extend(named(&python, "sdks/python/src/thornback", code));
        complaints.extend(named(&go, "sdks/go/code.go", code));
    }
    for file in &files {
        let page = file.strip_prefix("protocol/errors/").and_then(|file| file.strip_suffix(".md"));
        if let Some(name) = page.filter(|name| *name != "README")
            && !codes.iter().any(|code| code.name == name)
        {
            complaints.push(Complaint::new(file, format!("a page for a code that {REGISTRY} does not have")));
        }
    }
    Ok(complaints)
}

/// Reads the registry. The file is YAML, but each entry is one line of flow style, and this wants it so: a line per code
/// is what a review can compare.
fn parse(text: &str) -> (Vec<Code>, Vec<Complaint>) {
    let mut codes: Vec<Code> = Vec::new();
    let mut complaints = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let place = format!("{REGISTRY}:{}", at + 1);
        let Some(entry) = line.trim().strip_prefix("- ") else { continue };
        let Some(fields) = fields(entry) else {
            complaints
                .push(Complaint::new(&place, "wanted one entry on one line, `- {code: N, name: NAME, ...}`"));
            continue;
        };
        for key in ["fault", "retryable", "summary"] {
            if fields.get(key).is_none_or(|value| value.is_empty()) {
                complaints.push(Complaint::new(&place, format!("`{key}` is missing")));
            }
        }
        let number = fields.get("code").and_then(|value| value.parse().ok());
        let name = fields.get("name").filter(|name| is_name(name));
        match (number, name) {
            (Some(number), Some(name)) => {
                if codes.last().is_some_and(|last| last.number >= number) {
                    complaints.push(Complaint::new(&place, "numbers must ascend and never repeat"));
                }
                if codes.iter().any(|code| code.name == *name) {
                    complaints.push(Complaint::new(&place, format!("{name} is there twice")));
                }
                codes.push(Code { number, name: (*name).to_owned() });
            }
            _ => complaints.push(Complaint::new(&place, "`code` must be a number and `name` in CAPITALS")),
        }
    }
    if codes.is_empty() {
        complaints.push(Complaint::new(REGISTRY, "no codes were found"));
    }
    (codes, complaints)
}

/// `{a: 1, b: "x, y"}` as its fields. A comma inside quotes belongs to the value.
fn fields(entry: &str) -> Option<BTreeMap<&str, &str>> {
    let inside = entry.strip_prefix('{')?.strip_suffix('}')?;
    let mut quoted = false;
    let parts = inside.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    parts
        .map(|part| part.split_once(':').map(|(key, value)| (key.trim(), value.trim().trim_matches('"'))))
        .collect()
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// A complaint unless `text` has the code's name, in capitals or in camel case, on a line that also has its number.
fn named(text: &str, place: &str, code: &Code) -> Option<Complaint> {
    let (camel, number) = (camel_case(&code.name), code.number.to_string());
    let mut by_name =
        text.lines().filter(|line| has_word(line, &code.name) || has_word(line, &camel)).peekable();
    if by_name.peek().is_none() {
        return Some(Complaint::new(place, format!("{} is named nowhere", code.name)));
    }
    (!by_name.any(|line| has_word(line, &number)))
        .then(|| Complaint::new(place, format!("no line says that {} is {number}", code.name)))
}

fn camel_case(name: &str) -> String {
    name.split('_')
        .flat_map(|part| {
            part.chars()
                .take(1)
                .chain(part.chars().skip(1).map(|c| c.to_ascii_lowercase()).collect::<Vec<_>>())
        })
        .collect()
}

/// Whether `word` stands in `line` with no letter, digit or underscore on either side.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(part)
            && !line[at + word.len()..].chars().next().is_some_and(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_with_commas_in_its_summary() {
        let (codes, complaints) = parse(
            "codes:\n  - {code: 7, name: TOO_BIG, fault: caller, retryable: false, summary: \"Big, too big: yes.\"}\n",
        );
        assert_eq!(codes, [Code { number: 7, name: "TOO_BIG".to_owned() }]);
        assert_eq!(complaints, []);
    }

    #[test]
    fn a_number_used_twice_is_refused() {
        let line = "  - {code: 7, name: A, fault: x, retryable: false, summary: y}\n";
        let (_, complaints) = parse(&[line, &line.replace("name: A", "name: B")].concat());
        assert_eq!(complaints.len(), 1);
    }

    #[test]
    fn a_name_with_another_number_is_refused() {
        let code = Code { number: 7, name: "TOO_BIG".to_owned() };
        assert_eq!(named("TooBig = 7,", "x", &code), None);
        assert_eq!(named("TOO_BIG = 7", "x", &code), None);
        assert!(named("TooBig = 8,", "x", &code).is_some());
        assert!(named("TooBigger = 7,", "x", &code).is_some());
    }

    #[test]
    fn an_empty_registry_is_refused() {
        assert_eq!(parse("codes:\n").1.len(), 1);
    }
}
