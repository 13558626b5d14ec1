//! Two nodes, each of which judges its own sessions: a right goes with the ref from one to the other, and an id alone goes nowhere.

use std::collections::VecDeque;

use thornback_core::effect::{Message, Outcome, Reply};
use thornback_core::input::{
    ActorOptions, Arg, ArgValue, Declaration, Function, Output, PoolSpec, Request, Retries, Returns,
};
use thornback_core::{Config, Core, Effect, Input, Op, Peer};
use thornback_types::{
    ActorId, Code, Id, NodeId, ObjectId, Resources, SessionId, TaskId, Time, Value, WorkerId,
};

const NODES: [NodeId; 2] = [NodeId(Id([0xaa; 16])), NodeId(Id([0xbb; 16]))];

/// The first driver, on a node without processors, and the second, on the other.
const ANN: (usize, SessionId) = (0, SessionId(1));
const BEN: (usize, SessionId) = (1, SessionId(2));

/// Ann's worker on the other node, the actor that she makes there, and Ben's worker.
const WORKER: (usize, SessionId) = (1, SessionId(3));
const ACTOR: (usize, SessionId) = (1, SessionId(4));
const BENS: (usize, SessionId) = (1, SessionId(5));

struct Two {
    cores: Vec<Core>,
    now: u64,
    /// What each session was told, the oldest first.
    told: VecDeque<(SessionId, Message)>,
    /// Processes that were asked for, and for which pool.
    asked: VecDeque<(WorkerId, String)>,
}

impl Two {
    fn new() -> Two {
        let core = |i: usize| {
            let mut config = Config::new(NODES[i], Resources::cpus(4 * i as u64));
            config.head = NODES[0];
            Core::new(config)
        };
        let mut two =
            Two { cores: vec![core(0), core(1)], now: 0, told: VecDeque::new(), asked: VecDeque::new() };
        two.input(0, Input::Tick);
        two.input(1, Input::Tick);
        two
    }

    fn input(&mut self, node: usize, input: Input) {
        let mut inputs = VecDeque::from([(node, input)]);
        while let Some((node, input)) = inputs.pop_front() {
            self.now += 1000;
            let mut effects = Vec::new();
            self.cores[node].handle(Time(self.now), input, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Packet { to, packet } => {
                        let to = usize::from(to == NODES[1]);
                        inputs.push_back((to, Input::Packet { from: NODES[node], packet }));
                    }
                    Effect::Send { session, message } => self.told.push_back((session, message)),
                    Effect::StartWorker { worker, pool } => {
                        self.asked.push_back((worker, pool.spec.name.clone()));
                    }
                    Effect::Refuse { session, failure } => panic!("{session:?} was refused: {failure}"),
                    _ => {}
                }
            }
            assert_eq!(self.cores[node].check_invariants(), Vec::<String>::new());
        }
    }

    fn op(&mut self, who: (usize, SessionId), op: Op) {
        self.input(who.0, Input::Op { session: who.1, op });
    }

    fn driver(&mut self, who: (usize, SessionId), pool: &str) {
        let peer = Peer::Driver {
            namespace: "both".into(),
            job_name: String::new(),
            want_logs: false,
            shared_memory: true,
            pid: 1,
        };
        self.input(who.0, Input::SessionOpened { session: who.1, peer });
        let pool = PoolSpec {
            name: pool.into(),
            command: vec!["w".into()],
            functions: vec!["f".into()],
            ..PoolSpec::default()
        };
        self.op(who, Op::Request { number: 1, request: Box::new(Request::DeclarePool(pool)) });
        let declaration = Declaration {
            function: "f".into(),
            signature: String::new(),
            code: None,
            pool: None,
            resources: Resources::cpus(1),
            returns: Returns::Fixed(1),
            max_retries: Retries::Limited(0),
            retry_exceptions: false,
            retry_types: vec![],
            name: "f".into(),
            stream_window: 0,
            accepts: vec![],
            deadline: None,
            placement: None,
            affinity: None,
            spread: false,
        };
        self.op(who, Op::Declare { number: 1, declaration: Box::new(declaration) });
    }

    /// The process that was asked for last says hello.
    fn worker(&mut self, who: (usize, SessionId), pool: &str) {
        let (launch, of) = self.asked.pop_back().expect("a worker was asked for");
        assert_eq!(of, pool);
        let functions = vec![Function {
            name: "f".into(),
            min_args: 0,
            max_args: None,
            actor: true,
            signature: String::new(),
        }];
        let peer = Peer::Worker {
            launch: Some(launch),
            pool: of,
            language: "test".into(),
            functions,
            formats: vec![],
            shared_memory: true,
            pid: 2,
        };
        self.input(who.0, Input::SessionOpened { session: who.1, peer });
    }

    fn submit(&mut self, who: (usize, SessionId), task: TaskId, refs: Vec<ObjectId>) {
        self.op(who, Op::Submit { task, declaration: 1, args: vec![inside(refs)], parent: None });
    }

    fn done(&mut self, who: (usize, SessionId), task: TaskId, refs: Vec<ObjectId>) {
        let value = Value::nil().with_refs(refs);
        self.op(who, Op::Done { task, attempt: 1, outcome: Ok(vec![Output::Value(value)]), yielded: 0 });
    }

    /// What a session is told that asks for an object: its value, or why not.
    fn read(&mut self, who: (usize, SessionId), object: ObjectId) -> Result<Value, u32> {
        self.told.clear();
        self.op(who, Op::Watch { objects: vec![object] });
        let of_it = self.told.iter().find_map(|(session, message)| match message {
            Message::Completion { object: o, outcome } if *session == who.1 && *o == object => Some(outcome),
            _ => None,
        });
        match of_it {
            Some(Outcome::Value(value)) => Ok(value.clone()),
            Some(Outcome::Failure(failure)) => Err(failure.code),
            other => panic!("{who:?} was told {other:?} of {object}"),
        }
    }

    fn must_not_read(&mut self, who: (usize, SessionId), object: ObjectId) {
        assert_eq!(self.read(who, object), Err(Code::ObjectNotFound.number()), "{who:?} reads {object}");
    }
}

fn id(counter: u32, index: u32) -> Id {
    Id::new(*b"two-node", counter, index)
}

fn inside(refs: Vec<ObjectId>) -> Arg {
    Arg { keyword: bytes::Bytes::new(), value: ArgValue::Value(Value::nil().with_refs(refs)) }
}

fn text(text: &'static str) -> Value {
    Value::raw(text)
}

#[test]
fn a_right_goes_with_the_ref_from_node_to_node_and_an_id_alone_goes_nowhere() {
    let mut two = Two::new();
    let [secret, lent] = [1, 2].map(|n| ObjectId(id(n, 1)));
    two.driver(ANN, "anns");
    two.driver(BEN, "bens");
    two.op(ANN, Op::Put { object: secret, value: text("secret") });

    // Ann's task runs on Ben's node, and is given a ref: so her workers there may read it, and Ben may not, who knows the id.
    let task = TaskId(id(10, 0));
    two.submit(ANN, task, vec![secret]);
    two.worker(WORKER, "anns");
    two.must_not_read(BEN, secret);
    assert_eq!(two.read(WORKER, secret), Ok(text("secret")));
    two.must_not_read(BEN, secret);
    two.op(BEN, Op::Refs { retain: vec![secret], drop: vec![] });
    two.must_not_read(BEN, secret);
    for id in [ObjectId(task.0), task.output(0)] {
        two.op(BEN, Op::Cancel { id, force: true, recursive: true });
    }
    let stolen = TaskId(id(20, 0));
    two.submit(BEN, stolen, vec![secret]);
    two.worker(BENS, "bens");
    two.must_not_read(BENS, secret);
    two.done(BENS, stolen, vec![secret]);
    two.must_not_read(BEN, secret);

    // Ann makes an actor with a name, which lives on the other node, and tells it the secret.
    two.told.clear();
    two.done(WORKER, task, vec![]);
    let actor = ActorId(id(30, 0));
    let options = ActorOptions {
        name: "shop".into(),
        namespace: None,
        get_if_exists: false,
        detached: false,
        max_restarts: Retries::Limited(0),
        max_task_retries: Retries::Limited(0),
        max_concurrency: 1,
        max_pending_calls: None,
        asynchronous: false,
        hold_resources: false,
        interface: bytes::Bytes::new(),
    };
    let is_done = |(session, message): &(SessionId, Message)| {
        *session == ANN.1 && matches!(message, Message::Completion { outcome: Outcome::Value(_), .. })
    };
    assert!(two.told.iter().any(is_done), "Ben ended Ann's task: {:?}", two.told);
    let request = Request::CreateActor { actor, declaration: 1, args: vec![], options };
    two.op(ANN, Op::Request { number: 2, request: Box::new(request) });
    let mut home = WORKER;
    if !two.told.iter().any(|(session, message)| {
        *session == WORKER.1 && matches!(message, Message::Run(run) if run.task == actor.creation())
    }) {
        two.worker(ACTOR, "anns");
        home = ACTOR;
    }
    two.done(home, actor.creation(), vec![]);
    let call = |task, refs| Op::Call { task, actor, declaration: 1, args: vec![inside(refs)], parent: None };
    two.op(ANN, call(TaskId(id(31, 0)), vec![secret]));
    two.op(home, Op::Refs { retain: vec![secret], drop: vec![] });
    two.done(home, TaskId(id(31, 0)), vec![]);

    // By its id alone Ben can neither call nor end it.
    two.told.clear();
    two.op(BEN, call(TaskId(id(40, 0)), vec![]));
    two.op(BEN, Op::Kill { actor, restart: false, graceful: false });
    let failed = |message: &Message| match message {
        Message::Completion { outcome: Outcome::Failure(failure), .. } => failure.is(Code::ActorNotFound),
        _ => false,
    };
    assert!(two.told.iter().any(|(session, message)| *session == BEN.1 && failed(message)));

    // By its name he can. What he gives it, it may read while it serves him; what it answers, he may.
    two.told.clear();
    two.op(BEN, Op::Put { object: lent, value: text("lent") });
    let request = Request::GetActor { name: "shop".into(), namespace: None };
    two.op(BEN, Op::Request { number: 2, request: Box::new(request) });
    let found = |(_, message): &(SessionId, Message)| matches!(message, Message::Reply { reply: Reply::Actor(info), .. } if info.actor == actor);
    assert!(two.told.iter().any(found), "{:?}", two.told);
    two.op(BEN, call(TaskId(id(41, 0)), vec![lent]));
    assert_eq!(two.read(home, lent), Ok(text("lent")));
    two.done(home, TaskId(id(41, 0)), vec![secret]);
    two.must_not_read(home, lent);
    assert_eq!(two.read(BEN, secret), Ok(text("secret")));

    // And what he was given he gives on.
    let shared = TaskId(id(42, 0));
    two.submit(BEN, shared, vec![secret]);
    assert_eq!(two.read(BENS, secret), Ok(text("secret")));
    two.done(BENS, shared, vec![]);

    // All of it ends with him.
    two.input(BEN.0, Input::SessionClosed { session: BEN.1 });
    two.must_not_read(BENS, secret);
    let left = two.cores[1].leftovers();
    assert!(!left.iter().any(|what| what.contains("rights")), "{left:?}");
    assert_eq!(two.read(ANN, secret), Ok(text("secret")));
}
