//! Arguments of calls: values, and refs that stand for values.

use thornback_wire::hot::client::Fields;
use thornback_wire::v1;

use crate::client::Client;
use crate::object::{Ref, put_encoded};
use crate::value::{Added, Data, Encoded, Keep, add_owned, add_text, add_value, recycle, reused};
use crate::{Error, Result};

/// What may be passed where a function takes a `T`: a `T`, a `&T`, or a [`Ref<T>`] whose value the function will get.
///
/// Also `&str` for a `String`, and `&[T]` for a `Vec<T>`. There is nothing to implement by hand.
pub trait Arg<T> {
    #[doc(hidden)]
    fn add_to(self, args: &mut Args<'_>);
}

/// Values of a call's frame beyond this go through the store, so that a call always fits in one frame.
const INLINE_BYTES_MAX: usize = 1 << 20;

/// The arguments of one call, in order.
///
/// The typed calls make one; it is public for calls whose shape is known only when the program runs, and for keyword arguments of functions in
/// other languages.
///
/// ```no_run
/// # fn example(client: thornback::Client, picture: thornback::Ref<Vec<u8>>) {
/// use thornback::{Args, Ref, Task};
///
/// static RESIZE: Task<(Vec<u8>,), Ref<Vec<u8>>> = Task::named("images.resize");
/// let args = Args::new(&client).arg_ref(&picture).keyword("width", 640);
/// let small = RESIZE.submit_args(args);
/// # }
/// ```
#[must_use = "arguments do nothing until they are submitted"]
pub struct Args<'c> {
    pub(crate) client: &'c Client,
    fields: Fields,
    /// Where the last one begins.
    last: usize,
    inline_bytes: usize,
    /// Held until the call is on its way, so that nothing it refers to is let go before.
    keep: Keep,
    error: Option<Error>,
}

impl<'c> Args<'c> {
    /// No arguments yet.
    pub fn new(client: &'c Client) -> Args<'c> {
        Args { client, fields: reused(), last: 0, inline_bytes: 0, keep: Keep::default(), error: None }
    }

    /// Adds a positional argument.
    pub fn arg<T: Data>(mut self, value: T) -> Args<'c> {
        value.add_to(&mut self);
        self
    }

    /// Adds a positional argument that is what a ref stands for.
    pub fn arg_ref<T>(mut self, r: &Ref<T>) -> Args<'c> {
        self.add_ref(r);
        self
    }

    /// Adds a keyword argument, for functions of languages that have them.
    pub fn keyword<T: Data>(self, keyword: &str, value: T) -> Args<'c> {
        self.arg(value).named(keyword)
    }

    /// Adds a keyword argument that is what a ref stands for.
    pub fn keyword_ref<T>(self, keyword: &str, r: &Ref<T>) -> Args<'c> {
        self.arg_ref(r).named(keyword)
    }

    fn named(mut self, keyword: &str) -> Args<'c> {
        // One that could not be added is the call's error.
        if self.last < self.fields.end() {
            self.fields.name(self.last, keyword);
        }
        self
    }

    /// Adds what `encode` adds to the fields, or leaves to be added.
    #[inline]
    fn add(&mut self, encode: impl FnOnce(&mut Fields, usize) -> Result<Added>) {
        self.last = self.fields.end();
        let limit =
            self.client.link.welcome.inline_bytes.min(INLINE_BYTES_MAX.saturating_sub(self.inline_bytes));
        match encode(&mut self.fields, limit) {
            Ok(Added::Done(bytes)) => self.inline_bytes += bytes,
            Ok(Added::Apart(encoded)) => self.add_encoded(encoded),
            Err(error) => {
                self.error.get_or_insert(error);
            }
        }
    }

    fn add_encoded(&mut self, encoded: Encoded) {
        let size = encoded.value.size();
        if !self.client.link.is_inline(&encoded.value) || self.inline_bytes + size > INLINE_BYTES_MAX {
            let stored: Ref<()> = put_encoded(self.client, self.client.link.next_put(), encoded);
            self.add_ref(&stored);
            return;
        }
        self.inline_bytes += size;
        self.keep.append(encoded.keep);
        self.fields.value(&encoded.value);
    }

    fn add_ref<T>(&mut self, r: &Ref<T>) {
        self.last = self.fields.end();
        self.keep.add(r.id().0, r.slot().clone());
        self.fields.reference(r.id());
    }

    /// The arguments as they go on the wire, and what must be kept until they are on their way.
    pub(crate) fn finish(self) -> Result<(Fields, Keep)> {
        match self.error {
            Some(error) => Err(error),
            None => Ok((self.fields, self.keep)),
        }
    }

    /// The same as messages.
    pub(crate) fn finish_messages(self) -> Result<(Vec<v1::Arg>, Keep)> {
        let (fields, keep) = self.finish()?;
        let args = fields.to_args().map_err(|error| {
            Error::new(crate::Code::Internal, format!("arguments cannot be read again: {error}"))
        })?;
        recycle(fields);
        Ok((args, keep))
    }
}

impl<T: Data> Arg<T> for T {
    fn add_to(self, args: &mut Args<'_>) {
        args.add(|fields, limit| add_owned(fields, limit, self));
    }
}

impl<T: Data> Arg<T> for &T {
    fn add_to(self, args: &mut Args<'_>) {
        args.add(|fields, limit| add_value(fields, limit, self));
    }
}

impl<T> Arg<T> for Ref<T> {
    fn add_to(self, args: &mut Args<'_>) {
        args.add_ref(&self);
    }
}

impl<T> Arg<T> for &Ref<T> {
    fn add_to(self, args: &mut Args<'_>) {
        args.add_ref(self);
    }
}

impl Arg<String> for &str {
    fn add_to(self, args: &mut Args<'_>) {
        args.add(|fields, limit| add_text(fields, limit, self));
    }
}

impl<T: Data + Clone> Arg<Vec<T>> for &[T] {
    fn add_to(self, args: &mut Args<'_>) {
        args.add(|fields, limit| add_owned(fields, limit, self.to_vec()));
    }
}
