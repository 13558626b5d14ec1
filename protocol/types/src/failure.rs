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

    /// Whether the code is this one.
    #[must_use]
    pub fn is(&self, code: Code) -> bool {
        self.code == code.number()
    }
}

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
