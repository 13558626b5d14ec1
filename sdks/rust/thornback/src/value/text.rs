//! Text in MessagePack, looked at before it is read: the reader gives a string that is not UTF-8 as bytes to a type that takes both.
//!
//! It follows lengths and nothing else. What is cut short or lies about a length passes, since the reader refuses it.

use std::str;

/// What a look at a value tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A string in it is not UTF-8.
    NoText,
    /// It is whole, and so many bytes follow it.
    Whole(usize),
    /// It is cut short.
    Short,
}

/// Looks at a MessagePack value and every string in it.
pub(super) fn look(mut bytes: &[u8]) -> Look {
    // Values still to come. A count suffices: where containers end does not matter here, and depth costs nothing.
    let mut left = 1u64;
    while left > 0 {
        left -= 1;
        let Some((&marker, rest)) = bytes.split_first() else { return Look::Short };
        bytes = rest;
        // Bytes to step over, whether they are text, and how many values follow.
        let (skipped, text, inside) = match marker {
            0x80..=0x8f => (Some(0), false, u64::from(marker & 0x0f) * 2),
            0x90..=0x9f => (Some(0), false, u64::from(marker & 0x0f)),
            0xa0..=0xbf => (Some(usize::from(marker & 0x1f)), true, 0),
            0xc4 => (length::<1>(&mut bytes), false, 0),
            0xc5 => (length::<2>(&mut bytes), false, 0),
            0xc6 => (length::<4>(&mut bytes), false, 0),
            // Extensions have a byte of type before their data.
            0xc7 => (length::<1>(&mut bytes).map(|n| n + 1), false, 0),
            0xc8 => (length::<2>(&mut bytes).map(|n| n + 1), false, 0),
            0xc9 => (length::<4>(&mut bytes).map(|n| n.saturating_add(1)), false, 0),
            0xcc | 0xd0 => (Some(1), false, 0),
            0xcd | 0xd1 | 0xd4 => (Some(2), false, 0),
            0xd5 => (Some(3), false, 0),
            0xca | 0xce | 0xd2 => (Some(4), false, 0),
            0xd6 => (Some(5), false, 0),
            0xcb | 0xcf | 0xd3 => (Some(8), false, 0),
            0xd7 => (Some(9), false, 0),
            0xd8 => (Some(17), false, 0),
            0xd9 => (length::<1>(&mut bytes), true, 0),
            0xda => (length::<2>(&mut bytes), true, 0),
            0xdb => (length::<4>(&mut bytes), true, 0),
            0xdc => container(length::<2>(&mut bytes), 1),
            0xdd => container(length::<4>(&mut bytes), 1),
            0xde => container(length::<2>(&mut bytes), 2),
            0xdf => container(length::<4>(&mut bytes), 2),
            _ => (Some(0), false, 0),
        };
        let Some((content, rest)) = skipped.and_then(|n| bytes.split_at_checked(n)) else {
            return Look::Short;
        };
        if text && str::from_utf8(content).is_err() {
            return Look::NoText;
        }
        bytes = rest;
        left = left.saturating_add(inside);
    }
    Look::Whole(bytes.len())
}

/// Nothing to step over, but so many values that follow.
fn container(length: Option<usize>, values_each: u64) -> (Option<usize>, bool, u64) {
    (length.map(|_| 0), false, length.unwrap_or(0) as u64 * values_each)
}

/// Takes a big-endian length of `N` bytes. `None` if the value ends before it does.
fn length<const N: usize>(bytes: &mut &[u8]) -> Option<usize> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(head.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::{Look, look};

    /// A value, and the same with its text, `x`, replaced by a byte that no text has.
    fn judged(before: &[u8], after: &[u8]) -> (bool, bool) {
        let judge = |text: &[u8]| match look(&[before, text, after].concat()) {
            Look::Whole(0) => true,
            Look::NoText => false,
            other => panic!("{other:?} of a whole value"),
        };
        (judge(b"x"), judge(b"\xff"))
    }

    #[test]
    fn text_is_found_behind_values_of_every_kind() {
        let text: [&[u8]; 4] = [b"\xa1", b"\xd9\x01", b"\xda\0\x01", b"\xdb\0\0\0\x01"];
        // One value of each kind, with bytes in it that would not be text.
        let others: [&[u8]; 27] = [
            b"\x01",
            b"\xff",
            b"\xc0",
            b"\xc3",
            b"\xcc\xff",
            b"\xcd\xff\xff",
            b"\xce\xff\xff\xff\xff",
            b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xd0\xff",
            b"\xd1\xff\xff",
            b"\xd2\xff\xff\xff\xff",
            b"\xd3\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xca\xff\xff\xff\xff",
            b"\xcb\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xc4\x01\xff",
            b"\xc5\0\x01\xff",
            b"\xc6\0\0\0\x01\xff",
            b"\xc7\x01\x05\xff",
            b"\xc8\0\x01\x05\xff",
            b"\xc9\0\0\0\x01\x05\xff",
            b"\xd4\x05\xff",
            b"\xd5\x05\xff\xff",
            b"\xd6\x05\xff\xff\xff\xff",
            b"\xd7\x05\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xd8\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x90",
            b"\x81\xa1k\x01",
        ];
        for text in text {
            for other in others {
                for pair in [
                    &b"\x92"[..],
                    b"\x81",
                    b"\xdc\0\x02",
                    b"\xdd\0\0\0\x02",
                    b"\xde\0\x01",
                    b"\xdf\0\0\0\x01",
                ] {
                    let before = [pair, other, text].concat();
                    assert_eq!(judged(&before, b""), (true, false), "{before:02x?}");
                    // As a key, or an element with others behind it.
                    let before = [pair, text].concat();
                    assert_eq!(judged(&before, other), (true, false), "{before:02x?}");
                }
            }
        }
    }

    #[test]
    fn what_is_cut_short_or_lies_is_left_to_the_reader() {
        for bytes in [
            &b""[..],
            b"\xdd\xff\xff\xff\xff",
            b"\xa5x",
            b"\xdb\xff\xff\xff\xffx",
            b"\xc9\xff\xff\xff\xff\x05",
            b"\xdc\0",
        ] {
            assert_eq!(look(bytes), Look::Short, "{bytes:02x?}");
        }
    }

    #[test]
    fn what_follows_a_value_is_told() {
        for (bytes, left) in [(&b"\x01"[..], 0), (b"\x01\x01", 1), (b"\x92\xa1x\xc0\xc4\x01", 2)] {
            assert_eq!(look(bytes), Look::Whole(left), "{bytes:02x?}");
        }
    }
}
