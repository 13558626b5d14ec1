//! Values that live in a worker.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::{Invocation, Running};
use crate::{Code, Error, Result};

/// What the attribute tells of a class.
#[derive(Clone)]
pub struct ClassDefinition {
    /// The name under which it is created.
    pub name: &'static str,
    /// How many arguments its constructor takes.
    pub args: u32,
    /// Its canonical text; empty where no interface says it.
    pub signature: &'static str,
    /// Decodes the arguments and makes one.
    pub create: fn(Invocation) -> Building,
    /// What can be called on one.
    pub methods: &'static [MethodDefinition],
}

/// What the attribute tells of a method.
pub struct MethodDefinition {
    /// The name under which it is called.
    pub name: &'static str,
    /// How many arguments it takes.
    pub args: u32,
    /// Decodes the arguments and runs it.
    pub run: fn(ActorCell, Invocation) -> Running,
}

/// An actor, its type forgotten.
#[derive(Clone)]
pub struct ActorCell(Arc<dyn Any + Send + Sync>);

/// The future of an actor.
pub type Building = Pin<Box<dyn Future<Output = Result<ActorCell>> + Send>>;

/// Puts a value where calls find it.
pub fn build<T: Send + Sync + 'static>(value: T) -> ActorCell {
    ActorCell(Arc::new(RwLock::new(value)))
}

impl ActorCell {
    fn lock<T: Send + Sync + 'static>(self) -> Result<Arc<RwLock<T>>> {
        self.0.downcast().map_err(|_| Error::new(Code::Internal, "an actor of another type was called"))
    }
}

/// Access for a method that takes `&self`: with others of its kind at the same time.
///
/// # Errors
/// If the actor is of another type.
pub async fn call_shared<T: Send + Sync + 'static>(cell: ActorCell) -> Result<OwnedRwLockReadGuard<T>> {
    Ok(cell.lock()?.read_owned().await)
}

/// Access for a method that takes `&mut self`: alone, in the order of the calls.
///
/// # Errors
/// If the actor is of another type.
pub async fn call_mut<T: Send + Sync + 'static>(cell: ActorCell) -> Result<OwnedRwLockWriteGuard<T>> {
    Ok(cell.lock()?.write_owned().await)
}
