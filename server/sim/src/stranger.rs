//! A session that has a right to nothing and names everything: whatever it asks for must be answered as what nobody knows is, and nothing may come of it.
//!
//! It draws from numbers of its own and waits for nothing, so that a run is the same with it and without.

use thornback_core::effect::{Effect, Message, Outcome, Reply};
use thornback_core::input::{Arg, ArgValue, Declaration, Request, Retries, Returns};
use thornback_core::{Input, Op, Peer};
use thornback_types::{Code, Failure, Id, ObjectId, Resources, SessionId, TaskId, UNITS_PER_WHOLE};

use crate::client::FUNCTION;
use crate::program::word_value;
use crate::rng::Rng;
use crate::world::World;

/// Numbers of sessions from here on are those of strangers.
const FIRST: u64 = 0xf000_0000;

/// How many things of each kind it names at a time.
const NAMED: usize = 6;

pub(crate) fn is_stranger(session: SessionId) -> bool {
    session.0 >= FIRST
}

fn some<T: Copy>(rng: &mut Rng, of: impl Iterator<Item = T>) -> Vec<T> {
    let mut of: Vec<T> = of.collect();
    let n = of.len().min(NAMED);
    (0..n).map(|_| of.swap_remove(rng.below(of.len() as u64) as usize)).collect()
}

impl World {
    /// A stranger comes to a host, tries what it can, and goes.
    pub(crate) fn trespass(&mut self, host: usize, number: u64) {
        if self.hosts[host].core.is_none() {
            return;
        }
        let mut rng = Rng::new(number ^ 0x7374_7261_6e67_6572);
        let session = SessionId(FIRST + number);
        let peer = Peer::Driver {
            namespace: "shared".into(),
            job_name: "stranger".into(),
            want_logs: false,
            shared_memory: rng.chance(500),
            pid: 1,
        };
        self.hosts[host].sessions.insert(session);
        self.tell_core(host, Input::SessionOpened { session, peer });
        for op in self.trespasses(&mut rng, number) {
            self.tell_core(host, Input::Op { session, op });
        }
        self.tell_core(host, Input::SessionClosed { session });
        self.hosts[host].sessions.remove(&session);
    }

    fn trespasses(&self, rng: &mut Rng, number: u64) -> Vec<Op> {
        let objects = some(rng, self.history.truth.keys().copied());
        let tasks = some(rng, self.history.tasks.keys().copied());
        let actors = some(rng, self.history.actors.keys().copied());
        let groups = some(rng, self.groups().into_iter());
        let salt = number.to_be_bytes();
        let own = |counter: u32, index: u32| Id::new(salt, counter, index);
        let positional = |value| Arg { keyword: bytes::Bytes::new(), value };
        let declaration = Declaration {
            function: FUNCTION.into(),
            signature: String::new(),
            code: None,
            pool: None,
            resources: Resources::new().with(Resources::CPU, UNITS_PER_WHOLE / 2),
            returns: Returns::Fixed(1),
            max_retries: Retries::Limited(0),
            retry_exceptions: false,
            retry_types: Vec::new(),
            name: "trespass".into(),
            stream_window: 0,
            accepts: Vec::new(),
            deadline: None,
            placement: None,
            affinity: None,
            spread: false,
        };
        let put = ObjectId(own(1, 1));
        let mut ops = vec![
            Op::Refs { retain: objects.clone(), drop: Vec::new() },
            Op::Watch { objects: objects.clone() },
            Op::Put { object: put, value: word_value(1, objects.clone()) },
            Op::Watch { objects: objects.clone() },
            Op::Declare { number: 1, declaration: Box::new(declaration.clone()) },
        ];
        for (i, object) in objects.iter().enumerate() {
            ops.push(Op::Fetch { object: *object, quiet: rng.chance(300) });
            let task = TaskId(own(100 + i as u32, 0));
            let args = vec![positional(ArgValue::Ref(*object))];
            ops.push(Op::Submit { task, declaration: 1, args, parent: tasks.first().copied() });
        }
        for task in tasks {
            let id = if rng.chance(500) { ObjectId(task.0) } else { task.output(rng.below(2) as u32) };
            ops.push(Op::Cancel { id, force: rng.chance(300), recursive: rng.chance(500) });
            ops.push(Op::Refs { retain: Vec::new(), drop: vec![ObjectId(task.0), task.output(0)] });
            ops.push(Op::Consumed { task, count: 100 });
        }
        for (i, actor) in actors.into_iter().enumerate() {
            let task = TaskId(own(200 + i as u32, 0));
            ops.push(Op::Call { task, actor, declaration: 1, args: Vec::new(), parent: None });
            ops.push(Op::Kill { actor, restart: rng.chance(500), graceful: rng.chance(300) });
        }
        for (i, group) in groups.into_iter().enumerate() {
            let number = 2 + i as u32;
            let declaration = Declaration { placement: Some((group, None)), ..declaration.clone() };
            ops.push(Op::Declare { number, declaration: Box::new(declaration) });
            let task = TaskId(own(300 + i as u32, 0));
            ops.push(Op::Submit { task, declaration: number, args: Vec::new(), parent: None });
            let request = Box::new(Request::RemovePlacementGroup { group });
            ops.push(Op::Request { number: number.into(), request });
        }
        ops
    }

    /// What a stranger is told. Nothing of what it may hear tells what there is.
    pub(crate) fn judge_stranger(&mut self, effect: &Effect) {
        let unknown = |failure: &Failure| {
            let codes = [
                Code::ObjectNotFound,
                Code::ActorNotFound,
                Code::PlacementGroupNotFound,
                // It brings no pool along; and a group that is gone is no secret.
                Code::FunctionNotFound,
                Code::PlacementGroupRemoved,
            ];
            codes.iter().any(|code| failure.is(*code))
        };
        let is_fine = match effect {
            Effect::Send { message, .. } => match message {
                Message::Completion { outcome: Outcome::Failure(failure), .. } => unknown(failure),
                Message::LocatedInline { outcome: Err(failure), .. } => unknown(failure),
                Message::Reply { reply: Reply::Empty, .. } => true,
                _ => false,
            },
            _ => false,
        };
        if !is_fine {
            self.history.problem(format!("a stranger was answered: {effect:?}"));
        }
    }

    fn groups(&self) -> Vec<thornback_types::PlacementGroupId> {
        let mut groups: Vec<_> = self.history.tasks.values().filter_map(|task| task.group).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}
