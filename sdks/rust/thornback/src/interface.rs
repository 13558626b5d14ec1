//! Typed interfaces: what the modules that `thornback gen --lang rust` writes are made of.
//!
//! A user meets [`Outcome`], and [`Served`] in [`Pool::interface`](crate::Pool::interface). The rest is for generated code.

use serde::{Deserialize, Serialize};
use thornback_wire::v1;

pub use crate::worker::{
    ClassDefinition, Definition, MethodDefinition, build, call_mut, call_shared, drive, one, user_error,
};
pub use futures_util::StreamExt;
pub use serde;

/// A WIT `result`: an answer like any other, and no failure of the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome<T, E> {
    /// The good side.
    #[serde(rename = "ok")]
    Ok(T),
    /// The other side.
    #[serde(rename = "err")]
    Err(E),
}

impl<T, E> From<Result<T, E>> for Outcome<T, E> {
    fn from(result: Result<T, E>) -> Outcome<T, E> {
        match result {
            Ok(value) => Outcome::Ok(value),
            Err(error) => Outcome::Err(error),
        }
    }
}

impl<T, E> From<Outcome<T, E>> for Result<T, E> {
    fn from(outcome: Outcome<T, E>) -> Result<T, E> {
        match outcome {
            Outcome::Ok(value) => Ok(value),
            Outcome::Err(error) => Err(error),
        }
    }
}

/// A function or class that an interface has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// The name under which it is served.
    pub name: &'static str,
    /// How many arguments it takes.
    pub args: u32,
    /// Whether it is a class.
    pub actor: bool,
    /// Its canonical text.
    pub signature: &'static str,
}

impl Served {
    pub(crate) fn to_wire(self) -> v1::Function {
        v1::Function {
            name: self.name.into(),
            min_args: self.args,
            max_args: i32::try_from(self.args).unwrap_or(-1),
            actor: self.actor,
            signature: self.signature.into(),
        }
    }
}
