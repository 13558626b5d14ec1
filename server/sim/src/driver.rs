//! A simulated driver: does random things that a user's program may do, keeps the rules that an SDK keeps, and knows what it is owed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use thornback_core::effect::{Message, Outcome, Reply};
use thornback_core::input::{ActorOptions, PoolSpec, Request, Retries, Strategy};
use thornback_core::{Location, Op};
use thornback_types::{
    ActorId, Failure, ObjectId, PlacementGroupId, Resources, SessionId, TaskId, UNITS_PER_WHOLE,
};

use crate::client::{Action, Context, Ids, Wish};
use crate::program::{Program, Work, word_value};
use crate::worker::remote_bytes;

/// How many names actors have between them.
const NAMES: u64 = 4;

/// Wakes the driver for its next action.
pub(crate) const STEP: u64 = 0;

/// One driver.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) ids: Ids,
    steps: u64,
    crowd: Crowd,
    /// Counted by this session, once each.
    held: BTreeSet<ObjectId>,
    /// Completions that the node owes.
    owed: BTreeSet<ObjectId>,
    /// Let go of: news of them may still be on its way.
    forgotten: BTreeSet<ObjectId>,
    ready: BTreeMap<ObjectId, Ready>,
    creating: BTreeMap<ObjectId, u64>,
    fetching: BTreeSet<ObjectId>,
    reading: BTreeMap<u64, (ObjectId, Location)>,
    next_token: u64,
    streams: BTreeMap<TaskId, StreamView>,
    actors: Vec<Handle>,
    groups: Vec<PlacementGroupId>,
    replies: BTreeMap<u64, Asked>,
    next_request: u64,
    phase: Phase,
    /// It keeps and reads whatever it finds inside a value.
    is_curious: bool,
    /// What an object that it fills is to refer to, for a task to find there.
    hidden: BTreeMap<ObjectId, ObjectId>,
}

/// What all drivers of a run have in common.
#[derive(Debug, Clone)]
pub(crate) struct Crowd {
    /// A driver may close before all is done.
    pub(crate) may_leave: bool,
    /// Largest object that it makes, bytes.
    pub(crate) largest: u64,
    pub(crate) nodes: u64,
    pub(crate) cpus: u64,
}

#[derive(Debug, Clone)]
enum Ready {
    Value(Vec<ObjectId>),
    Stored,
    Failed,
}

#[derive(Debug, Default)]
struct StreamView {
    seen: u64,
    taken: u64,
    ended: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Handle {
    actor: ActorId,
    /// Only a kill is sure to end it.
    may_be_detached: bool,
}

#[derive(Debug, Clone, Copy)]
enum Asked {
    Nothing,
    Actor(ActorId),
    Group(PlacementGroupId),
    /// The actor with this number in its name.
    ToKill(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Working,
    /// No new work; what is owed comes in.
    Draining,
    /// Everything was let go.
    Empty,
}

impl Driver {
    pub(crate) fn new(session: SessionId, steps: u64, crowd: Crowd) -> Driver {
        Driver {
            ids: Ids::new(session),
            steps,
            crowd,
            held: BTreeSet::new(),
            owed: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            ready: BTreeMap::new(),
            creating: BTreeMap::new(),
            fetching: BTreeSet::new(),
            reading: BTreeMap::new(),
            next_token: STEP,
            streams: BTreeMap::new(),
            actors: Vec::new(),
            groups: Vec::new(),
            replies: BTreeMap::new(),
            next_request: 0,
            phase: Phase::Working,
            is_curious: false,
            hidden: BTreeMap::new(),
        }
    }

    pub(crate) fn start(&mut self, cx: &mut Context<'_>) {
        let spec = PoolSpec {
            name: format!("pool-{}", self.ids.session.0),
            language: "sim".into(),
            command: vec!["worker".into()],
            prestart: cx.rng.below(3) as u32,
            template: cx.rng.chance(500),
            default_for_session: true,
            ..PoolSpec::default()
        };
        self.request(cx, Request::DeclarePool(spec), Asked::Nothing);
        cx.wake(1, STEP);
    }

    /// What it is still owed, in words.
    pub(crate) fn debts(&self) -> Vec<String> {
        let who = self.ids.session.0;
        let mut debts: Vec<String> =
            self.owed.iter().map(|object| format!("driver {who} waits for {object}")).collect();
        debts.extend(self.creating.keys().map(|object| format!("driver {who} waits for room for {object}")));
        debts.extend(
            self.fetching.iter().map(|object| format!("driver {who} waits for the bytes of {object}")),
        );
        debts.extend(self.streams.iter().filter(|(_, s)| s.ended.is_none_or(|count| s.seen < count)).map(|(id, s)| {
            format!("driver {who} waits for the stream {id}, of which it has seen {} items, taken {} and end {:?}", s.seen, s.taken, s.ended)
        }));
        debts.extend(
            self.replies.keys().map(|number| format!("driver {who} waits for the reply to request {number}")),
        );
        debts
    }

    /// No new work from now on.
    pub(crate) fn drain(&mut self, cx: &mut Context<'_>) {
        self.phase = Phase::Draining;
        for group in std::mem::take(&mut self.groups) {
            cx.history.removed_groups.insert(group);
            self.request(cx, Request::RemovePlacementGroup { group }, Asked::Nothing);
        }
        for id in self.streams.keys().copied().collect::<Vec<_>>() {
            self.take_items(cx, id, u64::MAX);
        }
    }

    /// Ends all actors that nobody has a handle of: those that were detached have a name.
    pub(crate) fn kill_all(&mut self, cx: &mut Context<'_>) {
        for number in 0..NAMES {
            self.kill_named(cx, number);
        }
    }

    fn kill_named(&mut self, cx: &mut Context<'_>, number: u64) {
        let request = Request::GetActor { name: format!("name-{number}"), namespace: Some("shared".into()) };
        self.request(cx, request, Asked::ToKill(number));
    }

    /// What a run ends with: a task passes a ref on to a task on another node, and its owner lets go; and there is room for a placement group.
    pub(crate) fn perform(&mut self, cx: &mut Context<'_>) {
        self.is_curious = true;
        let object = self.ids.put_object();
        let word = cx.rng.bits();
        cx.history.truth.insert(object, word);
        cx.op(Op::Put { object, value: word_value(word, Vec::new()) });
        let program = Program { seed: cx.rng.bits(), work: Work::Relay, micros: 10 };
        // Half of a processor each, so that all of it fits on the smallest node.
        let half = Resources::new().with(Resources::CPU, UNITS_PER_WHOLE / 2);
        let wish =
            Wish { borrowed: vec![object], spread: true, resources: half.clone(), ..Wish::new(program) };
        let id = self.ids.submit(cx, &wish, None);
        self.expect(id, &wish);
        self.forgotten.insert(object);
        cx.op(Op::Refs { retain: Vec::new(), drop: vec![object] });
        self.hide(cx);
        self.create_group_of(cx, 1, Strategy::Pack);
        if let Some(group) = self.groups.last() {
            let program = Program { seed: cx.rng.bits(), work: Work::Return, micros: 10 };
            let wish = Wish { placement: Some((*group, Some(0))), resources: half, ..Wish::new(program) };
            let id = self.ids.submit(cx, &wish, None);
            self.expect(id, &wish);
        }
    }

    /// Lets everything go, but stays.
    pub(crate) fn let_go(&mut self, cx: &mut Context<'_>) {
        self.phase = Phase::Empty;
        for handle in std::mem::take(&mut self.actors) {
            cx.history.actor_may_die(handle.actor);
            cx.op(Op::Refs { retain: Vec::new(), drop: vec![ObjectId(handle.actor.0)] });
        }
        for (id, _) in std::mem::take(&mut self.streams) {
            cx.op(Op::Refs { retain: Vec::new(), drop: vec![ObjectId(id.0)] });
        }
        let drop: Vec<ObjectId> = std::mem::take(&mut self.held).into_iter().collect();
        cx.op(Op::Refs { retain: Vec::new(), drop });
        self.owed.clear();
        self.ready.clear();
    }

    pub(crate) fn on_wake(&mut self, cx: &mut Context<'_>, token: u64) {
        if token != STEP {
            if let Some((object, location)) = self.reading.remove(&token) {
                let word = cx.memory.read(location);
                cx.history.read(self.ids.session, object, word);
                cx.op(Op::Release { objects: vec![object] });
            }
            return;
        }
        if self.phase != Phase::Working {
            return;
        }
        if self.steps == 0 {
            return;
        }
        self.steps -= 1;
        self.act(cx);
        let pause = if cx.rng.chance(700) { cx.rng.delay(200_000) } else { 1 };
        cx.wake(pause, STEP);
    }

    fn act(&mut self, cx: &mut Context<'_>) {
        match cx.rng.weighted(&[300, 60, 60, 120, 60, 50, 40, 40, 120, 25, 25, 15, 15, 12, 12, 2]) {
            0 => self.submit(cx),
            1 => self.put(cx),
            2 => self.create(cx),
            3 => self.drop_one(cx),
            4 => self.fetch_one(cx),
            5 => self.retain_inner(cx),
            6 => self.cancel(cx),
            7 => self.create_actor(cx),
            8 => self.call(cx),
            9 => self.kill(cx),
            10 => self.take_some(cx),
            11 => self.drop_stream(cx),
            12 => self.get_actor(cx),
            13 => self.create_group(cx),
            14 => self.remove_group(cx),
            _ if self.crowd.may_leave => cx.actions.push(Action::Close),
            _ => {}
        }
    }

    fn request(&mut self, cx: &mut Context<'_>, request: Request, asked: Asked) {
        self.next_request += 1;
        self.replies.insert(self.next_request, asked);
        cx.op(Op::Request { number: self.next_request, request: Box::new(request) });
    }

    fn some_held(&self, cx: &mut Context<'_>) -> Option<ObjectId> {
        // (What says that a placement group is ready holds no word.)
        let usable: Vec<ObjectId> =
            self.held.iter().copied().filter(|object| cx.history.truth.contains_key(object)).collect();
        (!usable.is_empty()).then(|| cx.rng.pick(&usable))
    }

    fn program(&self, cx: &mut Context<'_>) -> Program {
        let size = cx.rng.between(100, self.crowd.largest) as u32;
        let work = match cx.rng.below(40) {
            0..=2 => Work::Raise,
            3 => Work::Exit,
            4..=8 => Work::Big(size),
            9..=12 => Work::Put(if cx.rng.chance(400) { size } else { 0 }),
            13..=17 => Work::Nested { children: cx.rng.between(1, 4) as u8, depth: cx.rng.below(2) as u8 },
            18..=21 => Work::Stream {
                items: cx.rng.below(12) as u16,
                size: if cx.rng.chance(300) { size } else { 0 },
            },
            _ => Work::Return,
        };
        let micros = if cx.rng.chance(50) { 50_000 } else { (cx.rng.delay(200) as u32).min(20_000) };
        Program { seed: cx.rng.bits(), work, micros }
    }

    fn wish(&self, cx: &mut Context<'_>) -> Wish {
        let mut wish = Wish::new(self.program(cx));
        for _ in 0..cx.rng.below(3) {
            if let Some(object) = self.some_held(cx) {
                wish.deps.push(object);
            }
        }
        if cx.rng.chance(150) {
            wish.borrowed.extend(self.some_held(cx));
        }
        wish.returns = cx.rng.pick(&[1, 1, 1, 0, 2, 3]);
        if matches!(wish.program.work, Work::Nested { .. }) {
            wish.returns = 1;
        }
        wish.retries = cx.rng.pick(&[
            Retries::Limited(0),
            Retries::Limited(1),
            Retries::Limited(3),
            Retries::Limited(3),
            Retries::Unlimited,
        ]);
        wish.retry_exceptions = cx.rng.chance(200);
        if wish.retries == Retries::Unlimited && (wish.program.is_faulty() || wish.retry_exceptions) {
            // It might never end.
            wish.retries = Retries::Limited(2);
        }
        let cpu =
            cx.rng.pick(&[1, 1, 1, 1, 0, 2]).min(self.crowd.cpus) * UNITS_PER_WHOLE / cx.rng.pick(&[1, 1, 2]);
        wish.resources = Resources::new();
        if cpu > 0 {
            wish.resources.set(Resources::CPU, cpu);
        }
        if wish.program.is_stream() {
            wish.window = cx.rng.pick(&[0, 1, 3]);
        }
        if cx.rng.chance(30) {
            wish.deadline = Some(Duration::from_millis(cx.rng.between(1, 100)));
        }
        wish.spread = cx.rng.chance(100);
        wish
    }

    /// Stores an object that refers to another, which only what it is stored with keeps.
    fn hide(&mut self, cx: &mut Context<'_>) {
        let [inner, outer] = [self.ids.put_object(), self.ids.put_object()];
        let words = [cx.rng.bits(), cx.rng.bits()];
        cx.history.truth.insert(inner, words[0]);
        cx.history.truth.insert(outer, words[1]);
        cx.op(Op::Put { object: inner, value: word_value(words[0], Vec::new()) });
        self.hidden.insert(outer, inner);
        self.creating.insert(outer, words[1]);
        cx.op(Op::Create { object: outer, size: 1000, task: None });
    }

    /// Has it found by a task on another node.
    fn seek(&mut self, cx: &mut Context<'_>, outer: ObjectId, inner: ObjectId) {
        cx.op(Op::Seal { object: outer, refs: vec![inner] });
        cx.op(Op::Refs { retain: Vec::new(), drop: vec![inner] });
        cx.history.inside.insert(outer, vec![inner]);
        let program = Program { seed: cx.rng.bits(), work: Work::Inside, micros: 10 };
        let wish = Wish {
            deps: vec![outer],
            spread: true,
            resources: Resources::new().with(Resources::CPU, UNITS_PER_WHOLE / 2),
            ..Wish::new(program)
        };
        let id = self.ids.submit(cx, &wish, None);
        let word = |object| cx.history.truth.get(&object).copied().unwrap_or(0);
        let mixture = program.mixture(&[word(outer)], std::iter::once(word(inner)));
        cx.history.truth.insert(id.output(0), mixture);
        self.expect(id, &wish);
        cx.op(Op::Refs { retain: Vec::new(), drop: vec![outer] });
    }

    fn expect(&mut self, id: TaskId, wish: &Wish) {
        if wish.program.is_stream() {
            self.streams.insert(id, StreamView::default());
            return;
        }
        for i in 0..wish.returns {
            self.held.insert(id.output(i));
            self.owed.insert(id.output(i));
        }
    }

    fn submit(&mut self, cx: &mut Context<'_>) {
        let mut wish = self.wish(cx);
        if cx.rng.chance(300) && !self.groups.is_empty() {
            let group = cx.rng.pick(&self.groups);
            let bundle = if cx.rng.chance(500) { Some(0) } else { None };
            wish.placement = Some((group, bundle));
            wish.resources = Resources::new().with(Resources::CPU, UNITS_PER_WHOLE / 2);
        }
        let id = self.ids.submit(cx, &wish, None);
        self.expect(id, &wish);
    }

    fn put(&mut self, cx: &mut Context<'_>) {
        let object = self.ids.put_object();
        let word = cx.rng.bits();
        cx.history.truth.insert(object, word);
        let refs: Vec<ObjectId> =
            if cx.rng.chance(300) { self.some_held(cx).into_iter().collect() } else { Vec::new() };
        cx.op(Op::Put { object, value: word_value(word, refs.clone()) });
        self.held.insert(object);
        self.ready.insert(object, Ready::Value(refs));
    }

    fn create(&mut self, cx: &mut Context<'_>) {
        let object = self.ids.put_object();
        let word = cx.rng.bits();
        cx.history.truth.insert(object, word);
        self.creating.insert(object, word);
        let size = cx.rng.between(8, self.crowd.largest);
        cx.op(Op::Create { object, size, task: None });
        if cx.rng.chance(50) {
            self.creating.remove(&object);
            cx.op(Op::Abort { object });
        }
    }

    fn drop_one(&mut self, cx: &mut Context<'_>) {
        let Some(object) = self.some_held(cx).filter(|object| !self.fetching.contains(object)) else {
            return;
        };
        self.forget(object);
        cx.op(Op::Refs { retain: Vec::new(), drop: vec![object] });
    }

    fn forget(&mut self, object: ObjectId) {
        self.forgotten.insert(object);
        self.held.remove(&object);
        self.owed.remove(&object);
        self.ready.remove(&object);
    }

    fn fetch_one(&mut self, cx: &mut Context<'_>) {
        let stored: Vec<ObjectId> = self
            .ready
            .iter()
            .filter(|(object, ready)| matches!(ready, Ready::Stored) && self.held.contains(object))
            .map(|(object, _)| *object)
            .collect();
        if stored.is_empty() {
            return;
        }
        let object = cx.rng.pick(&stored);
        if self.fetching.contains(&object) {
            return;
        }
        let quiet = cx.rng.chance(100);
        if !quiet {
            self.fetching.insert(object);
        }
        cx.op(Op::Fetch { object, quiet });
    }

    /// Keeps something that it found inside a value, and reads it.
    fn retain_inner(&mut self, cx: &mut Context<'_>) {
        let inner = |ready: &Ready| match ready {
            Ready::Value(refs) => refs.clone(),
            _ => Vec::new(),
        };
        let found: Vec<ObjectId> = self
            .ready
            .values()
            .flat_map(inner)
            .filter(|object| !self.held.contains(object) && !self.forgotten.contains(object))
            .collect();
        if found.is_empty() {
            return;
        }
        let object = cx.rng.pick(&found);
        self.keep(cx, object);
    }

    fn keep(&mut self, cx: &mut Context<'_>, object: ObjectId) {
        self.held.insert(object);
        self.owed.insert(object);
        cx.op(Op::Refs { retain: vec![object], drop: Vec::new() });
        cx.op(Op::Watch { objects: vec![object] });
    }

    fn cancel(&mut self, cx: &mut Context<'_>) {
        let owed: Vec<ObjectId> =
            self.owed.iter().copied().chain(self.streams.keys().map(|id| ObjectId(id.0))).collect();
        if owed.is_empty() {
            return;
        }
        let id = cx.rng.pick(&owed);
        cx.history.cancelled(id.task());
        let is_call = cx.history.tasks.get(&id.task()).is_some_and(|task| task.actor.is_some());
        let (force, recursive) = (!is_call && cx.rng.chance(300), cx.rng.chance(500));
        cx.op(Op::Cancel { id, force, recursive });
    }

    fn create_actor(&mut self, cx: &mut Context<'_>) {
        if self.actors.len() >= 6 {
            return;
        }
        let actor = ActorId(self.ids.fresh(0));
        let work = if cx.rng.chance(100) { cx.rng.pick(&[Work::Raise, Work::Exit]) } else { Work::Return };
        let mut wish =
            Wish::new(Program { seed: cx.rng.bits(), work, micros: (cx.rng.delay(300) as u32).min(20_000) });
        wish.returns = 0;
        if cx.rng.chance(300) {
            wish.deps.extend(self.some_held(cx));
        }
        let hold_resources = cx.rng.chance(300);
        if hold_resources {
            wish.resources = Resources::new().with("slot", UNITS_PER_WHOLE);
        }
        let detached = cx.rng.chance(250);
        let named = detached || cx.rng.chance(200);
        let limit = cx.rng.chance(100);
        let options = ActorOptions {
            name: if named { format!("name-{}", cx.rng.below(NAMES)) } else { String::new() },
            namespace: Some("shared".into()),
            get_if_exists: cx.rng.chance(700),
            detached,
            max_restarts: cx.rng.pick(&[Retries::Limited(0), Retries::Limited(1), Retries::Limited(5)]),
            max_task_retries: Retries::Limited(0),
            max_concurrency: cx.rng.pick(&[1, 1, 3]),
            max_pending_calls: limit.then_some(3),
            asynchronous: false,
            hold_resources,
            interface: bytes::Bytes::new(),
        };
        let record = cx.history.actors.entry(actor).or_default();
        record.limits_calls = limit;
        // A name may be taken, and what has a name may be killed by others.
        record.may_die |= named || work != Work::Return;
        let declaration = self.ids.declare(cx, &wish);
        self.ids.note(cx, actor.creation(), &wish, None, Some(actor));
        let args = Ids::args(&wish);
        if named {
            self.request(cx, Request::CreateActor { actor, declaration, args, options }, Asked::Actor(actor));
        } else {
            cx.op(Op::CreateActor { actor, declaration, args, options: Box::new(options) });
        }
        self.actors.push(Handle { actor, may_be_detached: detached });
    }

    fn call(&mut self, cx: &mut Context<'_>) {
        if self.actors.is_empty() {
            return;
        }
        let handle = cx.rng.pick(&self.actors);
        for _ in 0..cx.rng.between(1, 5) {
            let mut wish = self.wish(cx);
            wish.resources = Resources::new();
            wish.deadline = None;
            // An actor that waits in a call for another call on itself, which may be tried again behind it, would wait for ever.
            wish.borrowed.retain(|object| !cx.history.comes_from_a_call(*object));
            if matches!(wish.program.work, Work::Nested { .. } | Work::Exit) && cx.rng.chance(800) {
                wish.program.work = Work::Return;
            }
            if cx.rng.chance(20) {
                wish.program.work = Work::ActorExit;
            }
            if matches!(wish.program.work, Work::ActorExit | Work::Exit) {
                cx.history.actor_may_die(handle.actor);
            }
            if wish.program.is_faulty() && wish.retries == Retries::Unlimited {
                wish.retries = Retries::Limited(1);
            }
            let id = self.ids.call(cx, handle.actor, &wish);
            self.expect(id, &wish);
        }
    }

    fn kill(&mut self, cx: &mut Context<'_>) {
        if self.actors.is_empty() {
            return;
        }
        let at = cx.rng.below(self.actors.len() as u64) as usize;
        let handle = self.actors[at];
        cx.history.actor_may_die(handle.actor);
        if !handle.may_be_detached && cx.rng.chance(500) {
            self.actors.remove(at);
            return cx.op(Op::Refs { retain: Vec::new(), drop: vec![ObjectId(handle.actor.0)] });
        }
        let (restart, graceful) = (cx.rng.chance(500), cx.rng.chance(400));
        cx.op(Op::Kill { actor: handle.actor, restart, graceful });
    }

    fn get_actor(&mut self, cx: &mut Context<'_>) {
        let name = format!("name-{}", cx.rng.below(NAMES));
        if cx.rng.chance(200) {
            let all_namespaces = cx.rng.chance(500);
            return self.request(cx, Request::ListActors { all_namespaces }, Asked::Nothing);
        }
        self.request(cx, Request::GetActor { name, namespace: Some("shared".into()) }, Asked::Nothing);
    }

    fn create_group(&mut self, cx: &mut Context<'_>) {
        if self.groups.len() >= 2 {
            return;
        }
        let n = cx.rng.between(1, 2);
        let mut strategies = vec![Strategy::Pack, Strategy::Spread, Strategy::StrictPack];
        if self.crowd.nodes >= n {
            strategies.push(Strategy::StrictSpread);
        }
        let strategy = cx.rng.pick(&strategies);
        self.create_group_of(cx, n, strategy);
    }

    fn create_group_of(&mut self, cx: &mut Context<'_>, n: u64, strategy: Strategy) {
        let group = PlacementGroupId(self.ids.fresh(0));
        let bundles = (0..n).map(|_| Resources::new().with(Resources::CPU, UNITS_PER_WHOLE / 2)).collect();
        self.request(
            cx,
            Request::CreatePlacementGroup { group, bundles, strategy, name: String::new() },
            Asked::Group(group),
        );
        self.groups.push(group);
        self.held.insert(group.ready());
        self.owed.insert(group.ready());
    }

    fn remove_group(&mut self, cx: &mut Context<'_>) {
        if let Some(group) = self.groups.pop() {
            cx.history.removed_groups.insert(group);
            self.request(cx, Request::RemovePlacementGroup { group }, Asked::Nothing);
        }
    }

    fn some_stream(&self, cx: &mut Context<'_>) -> Option<TaskId> {
        let streams: Vec<TaskId> = self.streams.keys().copied().collect();
        (!streams.is_empty()).then(|| cx.rng.pick(&streams))
    }

    fn take_some(&mut self, cx: &mut Context<'_>) {
        if let Some(id) = self.some_stream(cx) {
            let most = cx.rng.between(1, 4);
            self.take_items(cx, id, most);
        }
    }

    fn take_items(&mut self, cx: &mut Context<'_>, id: TaskId, most: u64) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let until = stream.seen.min(stream.taken.saturating_add(most));
        if until == stream.taken {
            return;
        }
        for index in stream.taken..until {
            self.held.insert(id.output(index as u32));
        }
        stream.taken = until;
        cx.op(Op::Consumed { task: id, count: until });
    }

    fn drop_stream(&mut self, cx: &mut Context<'_>) {
        let Some(id) = self.some_stream(cx) else { return };
        let Some(stream) = self.streams.remove(&id) else { return };
        for index in stream.taken..stream.seen {
            self.forget(id.output(index as u32));
        }
        cx.history.cancelled(id);
        cx.op(Op::Refs { retain: Vec::new(), drop: vec![ObjectId(id.0)] });
    }

    pub(crate) fn on_message(&mut self, cx: &mut Context<'_>, message: Message) {
        let session = self.ids.session;
        match message {
            Message::Completion { object, outcome } => self.completed(cx, object, outcome),
            Message::StreamEnd { task, count, failure } => {
                let Some(stream) = self.streams.get_mut(&task) else { return };
                if stream.ended.is_some() || count != stream.seen {
                    cx.history.problem(format!(
                        "the stream {task} ended at {count} after {} items, and before that {:?}",
                        stream.seen, stream.ended
                    ));
                }
                stream.ended = Some(count);
                match failure {
                    Some(failure) => cx.history.failure(session, task.output(count as u32), &failure),
                    None => {
                        let items = match cx.history.tasks.get(&task).map(|task| task.program.work) {
                            Some(Work::Stream { items, .. }) => u64::from(items),
                            _ => 0,
                        };
                        if items != count {
                            cx.history.problem(format!(
                                "the stream {task} of {items} items ended well after {count}"
                            ));
                        }
                    }
                }
            }
            Message::Created { object, outcome } => match (self.creating.remove(&object), outcome) {
                (Some(word), Ok(location)) => {
                    if let Err(problem) = cx.memory.write(location, word) {
                        cx.history.problem(problem);
                    }
                    self.seal(cx, object);
                }
                (Some(_), Err(failure)) => cx.history.failure(session, object, &failure),
                (None, _) => {}
            },
            Message::CreatedRemote { object, size } => {
                if let Some(word) = self.creating.remove(&object) {
                    cx.op(Op::Write { object, offset: 0, data: remote_bytes(word, size) });
                    self.seal(cx, object);
                }
            }
            Message::Located { object, location } => {
                self.fetching.remove(&object);
                let word = cx.memory.read(location);
                cx.history.read(session, object, word);
                self.next_token += 1;
                self.reading.insert(self.next_token, (object, location));
                let reads = cx.rng.delay(500_000);
                cx.wake(reads, self.next_token);
            }
            Message::LocatedInline { object, outcome } => {
                self.fetching.remove(&object);
                let outcome = match outcome {
                    Ok(value) => Outcome::Value(value),
                    Err(failure) => Outcome::Failure(failure),
                };
                cx.history.outcome(session, object, &outcome);
            }
            Message::Reply { number, reply } => self.replied(cx, number, reply),
            Message::Run(_) | Message::Interrupt { .. } | Message::Recall { .. } | Message::Resume { .. } => {
                cx.history.problem(format!("driver {} was told something that is for workers", session.0));
            }
            Message::Declare { .. } | Message::Log { .. } | Message::Notice(_) => {}
        }
    }

    pub(crate) fn on_chunk(&mut self, cx: &mut Context<'_>, object: ObjectId, word: Option<u64>) {
        self.fetching.remove(&object);
        cx.history.read(self.ids.session, object, word);
    }

    pub(crate) fn on_refusal(&mut self, cx: &mut Context<'_>, failure: &Failure) {
        cx.history.problem(format!("an operation of driver {} was refused: {failure}", self.ids.session.0));
    }

    fn seal(&mut self, cx: &mut Context<'_>, object: ObjectId) {
        if let Some(inner) = self.hidden.remove(&object) {
            return self.seek(cx, object, inner);
        }
        let refs = if cx.rng.chance(300) { self.some_held(cx).into_iter().collect() } else { Vec::new() };
        cx.op(Op::Seal { object, refs });
        if self.phase == Phase::Empty {
            return cx.op(Op::Refs { retain: Vec::new(), drop: vec![object] });
        }
        self.held.insert(object);
        self.ready.insert(object, Ready::Stored);
    }

    fn completed(&mut self, cx: &mut Context<'_>, object: ObjectId, outcome: Outcome) {
        let session = self.ids.session;
        cx.history.outcome(session, object, &outcome);
        let ready = match outcome {
            Outcome::Value(value) => Ready::Value(value.refs().to_vec()),
            Outcome::Stored(_) => Ready::Stored,
            Outcome::Failure(_) => Ready::Failed,
        };
        let index = u64::from(object.0.index()).saturating_sub(1);
        // It may be watched because it was found inside a value, though it is also an item of an own stream.
        let watched = self.owed.contains(&object);
        if let Some(stream) = self.streams.get_mut(&object.task()).filter(|_| !watched) {
            if index != stream.seen || stream.ended.is_some() {
                cx.history.problem(format!(
                    "item {index} of stream {} came after {} items, end {:?}",
                    object.task(),
                    stream.seen,
                    stream.ended
                ));
            }
            stream.seen += 1;
            self.ready.insert(object, ready);
            if self.phase == Phase::Draining {
                self.take_items(cx, object.task(), u64::MAX);
            }
            return;
        }
        if self.owed.remove(&object) {
            let found = ready.clone();
            self.ready.insert(object, ready);
            if let (true, Ready::Value(refs)) = (self.is_curious, found) {
                refs.into_iter().for_each(|inner| self.keep(cx, inner));
            }
        } else if self.held.contains(&object) {
            cx.history.problem(format!("driver {} was told twice of {object}", session.0));
        }
    }

    fn replied(&mut self, cx: &mut Context<'_>, number: u64, reply: Reply) {
        let Some(asked) = self.replies.remove(&number) else {
            return cx.history.problem(format!(
                "driver {} got a reply to {number}, which it did not ask",
                self.ids.session.0
            ));
        };
        match (asked, reply) {
            (Asked::Actor(actor), Reply::Actor(info)) if info.actor == actor => {}
            (Asked::Actor(actor), Reply::Actor(info)) => {
                // The name's holder is used from now on.
                self.actors.retain(|handle| handle.actor != actor);
                self.actors.push(Handle { actor: info.actor, may_be_detached: true });
            }
            (Asked::ToKill(number), Reply::Actor(info)) => {
                cx.history.actor_may_die(info.actor);
                cx.op(Op::Kill { actor: info.actor, restart: false, graceful: false });
                cx.op(Op::Refs { retain: Vec::new(), drop: vec![ObjectId(info.actor.0)] });
                // Another may have the name by now.
                self.kill_named(cx, number);
            }
            (Asked::Nothing, Reply::Actor(info)) => {
                self.actors.push(Handle { actor: info.actor, may_be_detached: true })
            }
            (Asked::Nothing | Asked::Actor(_) | Asked::ToKill(_), _) => {}
            (Asked::Group(group), Reply::Failure(failure)) => {
                cx.history.problem(format!("the group {group} was refused: {failure}"))
            }
            (Asked::Group(_), _) => {}
        }
        if self.phase == Phase::Empty {
            self.let_go(cx);
        }
    }
}
