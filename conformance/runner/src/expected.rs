//! Failures that are known. A list of them is strict in both directions: what is listed must fail, with the words that are listed, or the run fails.

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::engine::Outcome;
use crate::suite::Finding;

/// One known failure.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Name of an instance, `*` for any text.
    case: String,
    /// `python`, `python->go`, `server`; `*` for any text.
    who: String,
    /// What the failure's text must contain.
    message: String,
    /// Why it is here and who is to mend it.
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    expected: Vec<Spanned<Entry>>,
}

/// How a finding stands against the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    Failed,
    ExpectedFailure,
    Unsupported,
}

/// More than this many instances behind one entry hide what it stands for.
const MATCHES_MAX: usize = 24;

/// Reads a list.
pub fn parse(name: &str, text: &str) -> Result<Vec<Entry>, String> {
    let file: File = crate::case::yaml(text).map_err(|error| format!("{name}: {error}"))?;
    let check = |entry: Spanned<Entry>| {
        let line = entry.referenced.line();
        if entry.value.message.is_empty() || entry.value.reason.is_empty() {
            return Err(format!("{name}:{line}: an entry has a message and a reason"));
        }
        if entry.value.case.chars().all(|c| c == '*') {
            return Err(format!("{name}:{line}: `{}` names no case", entry.value.case));
        }
        Ok(entry.value)
    };
    file.expected.into_iter().map(check).collect()
}

/// Judges each finding, and says what is wrong with the list itself. `complete` says that nothing was left out, so that an entry without a match is stale.
pub fn judge(findings: &[Finding], entries: &[Entry], complete: bool) -> (Vec<Verdict>, Vec<String>) {
    let mut wrong = Vec::new();
    let mut matched = vec![0; entries.len()];
    let verdicts = findings
        .iter()
        .map(|finding| {
            let listed = entries
                .iter()
                .position(|entry| fits(&entry.case, &finding.instance) && fits(&entry.who, &finding.who()));
            if let Some(index) = listed {
                matched[index] += 1;
            }
            let entry = listed.map(|index| &entries[index]);
            match (&finding.outcome, entry) {
                (Outcome::Unsupported(_), _) => Verdict::Unsupported,
                (Outcome::Passed, None) => Verdict::Passed,
                (Outcome::Failed(_), None) => Verdict::Failed,
                (Outcome::Failed(reason), Some(entry)) if reason.contains(&entry.message) => {
                    Verdict::ExpectedFailure
                }
                (Outcome::Failed(_), Some(entry)) => {
                    wrong.push(format!(
                        "{} {} fails otherwise than listed ({:?})",
                        finding.instance,
                        finding.who(),
                        entry.message
                    ));
                    Verdict::Failed
                }
                (Outcome::Passed, Some(_)) => {
                    wrong.push(format!(
                        "{} {} passes, and is listed as a known failure: take it out",
                        finding.instance,
                        finding.who()
                    ));
                    Verdict::Failed
                }
            }
        })
        .collect();
    for (entry, count) in entries.iter().zip(matched) {
        if count == 0 && complete {
            wrong.push(format!("no case is named {} for {}: the entry is stale", entry.case, entry.who));
        }
        if count > MATCHES_MAX {
            wrong.push(format!(
                "the entry {} for {} matches {count} instances; write narrower ones",
                entry.case, entry.who
            ));
        }
    }
    (verdicts, wrong)
}

/// Whether a text is what a pattern with `*` says.
pub fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(instance: &str, outcome: Outcome) -> Finding {
        Finding {
            case: instance.to_owned(),
            instance: instance.to_owned(),
            carrier: "unix".to_owned(),
            caller: "go".to_owned(),
            callee: Some("python".to_owned()),
            outcome,
            cut_short: false,
            trace: Vec::new(),
        }
    }

    const LIST: &str = "expected:\n  - {case: 'task/a*', who: 'go->*', message: lost, reason: known}\n";

    #[test]
    fn a_list_is_strict_in_both_directions() {
        let entries = parse("x.yaml", LIST).expect("it is good");
        let failed = |reason: &str| Outcome::Failed(reason.to_owned());
        for (outcome, verdict, complaints) in [
            (failed("it was lost"), Verdict::ExpectedFailure, 0),
            (failed("something else"), Verdict::Failed, 1),
            (Outcome::Passed, Verdict::Failed, 1),
            (Outcome::Unsupported("x".to_owned()), Verdict::Unsupported, 0),
        ] {
            let (verdicts, wrong) = judge(&[finding("task/ab", outcome)], &entries, true);
            assert_eq!((verdicts, wrong.len()), (vec![verdict], complaints));
        }
        let other = || [finding("task/b", failed("it was lost"))];
        assert_eq!(judge(&other(), &entries, true).0, [Verdict::Failed]);
        assert_eq!(judge(&other(), &entries, true).1.len(), 1, "a stale entry");
        assert_eq!(judge(&other(), &entries, false).1.len(), 0);
    }

    #[test]
    fn an_entry_needs_a_reason_and_no_strange_keys() {
        assert!(
            parse("x.yaml", &LIST.replace("reason: known", "reason: ''"))
                .expect_err("empty")
                .starts_with("x.yaml:2")
        );
        assert!(parse("x.yaml", &LIST.replace("reason", "raisin")).is_err());
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, holds) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b*", "abc", true),
            ("a*c*e", "abcde", true),
            ("a*c", "abcd", false),
        ] {
            assert_eq!(fits(pattern, text), holds, "{pattern} {text}");
        }
    }
}
