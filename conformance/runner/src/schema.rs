//! Frames as bytes and as JSON, by the schemas alone: none of the code that servers and SDKs are made of takes part.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage, SerializeOptions};
use serde_json::{Value as Json, json};

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let set: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/schemas.bin"));
    DescriptorPool::decode(set).expect("the build compiled it")
});

/// Whose frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

impl Side {
    pub fn other(self) -> Self {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }

    fn message(self, what: &str) -> MessageDescriptor {
        let name = format!("thornback.v1.{}{what}", if self == Side::Client { "Client" } else { "Server" });
        POOL.get_message_by_name(&name).expect("the schemas have both")
    }
}

/// A frame that was taken apart.
#[derive(Clone, Debug)]
pub struct Frame {
    pub seq: u64,
    pub ack: u64,
    /// Each an object with one key, the operation's name; with none if the schema does not know it.
    pub ops: Vec<Json>,
    /// Complaints about the bytes themselves: fields that no schema has.
    pub unknown: Vec<String>,
}

/// Reads a frame.
pub fn decode(side: Side, bytes: &[u8]) -> Result<Frame, String> {
    let message = DynamicMessage::decode(side.message("Frame"), bytes)
        .map_err(|error| format!("a frame cannot be decoded: {error}"))?;
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .skip_default_fields(false)
        .stringify_64_bit_integers(false);
    let json = message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|error| format!("a frame has no JSON: {error}"))?;
    let mut unknown = Vec::new();
    find_unknown(&message, &mut unknown);
    let number = |key: &str| json[key].as_u64().unwrap_or(0);
    let ops = json["ops"].as_array().cloned().unwrap_or_default();
    Ok(Frame { seq: number("seq"), ack: number("ack"), ops, unknown })
}

fn find_unknown(message: &DynamicMessage, found: &mut Vec<String>) {
    for field in message.unknown_fields() {
        found.push(format!("field {} of {}", field.number(), message.descriptor().name()));
    }
    for (_, value) in message.fields() {
        let mut look = |value: &prost_reflect::Value| {
            if let Some(inner) = value.as_message() {
                find_unknown(inner, found);
            }
        };
        match value {
            prost_reflect::Value::List(items) => items.iter().for_each(look),
            prost_reflect::Value::Map(items) => items.values().for_each(look),
            value => look(value),
        }
    }
}

/// Writes a frame. An operation may also be `{unknown: N}`, one that no schema has, or `{greased: op}`, one with fields that no schema has.
pub fn encode(side: Side, seq: u64, ack: u64, ops: &[Json], grease: bool) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut number = |field: u64, value: u64| {
        if value != 0 {
            varint(field << 3, &mut bytes);
            varint(value, &mut bytes);
        }
    };
    number(1, seq);
    number(2, ack);
    for op in ops {
        let op = encode_op(side, op)?;
        varint(3 << 3 | 2, &mut bytes);
        varint(op.len() as u64, &mut bytes);
        bytes.extend(op);
    }
    if grease {
        bytes.extend(grease_bytes());
    }
    Ok(bytes)
}

fn encode_op(side: Side, op: &Json) -> Result<Vec<u8>, String> {
    if let Some(number) = op.get("unknown").and_then(Json::as_u64) {
        let mut bytes = Vec::new();
        varint(number << 3 | 2, &mut bytes);
        bytes.extend([3, b'a', b'b', b'c']);
        return Ok(bytes);
    }
    if let Some(inner) = op.get("greased") {
        // The operation is the last field of its message, so what is added to the end and to its length is inside it.
        let plain = encode_op(side, inner)?;
        let (tag, rest) = read_varint(&plain)?;
        let (_, body) = read_varint(rest)?;
        let body = [body, &grease_bytes()].concat();
        let mut bytes = Vec::new();
        varint(tag, &mut bytes);
        varint(body.len() as u64, &mut bytes);
        bytes.extend(body);
        bytes.extend(grease_bytes());
        return Ok(bytes);
    }
    let message = DynamicMessage::deserialize(side.message("Op"), op.clone())
        .map_err(|error| format!("{op} is no operation: {error}"))?;
    use prost::Message as _;
    Ok(message.encode_to_vec())
}

/// Fields of every wire type, with numbers that no schema has.
fn grease_bytes() -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, kind, body) in [
        (1000u64, 0u64, &[7u8][..]),
        (1001, 2, &[2, 0xca, 0xfe]),
        (1002, 5, &[1, 2, 3, 4]),
        (1003, 1, &[1, 2, 3, 4, 5, 6, 7, 8]),
    ] {
        varint(number << 3 | kind, &mut bytes);
        bytes.extend(body);
    }
    bytes
}

pub fn varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn read_varint(bytes: &[u8]) -> Result<(u64, &[u8]), String> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((value, &bytes[index + 1..]));
        }
    }
    Err("a varint does not end".to_owned())
}

/// The name and the body of an operation.
pub fn op_parts(op: &Json) -> (&str, Json) {
    op.as_object()
        .and_then(|map| map.iter().next())
        .map_or(("", json!({})), |(name, body)| (name.as_str(), body.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_survives_and_grease_is_seen() {
        let ops = [json!({"cancel": {"id": "AAAA", "force": true}})];
        let bytes = encode(Side::Client, 3, 2, &ops, false).expect("it encodes");
        let frame = decode(Side::Client, &bytes).expect("it decodes");
        assert_eq!((frame.seq, frame.ack, frame.unknown.len()), (3, 2, 0));
        assert_eq!(frame.ops[0]["cancel"]["force"], json!(true));
        assert_eq!(frame.ops[0]["cancel"]["recursive"], json!(false));
        let bytes = encode(Side::Client, 3, 2, &[json!({"greased": ops[0]}), json!({"unknown": 900})], true)
            .expect("it encodes");
        let frame = decode(Side::Client, &bytes).expect("it decodes");
        assert_eq!(frame.ops[0]["cancel"]["id"], json!("AAAA"));
        assert_eq!(op_parts(&frame.ops[1]).0, "");
        assert_eq!(frame.unknown.len(), 4 + 8 + 1, "{:?}", frame.unknown);
        assert!(decode(Side::Client, &bytes[..bytes.len() - 1]).is_err());
        assert!(encode(Side::Client, 1, 0, &[json!({"canccel": {}})], false).is_err());
    }
}
