//! `protocol/vectors`: first frames, and frames that end a session.

use std::path::Path;

use bytes::Bytes;
use serde_json::Value as Json;
use thornback_session::{End, Knock};
use thornback_types::Code;

use crate::support::{Pair, goodbye_in};

fn cases(file: &str) -> Vec<Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors").join(file);
    let json: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    json["cases"].as_array().unwrap().clone()
}

fn bytes(hex: &Json) -> Bytes {
    let hex = hex.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn first_frames_are_judged() {
    for case in cases("hellos.json") {
        let code =
            Knock::read(bytes(&case["frame"])).err().and_then(|failure| Code::from_number(failure.code));
        assert_eq!(code.map(Code::name), case["code"].as_str(), "{}", case["name"]);
    }
}

#[test]
fn frames_that_break_the_protocol_end_the_session() {
    for case in cases("frames_invalid.json") {
        let mut pair = Pair::open();
        let frames = case["frames"].as_array().unwrap();
        for (at, frame) in frames.iter().enumerate() {
            assert_eq!(pair.server_end(), None, "{} at {at}", case["name"]);
            pair.to_server.push_back(bytes(frame));
            pair.deliver_to_server();
        }
        let Some(End::Violated(failure)) = pair.server_end().cloned() else {
            panic!("{}: {:?}", case["name"], pair.server_end())
        };
        assert_eq!(
            Code::from_number(failure.code).map(Code::name),
            case["code"].as_str(),
            "{}",
            case["name"]
        );
        pair.collect();
        assert_eq!(goodbye_in(pair.to_client.pop_front().unwrap()).code, failure.code);
    }
}
