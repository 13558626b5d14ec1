//! A look at a frame before it is decoded.
//!
//! Two bytes can be an operation, and a decoded one takes a hundred: 4 MiB of them would become hundreds of MiB before anyone could refuse
//! them. Counting them first costs a few nanoseconds each.

use bytes::Buf;
use prost::encoding::decode_varint;
use thornback_types::{Code, Failure};

/// How many operations a frame has; refuses one with more than `ops_max`. What is not protobuf is left to the decoder.
pub(crate) fn check(body: &[u8], ops_max: usize) -> Result<usize, Failure> {
    let ops = ops(body, ops_max);
    if ops > ops_max {
        return Err(Failure::new(
            Code::MalformedFrame,
            format!("a frame holds more than {ops_max} operations; send them in several"),
        ));
    }
    Ok(ops)
}

/// How many operations a frame has; stops counting above `enough`.
fn ops(mut body: &[u8], enough: usize) -> usize {
    let mut count = 0;
    while count <= enough && body.has_remaining() {
        let Ok(key) = decode_varint(&mut body) else { break };
        let skip = match key & 7 {
            0 => decode_varint(&mut body).map(|_| 0),
            1 => Ok(8),
            2 => decode_varint(&mut body),
            5 => Ok(4),
            _ => break,
        };
        let Some(skip) =
            skip.ok().and_then(|skip| usize::try_from(skip).ok()).filter(|skip| *skip <= body.len())
        else {
            break;
        };
        body.advance(skip);
        count += usize::from(key == (3 << 3 | 2));
    }
    count
}

#[cfg(test)]
mod tests {
    use thornback_wire::{Message, v1};

    use super::*;

    #[test]
    fn operations_are_counted() {
        let op = v1::ClientOp { op: Some(v1::client_op::Op::Ping(v1::Ping { nonce: 300 })) };
        for count in [0, 1, 100] {
            let frame = v1::ClientFrame { seq: 1 << 40, ack: 7, ops: vec![op.clone(); count] };
            assert_eq!(ops(&frame.encode_to_vec(), 1000), count);
        }
    }

    #[test]
    fn a_frame_of_nothings_is_refused() {
        let frame = [0x1a, 0].repeat(2000);
        assert!(check(&frame, 1000).is_err());
        assert!(check(&frame, 2000).is_ok());
    }

    #[test]
    fn what_is_not_protobuf_is_left_alone() {
        assert!(check(&[0xff; 20], 10).is_ok());
        assert!(check(&[0x1a, 0xff, 0xff, 0xff, 0x0f], 10).is_ok());
    }
}
