//! Fuzz targets for every decoder of this crate.
//!
//! Under `cargo test` each replays its corpus (`__fuzz__/NAME/corpus`) and then tries random inputs; `cargo bolero test -p thornback-wire NAME`
//! looks for new ones with coverage. An input that broke something goes into the corpus.

use bolero::check;
use bytes::{Bytes, BytesMut};
use thornback_types::{Failure, Resources, Value};
use thornback_wire::convert::{self, Compact, WireId};
use thornback_wire::framing::{Decoder, PREFIX_BYTES};
use thornback_wire::object::{ALIGNMENT, Layout};
use thornback_wire::v1::{self, client_op, completion, server_op};
use thornback_wire::{DecodeError, Message};

const ITERATIONS: usize = 20_000;

/// What is decoded comes back from its own encoding, and is not much larger than what it was decoded from.
fn round_trip<M: Message + Default + PartialEq>(bytes: &[u8]) -> Result<M, DecodeError> {
    let message = M::decode(Bytes::copy_from_slice(bytes))?;
    let again = M::decode(Bytes::from(message.encode_to_vec()))?;
    assert_eq!(message.encoded_len(), again.encoded_len());
    Ok(message)
}

#[test]
fn client_frame() {
    check!().with_iterations(ITERATIONS).for_each(|bytes| {
        let Ok(frame) = round_trip::<v1::ClientFrame>(bytes) else { return };
        for op in frame.ops.into_iter().filter_map(|op| op.op) {
            match op {
                client_op::Op::Put(put) => value(put.value),
                client_op::Op::Submit(submit) => {
                    for arg in submit.args {
                        if let Some(v1::arg::Arg::Value(given)) = arg.arg {
                            value(Some(given));
                        }
                    }
                }
                client_op::Op::Done(done) => failure(done.failure),
                client_op::Op::Refs(refs) => {
                    let ids = thornback_types::ObjectId::read_all(&refs.retain, "retain");
                    assert_eq!(ids.is_ok(), refs.retain.iter().all(|id| id.len() == 16));
                }
                _ => {}
            }
        }
    });
}

#[test]
fn server_frame() {
    check!().with_iterations(ITERATIONS).for_each(|bytes| {
        let Ok(frame) = round_trip::<v1::ServerFrame>(bytes) else { return };
        for op in frame.ops.into_iter().filter_map(|op| op.op) {
            if let server_op::Op::Completion(completion) = op {
                match completion.outcome {
                    Some(completion::Outcome::Value(given)) => value(Some(given)),
                    Some(completion::Outcome::Failure(failed)) => failure(Some(failed)),
                    _ => {}
                }
            }
        }
    });
}

#[test]
fn request_and_reply() {
    check!().with_iterations(ITERATIONS).for_each(|bytes| {
        if let Ok(request) = round_trip::<v1::Request>(bytes)
            && let Some(v1::request::Request::CreatePlacementGroup(create)) = request.request
        {
            for bundle in create.bundles {
                let resources = Resources::from(bundle);
                assert_eq!(Resources::from(v1::Resources::from(&resources)), resources);
            }
        }
        let _ = round_trip::<v1::Reply>(bytes);
    });
}

fn value(given: Option<v1::Value>) {
    let Some(given) = given else { return };
    let Ok(mut value) = Value::try_from(given) else { return };
    let whole = value.clone();
    value.compact(1 << 20);
    assert_eq!(value, whole);
    assert!(convert::inline_value(v1::Value::from(value.clone()), value.size()).is_ok());
    assert_eq!(Value::try_from(v1::Value::from(value)), Ok(whole));
}

fn failure(given: Option<Box<v1::Failure>>) {
    let Some(Ok(failure)) = given.map(|given| Failure::try_from(*given)) else { return };
    let mut causes = 0;
    let mut at = &failure;
    while let Some(cause) = &at.cause {
        (at, causes) = (cause, causes + 1);
    }
    assert!(causes <= convert::CAUSES_MAX);
    assert_eq!(Failure::try_from(v1::Failure::from(failure.clone())), Ok(failure));
}

#[test]
fn framing() {
    check!().with_iterations(ITERATIONS).for_each(|input| {
        // The first byte says where the stream is split, the second the limit.
        let [cut, limit, stream @ ..] = input else { return };
        let decoder = Decoder::new((*limit).into());
        let cut = usize::from(*cut).min(stream.len());
        let (mut buffer, mut taken) = (BytesMut::new(), 0);
        for part in [&stream[..cut], &stream[cut..]] {
            buffer.extend_from_slice(part);
            loop {
                match decoder.next(&mut buffer) {
                    Ok(Some(frame)) => {
                        assert!(frame.len() <= usize::from(*limit));
                        taken += PREFIX_BYTES + frame.len();
                    }
                    Ok(None) => {
                        assert!(decoder.missing(&buffer).unwrap() > 0);
                        break;
                    }
                    Err(refused) => {
                        assert!(refused.length > (*limit).into());
                        return;
                    }
                }
            }
        }
        assert_eq!(taken + buffer.len(), stream.len());
    });
}

#[test]
fn object_header() {
    check!().with_iterations(ITERATIONS).for_each(|bytes| {
        for size in [bytes.len() as u64, 4096, u64::MAX] {
            let Ok(layout) = Layout::read(bytes, size) else { continue };
            let base = Layout::header_bytes(bytes, size).unwrap() as u64;
            for place in layout.buffers.iter().chain([&layout.data]) {
                assert!(base <= place.start && place.start <= place.end && place.end <= size);
                assert_eq!(place.start % ALIGNMENT, 0);
            }
        }
    });
}
