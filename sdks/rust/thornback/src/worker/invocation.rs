//! One call on its way into a function and out of it: what the attributes' code is written against.

use std::pin::Pin;

use thornback_types::{Code, ObjectId, Value};
use thornback_wire::hot::client::Fields;
use thornback_wire::v1;

use super::run::Given;
use super::{Context, Sink};
use crate::link::Fetched;
use crate::value::{
    Added, Data, Encoded, Unread, add_owned, decode, decode_plain, decode_typed, encode_owned, recycle,
    reused, with_decode_context,
};
use crate::{Error, Result};

/// A call with its arguments still encoded.
pub struct Invocation {
    pub(super) args: Given,
    pub(super) context: Context,
}

/// The future of a call.
pub type Running = Pin<Box<dyn Future<Output = Result<Output>> + Send>>;

/// What came of a call.
pub struct Output(pub(super) Outputs);

pub(super) enum Outputs {
    /// One, encoded as it goes on the wire.
    Written(Fields),
    One(Encoded),
    Many(Vec<Encoded>),
    /// Items were yielded, and perhaps an error came after them.
    Streamed(Result<()>),
}

impl Invocation {
    /// The next argument: by its position, or by its name where the caller gave it by keyword.
    ///
    /// # Errors
    /// If it is missing or cannot be decoded.
    pub fn arg<T: Data>(&mut self, name: &str) -> Result<T> {
        let read = match self.next_plain(false) {
            Some(read) => read,
            None => {
                let arg = self.take(name)?;
                self.read(arg, |value| decode(value).map_err(Unread::from))
            }
        };
        read.map_err(|unread| {
            let error = Error::from(unread);
            let message = format!("argument `{name}` of {}: {}", self.function(), error.message());
            Error::new(error.code().unwrap_or(Code::InvalidArgument), message)
        })
    }

    /// The same for the parameter of an interface's function, which are called `name` and `function` there.
    ///
    /// # Errors
    /// If it is missing, or does not fit; then with the path to what is wrong, as `resize.options.width: 70000 is not a u16`.
    pub fn typed_arg<T: Data>(&mut self, function: &str, name: &str) -> Result<T> {
        let read = match self.next_plain(true) {
            Some(read) => read,
            None => {
                let arg = self.take(name)?;
                self.read(arg, decode_typed)
            }
        };
        read.map_err(|unread| unread.at(format_args!("{function}.{name}")))
    }

    /// The next argument if it is the plain value that it nearly always is: read where it lies.
    fn next_plain<T: Data>(&mut self, typed: bool) -> Option<Result<T, Unread>> {
        let Given::Plain(args) = &mut self.args else { return None };
        args.take_positional(|value| decode_plain(value, typed))
    }

    fn take(&mut self, name: &str) -> Result<v1::Arg> {
        let args = self.args.messages();
        let arg = match args.front() {
            Some(first) if first.keyword.is_empty() => args.pop_front(),
            _ => args.iter().position(|arg| arg.keyword == name).and_then(|at| args.remove(at)),
        };
        arg.ok_or_else(|| {
            let message = format!("{} was called without its argument `{name}`", self.function());
            Error::new(Code::WrongArity, message)
        })
    }

    /// Says that all arguments were taken.
    ///
    /// # Errors
    /// If some were not.
    pub fn no_more_args(&self) -> Result<()> {
        match self.args.first_keyword() {
            None => Ok(()),
            Some("") => Err(Error::new(
                Code::WrongArity,
                format!("{} was called with too many arguments", self.function()),
            )),
            Some(keyword) => Err(Error::new(
                Code::WrongArity,
                format!("{} has no argument `{keyword}`, or it was given twice", self.function()),
            )),
        }
    }

    /// The context that the function asked for.
    #[must_use]
    pub fn context(&self) -> Context {
        self.context.clone()
    }

    /// Where the items of a streaming function go.
    #[must_use]
    pub fn sink(&self) -> Sink {
        Sink::new(self.context.clone())
    }

    /// What people call the function.
    fn function(&self) -> &str {
        &self.context.scope().call.declared.function
    }

    fn read<T: Data>(
        &self,
        arg: v1::Arg,
        decode: impl FnOnce(Value) -> Result<T, Unread>,
    ) -> Result<T, Unread> {
        match arg.arg {
            Some(v1::arg::Arg::Value(value)) => {
                let value = Value::try_from(value).map_err(|invalid| Error::from(invalid.failure()))?;
                if value.refs().is_empty() {
                    decode(value)
                } else {
                    with_decode_context(&self.context, || decode(value))
                }
            }
            Some(v1::arg::Arg::Stored(stored)) => {
                let object = ObjectId::from_slice(&stored.object)
                    .ok_or_else(|| Error::invalid("a stored argument without an id"))?;
                let location =
                    stored.location.ok_or_else(|| Error::invalid("a stored argument without a place"))?;
                let fetched = Fetched::pinned(&self.context.link, object, &location)?;
                // What is found in it may refer to others, which the header does not tell.
                with_decode_context(&self.context, || decode(fetched.into_value()?))
            }
            Some(v1::arg::Arg::Ref(_)) | None => {
                Err(Error::new(Code::Internal, "the node sent an argument that is no value").into())
            }
        }
    }
}

/// What a function gives that returns one object.
///
/// # Errors
/// If the value cannot be encoded.
pub fn one<T: Data>(value: T) -> Result<Output> {
    let mut fields = reused();
    Ok(Output(match add_owned(&mut fields, usize::MAX, value)? {
        Added::Done(_) => Outputs::Written(fields),
        Added::Apart(encoded) => {
            recycle(fields);
            Outputs::One(encoded)
        }
    }))
}

/// A tuple that becomes one object for each element.
pub trait Split {
    /// The elements, encoded.
    ///
    /// # Errors
    /// If one of them cannot be encoded.
    fn split(self) -> Result<Output>;
}

/// What a function gives that returns several objects.
///
/// # Errors
/// If a value cannot be encoded.
pub fn many<T: Split>(values: T) -> Result<Output> {
    values.split()
}

macro_rules! split {
    ($($($letter:ident $index:tt)*;)*) => {$(
        impl<$($letter: Data),*> Split for ($($letter,)*) {
            fn split(self) -> Result<Output> {
                Ok(Output(Outputs::Many(vec![$(encode_owned(self.$index)?),*])))
            }
        }
    )*};
}

split! {
    ;
    A 0 B 1;
    A 0 B 1 C 2;
    A 0 B 1 C 2 D 3;
    A 0 B 1 C 2 D 3 E 4;
    A 0 B 1 C 2 D 3 E 4 F 5;
    A 0 B 1 C 2 D 3 E 4 F 5 G 6;
    A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7;
}

/// An error of user code as it goes back to the caller.
pub fn user_error<E: Into<Box<dyn std::error::Error + Send + Sync>>>(error: E) -> Error {
    Error::from_user_code(error.into(), std::any::type_name::<E>())
}
