//! Shows the Rust SDK to the conformance suite: `thornback-testee driver` or `thornback-testee worker` (see `conformance/docs/testee.md`).
//!
//! It judges nothing and repairs nothing. What it does with the SDK is what a user could do.

mod driver;
mod value;
mod worker;

use std::process::ExitCode;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match std::env::args().next_back().as_deref() {
        Some("driver") => driver::drive().await,
        Some("worker") => {
            if let Err(error) = worker::serve().await {
                eprintln!("{error:?}");
                return ExitCode::FAILURE;
            }
        }
        _ => {
            eprintln!("the last argument is driver or worker; see conformance/docs/testee.md");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
