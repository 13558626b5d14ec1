//! The SDK against the real server: every test starts a node of its own, whose workers are this test program.
//!
//! The server must have been built before (`cargo build -p thornback-server`), as it is by `cargo xtask test`.

mod actors;
mod functions;
mod interface;
mod objects;
mod placement;
mod sessions;
mod streams;
mod support;
mod tasks;

/// Not a test, but the worker that the others' nodes start: this program again, with nothing else selected.
#[test]
fn worker_process() {
    if thornback::Worker::is_launched() {
        support::serve();
    }
}
