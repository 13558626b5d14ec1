//! What the program refuses, as its user sees it: the exit status, the file, the line, and the reason. Nothing here starts a server.

use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_thornback-conformance")).args(args).output().expect("cargo built it")
}

/// Writes the file, runs the program with it as its last argument, and gives what it complains of.
fn complaint(name: &str, text: &str, args: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("the folder can be written");
    let path = path.to_string_lossy().into_owned();
    let output = run(&[args, &[&path]].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}\n{said}");
    assert!(said.starts_with("error: ") && said.contains(name), "{said}");
    said
}

const CASES: &str = "\
about: tides
kind: sdk
cases:
  - name: low
    about: it is low
    spec: [TASK-010]
    params:
      - {n: 1}
    steps:
      - call: {function: echo, args: ['${n}'], as: a}
      - get: {ref: a, gives: '${n}'}
";

#[test]
fn a_good_file_is_taken() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("tide.yaml");
    std::fs::write(&path, CASES).expect("the folder can be written");
    let output = run(&["check", &path.to_string_lossy()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1 templates\n");
}

#[test]
fn a_malformed_case_file_is_refused_with_line_and_reason() {
    for (from, to, line, reason) in [
        ("about: tides", "about: [tides", 1, ""),
        ("about: tides\n", "", 0, "about"),
        ("about: tides", "about: ''", 0, "`about` is empty"),
        ("kind: sdk", "kind: sdl", 2, "sdl"),
        ("kind: sdk", "kind: sdk\nkind: sdk", 3, "duplicate"),
        ("kind: sdk", "kind: worker", 10, "`call` has no meaning in a case of kind Worker"),
        ("cases:", "casks:", 3, "casks"),
        ("- name: low", "- name: Low Tide", 4, "is no name"),
        ("    spec:", "    specs:", 6, "specs"),
        ("[TASK-010]", "[]", 4, "names no id"),
        ("TASK-010", concat!("TASK", "-999"), 4, concat!("TASK", "-999")),
        ("    spec:", "    carrier: [pigeon]\n    spec:", 4, "pigeon"),
        ("    spec:", "    profiles: [flood]\n    spec:", 4, "flood"),
        ("    spec:", "    needs: [gills]\n    spec:", 4, "gills"),
        ("    spec:", "\tspec:", 5, "tab"),
        ("- {n: 1}", "- {m: 1}", 4, "`m`"),
        ("- {n: 1}", "- {n: 1, m: 2}", 4, "`m`"),
        ("args: ['${n}']", "args: ['${x}']", 4, "${x}"),
        ("- call:", "- cull:", 10, "there is no step `cull`"),
        ("- call: {", "- {call: {}, get: {", 11, ""),
        ("function: echo", "functoin: echo", 10, "functoin"),
        ("function: echo, ", "", 10, "needs function"),
        ("ref: a, gives", "gives", 11, "ref"),
        ("ref: a,", "ref: a, refs: [a],", 11, "ref or refs"),
        ("      - get: {ref: a, gives: '${n}'}\n", "", 4, "expects nothing"),
        (CASES, "", 0, ""),
        (CASES, "\u{0}", 0, ""),
        (CASES, "[]", 1, ""),
    ] {
        let text = CASES.replacen(from, to, 1);
        assert_ne!(text, CASES, "{from}");
        let said = complaint("tide.yaml", &text, &["check"]);
        assert!(said.contains(reason), "{to}: {said}");
        let named = said.contains(&format!("tide.yaml:{line}: ")) || said.contains(&format!("line {line}"));
        assert!(line == 0 || named, "{to}, line {line}: {said}");
    }
}

#[test]
fn a_name_that_is_there_twice_is_refused() {
    let again = CASES.split_once("cases:\n").expect("it has cases").1;
    let said = complaint("tide.yaml", &format!("{CASES}{again}"), &["check"]);
    assert!(said.contains("tide.yaml:12: there is a case `tide/low` already"), "{said}");
}

const LIST: &str = "\
expected:
  - case: task/a*
    who: go->*
    message: lost
    reason: known
";

#[test]
fn a_malformed_list_of_known_failures_is_refused_with_line_and_reason() {
    for (from, to, line, reason) in [
        ("expected:", "expects:", 1, "expects"),
        ("    reason: known\n", "", 4, "reason"),
        ("reason: known", "reason: ''", 2, "a message and a reason"),
        ("message: lost", "message: ''", 2, "a message and a reason"),
        ("    who: go->*\n", "", 4, "who"),
        ("    reason", "    until: tuesday\n    reason", 5, "until"),
        ("- case: task/a*", "- case: [task/a*", 2, ""),
        ("case: task/a*", "case: '*'", 2, "names no case"),
    ] {
        let text = LIST.replacen(from, to, 1);
        assert_ne!(text, LIST, "{from}");
        let said = complaint("known.yaml", &text, &["run", "--expected"]);
        assert!(said.contains(reason), "{to}: {said}");
        assert!(
            said.contains(&format!("known.yaml:{line}: ")) || said.contains(&format!("line {line}")),
            "{to}, line {line}: {said}"
        );
    }
}

#[test]
fn a_run_of_nothing_is_no_success() {
    for (args, reason) in [
        (&["run", "--only", "task/echo"][..], "nothing ran"),
        (&["run", "--only", "no/such"], "no case fits no/such"),
        (&["run", "--profile", "flood"], "there is no profile `flood`"),
        (&["run", "--expected", "/no/such/file"], "cannot be read"),
        (&["run", "--", "/no/such/testee"], "cannot be started"),
        (&["run", "--testee", "go"], "is not NAME=JSON"),
        (&["run", "--testee", "go={}"], "no JSON list"),
        (&["run", "--testee", "go=[]"], "a testee needs a command"),
        (&["check", "/no/such/file.yaml"], "cannot be read"),
    ] {
        let output = run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(reason), "{args:?}: {said}");
    }
}

#[test]
fn the_counts_name_every_group() {
    let output = run(&["list", "--counts"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("hello and negotiation (hello; at least 25)"), "{said}");
    assert!(said.lines().last().is_some_and(|line| line.contains("templates")), "{said}");
}
