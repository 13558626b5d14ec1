//! What came of a run, for people and for programs.

mod html;
mod junit;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::engine::Outcome;
use crate::expected::Verdict;
use crate::suite::Finding;

/// A finished run.
pub struct Report<'a> {
    pub templates: usize,
    pub profile: &'a str,
    pub findings: &'a [Finding],
    pub verdicts: &'a [Verdict],
    /// What is wrong with the list of known failures.
    pub complaints: &'a [String],
}

#[derive(Clone, Copy, Default)]
struct Count {
    passed: u64,
    failed: u64,
    expected: u64,
    unsupported: u64,
}

impl Count {
    fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed => self.failed += 1,
            Verdict::ExpectedFailure => self.expected += 1,
            Verdict::Unsupported => self.unsupported += 1,
        }
    }

    fn json(self) -> Json {
        json!({"passed": self.passed, "failed": self.failed, "expected_failures": self.expected, "unsupported": self.unsupported})
    }
}

impl Report<'_> {
    fn each(&self) -> impl Iterator<Item = (&Finding, Verdict)> {
        self.findings.iter().zip(self.verdicts.iter().copied())
    }

    fn counts(&self, key: impl Fn(&Finding) -> Option<String>) -> BTreeMap<String, Count> {
        let mut counts: BTreeMap<String, Count> = BTreeMap::new();
        for (finding, verdict) in self.each() {
            if let Some(key) = key(finding) {
                counts.entry(key).or_default().add(verdict);
            }
        }
        counts
    }

    /// By who drives; the server alone is `server`.
    fn callers(&self) -> BTreeMap<String, Count> {
        self.counts(|finding| Some(finding.caller.clone()))
    }

    fn pairs(&self) -> BTreeMap<String, Count> {
        self.counts(|finding| finding.callee.as_ref().map(|_| finding.who()))
    }

    /// Whether the run is a success.
    pub fn passed(&self) -> bool {
        self.complaints.is_empty() && !self.verdicts.contains(&Verdict::Failed)
    }

    /// For programs.
    pub fn json(&self) -> Json {
        let all = |counts: BTreeMap<String, Count>| -> serde_json::Map<String, Json> {
            counts.into_iter().map(|(key, count)| (key, count.json())).collect()
        };
        let mut callers = all(self.callers());
        let server = callers.remove("server");
        let failures: Vec<Json> = self
            .each()
            .filter(|(_, verdict)| matches!(verdict, Verdict::Failed | Verdict::ExpectedFailure))
            .map(|(finding, verdict)| {
                json!({"case": finding.instance, "who": finding.who(), "carrier": finding.carrier, "expected": verdict == Verdict::ExpectedFailure, "reason": reason(finding), "trace": finding.trace})
            })
            .collect();
        json!({
            "templates": self.templates, "profile": self.profile, "sdks": callers, "server": server, "pairs": all(self.pairs()),
            "failures": failures, "complaints": self.complaints,
        })
    }

    /// Writes a file: a page for `.html`, JUnit for `.xml`.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let text = match path.extension().and_then(|extension| extension.to_str()) {
            Some("html") => html::page(self),
            Some("xml") => junit::document(self),
            _ => return Err(format!("{}: a report ends in .html (a page) or .xml (JUnit)", path.display())),
        };
        std::fs::write(path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }

    /// For people.
    pub fn print(&self, verbose: bool) {
        for (finding, verdict) in self.each() {
            match verdict {
                Verdict::Failed => {
                    println!("\nFAILED {} {} over {}", finding.instance, finding.who(), finding.carrier);
                    println!("  {}", reason(finding).replace('\n', "\n  "));
                    let lines = if verbose { finding.trace.len() } else { 8 };
                    if finding.trace.len() > lines {
                        println!("  … {} earlier lines: --verbose", finding.trace.len() - lines);
                    }
                    for line in finding.trace.iter().skip(finding.trace.len().saturating_sub(lines)) {
                        let width = if verbose { usize::MAX } else { 200 };
                        println!("  | {}", line.chars().take(width).collect::<String>());
                    }
                }
                Verdict::ExpectedFailure if verbose => {
                    println!("known  {} {}: {}", finding.instance, finding.who(), reason(finding))
                }
                _ => {}
            }
        }
        println!("\n{:24} {:>7} {:>7} {:>7} {:>12}", "", "passed", "failed", "known", "unsupported");
        let line = |name: &str, count: Count| {
            println!(
                "{name:24} {:>7} {:>7} {:>7} {:>12}",
                count.passed, count.failed, count.expected, count.unsupported
            )
        };
        for (name, count) in self.callers() {
            line(&name, count);
        }
        let pairs = self.pairs();
        if pairs.len() > 1 {
            for (name, count) in pairs {
                line(&format!("  {name}"), count);
            }
        }
        for complaint in self.complaints {
            println!("list of known failures: {complaint}");
        }
        let cut_short = self.findings.iter().filter(|finding| finding.cut_short).count();
        if cut_short > 0 {
            println!("{cut_short} ended early because of what was killed, as they may");
        }
        let mut total = Count::default();
        self.verdicts.iter().for_each(|verdict| total.add(*verdict));
        println!(
            "{} templates, {} passed, {} failed, {} known failures, {} unsupported",
            self.templates, total.passed, total.failed, total.expected, total.unsupported
        );
    }
}

fn reason(finding: &Finding) -> String {
    match &finding.outcome {
        Outcome::Passed => "it passed, and is listed as a known failure".to_owned(),
        Outcome::Unsupported(feature) => format!("needs {feature}"),
        Outcome::Failed(reason) => reason.clone(),
    }
}

/// Text as XML and HTML want it. What neither can hold becomes a space.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() && c != '\n' && c != '\t' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(caller: &str, callee: Option<&str>, instance: &str, outcome: Outcome) -> Finding {
        Finding {
            case: instance.split('[').next().unwrap_or_default().to_owned(),
            instance: instance.to_owned(),
            carrier: "unix".to_owned(),
            caller: caller.to_owned(),
            callee: callee.map(str::to_owned),
            outcome,
            cut_short: false,
            trace: vec!["a <line>".to_owned()],
        }
    }

    #[test]
    fn every_form_tells_of_every_finding() {
        let findings = [
            finding("go", Some("python"), "task/a[1]", Outcome::Passed),
            finding("go", Some("python"), "task/b", Outcome::Failed("x < y".to_owned())),
            finding("go", None, "hello/c", Outcome::Unsupported("grpc".to_owned())),
            finding("server", None, "hello/d", Outcome::Failed("known".to_owned())),
        ];
        let verdicts = [Verdict::Passed, Verdict::Failed, Verdict::Unsupported, Verdict::ExpectedFailure];
        let report = Report {
            templates: 4,
            profile: "default",
            findings: &findings,
            verdicts: &verdicts,
            complaints: &[],
        };
        assert!(!report.passed());
        let json = report.json();
        assert_eq!(
            json["sdks"],
            json!({"go": {"passed": 1, "failed": 1, "expected_failures": 0, "unsupported": 1}})
        );
        assert_eq!(json["pairs"]["go->python"]["failed"], 1);
        assert_eq!(json["server"]["expected_failures"], 1);
        let xml = junit::document(&report);
        assert_eq!(
            (
                xml.matches("<testcase").count(),
                xml.matches("<failure").count(),
                xml.matches("<skipped").count()
            ),
            (4, 1, 2)
        );
        assert!(xml.contains("x &lt; y") && !xml.contains("x < y"));
        let page = html::page(&report);
        assert!(page.contains("task/b") && page.contains("go→python") && page.contains("a &lt;line&gt;"));
    }
}
