//! What is refused, and the path that is told; never how the bytes of MessagePack are read.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thornback_types::{Format, Value};

use crate::value::{Data, Unread, decode, decode_typed, encode};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    width: u16,
    scale: Option<f32>,
    sizes: Vec<i8>,
    pair: (u8, String),
    modes: BTreeMap<String, Mode>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Mode {
    #[serde(rename = "plain")]
    Plain(()),
    #[serde(rename = "sharp-edged")]
    Sharp(Vec<Width>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Width(u16);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Level {
    #[serde(rename = "low")]
    Low,
}

fn value(json: serde_json::Value) -> Value {
    encode(&json).expect("encodes").value
}

fn msgpack(data: &'static [u8]) -> Value {
    Value::new(Format::MsgPack, data)
}

fn told<T: Data>(value: Value) -> String {
    match decode_typed::<T>(value) {
        Ok(_) => "nothing is wrong".to_owned(),
        Err(Unread::Misfit { path, reason, .. }) => format!("{path}: {reason}"),
        Err(Unread::Other(error)) => panic!("{error}"),
    }
}

fn options(change: impl FnOnce(&mut serde_json::Value)) -> Value {
    let mut options = serde_json::json!({
        "width": 1, "scale": 0.5, "sizes": [1], "pair": [1, "x"], "modes": {"a": {"plain": null}, "b": {"sharp-edged": [7]}}
    });
    change(&mut options);
    value(options)
}

#[test]
fn the_path_leads_to_what_is_wrong() {
    assert_eq!(told::<Options>(options(|_| ())), "nothing is wrong");
    let wrong = |change: fn(&mut serde_json::Value)| told::<Options>(options(change));
    assert_eq!(wrong(|o| o["width"] = 70000.into()), ".width: 70000 is not a u16");
    assert_eq!(wrong(|o| o["width"] = (-1).into()), ".width: -1 is not a u16");
    assert_eq!(wrong(|o| o["width"] = "wide".into()), ".width: \"wide\" is not a u16");
    assert_eq!(wrong(|o| o["width"] = serde_json::Value::Null), ".width: nil is not a u16");
    assert_eq!(wrong(|o| o["width"] = serde_json::json!([])), ".width: an array is not a u16");
    assert_eq!(wrong(|o| o["scale"] = true.into()), ".scale: true is not an f32");
    assert_eq!(wrong(|o| o["sizes"] = serde_json::json!([1, 2, 128])), ".sizes[2]: 128 is not an s8");
    assert_eq!(wrong(|o| o["sizes"] = 3.into()), ".sizes: 3 is not a list");
    assert_eq!(wrong(|o| o["pair"][1] = 3.into()), ".pair[1]: 3 is not a string");
    assert_eq!(
        wrong(|o| o["modes"]["b"]["sharp-edged"][0] = 65536.into()),
        ".modes.b.sharp-edged[0]: 65536 is not a u16"
    );
    assert_eq!(wrong(|o| o["modes"]["a"]["plain"] = 1.into()), ".modes.a.plain: 1 is not nothing: nil");
    for (path, change) in [
        (".pair: ", (|o| o["pair"] = serde_json::json!([1, "x", 2])) as fn(&mut serde_json::Value)),
        (".modes.a: ", |o| o["modes"]["a"]["sharp-edged"] = serde_json::json!([])),
        (".modes.a: ", |o| o["modes"]["a"] = serde_json::json!({"dull": null})),
        (": missing field `width`", |o| drop(o.as_object_mut().and_then(|o| o.remove("width")))),
        (": unknown field `depth`", |o| o["depth"] = 1.into()),
    ] {
        let told = told::<Options>(options(change));
        assert!(told.starts_with(path), "{told}");
    }
    assert_eq!(told::<Vec<BTreeMap<u8, bool>>>(msgpack(b"\x91\x81\x05\x06")), "[0][5]: 6 is not a bool");
}

#[test]
fn what_is_no_interface_s_has_the_path_too() {
    let error = decode::<Options>(options(|o| o["sizes"][0] = 300.into())).expect_err("300 is no i8");
    assert!(error.message().ends_with("Options: sizes[0]: 300 is not an i8"), "{error}");
}

#[test]
fn an_integer_is_a_float_where_it_can_be_held_exactly() {
    let read = |number: u64| decode::<f64>(value(number.into())).ok();
    assert_eq!(read(1 << 53), Some(9_007_199_254_740_992.0));
    assert_eq!(read((1 << 53) + 1), None);
    assert_eq!(read(1 << 63), Some(9_223_372_036_854_775_808.0));
    assert_eq!(read(u64::MAX), None);
    assert_eq!(decode::<f64>(value(i64::MIN.into())).ok(), Some(-9_223_372_036_854_775_808.0));
    assert_eq!(decode::<f64>(value((-(1i64 << 53) - 1).into())).ok(), None);
    assert_eq!(decode::<f32>(value((1 << 24).into())).ok(), Some(16_777_216.0));
    assert_eq!(told::<(f32,)>(value(serde_json::json!([(1 << 24) + 1]))), "[0]: 16777217 is not an f32");
    assert_eq!(
        told::<Vec<f64>>(value(serde_json::json!([1, u64::MAX]))),
        "[1]: 18446744073709551615 is not an f64"
    );
}

#[test]
fn a_float_is_rounded_to_an_f32_and_refused_beyond_its_range() {
    let read = |number: f64| decode::<f32>(encode(&number).expect("encodes").value).ok();
    assert_eq!(read(0.1), Some(0.1f32));
    assert_eq!(read(f64::from(f32::MAX)), Some(f32::MAX));
    assert_eq!(read(1e-300), Some(0.0));
    assert_eq!(read(f64::INFINITY), Some(f32::INFINITY));
    assert!(read(f64::NAN).is_some_and(f32::is_nan));
    assert_eq!(read(1e39), None);
    assert_eq!(read(-1e300), None);
    assert_eq!(told::<f32>(value(serde_json::json!(1e39))), ": 1e39 is not an f32");
}

#[test]
fn an_interface_takes_nothing_for_what_it_is_not() {
    // As `serde` has it, a record may be an array, a field or case a number, text binary, and bytes an array.
    assert_eq!(told::<Options>(msgpack(b"\x90")), ": an array is not a Options: a map");
    assert_eq!(told::<Level>(msgpack(b"\x00")), ": 0 is not a Level");
    assert_eq!(told::<Level>(msgpack(b"\xa3low")), "nothing is wrong");
    assert_eq!(
        told::<(Level,)>(msgpack(b"\x91\x81\xa3low\xc0")),
        "[0]: a map is not an enum: the name of a case"
    );
    assert!(told::<Level>(msgpack(b"\xa4high")).starts_with(": unknown variant `high`"));
    assert!(decode::<Level>(msgpack(b"\x81\xa3low\xc0")).is_ok());
    let mode = |data| told::<Mode>(msgpack(data));
    assert_eq!(mode(b"\x81\xa5plain\xc0"), "nothing is wrong");
    assert!(mode(b"\xa5plain").starts_with(": invalid type: unit variant"));
    assert_eq!(mode(b"\x80"), ": a map of more or fewer entries than one is not a Mode");
    assert_eq!(
        mode(b"\x82\xa5plain\xc0\xa5plain\xc0"),
        ": a map of more or fewer entries than one is not a Mode"
    );
    assert_eq!(mode(b"\x91\xa5plain"), ": an array is not a Mode");
    assert_eq!(mode(b"\xc0"), ": nil is not a Mode");
    assert_eq!(mode(b"\x81\x00\xc0"), ": 0 is not what was expected");
    assert!(told::<Options>(msgpack(b"\x81\x00\x01")).starts_with(": 0 is not"));
    assert_eq!(told::<String>(msgpack(b"\xc4\x01x")), ": binary is not a string");
    for array in [&b"\x91\x91\x01"[..], b"\x91\x90"] {
        assert_eq!(told::<(Bytes,)>(msgpack(array)), "[0]: an array is not a list<u8>: binary");
    }
    assert_eq!(told::<Bytes>(msgpack(b"\xa1x")), ": \"x\" is not a list<u8>: binary");
    for binary in [&b"\x91\xc4\x01\x01"[..], b"\x91\xc4\x00"] {
        assert_eq!(told::<(Vec<u16>,)>(msgpack(binary)), "[0]: binary is not a list");
    }
    assert_eq!(told::<(Bytes, Vec<u16>)>(msgpack(b"\x92\xc4\x01\x01\x91\x01")), "nothing is wrong");
    assert_eq!(told::<Vec<Option<u8>>>(msgpack(b"\x92\x01\xc0")), "nothing is wrong");
    assert!(decode::<(Vec<u8>, Level)>(msgpack(b"\x92\x91\x01\xa3low")).is_ok());
}

#[test]
fn raw_bytes_are_a_list_of_u8_and_nothing_else() {
    let raw = || Value::raw(&b"x"[..]);
    assert_eq!(decode_typed::<Option<Bytes>>(raw()).ok(), Some(Some(Bytes::from_static(b"x"))));
    assert_eq!(told::<String>(raw()), ": binary is not a string");
    assert_eq!(told::<u16>(raw()), ": binary is not a u16");
    assert_eq!(told::<Vec<u16>>(raw()), ": binary is not a list");
}
