//! What goes wrong, as one type with the registry's codes and its chain of causes.
//!
//! An [`Error`] is made here (a timeout, a lost connection, a value that cannot be encoded) or was told by the server; then it may have
//! begun as an exception in another language, whose type names, stack and causes it keeps.

use std::fmt;
use std::sync::Arc;

use thornback_types::{Failure, TaskId};

pub use thornback_types::{Code, Fault};

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error with a code of the registry.
///
/// Cheap to clone: every waiter of one failed task gets the same error.
///
/// ```
/// use thornback::{Code, Error};
///
/// let error = Error::new(Code::ActorDied, "the actor was killed");
/// assert!(error.is(Code::ActorDied));
/// assert_eq!(error.to_string(), "ACTOR_DIED: the actor was killed");
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    /// Without its cause, which is `cause`.
    failure: Failure,
    cause: Option<Error>,
}

impl Error {
    /// An error with a code and a message that says what happened and what to do next.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Error {
        Failure::new(code, message).into()
    }

    /// An error of the user's own, with a type name that callers in every language can match on: `"images.BadFormat"`.
    #[must_use]
    pub fn user(type_name: impl Into<String>, message: impl Into<String>) -> Error {
        let mut failure = Failure::new(Code::TaskFailed, message);
        failure.types = vec![type_name.into()];
        failure.language = LANGUAGE.into();
        failure.into()
    }

    /// The registry's code, or `None` for one that a later version of the server added; see [`Error::code_number`].
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        Code::from_number(self.0.failure.code)
    }

    /// The code's number in the registry.
    #[must_use]
    pub fn code_number(&self) -> u32 {
        self.0.failure.code
    }

    /// Whether the code is this one.
    #[must_use]
    pub fn is(&self, code: Code) -> bool {
        self.0.failure.is(code)
    }

    /// Whether the same call may succeed later. `false` for an unknown code.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.code().is_some_and(Code::retryable)
    }

    /// What happened, without the code.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.failure.message
    }

    /// For an exception of user code: the names of the types that it is, most derived first (`"builtins.KeyError"`, `"builtins.LookupError"`).
    #[must_use]
    pub fn types(&self) -> &[String] {
        &self.0.failure.types
    }

    /// Whether one of [`Error::types`] is this one, in full or by what follows its last dot.
    #[must_use]
    pub fn is_type(&self, name: &str) -> bool {
        self.types().iter().any(|full| full == name || full.rsplit(['.', ':']).next() == Some(name))
    }

    /// The language of the code that raised it; empty if it is not an error of user code.
    #[must_use]
    pub fn language(&self) -> &str {
        &self.0.failure.language
    }

    /// The stack where it was raised, as its language prints it; often empty.
    #[must_use]
    pub fn stack(&self) -> &str {
        &self.0.failure.stack
    }

    /// The task that failed, if one did.
    #[must_use]
    pub fn task(&self) -> Option<TaskId> {
        self.0.failure.task
    }

    /// A machine-readable particular, by name.
    #[must_use]
    pub fn detail(&self, name: &str) -> Option<&str> {
        self.0.failure.details.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The error that led to this one.
    #[must_use]
    pub fn cause(&self) -> Option<&Error> {
        self.0.cause.as_ref()
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Error {
        Error::new(Code::InvalidArgument, message)
    }

    pub(crate) fn connection_lost(message: impl Into<String>) -> Error {
        Error::new(Code::ConnectionLost, message)
    }

    /// What goes back over the wire.
    pub(crate) fn to_failure(&self) -> Failure {
        let mut failure = self.0.failure.clone();
        failure.cause = self.cause().map(|cause| Box::new(cause.to_failure()));
        failure
    }

    /// The failure that a task ends with when its code returns `error`. `type_name` is what the function's signature calls the error.
    ///
    /// An [`Error`] that the code made itself goes out as it is. One that came from another task becomes the cause, so that the chain
    /// shows both calls.
    pub(crate) fn from_user_code(error: Box<dyn std::error::Error + Send + Sync>, type_name: &str) -> Error {
        match error.downcast::<Error>() {
            Ok(own) if own.task().is_none() => *own,
            Ok(other) => {
                let mut failure = Failure::new(Code::TaskFailed, other.message());
                failure.types = other.types().to_vec();
                failure.types.push("thornback::Error".into());
                failure.language = LANGUAGE.into();
                Error(Arc::new(Inner { failure, cause: Some(*other) }))
            }
            Err(error) => {
                let mut failure = Failure::new(Code::TaskFailed, error.to_string());
                failure.types = vec![type_name.into()];
                failure.language = LANGUAGE.into();
                Error(Arc::new(Inner { failure, cause: error.source().map(Error::from_source) }))
            }
        }
    }

    fn from_source(error: &(dyn std::error::Error + 'static)) -> Error {
        if let Some(own) = error.downcast_ref::<Error>() {
            return own.clone();
        }
        let mut failure = Failure::new(Code::TaskFailed, error.to_string());
        failure.language = LANGUAGE.into();
        Error(Arc::new(Inner { failure, cause: error.source().map(Error::from_source) }))
    }
}

/// What `Failure.language` and `Hello.language` say.
pub(crate) const LANGUAGE: &str = "rust";

impl From<Failure> for Error {
    fn from(mut failure: Failure) -> Error {
        // Iterative, because the chain comes from a peer and may be long.
        let mut chain = Vec::new();
        let mut cause = failure.cause.take();
        while let Some(mut link) = cause {
            cause = link.cause.take();
            chain.push(*link);
        }
        let cause = chain
            .into_iter()
            .rev()
            .fold(None, |cause, failure| Some(Error(Arc::new(Inner { failure, cause }))));
        Error(Arc::new(Inner { failure, cause }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code() {
            Some(code) => write!(f, "{code}: ")?,
            None => write!(f, "code {}: ", self.code_number())?,
        }
        if let Some(name) = self.types().first() {
            write!(f, "{name}: ")?;
        }
        f.write_str(self.message())
    }
}

impl fmt::Debug for Error {
    /// The whole chain and the stack where there is one: what a `main` that returns an error prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        if let Some(task) = self.task() {
            write!(f, " (task {task})")?;
        }
        if !self.stack().is_empty() {
            write!(f, "\n{}", self.stack().trim_end())?;
        }
        let mut cause = self.cause();
        while let Some(error) = cause {
            write!(f, "\ncaused by: {error}")?;
            if !error.stack().is_empty() {
                write!(f, "\n{}", error.stack().trim_end())?;
            }
            cause = error.cause();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn a_chain_of_failures_stays_a_chain() {
        let failure = Failure::new(Code::TaskFailed, "outer").caused_by(
            Failure::new(Code::WorkerDied, "middle").caused_by(Failure::new(Code::OutOfMemory, "inner")),
        );
        let error = Error::from(failure.clone());
        let middle = error.source().expect("has a source");
        assert_eq!(middle.to_string(), "WORKER_DIED: middle");
        assert_eq!(middle.source().map(ToString::to_string).as_deref(), Some("OUT_OF_MEMORY: inner"));
        assert_eq!(error.to_failure(), failure);
    }

    #[test]
    fn an_error_of_another_task_becomes_the_cause() {
        let remote = Error::from(Failure::new(Code::ActorDied, "gone").of_task(TaskId::default()));
        let told = Error::from_user_code(Box::new(remote), "ignored");
        assert!(told.is(Code::TaskFailed));
        assert!(told.cause().is_some_and(|cause| cause.is(Code::ActorDied)));
    }

    #[test]
    fn an_error_that_the_code_made_itself_goes_out_as_it_is() {
        let told = Error::from_user_code(Box::new(Error::user("shop.SoldOut", "none left")), "ignored");
        assert!(told.is_type("SoldOut") && told.is_type("shop.SoldOut") && !told.is_type("Out"));
        assert!(told.cause().is_none());
    }

    #[test]
    fn sources_of_a_foreign_error_are_kept() {
        #[derive(Debug)]
        struct Outer(std::num::ParseIntError);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bad line")
            }
        }
        impl std::error::Error for Outer {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }
        let parse = "x".parse::<i32>().expect_err("not a number");
        let error = Error::from_user_code(Box::new(Outer(parse.clone())), "demo::Outer");
        assert_eq!(error.to_string(), "TASK_FAILED: demo::Outer: bad line");
        assert_eq!(error.cause().map(Error::message), Some(parse.to_string().as_str()));
    }

    #[test]
    fn a_very_long_chain_neither_overflows_nor_is_cut() {
        let mut failure = Failure::new(Code::TaskFailed, "0");
        for n in 1..200 {
            failure = Failure::new(Code::TaskFailed, n.to_string()).caused_by(failure);
        }
        let error = Error::from(failure);
        assert_eq!(std::iter::successors(Some(&error), |error| Error::cause(error)).count(), 200);
    }
}
