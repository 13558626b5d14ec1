//! What drivers and workers have in common: their ids, what they may do, and how they submit.

use std::time::Duration;

use thornback_core::Op;
use thornback_core::input::{Arg, ArgValue, Declaration, ExitStatus, Retries, Returns};
use thornback_types::{ActorId, Id, ObjectId, PlacementGroupId, Resources, SessionId, TaskId};

use crate::history::{History, TaskRecord};
use crate::memory::Memory;
use crate::program::{PASSES_ON, Program, word_value};
use crate::rng::{Rng, mix};

/// The function by which every simulated program is called.
pub(crate) const FUNCTION: &str = "run";

/// What a driver or worker sees of its surroundings while it reacts to something.
pub(crate) struct Context<'a> {
    pub(crate) rng: &'a mut Rng,
    pub(crate) history: &'a mut History,
    pub(crate) memory: &'a mut Memory,
    pub(crate) actions: Vec<Action>,
}

/// What it does then.
#[derive(Debug)]
pub(crate) enum Action {
    Op(Op),
    /// Calls `wake` after a while.
    Wake(Duration, u64),
    /// The process ends.
    Exit(ExitStatus),
    /// A driver says goodbye.
    Close,
}

impl Context<'_> {
    pub(crate) fn op(&mut self, op: Op) {
        self.actions.push(Action::Op(op));
    }

    pub(crate) fn wake(&mut self, nanos: u64, token: u64) {
        self.actions.push(Action::Wake(Duration::from_nanos(nanos), token));
    }
}

/// Makes ids that no other session makes, and numbers for declarations.
#[derive(Debug)]
pub(crate) struct Ids {
    pub(crate) session: SessionId,
    salt: [u8; 8],
    next: u32,
    declarations: u32,
    order: u64,
}

/// How a task is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) program: Program,
    /// Refs at the top level.
    pub(crate) deps: Vec<ObjectId>,
    /// Refs inside of values.
    pub(crate) borrowed: Vec<ObjectId>,
    pub(crate) returns: u32,
    pub(crate) retries: Retries,
    pub(crate) retry_exceptions: bool,
    pub(crate) resources: Resources,
    pub(crate) window: u32,
    pub(crate) deadline: Option<Duration>,
    pub(crate) placement: Option<(PlacementGroupId, Option<u32>)>,
    pub(crate) spread: bool,
}

impl Wish {
    pub(crate) fn new(program: Program) -> Wish {
        Wish {
            program,
            deps: Vec::new(),
            borrowed: Vec::new(),
            returns: 1,
            retries: Retries::Limited(3),
            retry_exceptions: false,
            resources: Resources::cpus(1),
            window: 0,
            deadline: None,
            placement: None,
            spread: false,
        }
    }
}

impl Ids {
    pub(crate) fn new(session: SessionId) -> Ids {
        Ids { session, salt: mix(session.0, 0x1d5).to_be_bytes(), next: 0, declarations: 0, order: 0 }
    }

    pub(crate) fn fresh(&mut self, index: u32) -> Id {
        self.next += 1;
        Id::new(self.salt, self.next, index)
    }

    pub(crate) fn put_object(&mut self) -> ObjectId {
        ObjectId(self.fresh(1))
    }

    /// Declares what is wished for, under a number that is used again before long.
    pub(crate) fn declare(&mut self, cx: &mut Context<'_>, wish: &Wish) -> u32 {
        self.declarations += 1;
        let number = 1 + self.declarations % 7;
        let declaration = Declaration {
            function: FUNCTION.into(),
            signature: String::new(),
            code: None,
            pool: None,
            resources: wish.resources.clone(),
            returns: if wish.program.is_stream() { Returns::Stream } else { Returns::Fixed(wish.returns) },
            max_retries: wish.retries,
            retry_exceptions: wish.retry_exceptions,
            retry_types: Vec::new(),
            name: format!("{:?}", wish.program.work),
            stream_window: wish.window,
            accepts: Vec::new(),
            deadline: wish.deadline,
            placement: wish.placement,
            affinity: None,
            spread: wish.spread,
        };
        cx.op(Op::Declare { number, declaration: Box::new(declaration) });
        number
    }

    pub(crate) fn args(wish: &Wish) -> Vec<Arg> {
        let positional = |value| Arg { keyword: bytes::Bytes::new(), value };
        let mut args = vec![positional(ArgValue::Value(wish.program.encode()))];
        args.extend(wish.deps.iter().map(|object| positional(ArgValue::Ref(*object))));
        args.extend(
            wish.borrowed
                .iter()
                .map(|object| positional(ArgValue::Value(word_value(PASSES_ON, vec![*object])))),
        );
        args
    }

    /// Notes a task in the history.
    pub(crate) fn note(
        &mut self,
        cx: &mut Context<'_>,
        id: TaskId,
        wish: &Wish,
        parent: Option<TaskId>,
        actor: Option<ActorId>,
    ) {
        self.order += 1;
        let record = TaskRecord {
            program: wish.program,
            needs: wish.deps.iter().chain(&wish.borrowed).copied().collect(),
            retries: match wish.retries {
                Retries::Limited(n) => Some(n),
                Retries::Unlimited => None,
            },
            returns: wish.returns,
            caller: self.session,
            parent,
            actor,
            needs_a_call: false,
            group: wish.placement.map(|(group, _)| group),
            has_deadline: wish.deadline.is_some(),
            cancelled: false,
            order: self.order,
            starts: 0,
            max_attempt: 0,
        };
        cx.history.submitted(id, record);
    }

    pub(crate) fn submit(&mut self, cx: &mut Context<'_>, wish: &Wish, parent: Option<TaskId>) -> TaskId {
        let task = TaskId(self.fresh(0));
        let declaration = self.declare(cx, wish);
        self.note(cx, task, wish, parent, None);
        cx.op(Op::Submit { task, declaration, args: Ids::args(wish), parent });
        task
    }

    pub(crate) fn call(&mut self, cx: &mut Context<'_>, actor: ActorId, wish: &Wish) -> TaskId {
        let task = TaskId(self.fresh(0));
        let declaration = self.declare(cx, wish);
        self.note(cx, task, wish, None, Some(actor));
        cx.op(Op::Call { task, actor, declaration, args: Ids::args(wish), parent: None });
        task
    }
}
