//! The object header: Rust for the wire crate, Python for the SDK.
//!
//! `flatc` must be of the version of the flatbuffers crate, and no distribution has that one. Building it from source
//! takes minutes, so it is not part of every build: the generated files record a fingerprint of the schema, which is
//! enough to see that they are stale, and whoever changes the schema gives a `flatc` (protocol/README.md says how to get it).

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::output::Output;

const SCHEMA: &str = "protocol/flatbuffers/object_header.fbs";
const RUST: &str = "protocol/wire/src/gen/object_header.rs";
/// Of the Python SDK's tests: the SDK itself reads this one table by hand, because the library is slow to import.
const PYTHON: &str = "sdks/python/tests/_gen/object_header.py";
/// The version that the flatbuffers crate (see the root's Cargo.toml) and the Python package agree with.
const FLATC_VERSION: &str = "flatc version 25.12.19";

/// Checks, or with a `flatc` makes, the code for the object header.
pub(crate) fn generate(root: &Path, flatc: Option<&Path>, output: &mut Output) -> Result {
    let path = root.join(SCHEMA);
    let schema = fs::read(&path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    let mark = format!("schema {:016x}, {FLATC_VERSION}", fingerprint(&schema));
    let Some(flatc) = flatc else {
        for file in [RUST, PYTHON] {
            let fresh = fs::read_to_string(root.join(file)).is_ok_and(|text| text.contains(&mark));
            if !fresh {
                output.stale(
                    file,
                    "made from another schema; run `cargo run -p xtask-codegen -- --flatc PATH`",
                );
            }
        }
        return Ok(());
    };

    let made = root.join("target/codegen-flatc");
    let _ = fs::remove_dir_all(&made);
    run(Command::new(flatc).arg("--version")).and_then(|said| {
        if said.trim() == FLATC_VERSION { Ok(()) } else { Err(format!("{said} is not {FLATC_VERSION}")) }
    })?;
    run(Command::new(flatc).args(["--rust", "-o"]).arg(&made).arg(&path))?;
    run(Command::new(flatc)
        .args(["--python", "--gen-onefile", "--python-typing", "-o"])
        .arg(&made)
        .arg(&path))?;
    let header = format!("Generated from {SCHEMA} ({mark})\n");
    for (from, to, comment) in
        [("object_header_generated.rs", RUST, "//"), ("object_header_generated.py", PYTHON, "#")]
    {
        let from = made.join(from);
        let text =
            fs::read_to_string(&from).map_err(|e| format!("{} cannot be read: {e}", from.display()))?;
        let how = format!("{comment} by `cargo run -p xtask-codegen -- --flatc PATH`. Do not edit.\n\n");
        output.file(to, format!("{comment} {header}{how}{text}").as_bytes())?;
    }
    Ok(())
}

/// FNV-1a: it needs to notice an edit, not an attacker.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn run(command: &mut Command) -> Result<String> {
    let words = format!("{command:?}");
    match command.output() {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => Err(format!("{words} failed:\n{}", String::from_utf8_lossy(&output.stderr))),
        Err(e) => Err(format!("{words} could not be started: {e}")),
    }
}
