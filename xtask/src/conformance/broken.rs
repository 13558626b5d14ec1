//! Tests of the suite itself: testees that are broken on purpose, each with one fault, and the one failure that the suite must report for it.
//!
//! The faults are `conformance/broken/broken.py`; it says for each which case must find it and in which words.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value as Json;

use crate::repo::{Repo, Result};
use crate::run::Program;
use crate::test;
use crate::venv::Venv;

const FAULTS: &str = "conformance/broken/broken.py";
/// How many are tried at once.
const AT_ONCE: usize = 4;

/// Runs the suite on every broken testee whose name contains one of `only`; on all of them if that is empty.
pub fn check(repo: &Repo, only: &[String]) -> Result {
    let runner = super::build(repo)?;
    let server = test::server_binary(repo)?;
    let python = test::python_tools(repo)?;
    let file = repo.path(FAULTS);
    let listed = python.program("python", repo.root()).args([&file]).args(["list"]).capture()?;
    let faults: Vec<Json> =
        serde_json::from_str(&listed).map_err(|error| format!("{FAULTS} list: {error}"))?;
    let chosen: Vec<&Json> = faults
        .iter()
        .filter(|fault| {
            only.is_empty() || only.iter().any(|part| text(fault, "name").contains(part.as_str()))
        })
        .collect();
    let tried = chosen.len();
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    let errors = Mutex::new(Vec::new());
    let work = || {
        while let Some(fault) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
            let name = text(fault, "name");
            match try_one(repo, &runner, &server, &python, fault) {
                Ok(Ok(())) => println!("caught {name}"),
                Ok(Err(missed)) => {
                    println!("MISSED {name}: {missed}");
                    wrong.lock().expect("no holder panics").push(name);
                }
                Err(error) => errors.lock().expect("no holder panics").push(error),
            }
        }
    };
    // Most of each is waiting: for a server to start, and for what never comes.
    std::thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
    if let Some(error) = errors.into_inner().expect("no holder panics").pop() {
        return Err(error);
    }
    let wrong = wrong.into_inner().expect("no holder panics");
    match (tried, wrong.is_empty()) {
        (0, _) => Err(format!("no broken testee is named {}", only.join(" or "))),
        (_, true) => Ok(()),
        _ => Err(format!(
            "of {tried} broken testees these were not reported as they should be: {}",
            wrong.join(", ")
        )),
    }
}

/// Runs the suite on one broken testee, and says what the suite missed. An error is of the run itself.
fn try_one(
    repo: &Repo,
    runner: &Path,
    server: &Path,
    python: &Venv,
    fault: &Json,
) -> Result<std::result::Result<(), String>> {
    let name = text(fault, "name");
    let said = repo.target().join(format!("conformance-broken-{name}.json"));
    let testee = Json::from(vec![
        python.path("python").to_string_lossy().into_owned(),
        repo.path(FAULTS).to_string_lossy().into_owned(),
        name.clone(),
    ]);
    let (code, output) = Program::new(runner, repo.root())
        .args(["run".as_ref(), "--server".as_ref(), server.as_os_str()])
        .args(["--no-server-cases", "--verbose", "--patience", &fault["patience"].to_string()])
        .args(["--json".as_ref(), said.as_os_str()])
        .args(["--testee".to_owned(), format!("{name}={testee}")])
        .args(["--only", &text(fault, "case"), "--only", &text(fault, "beside")])
        .outcome()?;
    let report: Json = std::fs::read_to_string(&said)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    // Nothing may be left that a later run could take for its own.
    let _ = std::fs::remove_file(&said);
    Ok(judge(fault, code, &output, &report).map_err(|reason| format!("{reason}\n{output}")))
}

fn text(fault: &Json, key: &str) -> String {
    fault[key].as_str().unwrap_or_default().to_owned()
}

/// Whether the suite said of a fault what it should, and nothing else.
fn judge(fault: &Json, code: Option<i32>, output: &str, report: &Json) -> Result {
    let (name, case, says, beside) =
        (text(fault, "name"), text(fault, "case"), text(fault, "says"), text(fault, "beside"));
    let heard = output.contains(&format!("broken on purpose: {name}"));
    if case.is_empty() {
        // Who cannot even say hello is no testee: nothing runs.
        return if code == Some(2) && heard && output.contains(&says) {
            Ok(())
        } else {
            Err(format!("expected exit status 2 and {says:?}, found {code:?}"))
        };
    }
    let failures = report["failures"].as_array().cloned().unwrap_or_default();
    if failures.is_empty() || code != Some(1) {
        return Err(format!("{case} found nothing (exit status {code:?})"));
    }
    for failure in &failures {
        let (instance, reason) = (text(failure, "case"), text(failure, "reason"));
        if instance.split('[').next() != Some(&case) {
            return Err(format!("{instance} failed, and only {case} should: {reason}"));
        }
        if !reason.contains(&says) {
            return Err(format!("{instance} failed in other words than {says:?}: {reason}"));
        }
    }
    let passed = |line: &str| line.split_whitespace().take(2).eq(["ok", &beside]);
    if !heard {
        return Err("what the testee said is not in the output".to_owned());
    }
    if output.lines().any(passed) { Ok(()) } else { Err(format!("{beside} did not pass beside it")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_failure_that_is_expected_counts_as_caught() {
        let fault = json!({"name": "x", "case": "task/a", "says": "lost", "beside": "task/b"});
        let failed = |case: &str, reason: &str| json!({"failures": [{"case": case, "reason": reason}]});
        let output = "ok  task/b x->x unix\n  | main stderr: broken on purpose: x\n";
        let good = failed("task/a[1]", "it was lost");
        assert_eq!(judge(&fault, Some(1), output, &good), Ok(()));
        assert!(judge(&fault, Some(0), output, &good).is_err());
        assert!(judge(&fault, Some(1), output, &json!({"failures": []})).is_err());
        assert!(judge(&fault, Some(1), output, &failed("task/a", "it was found")).is_err());
        assert!(judge(&fault, Some(1), output, &failed("task/ab", "it was lost")).is_err());
        assert!(judge(&fault, Some(1), "ok  task/b x->x unix\n", &good).is_err());
        assert!(judge(&fault, Some(1), "broken on purpose: x\nFAILED  task/b\n", &good).is_err());
        let mute = json!({"name": "x", "case": "", "says": "no hello", "beside": "task/b"});
        assert_eq!(judge(&mute, Some(2), "error: no hello\nbroken on purpose: x", &Json::Null), Ok(()));
        assert!(judge(&mute, Some(1), "error: no hello\nbroken on purpose: x", &Json::Null).is_err());
    }
}
