//! Generates the checked-in code from the schemas under `protocol/`. Run it through `cargo xtask gen`.
//!
//! Everything is generated in memory first; then it is written, or, with `--check`, compared with what is checked in.
//! What is read is only the schemas, so the same schemas give the same bytes on every machine.
//!
//! - [`protobuf`]: Rust messages and services.
//! - [`python`]: Python messages, made by a pinned `protoc` in a virtual environment under `target/`.
//! - [`go`]: Go messages, made by the `protoc-gen-go` that the SDK's `go.mod` pins.
//! - [`typescript`]: TypeScript messages, made by the `protoc-gen-es` that the SDK's `package.json` pins.
//! - [`flatbuffers`]: Rust and Python readers of the object header, made by a `flatc` that is given by hand.
//! - [`released`]: the descriptor set of the last release, and whether the schemas still keep its promises.

mod flatbuffers;
mod go;
mod output;
mod plugin;
mod protobuf;
mod python;
mod released;
mod typescript;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use output::Output;

/// Nothing, or one message for the person at the terminal.
type Result<T = ()> = std::result::Result<T, String>;

const USAGE: &str = "\
usage: cargo run -p xtask-codegen -- [--check] [--no-python] [--no-go] [--no-typescript] [--flatc PATH] [--release]
  --check       write nothing; fail if anything checked in differs from what the schemas give
  --no-python   leave out what needs a Python environment
  --no-go       leave out what needs Go
  --no-typescript
                leave out what needs Node.js
  --flatc PATH  the flatc (version 25.12) to use; needed only after protocol/flatbuffers/ changed
  --release     take the schemas as the new release that later ones are compared with";

/// The arguments.
#[derive(Default)]
struct Args {
    check: bool,
    no_python: bool,
    no_go: bool,
    no_typescript: bool,
    flatc: Option<PathBuf>,
    release: bool,
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)).and_then(|args| generate(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Args> {
    let mut args = Args::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--check" => args.check = true,
            "--no-python" => args.no_python = true,
            "--no-go" => args.no_go = true,
            "--no-typescript" => args.no_typescript = true,
            "--release" => args.release = true,
            "--flatc" => args.flatc = Some(words.next().ok_or(USAGE)?.into()),
            other => return Err(format!("unknown argument {other:?}\n{USAGE}")),
        }
    }
    if args.check && (args.release || args.flatc.is_some()) {
        return Err(format!("--check writes nothing, so it goes alone\n{USAGE}"));
    }
    Ok(args)
}

fn generate(args: &Args) -> Result {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .ok_or("this package does not lie in the repository's xtask/codegen")?;
    let schemas = protobuf::compile(root)?;
    let mut output = Output::new(root, args.check);

    protobuf::generate(&schemas, &mut output)?;
    if !args.no_python {
        python::generate(root, &schemas, &mut output)?;
    }
    if !args.no_go {
        go::generate(root, &schemas, &mut output)?;
    }
    if !args.no_typescript {
        typescript::generate(root, &schemas, &mut output)?;
    }
    flatbuffers::generate(root, args.flatc.as_deref(), &mut output)?;
    if args.release {
        released::release(&schemas, &mut output)?;
    } else {
        released::compare(root, &schemas)?;
    }
    output.finish()
}
