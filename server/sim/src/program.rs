//! What simulated tasks do, written into their first argument, and what they must give: a pure function of the program and its arguments, so
//! that whoever submits a task knows the right answer.

use bytes::Bytes;
use thornback_types::{ObjectId, Value};

use crate::rng::{Rng, mix};

/// One task's program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) seed: u64,
    pub(crate) work: Work,
    /// Time that it takes, microseconds.
    pub(crate) micros: u32,
}

/// The kinds of program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Return,
    Raise,
    /// Ends its process in the middle.
    Exit,
    /// Returns objects of this many bytes through the store.
    Big(u32),
    /// Puts an object, large if so many bytes are given, and returns a value that refers to it.
    Put(u32),
    /// Submits so many others, waits for them and returns a mixture of what they gave.
    Nested {
        children: u8,
        depth: u8,
    },
    /// Yields so many items, of this many bytes through the store if that is not 0.
    Stream {
        items: u16,
        size: u32,
    },
    /// An actor that asks to end.
    ActorExit,
    /// Submits another that is given what it was given, and returns a value that refers to what that one will give, without waiting for it.
    Relay,
    /// Reads what its large arguments refer to, and returns a mixture of that.
    Inside,
}

impl Program {
    pub(crate) fn encode(&self) -> Value {
        let (tag, a, b) = match self.work {
            Work::Return => (0, 0, 0),
            Work::Raise => (1, 0, 0),
            Work::Exit => (2, 0, 0),
            Work::Big(size) => (3, size, 0),
            Work::Put(size) => (4, size, 0),
            Work::Nested { children, depth } => (5, u32::from(children), u32::from(depth)),
            Work::Stream { items, size } => (6, u32::from(items), size),
            Work::ActorExit => (7, 0, 0),
            Work::Relay => (8, 0, 0),
            Work::Inside => (9, 0, 0),
        };
        let words: [u64; 5] = [self.seed, tag, u64::from(a), u64::from(b), u64::from(self.micros)];
        Value::raw(words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>())
    }

    pub(crate) fn decode(value: &Value) -> Option<Program> {
        let word = |i: usize| Some(u64::from_le_bytes(value.data.get(8 * i..8 * i + 8)?.try_into().ok()?));
        let (seed, tag, a, b, micros) =
            (word(0)?, word(1)?, word(2)? as u32, word(3)? as u32, word(4)? as u32);
        let work = match tag {
            0 => Work::Return,
            1 => Work::Raise,
            2 => Work::Exit,
            3 => Work::Big(a),
            4 => Work::Put(a),
            5 => Work::Nested { children: a as u8, depth: b as u8 },
            6 => Work::Stream { items: a as u16, size: b },
            7 => Work::ActorExit,
            8 => Work::Relay,
            9 => Work::Inside,
            _ => return None,
        };
        Some(Program { seed, work, micros })
    }

    /// Output or stream item number `i`, given what the arguments hold.
    pub(crate) fn output(&self, args: &[u64], i: u32) -> u64 {
        let own = args.iter().fold(mix(self.seed, u64::from(i)), |so_far, arg| mix(so_far, *arg));
        match self.work {
            Work::Nested { children, .. } => {
                (0..children).fold(own, |so_far, n| mix(so_far, self.child(n).output(&[], 0)))
            }
            _ => own,
        }
    }

    /// What is returned by one that has waited for others.
    pub(crate) fn mixture(&self, args: &[u64], others: impl Iterator<Item = u64>) -> u64 {
        let own = Program { work: Work::Return, ..*self }.output(args, 0);
        others.fold(own, mix)
    }

    /// What the object that a `Put` makes holds.
    pub(crate) fn inner(&self) -> u64 {
        mix(self.seed, 0x1_0000_0000)
    }

    /// Child number `n` of a nested program.
    pub(crate) fn child(&self, n: u8) -> Program {
        let mut rng = Rng::new(mix(self.seed, 0x2_0000_0000 + u64::from(n)));
        let depth = match self.work {
            Work::Nested { depth, .. } => depth,
            _ => 0,
        };
        let work = match rng.below(10) {
            _ if self.work == Work::Relay => Work::Return,
            0..=2 if depth > 0 => Work::Nested { children: rng.between(1, 3) as u8, depth: depth - 1 },
            3 => Work::Big(rng.between(1_000, 60_000) as u32),
            4 => Work::Put(if rng.chance(300) { 30_000 } else { 0 }),
            _ => Work::Return,
        };
        Program { seed: rng.bits(), work, micros: (rng.delay(300) as u32).min(20_000) }
    }

    /// Whether it may fail by what it does itself.
    pub(crate) fn is_faulty(&self) -> bool {
        matches!(self.work, Work::Raise | Work::Exit | Work::ActorExit)
    }

    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.work, Work::Stream { .. })
    }
}

/// The word of an argument that only passes a ref on: what it refers to counts, not the value. (A small argument that was given by ref may come as
/// a value that refers to others, too.)
pub(crate) const PASSES_ON: u64 = 0x7061_7373_6573_6f6e;

/// What an argument passes on, if that is all that it is for.
pub(crate) fn passed_on(value: &Value) -> Option<ObjectId> {
    value.refs().first().copied().filter(|_| value_word(value) == Some(PASSES_ON))
}

/// A value that holds a word and refers to objects.
pub(crate) fn word_value(word: u64, refs: Vec<ObjectId>) -> Value {
    Value::raw(Bytes::copy_from_slice(&word.to_le_bytes())).with_refs(refs)
}

/// The word that a value holds.
pub(crate) fn value_word(value: &Value) -> Option<u64> {
    Some(u64::from_le_bytes(value.data.get(..8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_survives_its_encoding() {
        for work in [
            Work::Return,
            Work::Big(7),
            Work::Nested { children: 3, depth: 2 },
            Work::Relay,
            Work::Inside,
            Work::Stream { items: 9, size: 4 },
        ] {
            let program = Program { seed: 5, work, micros: 77 };
            assert_eq!(Program::decode(&program.encode()), Some(program));
        }
    }
}
