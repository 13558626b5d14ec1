//! The steps that a case may have, and the keys of each. This table is the schema of the case files.

use serde_json::{Map, Value as Json, json};

use crate::case::{Kind, Step};

/// One verb.
struct Verb {
    name: &'static str,
    kinds: &'static [Kind],
    /// Keys that must be there; of `a|b` exactly one.
    required: &'static [&'static str],
    optional: &'static [&'static str],
    judges: Judges,
}

/// Whether a step can find fault with what it drives.
enum Judges {
    Always,
    Never,
    /// Only with one of these keys.
    With(&'static [&'static str]),
}

use Judges::{Always, Never, With};
use Kind::{Driver, Sdk, Server, Worker};

const TESTEE: &[Kind] = &[Sdk, Driver];
const RAW: &[Kind] = &[Server, Driver, Worker];
const ANY: &[Kind] = &[Sdk, Server, Driver, Worker];
const FAILS: Judges = With(&["fails"]);

const VERBS: &[Verb] = &[
    // What a driver testee does.
    Verb {
        name: "open",
        kinds: TESTEE,
        required: &[],
        optional: &["namespace", "driver", "later", "fails"],
        judges: FAILS,
    },
    Verb {
        name: "close",
        kinds: TESTEE,
        required: &[],
        optional: &["driver", "later", "fails"],
        judges: FAILS,
    },
    Verb {
        name: "put",
        kinds: TESTEE,
        required: &["value", "as"],
        optional: &["driver", "later", "fails", "fails_by_get"],
        judges: With(&["fails", "fails_by_get"]),
    },
    Verb {
        name: "call",
        kinds: TESTEE,
        required: &["function"],
        optional: &["pool", "args", "keywords", "options", "as", "driver", "later", "fails"],
        judges: FAILS,
    },
    Verb {
        name: "create",
        kinds: TESTEE,
        required: &["class", "as"],
        optional: &["pool", "args", "options", "driver", "later", "fails"],
        judges: FAILS,
    },
    Verb {
        name: "invoke",
        kinds: TESTEE,
        required: &["actor", "method"],
        optional: &["args", "keywords", "options", "as", "driver", "later", "fails"],
        judges: FAILS,
    },
    Verb {
        name: "find",
        kinds: TESTEE,
        required: &["name", "as"],
        optional: &["namespace", "driver", "later", "fails"],
        judges: FAILS,
    },
    Verb {
        name: "get",
        kinds: TESTEE,
        required: &["ref|refs"],
        optional: &["timeout_ms", "gives", "fails", "driver", "later"],
        judges: With(&["gives", "fails"]),
    },
    Verb {
        name: "wait",
        kinds: TESTEE,
        required: &["refs", "count"],
        optional: &["timeout_ms", "ready", "pending", "fails", "driver", "later"],
        judges: With(&["ready", "pending", "fails"]),
    },
    Verb {
        name: "next",
        kinds: TESTEE,
        required: &["stream"],
        optional: &["as", "timeout_ms", "item", "fails", "driver", "later"],
        judges: With(&["item", "fails"]),
    },
    Verb {
        name: "items",
        kinds: TESTEE,
        required: &["stream", "gives"],
        optional: &["fails", "driver"],
        judges: Always,
    },
    Verb {
        name: "cancel",
        kinds: TESTEE,
        required: &["ref"],
        optional: &["force", "recursive", "driver", "later", "fails"],
        judges: FAILS,
    },
    Verb {
        name: "kill",
        kinds: TESTEE,
        required: &["actor"],
        optional: &["restart", "graceful", "driver", "later", "fails"],
        judges: FAILS,
    },
    Verb { name: "drop", kinds: TESTEE, required: &["names"], optional: &["driver", "later"], judges: Never },
    Verb {
        name: "finish",
        kinds: TESTEE,
        required: &["later"],
        optional: &["gives", "fails", "ready", "pending", "item"],
        judges: Always,
    },
    Verb { name: "end_driver", kinds: &[Sdk], required: &["driver"], optional: &[], judges: Never },
    // Events between a case and what it set going.
    Verb { name: "touch", kinds: ANY, required: &["file"], optional: &[], judges: Never },
    Verb { name: "await_file", kinds: ANY, required: &["file"], optional: &[], judges: Always },
    Verb { name: "no_file", kinds: ANY, required: &["file"], optional: &[], judges: Always },
    Verb { name: "lines", kinds: ANY, required: &["file", "are|count"], optional: &[], judges: Always },
    Verb { name: "await_lines", kinds: ANY, required: &["file", "count"], optional: &[], judges: Always },
    Verb { name: "cut_driver", kinds: &[Sdk], required: &[], optional: &[], judges: Never },
    Verb { name: "settles", kinds: &[Sdk], required: &["status"], optional: &[], judges: Always },
    Verb { name: "spoil_spilled", kinds: &[Sdk, Server], required: &[], optional: &[], judges: Never },
    // Frames.
    Verb { name: "connect", kinds: &[Server], required: &[], optional: &["conn"], judges: Never },
    Verb {
        name: "hello",
        kinds: &[Server],
        required: &[],
        optional: &["conn", "with", "welcome", "manual_credit"],
        judges: With(&["welcome"]),
    },
    Verb { name: "accept", kinds: &[Driver, Worker], required: &[], optional: &["conn"], judges: Always },
    Verb {
        name: "welcome",
        kinds: &[Driver, Worker],
        required: &[],
        optional: &["conn", "with", "hello", "manual_credit"],
        judges: Always,
    },
    Verb {
        name: "ops",
        kinds: RAW,
        required: &["ops"],
        optional: &["conn", "split", "grease"],
        judges: Never,
    },
    Verb {
        name: "frame",
        kinds: RAW,
        required: &[],
        optional: &["conn", "seq", "ack", "ops", "grease"],
        judges: Never,
    },
    Verb { name: "bytes", kinds: RAW, required: &["hex|frame_of"], optional: &["conn"], judges: Never },
    Verb { name: "expect", kinds: RAW, required: &["op|ops"], optional: &["conn"], judges: Always },
    Verb { name: "expect_frame", kinds: RAW, required: &["frame"], optional: &["conn"], judges: Always },
    Verb { name: "never", kinds: RAW, required: &["op"], optional: &["conn"], judges: Always },
    Verb { name: "alive", kinds: RAW, required: &[], optional: &["conn"], judges: Always },
    Verb { name: "closed", kinds: RAW, required: &[], optional: &["conn"], judges: Always },
    Verb { name: "cut", kinds: RAW, required: &[], optional: &["conn"], judges: Never },
    Verb { name: "worker", kinds: &[Worker], required: &[], optional: &["env"], judges: Never },
    Verb { name: "worker_ends", kinds: &[Worker], required: &[], optional: &[], judges: Always },
];

impl Verb {
    /// The key that a value alone stands for: `touch: go` for `touch: {file: go}`.
    fn sole(&self) -> Option<&'static str> {
        match self.required {
            [sole] if !sole.contains('|') => Some(sole),
            _ => None,
        }
    }

    /// Whether an object without that key stands for it, too: `settles: {actors: 0}` for `settles: {status: {actors: 0}}`.
    fn sole_may_be_object(&self) -> bool {
        self.optional.is_empty() && self.sole().is_some()
    }

    /// What may follow its name in a case file, as JSON Schema.
    fn json_schema(&self) -> Json {
        let keys = self.required.iter().flat_map(|keys| keys.split('|')).chain(self.optional.iter().copied());
        let properties: Map<String, Json> = keys.map(|key| (key.to_owned(), json!({}))).collect();
        let alternatives = |keys: &&str| {
            let each: Vec<Json> = keys.split('|').map(|key| json!({"required": [key]})).collect();
            json!({"oneOf": each})
        };
        let (one_of, always): (Vec<&str>, Vec<&str>) =
            self.required.iter().partition(|keys| keys.contains('|'));
        let mut whole = json!({
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
            "required": always,
        });
        if !one_of.is_empty() {
            whole["allOf"] = one_of.iter().map(alternatives).collect();
        }
        let mut forms = vec![whole];
        if self.required.is_empty() {
            forms.push(json!({"type": "null"}));
        }
        if let Some(sole) = self.sole() {
            forms.push(json!({"type": ["string", "number", "boolean", "array"]}));
            if self.sole_may_be_object() {
                forms.push(json!({"type": "object", "not": {"required": [sole]}}));
            }
        }
        json!({"anyOf": forms})
    }
}

/// All steps by name, as JSON Schema.
pub fn json_schemas() -> Json {
    VERBS.iter().map(|verb| (verb.name.to_owned(), verb.json_schema())).collect::<Map<_, _>>().into()
}

/// What a step of a case of this kind may be, as JSON Schema with references into [`json_schemas`].
pub fn json_schema(kind: Kind) -> Json {
    let verbs = VERBS.iter().filter(|verb| verb.kinds.contains(&kind));
    let reference = |verb: &Verb| (verb.name.to_owned(), json!({"$ref": format!("#/$defs/{}", verb.name)}));
    json!({
        "type": "object",
        "properties": verbs.map(reference).collect::<Map<_, _>>(),
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
    })
}

/// Makes a step of what the file says.
pub fn check(kind: Kind, line: u64, step: Map<String, Json>) -> Result<Step, String> {
    if step.len() != 1 {
        return Err(format!("a step has one verb; this has {}", step.len()));
    }
    let (name, keys) = step.into_iter().next().ok_or("a step has one verb")?;
    let Some(verb) = VERBS.iter().find(|verb| verb.name == name) else {
        return Err(format!("there is no step `{name}`"));
    };
    if !verb.kinds.contains(&kind) {
        return Err(format!("`{name}` has no meaning in a case of kind {kind:?}"));
    }
    let sole = verb.sole();
    let keys = match keys {
        // `settles: {actors: 0}` for `settles: {status: {actors: 0}}`.
        Json::Object(keys)
            if verb.sole_may_be_object() && sole.is_some_and(|sole| !keys.contains_key(sole)) =>
        {
            Map::from_iter(sole.map(|sole| (sole.to_owned(), Json::Object(keys))))
        }
        Json::Object(keys) => keys,
        Json::Null => Map::new(),
        // `touch: go` for `touch: {file: go}`.
        other if sole.is_some() => Map::from_iter(sole.map(|sole| (sole.to_owned(), other))),
        other => return Err(format!("`{name}` takes keys, not {other}")),
    };
    let known = |key: &str| {
        verb.optional.contains(&key)
            || verb.required.iter().any(|required| required.split('|').any(|name| name == key))
    };
    if let Some(key) = keys.keys().find(|key| !known(key)) {
        return Err(format!("`{name}` has no key `{key}`"));
    }
    for required in verb.required {
        let found = required.split('|').filter(|key| keys.contains_key(*key)).count();
        if found != 1 {
            return Err(format!("`{name}` needs {}", required.replace('|', " or ")));
        }
    }
    Ok(Step { line, verb: verb.name, keys })
}

/// Whether a step can find fault.
pub fn judges(step: &Step) -> bool {
    let Some(verb) = VERBS.iter().find(|verb| verb.name == step.verb) else { return false };
    match verb.judges {
        Always => true,
        Never => false,
        With(keys) => keys.iter().any(|key| step.keys.contains_key(*key)),
    }
}

/// The table as text for the documentation.
pub fn table() -> String {
    let mut text = String::from("| step | in cases of kind | must have | may have |\n|---|---|---|---|\n");
    for verb in VERBS {
        let kinds: Vec<String> = verb.kinds.iter().map(|kind| format!("{kind:?}").to_lowercase()).collect();
        let code = |keys: &[&str]| {
            keys.iter().map(|key| format!("`{}`", key.replace('|', "` or `"))).collect::<Vec<_>>().join(" ")
        };
        text += &format!(
            "| `{}` | {} | {} | {} |\n",
            verb.name,
            kinds.join(", "),
            code(verb.required),
            code(verb.optional)
        );
    }
    text
}
