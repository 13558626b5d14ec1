//! The `thornback` binary: flags, configuration, telemetry and wiring. It holds no logic of the runtime.
//!
//! - `dev` runs a node in the foreground; when it ends, nothing is left.
//! - `start` and `stop` run one in the background.
//! - `status` and `list` ask a running node, over its Unix socket.
//! - `gen` writes typed clients and workers of an interface, and needs no node.

#![deny(unsafe_code)]

mod allocator;
mod ask;
mod background;
mod flags;
mod generate;
mod list;
mod node;
mod place;
mod pools;
mod ports;
mod status;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

use flags::{Command, Flags};

/// One sentence or two for the person at the terminal: what happened, and what to do next.
type Result<T = ()> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let flags = Flags::parse();
    let outcome = match flags.command {
        Command::Dev(dev) => node::run(&dev, &flags.telemetry),
        Command::Start(start) => background::start(&start, &flags.telemetry),
        Command::Stop(stop) => background::stop(&stop),
        Command::Status(status) => status::show(&status),
        Command::List(list) => list::show(&list),
        Command::Gen(gen_) => generate::run(&gen_),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
