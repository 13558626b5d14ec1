//! Thornback for Rust programs: submit tasks, call actors and share objects as a driver, or serve them as a worker.
