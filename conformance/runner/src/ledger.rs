//! What both sides of one connection have said so far, and what the specification has against it. It looks at frames and changes none.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::schema::{self, Frame, Side, op_parts};
use crate::value;

/// Operations of uncounted frames.
const UNCOUNTED: &[&str] = &["hello", "welcome", "credit", "ping", "pong", "goodbye"];
const FRAME_BYTES: u64 = 4 << 20;
const WINDOW_BYTES: u64 = 8 << 20;
const OPS_MAX: usize = 65_536;

/// One direction.
struct Direction {
    /// The last counted frame; none before the first.
    seq: Option<u64>,
    /// Bytes of counted frames that it may still send.
    credit: i64,
    frames: u64,
    over: bool,
}

/// One connection.
pub struct Ledger {
    client: Direction,
    server: Direction,
    welcomed: bool,
    resumed: bool,
    frame_bytes: u64,
    inline_bytes: u64,
    /// Numbers that the client declared, and that the server did.
    declared: [BTreeSet<u64>; 2],
}

impl Ledger {
    pub fn new() -> Self {
        let direction = || Direction { seq: None, credit: 0, frames: 0, over: false };
        Self {
            client: direction(),
            server: direction(),
            welcomed: false,
            resumed: false,
            frame_bytes: FRAME_BYTES,
            inline_bytes: u64::MAX,
            declared: Default::default(),
        }
    }

    /// Notes a frame of one side, without its length prefix. Gives it taken apart, if it can be, and what is wrong with it, each with an id of the specification.
    pub fn see(&mut self, side: Side, bytes: &[u8]) -> (Option<Frame>, Vec<String>) {
        let mut wrong = Vec::new();
        let length = bytes.len() as u64;
        if length > self.frame_bytes {
            wrong.push(format!(
                "SESSION-022: a frame of {length} bytes, above the limit of {}",
                self.frame_bytes
            ));
        }
        let frame = match schema::decode(side, bytes) {
            Ok(frame) => frame,
            Err(reason) => {
                wrong.push(format!("SESSION-023: {reason}"));
                return (None, wrong);
            }
        };
        wrong.extend(
            frame
                .unknown
                .iter()
                .map(|field| format!("VERSION-002: it sends {field}, which the schema does not have")),
        );
        self.opening(side, &frame, &mut wrong);
        self.numbers(side, &frame, length, &mut wrong);
        self.operations(side, &frame, &mut wrong);
        (Some(frame), wrong)
    }

    fn direction(&mut self, side: Side) -> &mut Direction {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    fn opening(&mut self, side: Side, frame: &Frame, wrong: &mut Vec<String>) {
        let names: Vec<&str> = frame.ops.iter().map(|op| op_parts(op).0).collect();
        let welcomed = self.welcomed;
        let direction = self.direction(side);
        direction.frames += 1;
        let first = direction.frames == 1;
        if direction.over {
            wrong.push("SESSION-070: a frame behind Goodbye".to_owned());
        }
        if names.contains(&"goodbye") {
            direction.over = true;
            if names.last() != Some(&"goodbye") {
                wrong.push("SESSION-021: Goodbye is not the last operation of its frame".to_owned());
            }
        }
        if side == Side::Client {
            if first && (names != ["hello"] || frame.seq != 0) {
                wrong.push(format!(
                    "SESSION-010: the first frame holds {names:?} with seq {}, not Hello alone with 0",
                    frame.seq
                ));
            } else if !first && !welcomed {
                wrong.push(format!("SESSION-010: {names:?} before Welcome came"));
            } else if !first && names.contains(&"hello") {
                wrong.push("SESSION-015: a second Hello".to_owned());
            }
        }
        if side == Side::Server && first && names != ["welcome"] && names != ["goodbye"] {
            wrong.push(format!("SESSION-013: Hello is answered by {names:?}"));
        }
        for op in &frame.ops {
            let (name, body) = op_parts(op);
            let number = |body: &Json, key: &str| body[key].as_u64().unwrap_or(0);
            match name {
                "hello" => {
                    // Who resumes says what it took on the connection before.
                    self.resumed = body["resume"].is_object();
                    let window = number(&body, "window_bytes");
                    self.server.credit = if window == 0 { WINDOW_BYTES } else { window } as i64;
                }
                "welcome" => {
                    let limits = &body["limits"];
                    self.welcomed = true;
                    self.resumed = body["resumed"].as_bool().unwrap_or(false);
                    self.frame_bytes = number(limits, "frame_bytes");
                    self.inline_bytes = number(limits, "inline_bytes");
                    let window = number(limits, "window_bytes");
                    self.client.credit = if window == 0 { WINDOW_BYTES } else { window } as i64;
                }
                _ => {}
            }
        }
    }

    fn numbers(&mut self, side: Side, frame: &Frame, length: u64, wrong: &mut Vec<String>) {
        let resumed = self.resumed;
        let other = self.direction(side.other()).seq;
        let direction = self.direction(side);
        if frame.seq != 0 {
            match direction.seq {
                Some(last) if frame.seq != last + 1 => {
                    wrong.push(format!("SESSION-020: seq {} follows {last}", frame.seq))
                }
                None if frame.seq != 1 && !resumed => {
                    wrong.push(format!("SESSION-020: the first counted frame has seq {}", frame.seq))
                }
                _ => {}
            }
            if direction.credit <= 0 {
                wrong.push(format!("SESSION-041: a counted frame with a credit of {}", direction.credit));
            }
            direction.seq = Some(frame.seq);
            direction.credit -= length as i64;
        }
        if !resumed && frame.ack > other.unwrap_or(0) {
            wrong.push(format!("SESSION-031: ack {} of a frame that was never sent", frame.ack));
        }
    }

    fn operations(&mut self, side: Side, frame: &Frame, wrong: &mut Vec<String>) {
        if frame.ops.len() > OPS_MAX {
            wrong.push(format!("SESSION-022: {} operations in a frame", frame.ops.len()));
        }
        for op in &frame.ops {
            let (name, body) = op_parts(op);
            let uncounted = UNCOUNTED.contains(&name);
            if name.is_empty() {
                wrong.push("VERSION-002: an operation that the schema does not have".to_owned());
            } else if frame.seq == 0 && !uncounted {
                wrong.push(format!("SESSION-021: {name} in an uncounted frame"));
            } else if frame.seq != 0 && uncounted && name != "goodbye" {
                wrong.push(format!("SESSION-021: {name} in a counted frame"));
            }
            if name == "credit" {
                self.direction(side.other()).credit += body["bytes"].as_i64().unwrap_or(0);
            }
            let declared = &mut self.declared[usize::from(side == Side::Server)];
            if name == "declare" {
                declared.insert(body["number"].as_u64().unwrap_or(0));
            } else if let Some(number) = body["declaration"].as_u64()
                && !self.resumed
                && !declared.contains(&number)
            {
                wrong.push(format!("TASK-002: {name} names the declaration {number}, which was not made"));
            }
            let put = name == "put" || name == "create" && body["task"].as_str().is_none_or(str::is_empty);
            let object = body["object"].as_str().and_then(value::from_base64).unwrap_or_default();
            if put && object.len() == 16 && object[12..] != [0, 0, 0, 1] {
                wrong.push(format!("ID-004: {name} makes an object with another index than 1"));
            }
            self.contents(name, &body, wrong);
        }
    }

    /// Ids and values, however deep in an operation.
    fn contents(&self, op: &str, json: &Json, wrong: &mut Vec<String>) {
        const IDS: &[&str] = &["task", "actor", "object", "parent", "group", "placement_group", "ref"];
        const LISTS: &[&str] = &["objects", "retain", "drop", "refs", "tasks"];
        match json {
            Json::Object(map) => {
                if map.contains_key("format") && map.contains_key("buffers") {
                    self.value(op, json, wrong);
                }
                for (key, inner) in map {
                    let listed = if LISTS.contains(&key.as_str()) {
                        inner.as_array().map_or(&[][..], Vec::as_slice)
                    } else {
                        &[]
                    };
                    let single = if IDS.contains(&key.as_str()) { std::slice::from_ref(inner) } else { &[] };
                    for id in listed.iter().chain(single).filter_map(Json::as_str) {
                        let length = value::from_base64(id).map_or(0, |bytes| bytes.len());
                        if length != 16 && (length != 0 || !listed.is_empty()) {
                            wrong.push(format!("ID-001: {key} of {op} has {length} bytes"));
                        }
                    }
                    self.contents(op, inner, wrong);
                }
            }
            Json::Array(items) => items.iter().for_each(|item| self.contents(op, item, wrong)),
            _ => {}
        }
    }

    fn value(&self, op: &str, json: &Json, wrong: &mut Vec<String>) {
        let bytes = |json: &Json| json.as_str().and_then(value::from_base64).unwrap_or_default();
        let data = bytes(&json["data"]);
        let buffers: usize = json["buffers"]
            .as_array()
            .map_or(0, |buffers| buffers.iter().map(|buffer| bytes(buffer).len()).sum());
        if (data.len() + buffers) as u64 > self.inline_bytes {
            wrong.push(format!("SESSION-016: a value of {} bytes in {op}", data.len() + buffers));
        }
        match json["format"].as_str() {
            Some("FORMAT_MSGPACK") => match value::from_msgpack(&data) {
                Err(reason) => wrong.push(format!("VALUE-012: {op}: {reason}")),
                Ok(_) => {
                    let mut inside = BTreeSet::new();
                    if let Ok(parsed) =
                        rmpv::decode::read_value_with_max_depth(&mut data.as_slice(), value::DEPTH_MAX)
                    {
                        collect(&parsed, &mut inside);
                    }
                    let named: Vec<Vec<u8>> = json["refs"]
                        .as_array()
                        .map_or_else(Vec::new, |refs| refs.iter().map(bytes).collect());
                    if named.len() != inside.len() || !named.iter().all(|id| inside.contains(id)) {
                        wrong.push(format!(
                            "VALUE-020: a value in {op} refers to {} ids and names {}",
                            inside.len(),
                            named.len()
                        ));
                    }
                }
            },
            Some("FORMAT_UNSPECIFIED") | None => {
                wrong.push(format!("VALUE-001: a value without a format in {op}"))
            }
            _ => {}
        }
    }
}

/// The ids that a value refers to.
fn collect(value: &rmpv::Value, ids: &mut BTreeSet<Vec<u8>>) {
    match value {
        rmpv::Value::Ext(1 | 7, bytes) => {
            ids.insert(bytes.clone());
        }
        rmpv::Value::Ext(2, bytes) => {
            if let Ok(rmpv::Value::Array(parts)) =
                rmpv::decode::read_value_with_max_depth(&mut bytes.as_slice(), value::DEPTH_MAX)
                && let Some(rmpv::Value::Binary(id)) = parts.into_iter().next()
            {
                ids.insert(id);
            }
        }
        rmpv::Value::Array(items) => items.iter().for_each(|item| collect(item, ids)),
        rmpv::Value::Map(entries) => entries.iter().for_each(|(key, item)| {
            collect(key, ids);
            collect(item, ids);
        }),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_handle_refers_to_its_actor() {
        let handle = rmpv::Value::Array(vec![
            rmpv::Value::Binary(vec![7; 16]),
            rmpv::Value::from("Counter"),
            rmpv::Value::Binary(vec![]),
        ]);
        let mut payload = Vec::new();
        rmpv::encode::write_value(&mut payload, &handle).expect("writes to memory");
        let mut ids = BTreeSet::new();
        collect(&rmpv::Value::Array(vec![rmpv::Value::Ext(2, payload)]), &mut ids);
        assert_eq!(ids, BTreeSet::from([vec![7; 16]]));
    }

    fn opened() -> Ledger {
        let mut ledger = Ledger::new();
        let hello = schema::encode(Side::Client, 0, 0, &[json!({"hello": {"version_max": 1}})], false)
            .expect("encodes");
        let limits = json!({"frame_bytes": 2000, "inline_bytes": 100, "window_bytes": 500});
        let welcome = schema::encode(
            Side::Server,
            0,
            0,
            &[json!({"welcome": {"version": 1, "limits": limits}})],
            false,
        )
        .expect("encodes");
        assert_eq!(ledger.see(Side::Client, &hello).1, Vec::<String>::new());
        assert_eq!(ledger.see(Side::Server, &welcome).1, Vec::<String>::new());
        ledger
    }

    fn says(ledger: &mut Ledger, seq: u64, ack: u64, op: Json) -> String {
        let frame = schema::encode(Side::Client, seq, ack, &[op], false).expect("encodes");
        ledger.see(Side::Client, &frame).1.join("; ")
    }

    #[test]
    fn every_breach_is_named_by_its_rule() {
        let (zero, id) = ("AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAAQ==");
        let put = |value: Json| json!({"put": {"object": id, "value": value}});
        assert_eq!(says(&mut opened(), 1, 0, put(json!({"format": "FORMAT_RAW", "data": "AA=="}))), "");
        for (seq, ack, op, rule) in [
            (2, 0, json!({"refs": {}}), "SESSION-020"),
            (1, 1, json!({"refs": {}}), "SESSION-031"),
            (0, 0, json!({"refs": {}}), "SESSION-021"),
            (1, 0, json!({"ping": {}}), "SESSION-021"),
            (0, 0, json!({"hello": {}}), "SESSION-015"),
            (1, 0, json!({"unknown": 900}), "VERSION-002"),
            (1, 0, json!({"greased": {"refs": {}}}), "VERSION-002"),
            (1, 0, json!({"refs": {"drop": ["AAAA"]}}), "ID-001"),
            (1, 0, json!({"submit": {"task": id, "declaration": 1}}), "TASK-002"),
            (1, 0, json!({"create": {"object": zero, "size": 1}}), "ID-004"),
            (
                1,
                0,
                json!({"put": {"object": zero, "value": {"format": "FORMAT_RAW", "data": "AA=="}}}),
                "ID-004",
            ),
            (1, 0, put(json!({"data": "AA=="})), "VALUE-001"),
            (1, 0, put(json!({"format": "FORMAT_RAW", "data": value::base64(&[0; 101])})), "SESSION-016"),
            (
                1,
                0,
                put(json!({"format": "FORMAT_MSGPACK", "data": value::base64(&[0xc0, 0xc0])})),
                "VALUE-012",
            ),
            (
                1,
                0,
                put(json!({"format": "FORMAT_MSGPACK", "data": value::base64(&[0xc0]), "refs": [id]})),
                "VALUE-020",
            ),
        ] {
            let found = says(&mut opened(), seq, ack, op.clone());
            assert!(found.starts_with(rule), "{op}: {found}");
        }
        let mut ledger = opened();
        let label = |n: usize| json!({"declare": {"number": 1, "function": "f".repeat(n)}});
        assert_eq!(says(&mut ledger, 1, 0, label(600)), "");
        assert!(says(&mut ledger, 2, 0, label(1)).starts_with("SESSION-041"));
        assert!(says(&mut opened(), 1, 0, label(2000)).starts_with("SESSION-022"));
        assert!(opened().see(Side::Client, &[0xff, 0xff]).1[0].starts_with("SESSION-023"));
    }
}
