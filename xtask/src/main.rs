//! All commands of the repository: `cargo xtask <command>`.
//!
//! It starts other programs and reads the working tree; it never links a crate of ours, so a broken crate cannot
//! keep it from saying so, and the quickstart does not wait for more than it needs.
//!
//! - [`quickstart`]: build, start, run the main job, leave nothing behind.
//! - [`polyglot`]: one pipeline through workers in four languages.
//! - [`mod@test`]: every test, lint and format check of every language; [`house`] holds the rules of the repository itself.
//! - [`mod@bench`]: Thornback and a peer, in turn, on this machine.
//! - [`conformance`]: the suite that judges the server and the SDKs.
//! - [`generate`]: the checked-in generated code, made or compared.
//! - [`fmt`]: format everything.
//! - [`wheel`]: the Python SDK with the server inside, so that `pip install` is enough.
//!
//! Beneath them: [`repo`] (the working tree), [`run`] (programs), [`venv`] (Python environments under `target/`),
//! [`npm`] (the TypeScript SDK's tools).

mod bench;
mod conformance;
mod fmt;
mod generate;
mod house;
mod npm;
mod polyglot;
mod quickstart;
mod repo;
mod run;
mod test;
mod venv;
mod wheel;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "All commands of the Thornback repository",
    disable_version_flag = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build what is needed, start a runtime, run the main job on real input, leave nothing running.
    Quickstart(quickstart::Args),
    /// Run one pipeline through workers in four languages, from a driver in each.
    Polyglot(polyglot::Args),
    /// Run all tests, lints and format checks of all languages.
    Test(test::Args),
    /// Run Thornback and a peer in turn on this machine and print ours, theirs, the ratio and the limit.
    Bench(bench::Args),
    /// Judge the server and our SDKs by the conformance suite.
    Conformance(conformance::Args),
    /// Make the checked-in generated code again, or check that it is fresh.
    Gen(generate::Args),
    /// Format all code of all languages.
    Fmt(fmt::Args),
    /// Build a wheel of the Python SDK that carries the server.
    Wheel,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = repo::Repo::find().and_then(|repo| match cli.command {
        Command::Quickstart(args) => quickstart::main(&repo, &args),
        Command::Polyglot(args) => polyglot::main(&repo, &args),
        Command::Test(args) => test::main(&repo, &args),
        Command::Bench(args) => bench::main(&repo, &args),
        Command::Conformance(args) => conformance::main(&repo, &args),
        Command::Gen(args) => generate::main(&repo, &args),
        Command::Fmt(args) => fmt::main(&repo, &args),
        Command::Wheel => wheel::main(&repo),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
