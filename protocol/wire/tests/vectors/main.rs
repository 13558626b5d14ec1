//! Replays `protocol/vectors`: golden bytes that every SDK decodes and encodes again.
//!
//! With `THORNBACK_BLESS=1` in the environment the bytes of messages are written anew from their JSON: for cases that were added, never to
//! make a failing test pass.

mod layouts;
mod messages;
mod values;

use std::fs;
use std::path::PathBuf;

use serde_json::Value as Json;

/// The cases of one file.
fn cases(file: &str) -> Vec<Json> {
    let text = fs::read_to_string(path(file)).unwrap();
    let mut json: Json = serde_json::from_str(&text).unwrap();
    assert!(json["about"].is_string(), "{file} says what it is about");
    let cases = match json["cases"].take() {
        Json::Array(cases) => cases,
        other => panic!("{file}: `cases` is {other}"),
    };
    let mut names: Vec<&str> = cases.iter().map(|case| case["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "the names of cases in {file} differ");
    cases
}

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vectors").join(file)
}

fn name(case: &Json) -> &str {
    case["name"].as_str().unwrap()
}

/// The bytes that a field of a case spells.
fn hex(field: &Json) -> Vec<u8> {
    let text = field.as_str().unwrap();
    assert!(text.len().is_multiple_of(2));
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
