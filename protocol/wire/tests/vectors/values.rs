//! Values in MessagePack: a decoder that follows `protocol/spec/value.md` to the letter and is used for nothing but this.

use rmpv::Value as Pack;
use serde_json::{Value as Json, json};

use crate::{cases, hex, name, to_hex};

/// VALUE-012.
const DEPTH_MAX: usize = 512;

#[test]
fn values_mean_what_they_say_and_are_written_in_the_shortest_way() {
    for case in cases("values.json") {
        let data = hex(&case["data"]);
        let buffers: Vec<Vec<u8>> = case["buffers"].as_array().into_iter().flatten().map(hex).collect();
        match case["format"].as_str().unwrap() {
            "FORMAT_RAW" => assert_eq!(case["value"], json!({ "bytes": to_hex(&data) }), "{}", name(&case)),
            "FORMAT_TENSOR" => {
                assert!(data.is_empty(), "{}", name(&case));
                assert_eq!(case["value"], tensor_alone(case["schema"].as_str().unwrap()), "{}", name(&case));
                check_tensor(&case["value"]["tensor"], &buffers).unwrap();
            }
            "FORMAT_MSGPACK" => {
                let read = read(&data, &buffers).unwrap_or_else(|e| panic!("{}: {e}", name(&case)));
                assert_eq!(read.meaning, case["value"], "{}", name(&case));
                let refs: Vec<String> = case["refs"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|id| id.as_str().unwrap().to_owned())
                    .collect();
                assert_eq!(read.refs, refs, "{}: VALUE-020", name(&case));
                assert_eq!(to_hex(&read.again), to_hex(&data), "{}", name(&case));
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn longer_encodings_are_read() {
    for case in cases("values_lenient.json") {
        let read = read(&hex(&case["data"]), &[]).unwrap_or_else(|e| panic!("{}: {e}", name(&case)));
        assert_eq!(read.meaning, case["value"], "{}", name(&case));
    }
}

#[test]
fn what_is_no_value_is_refused() {
    for case in cases("values_invalid.json") {
        assert!(read(&hex(&case["data"]), &[]).is_err(), "{}", name(&case));
    }
}

struct Read {
    again: Vec<u8>,
    meaning: Json,
    refs: Vec<String>,
}

fn read(data: &[u8], buffers: &[Vec<u8>]) -> Result<Read, String> {
    let mut rest = data;
    let value =
        rmpv::decode::read_value_with_max_depth(&mut rest, DEPTH_MAX + 1).map_err(|e| e.to_string())?;
    if !rest.is_empty() {
        return Err(format!("{} bytes are left over", rest.len()));
    }
    let mut again = Vec::new();
    rmpv::encode::write_value(&mut again, &value).map_err(|e| e.to_string())?;
    if again.len() == data.len() && again != data {
        // rmpv takes the byte that MessagePack never uses for nil.
        return Err("a byte that is never used".to_owned());
    }
    let mut refs = Vec::new();
    let meaning = meaning(&value, buffers, &mut refs)?;
    Ok(Read { again, meaning, refs })
}

/// What a value means, in the notation of `protocol/vectors/README.md`.
fn meaning(value: &Pack, buffers: &[Vec<u8>], refs: &mut Vec<String>) -> Result<Json, String> {
    Ok(match value {
        Pack::Nil => json!({ "nil": null }),
        Pack::Boolean(value) => json!({ "bool": value }),
        Pack::Integer(value) => json!({ "int": value.to_string() }),
        Pack::F32(value) => json!({ "float": format!("{:016x}", f64::from(*value).to_bits()) }),
        Pack::F64(value) => json!({ "float": format!("{:016x}", value.to_bits()) }),
        Pack::String(value) => json!({ "str": value.as_str().ok_or("a string is not UTF-8")? }),
        Pack::Binary(value) => json!({ "bytes": to_hex(value) }),
        Pack::Array(items) => {
            let items: Vec<Json> =
                items.iter().map(|item| meaning(item, buffers, refs)).collect::<Result<_, _>>()?;
            json!({ "list": items })
        }
        Pack::Map(entries) => {
            let entries: Vec<Json> = entries
                .iter()
                .map(|(key, value)| Ok(json!([meaning(key, buffers, refs)?, meaning(value, buffers, refs)?])))
                .collect::<Result<_, String>>()?;
            json!({ "map": entries })
        }
        Pack::Ext(kind, payload) => extension(*kind, payload, buffers, refs)?,
    })
}

fn extension(kind: i8, payload: &[u8], buffers: &[Vec<u8>], refs: &mut Vec<String>) -> Result<Json, String> {
    let mut refer = |id: &[u8]| {
        let id = sixteen(id)?;
        if !refs.contains(&id) {
            refs.push(id.clone());
        }
        Ok::<String, String>(id)
    };
    Ok(match kind {
        1 => json!({ "ref": refer(payload)? }),
        2 => {
            let fields = array(payload, 3)?;
            let (Some(class_name), Some(interface)) = (fields[1].as_str(), fields[2].as_slice()) else {
                return Err("an actor handle of other fields".to_owned());
            };
            let id = refer(fields[0].as_slice().ok_or("an actor's id is no bytes")?)?;
            json!({ "actor": { "id": id, "class_name": class_name, "interface": to_hex(interface) } })
        }
        3 => {
            let fields = array(payload, 4)?;
            let mut tensor = json!({
                "dtype": fields[0].as_str().ok_or("no dtype")?,
                "shape": integers(&fields[1])?,
                "strides": if fields[2].is_nil() { Json::Null } else { integers(&fields[2])?.into() },
            });
            match &fields[3] {
                Pack::Binary(elements) => tensor["data"] = to_hex(elements).into(),
                position => tensor["buffer"] = position.as_u64().ok_or("no elements")?.into(),
            }
            check_tensor(&tensor, buffers)?;
            json!({ "tensor": tensor })
        }
        -1 => timestamp(payload)?,
        5 => json!({ "uuid": sixteen(payload)? }),
        6 => {
            let Some((sign @ (0 | 1), magnitude @ [1..=255, ..])) = payload.split_first() else {
                return Err("a big integer is a sign and a magnitude without leading zeros".to_owned());
            };
            let sign = if *sign == 1 { "-" } else { "" };
            json!({ "bigint": format!("{sign}{}", decimal(magnitude)) })
        }
        7 => json!({ "stream": refer(payload)? }),
        64.. => json!({ "ext": [kind, to_hex(payload)] }),
        other => return Err(format!("extension type {other}")),
    })
}

fn sixteen(id: &[u8]) -> Result<String, String> {
    if id.len() == 16 { Ok(to_hex(id)) } else { Err(format!("{} bytes are no id", id.len())) }
}

fn array(mut payload: &[u8], length: usize) -> Result<Vec<Pack>, String> {
    match rmpv::decode::read_value(&mut payload).map_err(|e| e.to_string())? {
        Pack::Array(fields) if fields.len() == length && payload.is_empty() => Ok(fields),
        _ => Err(format!("no array of {length}")),
    }
}

fn integers(value: &Pack) -> Result<Vec<u64>, String> {
    let items = value.as_array().ok_or("no array")?;
    items.iter().map(|item| item.as_u64().ok_or_else(|| "no size".to_owned())).collect()
}

/// VALUE-031: every element that shape and strides name is there.
fn check_tensor(tensor: &Json, buffers: &[Vec<u8>]) -> Result<(), String> {
    let dtype = tensor["dtype"].as_str().ok_or("no dtype")?;
    let item: u64 =
        dtype.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().map_err(|_| "no item size")?;
    let sizes = |field: &str| -> Vec<u64> {
        tensor[field].as_array().into_iter().flatten().filter_map(Json::as_u64).collect()
    };
    let shape = sizes("shape");
    let strides = if tensor["strides"].is_null() {
        (0..shape.len()).map(|i| shape[i + 1..].iter().product::<u64>() * item).collect()
    } else {
        sizes("strides")
    };
    let there = match tensor["buffer"].as_u64() {
        Some(position) => {
            let buffer = usize::try_from(position).ok().and_then(|position| buffers.get(position));
            buffer.ok_or("the buffer is missing")?.len()
        }
        None => hex(&tensor["data"]).len(),
    };
    if shape.contains(&0) {
        return Ok(());
    }
    let needed = shape.iter().zip(&strides).map(|(n, stride)| (n - 1) * stride).sum::<u64>() + item;
    if needed > there as u64 {
        Err(format!("{needed} bytes are named and {there} are there"))
    } else {
        Ok(())
    }
}

/// VALUE-030.
fn tensor_alone(schema: &str) -> Json {
    let mut parts = schema.split(';');
    let dtype = parts.next().unwrap();
    let tuple = |text: &str| -> Vec<u64> {
        let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap();
        inner.split(',').map(str::trim).filter(|n| !n.is_empty()).map(|n| n.parse().unwrap()).collect()
    };
    let shape = tuple(parts.next().unwrap());
    let strides = parts.next().map(tuple);
    json!({ "tensor": { "dtype": dtype, "shape": shape, "strides": strides, "buffer": 0 } })
}

fn timestamp(payload: &[u8]) -> Result<Json, String> {
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let (seconds, nanos) = match payload.len() {
        4 => (number(payload).cast_signed(), 0),
        8 => ((number(payload) & ((1 << 34) - 1)).cast_signed(), number(payload) >> 34),
        12 => (number(&payload[4..]).cast_signed(), number(&payload[..4])),
        other => return Err(format!("a timestamp of {other} bytes")),
    };
    if nanos >= 1_000_000_000 {
        return Err("more nanoseconds than a second has".to_owned());
    }
    Ok(json!({ "timestamp": [seconds, nanos] }))
}

/// A big-endian number in decimal.
fn decimal(magnitude: &[u8]) -> String {
    let mut digits = vec![0_u32];
    for byte in magnitude {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += *digit * 256;
            *digit = carry % 10;
            carry /= 10;
        }
        while carry > 0 {
            digits.push(carry % 10);
            carry /= 10;
        }
    }
    digits.iter().rev().filter_map(|digit| char::from_digit(*digit, 10)).collect()
}
