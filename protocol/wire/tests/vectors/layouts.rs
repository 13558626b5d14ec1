//! Frames on a stream, and the headers of stored objects.

use bytes::BytesMut;
use serde_json::{Value as Json, json};
use thornback_types::Format;
use thornback_wire::framing::Decoder;
use thornback_wire::object::{Layout, Plan};

use crate::{cases, hex, name, to_hex};

#[test]
fn streams_are_cut_into_their_frames() {
    for case in cases("framing.json") {
        let stream = hex(&case["stream"]);
        let limit = usize::try_from(case["limit"].as_u64().unwrap()).unwrap();
        for cut in 0..=stream.len() {
            let mut buffer = BytesMut::new();
            let (mut frames, mut refused) = (Vec::new(), false);
            for part in [&stream[..cut], &stream[cut..]] {
                buffer.extend_from_slice(part);
                loop {
                    match Decoder::new(limit).next(&mut buffer) {
                        Ok(Some(frame)) => frames.push(to_hex(&frame)),
                        Ok(None) => break,
                        Err(_) => {
                            refused = true;
                            break;
                        }
                    }
                }
            }
            assert_eq!(json!(frames), case["frames"], "{}", name(&case));
            assert_eq!(refused, !case["code"].is_null(), "{}", name(&case));
            if !refused {
                assert_eq!(to_hex(&buffer), case["rest"].as_str().unwrap(), "{}", name(&case));
            }
        }
    }
}

#[test]
fn object_headers_say_where_things_lie() {
    for case in cases("object_headers.json") {
        let header = hex(&case["header"]);
        let size = case["size"].as_u64().unwrap();
        match Layout::read(&header, size) {
            Ok(layout) => {
                assert_eq!(describe(&layout), case["layout"], "{}", name(&case));
                again(&layout, size, name(&case));
            }
            Err(error) => assert_eq!(case["invalid"], true, "{}: {error}", name(&case)),
        }
    }
}

fn describe(layout: &Layout) -> Json {
    let place = |place: &std::ops::Range<u64>| json!([place.start, place.end - place.start]);
    json!({
        "format": match layout.format {
            Format::Raw => "FORMAT_RAW",
            Format::MsgPack => "FORMAT_MSGPACK",
            Format::Arrow => "FORMAT_ARROW",
            Format::Tensor => "FORMAT_TENSOR",
            Format::Private => "FORMAT_PRIVATE",
        },
        "schema": layout.schema,
        "data": place(&layout.data),
        "buffers": layout.buffers.iter().map(place).collect::<Vec<_>>(),
        "device": [layout.device.0, layout.device.1],
    })
}

/// A plan for the same lengths is read back as the same value, though its bytes may differ.
fn again(layout: &Layout, size: u64, name: &str) {
    let length = |place: &std::ops::Range<u64>| place.end - place.start;
    let buffers: Vec<u64> = layout.buffers.iter().map(length).collect();
    let plan = Plan::new(layout.format, &layout.schema, length(&layout.data), &buffers).unwrap();
    let read = Layout::read(&plan.header, plan.size).unwrap();
    assert_eq!(length(&read.data), length(&layout.data), "{name}");
    assert_eq!(read.buffers.iter().map(length).collect::<Vec<_>>(), buffers, "{name}");
    assert!(plan.size <= size + 64, "{name}");
}
