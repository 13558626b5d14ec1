//! The Python messages and their type stubs, made by the `protoc` of a pinned grpcio-tools.
//!
//! `protoc` writes imports for a package `thornback.v1` at the top of the path. The SDK keeps its generated modules to
//! itself, in `thornback._gen`, so those imports are rewritten.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use prost_types::FileDescriptorSet;

use crate::output::Output;
use crate::{Result, protobuf};

/// Decides which protobuf runtimes can load the result: this one needs 6.31.1 or newer, and works with 7.
const TOOLS: &str = "grpcio-tools==1.76.0";
/// Where the SDK keeps generated code.
const FOLDER: &str = "sdks/python/src/thornback/_gen";

const HEADER: &str = "# Generated from protocol/ by `cargo xtask gen`. Do not edit.\n";

/// Makes the protobuf part of `sdks/python/src/thornback/_gen/`.
pub(crate) fn generate(root: &Path, _schemas: &FileDescriptorSet, output: &mut Output) -> Result {
    let python = environment(root)?;
    let made = root.join("target/codegen-python/generated");
    let _ = fs::remove_dir_all(&made);
    fs::create_dir_all(&made).map_err(|e| format!("{} cannot be made: {e}", made.display()))?;
    let include = root.join("protocol/proto");
    run(Command::new(&python)
        .args(["-m", "grpc_tools.protoc", "-I"])
        .arg(&include)
        .arg(format!("--python_out={}", made.display()))
        .arg(format!("--pyi_out={}", made.display()))
        .args(protobuf::FILES))?;

    output.file(
        &format!("{FOLDER}/__init__.py"),
        format!("{HEADER}\"\"\"Code generated from the schemas of the protocol.\"\"\"\n").as_bytes(),
    )?;
    for file in protobuf::FILES {
        let stem = file.trim_end_matches(".proto");
        for suffix in ["_pb2.py", "_pb2.pyi"] {
            let path = made.join(format!("{stem}{suffix}"));
            let text =
                fs::read_to_string(&path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
            let text = text.replace("from thornback.v1 import ", "from thornback._gen import ");
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            output.file(&format!("{FOLDER}/{name}"), format!("{HEADER}{text}").as_bytes())?;
        }
    }
    Ok(())
}

/// The interpreter of an environment that has the tools, made when it is first needed.
fn environment(root: &Path) -> Result<PathBuf> {
    let folder = root.join("target/codegen-python");
    let python = folder.join("bin/python");
    let stamp = folder.join("installed.stamp");
    if python.exists() && fs::read_to_string(&stamp).is_ok_and(|found| found == TOOLS) {
        return Ok(python);
    }
    let base = std::env::var("THORNBACK_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    run(Command::new(base).args(["-m", "venv"]).arg(&folder))?;
    run(Command::new(&python).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        TOOLS,
    ]))?;
    fs::write(&stamp, TOOLS).map_err(|e| format!("{} cannot be written: {e}", stamp.display()))?;
    Ok(python)
}

fn run(command: &mut Command) -> Result {
    let words = format!("{command:?}");
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{words} failed:\n{}", String::from_utf8_lossy(&output.stderr))),
        Err(e) => Err(format!(
            "{words} could not be started ({e}); Python 3.10 or newer with its venv module is needed \
             (Debian: apt-get install python3 python3-venv)"
        )),
    }
}
