//! A user's value, which nothing on the server ever decodes.

use bytes::Bytes;

use crate::{Data, ObjectId};

/// How the bytes of a value are to be read; see `protocol/spec/value.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// Bytes as they are.
    #[default]
    Raw,
    /// MessagePack with Thornback's extension types.
    MsgPack,
    /// An Arrow IPC stream.
    Arrow,
    /// One dense tensor.
    Tensor,
    /// Private to one language; [`More::schema`] names it.
    Private,
}

/// A value that travels inside frames. Small, because it is moved a dozen times on its way: what few values have lies elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Value {
    /// How to read `data`.
    pub format: Format,
    /// The encoded value.
    pub data: Data,
    /// Absent if there is none of it.
    more: Option<Box<More>>,
}

/// What few values have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct More {
    /// Out-of-band buffers that `data` refers to by position.
    pub buffers: Vec<Bytes>,
    /// Everything that the value refers to, each id once.
    pub refs: Vec<ObjectId>,
    /// Qualifies `format` (`"python/pickle5"`); shared, because a session repeats few of them. Empty where the format needs nothing more.
    pub schema: Bytes,
}

impl More {
    fn is_none(&self) -> bool {
        self.buffers.is_empty() && self.refs.is_empty() && self.schema.is_empty()
    }
}

impl Value {
    /// A value without buffers, refs and schema.
    #[inline]
    #[must_use]
    pub fn new(format: Format, data: impl Into<Data>) -> Value {
        Value { format, data: data.into(), more: None }
    }

    /// A value of raw bytes.
    #[must_use]
    pub fn raw(data: impl Into<Bytes>) -> Value {
        Value::new(Format::Raw, data.into())
    }

    /// MessagePack's nil, what a function without a result returns.
    #[must_use]
    pub fn nil() -> Value {
        Value { format: Format::MsgPack, data: Data::copy(&[0xc0]), more: None }
    }

    /// The same with these buffers, refs and schema instead of its own.
    #[must_use]
    pub fn with(mut self, more: More) -> Value {
        self.more = (!more.is_none()).then(|| Box::new(more));
        self
    }

    /// The same with these refs instead of its own.
    #[must_use]
    pub fn with_refs(self, refs: Vec<ObjectId>) -> Value {
        self.change(|more| more.refs = refs)
    }

    /// The same with these buffers instead of its own.
    #[must_use]
    pub fn with_buffers(self, buffers: Vec<Bytes>) -> Value {
        self.change(|more| more.buffers = buffers)
    }

    /// The same with this schema instead of its own.
    #[must_use]
    pub fn with_schema(self, schema: impl Into<Bytes>) -> Value {
        self.change(|more| more.schema = schema.into())
    }

    fn change(mut self, change: impl FnOnce(&mut More)) -> Value {
        let mut more = self.take_more();
        change(&mut more);
        self.with(more)
    }

    /// Whether it has neither buffers nor refs nor a schema.
    #[inline]
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.more.is_none()
    }

    /// Out-of-band buffers that `data` refers to by position.
    #[inline]
    #[must_use]
    pub fn buffers(&self) -> &[Bytes] {
        self.more.as_ref().map_or(&[], |more| &more.buffers)
    }

    /// The same, to be replaced by others of the same content.
    pub fn buffers_mut(&mut self) -> &mut [Bytes] {
        self.more.as_mut().map_or(&mut [], |more| &mut more.buffers)
    }

    /// Everything that the value refers to, each id once.
    #[inline]
    #[must_use]
    pub fn refs(&self) -> &[ObjectId] {
        self.more.as_ref().map_or(&[], |more| &more.refs)
    }

    /// Qualifies `format`.
    #[inline]
    #[must_use]
    pub fn schema(&self) -> &[u8] {
        self.more.as_ref().map_or(&[], |more| &more.schema)
    }

    /// Forgets the refs that are not wanted.
    pub fn retain_refs(&mut self, is_wanted: impl FnMut(&ObjectId) -> bool) {
        if let Some(more) = &mut self.more {
            more.refs.retain(is_wanted);
            if more.is_none() {
                self.more = None;
            }
        }
    }

    /// Takes the buffers, refs and schema out.
    #[must_use]
    pub fn take_more(&mut self) -> More {
        self.more.take().map_or_else(More::default, |more| *more)
    }

    /// Bytes of `data` and `buffers`.
    #[must_use]
    pub fn size(&self) -> usize {
        self.data.len() + self.buffers().iter().map(Bytes::len).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Id;

    #[test]
    fn what_few_values_have_is_kept_and_costs_the_others_nothing() {
        assert!(size_of::<Value>() <= 48);
        let refs = vec![ObjectId(Id([1; 16])), ObjectId(Id([2; 16]))];
        let bare = Value::raw("data");
        let value = bare.clone().with_schema("s").with_refs(refs.clone()).with_buffers(vec!["b".into()]);
        assert_eq!((value.schema(), value.refs(), value.size()), (&b"s"[..], &refs[..], 5));
        let mut emptied = value.clone().with_schema("").with_buffers(Vec::new());
        emptied.retain_refs(|object| *object == refs[1]);
        assert_eq!(emptied.refs(), &refs[1..]);
        assert!(!emptied.is_plain());
        emptied.retain_refs(|_| false);
        assert!(emptied.is_plain());
        assert_eq!(emptied, bare);
        let mut taken = value.clone();
        let more = taken.take_more();
        assert_eq!((&taken, taken.clone().with(more)), (&bare, value));
    }
}
