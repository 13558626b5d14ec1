//! The schema of case files, for editors: made of the tables by which the loader judges, so that the two agree. The loader says more (which ids and parameters
//! there are, that a case can fail); it does not read this.

use serde_json::{Value as Json, json};

use crate::case::{FEATURES, KINDS};
use crate::profile::{PROFILES, Trouble};
use crate::verbs;

/// As JSON Schema, for `conformance/case.schema.json`.
pub fn json_schema() -> Json {
    let some_of =
        |what: &str, names: &[&str]| json!({"type": "array", "items": {"enum": names}, "description": what});
    let profiles: Vec<&str> = PROFILES
        .iter()
        .filter(|profile| profile.trouble == Trouble::None)
        .map(|profile| profile.name)
        .collect();
    let kinds: Vec<String> = KINDS.iter().map(|kind| kind.name()).collect();
    let template = json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "pattern": "^[a-z0-9-]+$"},
            "about": {"type": "string", "description": "What it is about, in a sentence."},
            "spec": {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^[A-Z]+-[0-9]{3}$"}, "description": "The rules that it checks."},
            "needs": some_of("What the driver, or the only testee, must claim.", &FEATURES),
            "worker_needs": some_of("What the worker must claim.", &FEATURES),
            "carrier": some_of("Carriers on which it runs; the Unix socket if none is named.", &["unix", "grpc"]),
            "pairs": {"type": "boolean", "default": true, "description": "Whether it runs for each pair of SDKs, or for each with itself only."},
            "profiles": some_of("Set-ups under which it runs; all if none is named.", &profiles),
            "params": {"type": "array", "items": {"type": "object"}, "description": "Sets of values, each an instance, put in for ${name}."},
            "steps": {"type": "array"},
        },
        "additionalProperties": false,
        "required": ["name", "about", "spec", "steps"],
    });
    let by_kind = KINDS.iter().map(|kind| {
        json!({
            "if": {"properties": {"kind": {"const": kind.name()}}},
            "then": {"properties": {"cases": {"items": {"properties": {"steps": {"items": verbs::json_schema(*kind)}}}}}},
        })
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A case file of Thornback's conformance suite",
        "type": "object",
        "properties": {
            "about": {"type": "string", "minLength": 1, "description": "What the file's cases have in common."},
            "kind": {"enum": kinds, "description": "Who plays what."},
            "cases": {"type": "array", "items": template},
        },
        "additionalProperties": false,
        "required": ["about", "kind", "cases"],
        "allOf": by_kind.collect::<Vec<_>>(),
        "$defs": verbs::json_schemas(),
    })
}

/// As the file has it.
pub fn text() -> String {
    format!("{:#}\n", json_schema())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case;

    #[test]
    fn the_file_is_what_the_tables_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../case.schema.json");
        let file = std::fs::read_to_string(path).expect("the file is there");
        assert!(
            file == text(),
            "write it again: thornback-conformance schema > conformance/case.schema.json"
        );
    }

    #[test]
    fn the_loader_takes_each_key_of_the_schema_and_no_other() {
        let values = [
            ("name", "a"),
            ("about", "a"),
            ("spec", "[TASK-001]"),
            ("needs", "[actors]"),
            ("worker_needs", "[nested]"),
            ("carrier", "[grpc]"),
            ("pairs", "false"),
            ("profiles", "[tiny-store]"),
            ("params", "[{x: 1}]"),
            ("steps", "[{get: {ref: a, gives: '${x}'}}]"),
        ];
        let schema = json_schema();
        let keys = &schema["properties"]["cases"]["items"]["properties"];
        let keys: Vec<&String> = keys.as_object().expect("an object").keys().collect();
        assert_eq!(keys.len(), values.len(), "{keys:?}");
        assert!(keys.iter().all(|key| values.iter().any(|(name, _)| name == key)), "{keys:?}");
        let lines: String = values.iter().map(|(key, value)| format!("    {key}: {value}\n")).collect();
        let file = format!("about: a\nkind: sdk\ncases:\n  - \n{lines}");
        assert_eq!(case::parse("x", &file).map(|cases| cases.len()), Ok(1));
        assert!(case::parse("x", &format!("{file}    other: 1\n")).is_err());
    }
}
