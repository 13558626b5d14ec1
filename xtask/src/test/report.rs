//! How a run of the tests came out, for a person and for a program.

use std::fmt;
use std::path::Path;

use serde_json::json;

use crate::repo::Result;

/// Single tests counted inside a step, where its program says how many there were.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub ignored: u64,
}

impl Tally {
    /// Counts a line such as `test result: ok. 5 passed; 0 failed; 1 ignored; …` of libtest.
    pub fn see_libtest(&mut self, line: &str) {
        if let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) {
            self.add(counts.split(';'));
        }
    }

    /// Counts a line such as `==== 12 passed, 1 skipped in 0.52s ====` of pytest.
    pub fn see_pytest(&mut self, line: &str) {
        let bare = line.trim_matches(|c| c == '=' || c == ' ');
        if let Some((counts, _)) = bare.rsplit_once(" in ") {
            self.add(counts.split(','));
        }
    }

    /// Counts a line such as `# pass 12`, which ends what Node's test runner prints.
    pub fn see_tap(&mut self, line: &str) {
        let Some((kind, count)) = line.strip_prefix("# ").and_then(|rest| rest.split_once(' ')) else {
            return;
        };
        let Ok(count) = count.parse::<u64>() else { return };
        match kind {
            "pass" => self.passed += count,
            "fail" | "cancelled" => self.failed += count,
            "skipped" | "todo" => self.ignored += count,
            _ => {}
        }
    }

    /// Counts a line of `go test -json`, and prints what a person wants to see of it: the result of each package, and all that a test that failed said.
    pub fn see_go(&mut self, line: &str) {
        let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else {
            println!("{line}");
            return;
        };
        let text = |key: &str| event.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
        match (text("Action"), text("Test").is_empty()) {
            ("pass", false) => self.passed += 1,
            ("fail", false) => self.failed += 1,
            ("skip", false) => self.ignored += 1,
            // What passing tests print is kept from the terminal only where it is the frame around them.
            ("output" | "build-output", _) => {
                let said = text("Output");
                if !["=== RUN", "=== PAUSE", "=== CONT", "=== NAME", "--- PASS", "--- SKIP", "PASS"]
                    .iter()
                    .any(|frame| said.trim_start().starts_with(frame))
                {
                    print!("{said}");
                }
            }
            _ => {}
        }
    }

    fn add<'a>(&mut self, counts: impl Iterator<Item = &'a str>) {
        for count in counts {
            let mut words = count.split_whitespace();
            let Some(number) = words.next().and_then(|word| word.parse::<u64>().ok()) else { continue };
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed" | "error" | "errors") => self.failed += number,
                Some("ignored" | "skipped" | "xfailed") => self.ignored += number,
                _ => {}
            }
        }
    }

    fn total(self) -> u64 {
        self.passed + self.failed + self.ignored
    }
}

/// One step that was run.
pub struct Outcome {
    pub name: &'static str,
    pub seconds: f64,
    pub tally: Tally,
    /// Why it failed; `None` if it passed.
    pub failure: Option<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.failure.is_none() { "ok" } else { "FAILED" };
        write!(f, "{:14} {word:6} {:7.1} s", self.name, self.seconds)?;
        let Tally { passed, failed, ignored } = self.tally;
        if self.tally.total() > 0 {
            write!(f, "   {passed} passed, {failed} failed, {ignored} ignored")?;
        }
        if let Some(why) = &self.failure {
            write!(f, "   {}", why.lines().next().unwrap_or_default())?;
        }
        Ok(())
    }
}

/// The table at the end of a run.
pub fn print(outcomes: &[Outcome]) {
    println!("\n=== all steps");
    for outcome in outcomes {
        println!("{outcome}");
    }
}

/// Writes the outcomes as `{"steps": [...], "passed": n, "failed": n}`.
pub fn write_json(path: &Path, outcomes: &[Outcome]) -> Result {
    let steps: Vec<_> = outcomes
        .iter()
        .map(|outcome| {
            let Tally { passed, failed, ignored } = outcome.tally;
            json!({
                "name": outcome.name,
                "ok": outcome.failure.is_none(),
                "seconds": outcome.seconds,
                "tests": { "passed": passed, "failed": failed, "ignored": ignored },
                "failure": outcome.failure,
            })
        })
        .collect();
    let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    let whole = json!({ "steps": steps, "passed": outcomes.len() - failed, "failed": failed });
    std::fs::write(path, format!("{whole:#}\n"))
        .map_err(|e| format!("{} cannot be written: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_lines_add_up() {
        let mut tally = Tally::default();
        tally.see_libtest(
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        );
        tally.see_libtest("test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        tally.see_libtest("test counts_lines ... ok");
        assert_eq!(tally, Tally { passed: 7, failed: 3, ignored: 1 });
    }

    #[test]
    fn the_last_lines_of_tap_are_read() {
        let mut tally = Tally::default();
        for line in [
            "# tests 9",
            "# pass 5",
            "# fail 1",
            "# cancelled 1",
            "# skipped 2",
            "# todo 0",
            "ok 1 - # pass 3",
        ] {
            tally.see_tap(line);
        }
        assert_eq!(tally, Tally { passed: 5, failed: 2, ignored: 2 });
    }

    #[test]
    fn events_of_go_are_counted_by_test() {
        let mut tally = Tally::default();
        for line in [
            r#"{"Action":"run","Package":"p","Test":"TestA"}"#,
            r#"{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0}"#,
            r#"{"Action":"fail","Package":"p","Test":"TestB/one","Elapsed":0}"#,
            r#"{"Action":"skip","Package":"p","Test":"TestC","Elapsed":0}"#,
            r#"{"Action":"fail","Package":"p","Elapsed":0.1}"#,
        ] {
            tally.see_go(line);
        }
        assert_eq!(tally, Tally { passed: 1, failed: 1, ignored: 1 });
    }

    #[test]
    fn the_last_line_of_pytest_is_read() {
        let mut tally = Tally::default();
        tally.see_pytest("========= 1 failed, 12 passed, 2 skipped, 1 error in 3.52s =========");
        assert_eq!(tally, Tally { passed: 12, failed: 2, ignored: 2 });
        tally.see_pytest("tests/test_task.py .... fine in the end");
        assert_eq!(tally.passed, 12);
    }
}
