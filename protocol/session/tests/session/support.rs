//! Two sides and the network between them. Nothing moves unless a test moves it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use thornback_session::{Accept, Client, End, Event, Knock, Limits, Server, client};
use thornback_types::Time;
use thornback_wire::Message;
use thornback_wire::v1::{self, client_op, server_op};

/// Both sides of one session.
pub struct Pair {
    pub now: Time,
    pub client: Client,
    pub server: Server,
    pub to_server: VecDeque<Bytes>,
    pub to_client: VecDeque<Bytes>,
    /// What the owners were given: the numbers of marked operations, in order.
    pub at_server: Vec<u64>,
    pub at_client: Vec<u64>,
    pub client_events: Vec<Event>,
    pub server_events: Vec<Event>,
}

/// A hello that is welcome.
pub fn hello() -> v1::Hello {
    v1::Hello {
        role: v1::Role::Driver.into(),
        features: vec!["streams".to_owned(), "teleport".to_owned()],
        ..Default::default()
    }
}

/// What the server grants, with these limits.
pub fn accept(limits: Limits) -> Accept {
    Accept {
        session: [1; 16],
        secret: [2; 16],
        node: Bytes::from_static(&[3; 16]),
        job: Bytes::from_static(&[4; 16]),
        server: "thornback/test".to_owned(),
        namespace: "default".to_owned(),
        features: &["actors", "streams"],
        limits,
        queue_bytes_max: 1 << 20,
    }
}

impl Pair {
    /// An open session.
    pub fn open() -> Self {
        Self::with(Limits::default(), 0)
    }

    /// An open session with these limits for the client's frames and this window for the server's.
    pub fn with(limits: Limits, client_window_bytes: u64) -> Self {
        let now = Time(1);
        let config = client::Config { window_bytes: client_window_bytes, ..client::Config::new(hello()) };
        let mut client = Client::new(now, config);
        let knock = Knock::read(client.poll_transmit(now).unwrap().body()).unwrap();
        let server = Server::new(now, &knock, accept(limits));
        let mut pair = Self {
            now,
            client,
            server,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            at_server: Vec::new(),
            at_client: Vec::new(),
            client_events: Vec::new(),
            server_events: Vec::new(),
        };
        pair.drive();
        assert!(matches!(pair.client_events.remove(0), Event::Welcomed(_)));
        pair
    }

    /// Moves frames until both sides are quiet.
    pub fn drive(&mut self) {
        loop {
            self.collect();
            if !self.deliver_to_server() && !self.deliver_to_client() {
                return;
            }
        }
    }

    /// Puts what the sides have to say on the network.
    pub fn collect(&mut self) {
        while let Some(frame) = self.client.poll_transmit(self.now) {
            self.to_server.push_back(frame.body());
        }
        while let Some(frame) = self.server.poll_transmit(self.now) {
            self.to_client.push_back(frame.body());
        }
        while let Some(event) = self.client.poll_event() {
            self.client_events.push(event);
        }
        while let Some(event) = self.server.poll_event() {
            self.server_events.push(event);
        }
    }

    pub fn deliver_to_server(&mut self) -> bool {
        let Some(body) = self.to_server.pop_front() else { return false };
        for (_, op) in self.server.handle_frame(self.now, body) {
            if let client_op::Op::Cancel(cancel) = op {
                self.at_server.push(number(&cancel.id));
            }
        }
        true
    }

    pub fn deliver_to_client(&mut self) -> bool {
        let Some(body) = self.to_client.pop_front() else { return false };
        for (_, op) in self.client.handle_frame(self.now, body) {
            if let server_op::Op::Recall(recall) = op {
                self.at_client.push(recall.tasks.first().map_or(u64::MAX, |id| number(id)));
            }
        }
        true
    }

    /// Cuts the connection. What is under way is lost.
    pub fn cut(&mut self) {
        self.client.connection_lost(self.now);
        self.server.connection_lost(self.now);
        self.to_server.clear();
        self.to_client.clear();
    }

    /// Connects again, up to and with the server's judgement of the hello.
    pub fn knock_again(&mut self) {
        self.to_server.clear();
        self.to_client.clear();
        self.client.reconnect(self.now);
        let hello = self.client.poll_transmit(self.now).unwrap();
        self.server.resume(self.now, &Knock::read(hello.body()).unwrap()).unwrap();
    }

    /// Lets time pass, and tells both sides whenever they want to be told.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let next = [self.client.poll_timeout(), self.server.poll_timeout()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
            self.drive();
        }
        self.now = end;
    }

    pub fn server_end(&self) -> Option<&End> {
        self.server.ended()
    }

    pub fn client_end(&self) -> Option<&End> {
        self.client.ended()
    }
}

/// A client's operation that carries a number, in `bytes` bytes or a little more.
pub fn mark(number: u64, bytes: usize) -> client_op::Op {
    client_op::Op::Cancel(v1::Cancel { id: marked(number, bytes), ..Default::default() })
}

/// The same for the server.
pub fn mark_back(number: u64, bytes: usize) -> server_op::Op {
    server_op::Op::Recall(v1::Recall { tasks: vec![marked(number, bytes)] })
}

fn marked(number: u64, bytes: usize) -> Bytes {
    let mut text = number.to_be_bytes().to_vec();
    text.resize(bytes.max(8), 0);
    text.into()
}

fn number(bytes: &[u8]) -> u64 {
    // A damaged operation may have anything.
    bytes.first_chunk().map_or(u64::MAX, |number| u64::from_be_bytes(*number))
}

/// The operations of a frame of the server's. (The client of a pair would not take the answer to a frame that it never sent.)
pub fn ops_in(body: Bytes) -> Vec<server_op::Op> {
    v1::ServerFrame::decode(body).unwrap().ops.into_iter().map(|op| op.op.unwrap()).collect()
}

/// The failure of a frame that holds nothing but a goodbye.
pub fn goodbye_in(body: Bytes) -> v1::Failure {
    match &ops_in(body)[..] {
        [server_op::Op::Goodbye(goodbye)] => goodbye.failure.clone().unwrap(),
        other => panic!("a goodbye was due and {other:?} came"),
    }
}
