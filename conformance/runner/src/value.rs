//! Values: the short notation of case files, the explicit one of testees, and MessagePack.
//!
//! Of a value only what the specification settles is kept: the bits of a float, the difference of an integer and a float, of text and bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

/// Kinds of the explicit notation. An object with one of these keys alone is explicit already.
const KINDS: &[&str] = &[
    "nil",
    "bool",
    "int",
    "float",
    "str",
    "bytes",
    "list",
    "map",
    "ref",
    "actor",
    "stream",
    "pattern",
    "digest",
    "bigint",
    "uuid",
    "timestamp",
    "ext",
    "unencodable",
    "any",
];

/// Makes the short notation explicit: `1` becomes `{"int":"1"}`. `{file: x}` is the path of a file of the case.
pub fn explicit(short: &Json, file: &dyn Fn(&str) -> String) -> Json {
    match short {
        Json::Null => json!({"nil": null}),
        Json::Bool(b) => json!({"bool": b}),
        Json::Number(n) if n.is_f64() => {
            json!({"float": format!("{:016x}", n.as_f64().unwrap_or(0.0).to_bits())})
        }
        Json::Number(n) => json!({"int": n.to_string()}),
        Json::String(s) => json!({"str": s}),
        Json::Array(items) => {
            json!({"list": items.iter().map(|item| explicit(item, file)).collect::<Vec<_>>()})
        }
        Json::Object(map) => explicit_object(map, file),
    }
}

fn explicit_object(map: &Map<String, Json>, file: &dyn Fn(&str) -> String) -> Json {
    if let (1, Some((key, body))) = (map.len(), map.iter().next()) {
        match (key.as_str(), body) {
            ("file", Json::String(name)) => return json!({"str": file(name)}),
            ("list", Json::Array(items)) => {
                return json!({"list": items.iter().map(|item| explicit(item, file)).collect::<Vec<_>>()});
            }
            ("map", Json::Array(entries)) => {
                let entry = |entry: &Json| match entry.as_array().map(Vec::as_slice) {
                    Some([key, value]) => json!([explicit(key, file), explicit(value, file)]),
                    _ => entry.clone(),
                };
                return json!({"map": entries.iter().map(entry).collect::<Vec<_>>()});
            }
            // Written short for readers: {repeat: [text, times]}.
            ("repeat", Json::Array(parts)) => {
                let text = parts.first().and_then(Json::as_str).unwrap_or_default();
                let times = parts.get(1).and_then(Json::as_u64).unwrap_or(0);
                return json!({"str": text.repeat(usize::try_from(times).unwrap_or(0))});
            }
            // {nested: depth}: a list in a list in a list.
            ("nested", Json::Number(depth)) => {
                return (0..depth.as_u64().unwrap_or(0))
                    .fold(json!({"nil": null}), |inner, _| json!({"list": [inner]}));
            }
            // {integers: n}: the list 0, 1, …
            ("integers", Json::Number(n)) => {
                return json!({"list": (0..n.as_u64().unwrap_or(0)).map(|i| json!({"int": i.to_string()})).collect::<Vec<_>>()});
            }
            (kind, _) if KINDS.contains(&kind) => return Json::Object(map.clone()),
            _ => {}
        }
    }
    let entries: Vec<Json> =
        map.iter().map(|(key, value)| json!([{"str": key}, explicit(value, file)])).collect();
    json!({"map": entries})
}

/// The bytes of `{"pattern":{"size":…,"seed":…}}`.
pub fn pattern(size: u64, seed: u64) -> Vec<u8> {
    (0..size).map(|i| ((31 * i + seed) % 251) as u8).collect()
}

/// The kind of an explicit value and its body.
pub fn parts(value: &Json) -> Option<(&str, &Json)> {
    let map = value.as_object()?;
    if map.len() != 1 {
        return None;
    }
    map.iter().next().map(|(kind, body)| (kind.as_str(), body))
}

/// `bytes` in its shortest common form: what `pattern`, `digest` and `bytes` have in common.
pub fn digest(kind: &str, body: &Json) -> Option<(u64, String)> {
    match kind {
        "bytes" => {
            let bytes = from_hex(body.as_str()?)?;
            Some((bytes.len() as u64, format!("{:08x}", crc32fast::hash(&bytes))))
        }
        "pattern" => {
            let bytes = pattern(body["size"].as_u64()?, body["seed"].as_u64()?);
            Some((bytes.len() as u64, format!("{:08x}", crc32fast::hash(&bytes))))
        }
        "digest" => Some((body["size"].as_u64()?, body["crc32"].as_str()?.to_owned())),
        _ => None,
    }
}

/// Writes MessagePack. `id` gives the 16 bytes that a name of a ref stands for; those that were met are added to `refs`.
pub fn to_msgpack(
    value: &Json,
    id: &mut dyn FnMut(&str) -> Vec<u8>,
    refs: &mut Vec<Vec<u8>>,
) -> Result<rmpv::Value, String> {
    let (kind, body) = parts(value).ok_or_else(|| format!("{value} is no value"))?;
    let text = || body.as_str().ok_or_else(|| format!("{value}: a {kind} is written as text"));
    Ok(match kind {
        "nil" => rmpv::Value::Nil,
        "bool" => rmpv::Value::Boolean(body.as_bool().unwrap_or(false)),
        "int" => match text()?.parse::<i64>() {
            Ok(number) => rmpv::Value::from(number),
            Err(_) => rmpv::Value::from(text()?.parse::<u64>().map_err(|error| format!("{value}: {error}"))?),
        },
        "float" => rmpv::Value::F64(f64::from_bits(
            u64::from_str_radix(text()?, 16).map_err(|error| format!("{value}: {error}"))?,
        )),
        "str" => rmpv::Value::from(text()?),
        "bytes" => {
            rmpv::Value::Binary(from_hex(text()?).ok_or_else(|| format!("{value} is not hexadecimal"))?)
        }
        "pattern" => rmpv::Value::Binary(pattern(
            body["size"].as_u64().unwrap_or(0),
            body["seed"].as_u64().unwrap_or(0),
        )),
        "list" => {
            let items = body.as_array().ok_or("a list is an array")?;
            rmpv::Value::Array(items.iter().map(|item| to_msgpack(item, id, refs)).collect::<Result<_, _>>()?)
        }
        "map" => {
            let mut entries = Vec::new();
            for entry in body.as_array().ok_or("a map is an array of pairs")? {
                entries.push((to_msgpack(&entry[0], id, refs)?, to_msgpack(&entry[1], id, refs)?));
            }
            rmpv::Value::Map(entries)
        }
        "ref" => {
            let bytes = id(text()?);
            if !refs.contains(&bytes) {
                refs.push(bytes.clone());
            }
            rmpv::Value::Ext(1, bytes)
        }
        "uuid" => rmpv::Value::Ext(5, from_hex(&text()?.replace('-', "")).ok_or("a UUID is hexadecimal")?),
        "ext" => rmpv::Value::Ext(
            i8::try_from(body[0].as_i64().unwrap_or(0)).map_err(|error| error.to_string())?,
            from_hex(body[1].as_str().unwrap_or_default()).ok_or("an extension is hexadecimal")?,
        ),
        other => return Err(format!("{other} cannot be written in a frame by the runner")),
    })
}

/// The specification allows 512 levels; what goes further is not worth a stack overflow.
pub const DEPTH_MAX: usize = 600;

/// Reads MessagePack into the explicit notation. Refs are named by their bytes.
pub fn from_msgpack(bytes: &[u8]) -> Result<Json, String> {
    let mut rest = bytes;
    let value = rmpv::decode::read_value_with_max_depth(&mut rest, DEPTH_MAX)
        .map_err(|error| format!("the value is no MessagePack: {error}"))?;
    if !rest.is_empty() {
        return Err(format!("{} bytes are left over behind the value", rest.len()));
    }
    Ok(notation(&value))
}

fn notation(value: &rmpv::Value) -> Json {
    match value {
        rmpv::Value::Nil => json!({"nil": null}),
        rmpv::Value::Boolean(b) => json!({"bool": b}),
        rmpv::Value::Integer(n) => json!({"int": n.to_string()}),
        rmpv::Value::F32(f) => json!({"float": format!("{:016x}", f64::from(*f).to_bits())}),
        rmpv::Value::F64(f) => json!({"float": format!("{:016x}", f.to_bits())}),
        rmpv::Value::String(s) => match s.as_str() {
            Some(text) => json!({"str": text}),
            None => json!({"invalid text": hex(s.as_bytes())}),
        },
        rmpv::Value::Binary(bytes) => json!({"bytes": hex(bytes)}),
        rmpv::Value::Array(items) => json!({"list": items.iter().map(notation).collect::<Vec<_>>()}),
        rmpv::Value::Map(entries) => {
            json!({"map": entries.iter().map(|(key, value)| json!([notation(key), notation(value)])).collect::<Vec<_>>()})
        }
        rmpv::Value::Ext(1, bytes) => json!({"ref": STANDARD.encode(bytes)}),
        rmpv::Value::Ext(kind, bytes) => json!({"ext": [kind, hex(bytes)]}),
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Spaces are allowed.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).ok();
    if digits.len().is_multiple_of(2) { digits.chunks(2).map(byte).collect() } else { None }
}

/// Protobuf's JSON mapping writes bytes in base64.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// [`base64()`], read.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
