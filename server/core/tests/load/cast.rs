//! Who takes part where the core is loaded, and what they call: drivers and workers of one function `f`. Tests and `examples/lifecycles.rs` share it.

use thornback_core::Peer;
use thornback_core::input::{Declaration, Function, Retries, Returns};
use thornback_types::{Resources, WorkerId};

/// A driver that can map memory.
pub fn driver() -> Peer {
    Peer::Driver {
        namespace: String::new(),
        job_name: String::new(),
        want_logs: false,
        shared_memory: true,
        pid: 1,
    }
}

/// A worker of a pool that serves `f`; without a launch, one that dials in.
pub fn worker(launch: Option<WorkerId>, pool: &str) -> Peer {
    Peer::Worker {
        launch,
        pool: pool.to_owned(),
        language: "test".into(),
        functions: vec![Function {
            name: "f".into(),
            min_args: 0,
            max_args: None,
            actor: false,
            signature: String::new(),
        }],
        formats: Vec::new(),
        shared_memory: true,
        pid: 2,
    }
}

/// `f` on one processor, in a pool or in any.
pub fn declaration(pool: Option<String>) -> Declaration {
    Declaration {
        function: "f".into(),
        signature: String::new(),
        code: None,
        pool,
        resources: Resources::cpus(1),
        returns: Returns::Fixed(1),
        max_retries: Retries::Limited(3),
        retry_exceptions: false,
        retry_types: Vec::new(),
        name: "f".into(),
        stream_window: 0,
        accepts: Vec::new(),
        deadline: None,
        placement: None,
        affinity: None,
        spread: false,
    }
}
