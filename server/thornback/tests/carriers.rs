//! The carriers: a session on gRPC, a session that changes its connection, bytes with and without shared memory.

mod support;

use support::{Node, arg, declare, done, fresh, hello, output, raw_value, submit};
use thornback_types::Code;
use thornback_wire::grpc::{ControlClient, SessionClient};
use thornback_wire::v1::{self, client_op, server_op};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

/// A session over gRPC.
struct Stream {
    to: tokio::sync::mpsc::Sender<v1::ClientFrame>,
    from: tonic::Streaming<v1::ServerFrame>,
    waiting: std::collections::VecDeque<server_op::Op>,
    seq: u64,
}

impl Stream {
    async fn open(node: &Node, hello: v1::Hello) -> Stream {
        let mut client = SessionClient::new(channel(node).await);
        let (to, frames) = tokio::sync::mpsc::channel(8);
        let op = Some(client_op::Op::Hello(Box::new(hello)));
        to.send(v1::ClientFrame { ops: vec![v1::ClientOp { op }], ..Default::default() }).await.unwrap();
        let from = client.connect(ReceiverStream::new(frames)).await.unwrap().into_inner();
        Stream { to, from, waiting: Default::default(), seq: 0 }
    }

    async fn send(&mut self, op: client_op::Op) {
        self.seq += 1;
        let frame = v1::ClientFrame { seq: self.seq, ack: 0, ops: vec![v1::ClientOp { op: Some(op) }] };
        self.to.send(frame).await.unwrap();
    }

    async fn next(&mut self) -> Option<server_op::Op> {
        loop {
            if let Some(op) = self.waiting.pop_front() {
                return Some(op);
            }
            let frame = self.from.message().await.ok()??;
            self.waiting.extend(frame.ops.into_iter().filter_map(|op| op.op));
        }
    }
}

async fn channel(node: &Node) -> tonic::transport::Channel {
    let address = node.grpc.as_ref().unwrap();
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

fn token(node: &Node) -> String {
    std::fs::read_to_string(&node.token_file).unwrap()
}

#[tokio::test]
async fn a_session_over_grpc() {
    let node = Node::with(&[]);
    let mut stream = Stream::open(&node, v1::Hello { token: token(&node), ..hello(v1::Role::Driver) }).await;
    let Some(server_op::Op::Welcome(welcome)) = stream.next().await else { panic!("not welcomed") };
    assert!(!welcome.features.iter().any(|feature| feature == "shared-memory"));
    let object = output(fresh(), 1);
    stream.send(client_op::Op::Put(v1::Put { object: object.clone(), value: Some(raw_value(b"far")) })).await;
    stream.send(client_op::Op::Watch(v1::Watch { objects: vec![object.clone()] })).await;
    let Some(server_op::Op::Completion(completion)) = stream.next().await else { panic!("no completion") };
    assert_eq!(completion.outcome, Some(v1::completion::Outcome::Value(raw_value(b"far"))));
}

#[tokio::test]
async fn grpc_wants_the_token() {
    let node = Node::with(&[]);
    for wrong in ["", "0123"] {
        let mut stream =
            Stream::open(&node, v1::Hello { token: wrong.to_owned(), ..hello(v1::Role::Driver) }).await;
        let Some(server_op::Op::Goodbye(goodbye)) = stream.next().await else { panic!("no goodbye") };
        assert_eq!(goodbye.failure.unwrap().code, Code::Unauthenticated.number());
        assert!(stream.next().await.is_none());
    }
    let mut control = ControlClient::new(channel(&node).await);
    let refused = control.send(v1::Request::default()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
}

#[tokio::test]
async fn a_worker_dials_in_over_grpc() {
    let node = Node::with(&[]);
    let function =
        v1::Function { name: "echo".to_owned(), min_args: 0, max_args: -1, ..v1::Function::default() };
    let hello = v1::Hello {
        token: token(&node),
        pool: "far".to_owned(),
        functions: vec![function],
        ..hello(v1::Role::Worker)
    };
    let mut worker = Stream::open(&node, hello).await;
    let Some(server_op::Op::Welcome(_)) = worker.next().await else { panic!("not welcomed") };
    let mut driver = node.driver();
    // One argument travels in the frame; the other lies in shared memory, which this worker cannot map, so its bytes come when it asks for them.
    let (task, large) = (fresh(), output(fresh(), 1));
    let data: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    let size = data.len() as u64;
    driver.send([client_op::Op::Create(v1::Create { object: large.clone(), size, ..Default::default() })]);
    let server_op::Op::Created(_) = driver.next() else { panic!("not created") };
    let write = v1::Write { object: large.clone(), offset: 0, data: data.clone().into() };
    driver.send([
        client_op::Op::Write(write),
        client_op::Op::Seal(v1::Seal { object: large.clone(), refs: Vec::new() }),
        declare(1, "echo"),
        submit(
            task,
            1,
            vec![
                arg(raw_value(b"small")),
                v1::Arg { arg: Some(v1::arg::Arg::Ref(large.clone())), ..Default::default() },
            ],
        ),
    ]);
    let Some(server_op::Op::Declare(declared)) = worker.next().await else { panic!("told of no function") };
    let Some(server_op::Op::Run(run)) = worker.next().await else { panic!("given nothing to run") };
    assert_eq!((run.task.clone(), run.declaration), (support::bytes(task), declared.number));
    let Some(v1::arg::Arg::Value(small)) = run.args[0].arg.clone() else { panic!("no value") };
    let Some(v1::arg::Arg::Stored(stored)) = run.args[1].arg.clone() else { panic!("not stored") };
    assert_eq!(
        (stored.object.clone(), stored.location.map(|at| (at.arena, at.size))),
        (large.clone(), Some((0, size)))
    );
    worker.send(client_op::Op::Fetch(v1::Fetch { object: large.clone(), quiet: false })).await;
    let mut read = Vec::new();
    while read.len() < data.len() {
        if let server_op::Op::Chunk(chunk) = worker.next().await.expect("the stream ended") {
            assert_eq!(chunk.offset, read.len() as u64);
            read.extend_from_slice(&chunk.data);
        }
    }
    assert!(read == data);
    worker.send(client_op::Op::Release(v1::Release { objects: vec![large] })).await;
    worker.send(done(&run, small)).await;
    let answer = tokio::task::spawn_blocking(move || {
        loop {
            if let server_op::Op::Completion(completion) = driver.next()
                && completion.object == output(task, 1)
            {
                return completion.outcome;
            }
        }
    });
    assert_eq!(answer.await.unwrap(), Some(v1::completion::Outcome::Value(raw_value(b"small"))));

    // It goes as it came: what it had not answered is given to another.
    let mut driver = node.driver();
    let lost = fresh();
    driver.send([declare(1, "echo"), submit(lost, 1, vec![arg(raw_value(b"again"))])]);
    while !matches!(worker.next().await, Some(server_op::Op::Run(run)) if run.task == support::bytes(lost)) {}
    worker.send(client_op::Op::Goodbye(Box::default())).await;
    let mut second = node.worker("far", &["echo"]);
    let answer = tokio::task::spawn_blocking(move || {
        loop {
            if let server_op::Op::Run(run) = second.next() {
                assert_eq!((run.task.clone(), run.attempt), (support::bytes(lost), 2));
                second.send([done(&run, raw_value(b"near"))]);
                break;
            }
        }
        let server_op::Op::Completion(completion) = driver.next() else { panic!("no completion") };
        completion.outcome
    });
    assert_eq!(answer.await.unwrap(), Some(v1::completion::Outcome::Value(raw_value(b"near"))));
}

#[tokio::test]
async fn requests_over_grpc_keep_their_number() {
    let node = Node::with(&[]);
    let bearer: tonic::metadata::MetadataValue<_> = format!("Bearer {}", token(&node)).parse().unwrap();
    let mut control =
        ControlClient::with_interceptor(channel(&node).await, move |mut request: tonic::Request<()>| {
            request.metadata_mut().insert("authorization", bearer.clone());
            Ok(request)
        });
    let ask = |number, request| v1::Request { number, request: Some(request) };
    let status =
        control.send(ask(41, v1::request::Request::GetStatus(v1::GetStatus {}))).await.unwrap().into_inner();
    assert_eq!(status.number, 41);
    assert!(matches!(status.reply, Some(v1::reply::Reply::Status(_))));
    let get = v1::GetActor { name: "nobody".to_owned(), namespace: "nowhere".to_owned() };
    let reply = control.send(ask(42, v1::request::Request::GetActor(get))).await.unwrap().into_inner();
    assert_eq!(reply.number, 42);
    let Some(v1::reply::Reply::Failure(failure)) = reply.reply else {
        panic!("an actor that is not there was found")
    };
    assert_eq!(failure.code, Code::ActorNotFound.number());
    let unknown = control.send(v1::Request { number: 43, request: None }).await.unwrap().into_inner();
    let Some(v1::reply::Reply::Failure(failure)) = unknown.reply else {
        panic!("an unknown request was answered")
    };
    assert_eq!((unknown.number, failure.code), (43, Code::UnknownOperation.number()));
}

#[tokio::test]
async fn large_objects_without_shared_memory() {
    pass_a_large_object(1 << 20, true).await;
}

#[tokio::test]
async fn a_large_object_within_the_window_comes_without_more_credit() {
    pass_a_large_object(8 << 20, false).await;
}

/// Writes an object of 3 MB and reads it again; what was read may be given back as credit.
async fn pass_a_large_object(window_bytes: u64, gives_back: bool) {
    let node = Node::with(&[]);
    let hello = v1::Hello { token: token(&node), window_bytes, ..hello(v1::Role::Driver) };
    let mut stream = Stream::open(&node, hello).await;
    stream.next().await.unwrap();
    let object = output(fresh(), 1);
    let data: Vec<u8> = (0..900_000u32).map(|n| (n % 251) as u8).collect();
    let size = data.len() as u64;
    stream
        .send(client_op::Op::Create(v1::Create { object: object.clone(), size, ..Default::default() }))
        .await;
    let Some(server_op::Op::Created(created)) = stream.next().await else { panic!("not created") };
    assert_eq!(
        created.outcome,
        Some(v1::created::Outcome::Location(v1::Location { arena: 0, offset: 0, size }))
    );
    for (n, part) in data.chunks(150_000).enumerate() {
        let write =
            v1::Write { object: object.clone(), offset: n as u64 * 150_000, data: part.to_vec().into() };
        stream.send(client_op::Op::Write(write)).await;
    }
    stream.send(client_op::Op::Seal(v1::Seal { object: object.clone(), refs: Vec::new() })).await;
    stream.send(client_op::Op::Fetch(v1::Fetch { object: object.clone(), quiet: false })).await;
    let (mut read, mut located_size) = (Vec::new(), None);
    while read.len() < data.len() {
        match stream.next().await.expect("the stream ended") {
            server_op::Op::Chunk(chunk) => {
                assert_eq!(located_size, Some(size), "the answer comes before the bytes");
                assert_eq!(chunk.offset, read.len() as u64);
                read.extend_from_slice(&chunk.data);
                if !gives_back {
                    continue;
                }
                let credit = client_op::Op::Credit(v1::Credit { bytes: chunk.data.len() as u64 + 64 });
                stream
                    .to
                    .send(v1::ClientFrame {
                        ops: vec![v1::ClientOp { op: Some(credit) }],
                        ..Default::default()
                    })
                    .await
                    .unwrap();
            }
            server_op::Op::Located(located) => {
                let Some(v1::located::Outcome::Location(location)) = located.outcome else {
                    panic!("not located: {located:?}")
                };
                assert_eq!((location.arena, located_size.replace(location.size)), (0, None));
            }
            server_op::Op::Completion(_) | server_op::Op::Credit(_) => {}
            other => panic!("unexpected {other:?}"),
        }
    }
    assert!(read == data);
}

#[test]
fn a_session_goes_on_where_it_was() {
    let node = Node::start();
    let mut first = node.driver();
    let object = output(fresh(), 1);
    first.send([client_op::Op::Put(v1::Put { object: object.clone(), value: Some(raw_value(b"kept")) })]);
    first.request(1, v1::request::Request::GetStatus(v1::GetStatus {}));
    let welcome = first.welcome.clone();
    let (seq, ack) = (first.seq, first.ack);
    drop(first);
    let mut second = node.connect();
    second.control(client_op::Op::Hello(Box::new(v1::Hello {
        resume: Some(v1::ResumeSession {
            session: welcome.session.clone(),
            secret: welcome.secret.clone(),
            ack,
        }),
        ..hello(v1::Role::Driver)
    })));
    let server_op::Op::Welcome(again) = second.next() else { panic!("not welcomed") };
    assert!(again.resumed);
    assert_eq!(again.ack, seq);
    second.seq = seq;
    second.send([client_op::Op::Watch(v1::Watch { objects: vec![object] })]);
    let server_op::Op::Completion(completion) = second.next() else { panic!("no completion") };
    assert_eq!(completion.outcome, Some(v1::completion::Outcome::Value(raw_value(b"kept"))));
}
