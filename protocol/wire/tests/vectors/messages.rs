//! Every message: its bytes, and the same in protobuf's JSON mapping.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::Value as Json;
use thornback_wire::{Message, v1};

use crate::{cases, hex, name, path, to_hex};

const FILES: &[&str] = &[
    "actor.json",
    "control.json",
    "failure.json",
    "object.json",
    "session.json",
    "task.json",
    "value.json",
    "worker.json",
];

/// The schemas themselves, compiled here and not as generated code sees them.
fn schemas() -> DescriptorPool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
    let files = FILES.iter().map(|file| format!("thornback/v1/{}", file.replace(".json", ".proto")));
    DescriptorPool::from_file_descriptor_set(protox::compile(files, [folder]).unwrap()).unwrap()
}

#[test]
fn every_message_says_in_json_what_it_says_in_bytes() {
    let schemas = schemas();
    for file in FILES {
        let mut fresh = Vec::new();
        for mut case in cases(file) {
            let schema = schemas.get_message_by_name(case["message"].as_str().unwrap()).unwrap();
            let message = DynamicMessage::deserialize(schema.clone(), case["json"].clone()).unwrap();
            if bless() {
                let bytes = again(case["message"].as_str().unwrap(), &message.encode_to_vec());
                case["hex"] = to_hex(&bytes).into();
                fresh.push(case);
                continue;
            }
            let bytes = hex(&case["hex"]);
            assert_eq!(
                DynamicMessage::decode(schema, &bytes[..]).unwrap(),
                message,
                "{file}: {}",
                name(&case)
            );
            // Maps have no order.
            assert_eq!(message.encode_to_vec().len(), bytes.len(), "{file}: {}", name(&case));
        }
        if bless() {
            rewrite(file, &fresh);
        }
    }
}

#[test]
fn generated_code_agrees() {
    for file in FILES {
        for case in cases(file) {
            let bytes = hex(&case["hex"]);
            let again = again(case["message"].as_str().unwrap(), &bytes);
            // A oneof may stand elsewhere than its fields' numbers say; nothing else may differ.
            assert_eq!(again.len(), bytes.len(), "{file}: {}", name(&case));
        }
    }
}

#[test]
fn every_message_and_every_alternative_has_a_case() {
    let schemas = schemas();
    let mut wanted = BTreeSet::new();
    for message in schemas.all_messages().filter(|message| !message.is_map_entry()) {
        wanted.insert(format!("{}, empty", message.name()));
        for oneof in message.oneofs() {
            wanted.extend(oneof.fields().map(|field| format!("{}, {}", message.name(), field.name())));
        }
    }
    for file in FILES {
        for case in cases(file) {
            wanted.remove(name(&case));
        }
    }
    assert!(wanted.is_empty(), "add cases called {wanted:#?} to protocol/vectors");
}

#[test]
fn every_field_has_a_case() {
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    for message in schemas().all_messages().filter(|message| !message.is_map_entry()) {
        wanted.extend(message.fields().map(|field| format!("{}.{}", message.full_name(), field.name())));
    }
    for file in FILES {
        for case in cases(file) {
            let message = case["message"].as_str().unwrap();
            for field in case["json"].as_object().unwrap().keys() {
                wanted.remove(&format!("{message}.{field}"));
            }
        }
    }
    assert!(wanted.is_empty(), "no case in protocol/vectors has {wanted:#?}");
}

/// Writes the file with one case to a line, so that a review can compare.
fn rewrite(file: &str, cases: &[Json]) {
    let old: Json = serde_json::from_str(&fs::read_to_string(path(file)).unwrap()).unwrap();
    let cases: Vec<String> = cases.iter().map(|case| format!("    {case}")).collect();
    let text =
        format!("{{\n  \"about\": {},\n  \"cases\": [\n{}\n  ]\n}}\n", old["about"], cases.join(",\n"));
    fs::write(path(file), text).unwrap();
}

fn bless() -> bool {
    std::env::var_os("THORNBACK_BLESS").is_some()
}

macro_rules! again {
    ($($name:ident)*) => {
        /// Decodes and encodes a message by the generated code.
        fn again(message: &str, bytes: &[u8]) -> Vec<u8> {
            match message.trim_start_matches("thornback.v1.") {
                $(stringify!($name) => {
                    let decoded = v1::$name::decode(bytes).unwrap();
                    let again = decoded.encode_to_vec();
                    assert_eq!(v1::$name::decode(&again[..]).unwrap(), decoded);
                    again
                })*
                other => panic!("{other} is not in the list of messages of this test"),
            }
        }
    };
}

again! {
    Abort ActorExit ActorInfo ActorList ActorOptions ActorSetup Announce Arena Arg Blocked Call Cancel
    Chunk ClientFrame ClientOp Completion Consumed Create CreateActor CreateNamedActor CreatePlacementGroup
    Created Credit Declare DeclarePool Done Empty Failure Fetch Function GetActor GetStatus Goodbye Hello
    Interrupt Kill Limits ListActors ListState Located Location Log Notice Ping Pong Put Recall Refs
    Refused Release RemovePlacementGroup Reply Request Resources Result Resume ResumeSession Returned Run
    Seal ServerFrame ServerOp StateList Status Stop Stored StreamEnd Submit Unblocked Value Watch Welcome
    WorkerInfo Write Yield
}
