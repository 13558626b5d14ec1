//! A failure: one message with its cause chain, the same in every language.

use crate::{ActorId, Code, TaskId, Value};
use std::fmt;

/// What went wrong, told so that any SDK can raise its own kind of exception from it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failure {
    /// The registry's code, as a number so that codes of later versions pass through.
    pub code: u32,
    /// What happened and what to do next.
    pub message: String,
    /// For an exception of user code: the names of its types, most derived first.
    pub types: Vec<String>,
    /// Language of the code that raised it; empty if the server made it.
    pub language: String,
    /// Stack as that language prints it.
    pub stack: String,
    /// What led to it.
    pub cause: Option<Box<Failure>>,
    /// The task that failed.
    pub task: Option<TaskId>,
    /// The actor that it ran on.
    pub actor: Option<ActorId>,
    /// Machine-readable particulars, sorted by name.
    pub details: Vec<(String, String)>,
    /// The exception in its language's private format.
    pub exception: Option<Box<Value>>,
}

impl Failure {
    /// A failure with a code and a message.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code: code.number(), message: message.into(), ..Failure::default() }
    }

    /// The same, about a task.
    #[must_use]
    pub fn of_task(mut self, task: TaskId) -> Failure {
        self.task = Some(task);
        self
    }

    /// The same, about an actor.
    #[must_use]
    pub fn of_actor(mut self, actor: ActorId) -> Failure {
        self.actor = Some(actor);
        self
    }

    /// The same, with what led to it.
    #[must_use]
    pub fn caused_by(mut self, cause: Failure) -> Failure {
        self.cause = Some(Box::new(cause));
        self
    }

    /// The same, with a particular for programs (`protocol/spec/error.md` says which there are). One that is too long is cut.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Failure {
        let mut value = value.to_string();
        if value.len() > DETAIL_BYTES_MAX {
            let end = (0..=DETAIL_BYTES_MAX).rev().find(|at| value.is_char_boundary(*at)).unwrap_or(0);
            value.truncate(end);
            value.push('…');
        }
        match self.details.binary_search_by(|(known, _)| known.as_str().cmp(name)) {
            Ok(at) => self.details[at].1 = value,
            Err(at) => self.details.insert(at, (name.to_owned(), value)),
        }
        self
    }

    /// Whether the code is this one.
    #[must_use]
    pub fn is(&self, code: Code) -> bool {
        self.code == code.number()
    }
}

/// Bytes of one detail that the server makes: names come from users, and a failure is sent for each return object.
const DETAIL_BYTES_MAX: usize = 1024;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Code::from_number(self.code) {
            Some(code) => write!(f, "{code}: {}", self.message),
            None => write!(f, "code {}: {}", self.code, self.message),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_sorted_and_bounded_and_there_once() {
        let failure = Failure::new(Code::WrongArity, "")
            .with("min_args", 1)
            .with("function", "f")
            .with("min_args", 2)
            .with("long", "\u{e9}".repeat(1000));
        let names: Vec<&str> = failure.details.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["function", "long", "min_args"]);
        assert_eq!(failure.details[2].1, "2");
        assert_eq!(failure.details[1].1, format!("{}…", "\u{e9}".repeat(512)));
    }
}
