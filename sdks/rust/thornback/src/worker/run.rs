//! One run as the node asks for it, and its arguments until they are read.

use std::collections::VecDeque;

use thornback_types::{ActorId, ObjectId, TaskId};
use thornback_wire::hot::client;
use thornback_wire::v1;

/// What to run.
pub(crate) struct Run {
    pub(crate) task: TaskId,
    pub(crate) attempt: u32,
    pub(super) declaration: u32,
    /// Whose method it is, or which actor is to be made.
    pub(super) actor: Option<ActorId>,
    pub(super) args: Given,
    pub(super) setup: Option<Box<v1::ActorSetup>>,
}

/// Arguments in their order.
pub(super) enum Given {
    /// Plain values, nearly always: still in the frame that they came in.
    Plain(client::Args),
    Any(VecDeque<v1::Arg>),
}

impl Run {
    /// `None` without an id that can be answered to.
    pub(crate) fn of(run: v1::Run) -> Option<Run> {
        Some(Run {
            task: TaskId::from_slice(&run.task)?,
            attempt: run.attempt,
            declaration: run.declaration,
            actor: ActorId::from_slice(&run.actor),
            args: Given::Any(run.args.into()),
            setup: run.setup,
        })
    }

    /// The objects that are pinned for its arguments.
    pub(crate) fn pinned(&self) -> impl Iterator<Item = ObjectId> {
        let args = match &self.args {
            Given::Plain(_) => None,
            Given::Any(args) => Some(args),
        };
        args.into_iter().flatten().filter_map(|arg| match &arg.arg {
            Some(v1::arg::Arg::Stored(stored))
                if stored.location.is_some_and(|location| location.arena != 0) =>
            {
                ObjectId::from_slice(&stored.object)
            }
            _ => None,
        })
    }
}

impl From<client::Run<'_>> for Run {
    fn from(run: client::Run<'_>) -> Run {
        Run {
            task: run.task,
            attempt: run.attempt,
            declaration: run.declaration,
            actor: run.actor,
            args: Given::Plain(run.args()),
            setup: None,
        }
    }
}

impl Given {
    /// As messages, to be looked through.
    pub(super) fn messages(&mut self) -> &mut VecDeque<v1::Arg> {
        if let Given::Plain(args) = self {
            *self = Given::Any(std::mem::take(args).into_messages().collect());
        }
        match self {
            Given::Any(args) => args,
            Given::Plain(_) => unreachable!("it was replaced just now"),
        }
    }

    /// Whether all of them can be read here and now.
    pub(super) fn are_at_hand(&self) -> bool {
        match self {
            Given::Plain(_) => true,
            Given::Any(args) => !args.iter().any(is_far),
        }
    }

    /// Those that lie where this process cannot see them.
    pub(super) fn far(&mut self) -> impl Iterator<Item = &mut v1::Arg> {
        let args = match self {
            Given::Plain(_) => None,
            Given::Any(args) => Some(args),
        };
        args.into_iter().flatten().filter(|arg| is_far(arg))
    }

    /// The keyword of the first one, empty where it is positional; `None` if there is none.
    pub(super) fn first_keyword(&self) -> Option<&str> {
        match self {
            Given::Plain(args) => args.next_keyword(),
            Given::Any(args) => args.front().map(|arg| arg.keyword.as_str()),
        }
    }
}

fn is_far(arg: &v1::Arg) -> bool {
    match &arg.arg {
        Some(v1::arg::Arg::Stored(stored)) => stored.location.is_none_or(|location| location.arena == 0),
        _ => false,
    }
}
