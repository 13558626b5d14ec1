//! The Go messages, made by `protoc-gen-go` of the version that the SDK's `go.mod` pins.

use std::path::{Path, PathBuf};
use std::process::Command;

use prost_types::FileDescriptorSet;

use crate::output::Output;
use crate::{Result, plugin, protobuf};

/// The SDK's module, and the package in it that holds generated code.
const MODULE: &str = "thornback.dev/go";
const PACKAGE: &str = "thornback.dev/go/internal/pb";
const SDK: &str = "sdks/go";
const PLUGIN: &str = "google.golang.org/protobuf/cmd/protoc-gen-go";

const HEADER: &str = "// Generated from protocol/ by `cargo xtask gen`. Do not edit.\n\n";

/// Makes `sdks/go/internal/pb/`.
pub(crate) fn generate(root: &Path, schemas: &FileDescriptorSet, output: &mut Output) -> Result {
    let program = build_plugin(root)?;
    let mut parameter = format!("module={MODULE}");
    for file in protobuf::FILES {
        parameter.push_str(&format!(",M{file}={PACKAGE}"));
    }
    let response = plugin::run(Command::new(&program), schemas, &parameter)?;
    for file in response.file {
        output.file(&format!("{SDK}/{}", file.name()), format!("{HEADER}{}", file.content()).as_bytes())?;
    }
    Ok(())
}

/// Builds the plugin from the module cache, as a program under `target/`.
fn build_plugin(root: &Path) -> Result<PathBuf> {
    let plugin = root.join("target/codegen-go/protoc-gen-go");
    let mut command = Command::new("go");
    command.args(["build", "-o"]).arg(&plugin).arg(PLUGIN).current_dir(root.join(SDK));
    let words = format!("{command:?}");
    match command.output() {
        Ok(output) if output.status.success() => Ok(plugin),
        Ok(output) => Err(format!("{words} failed:\n{}", String::from_utf8_lossy(&output.stderr))),
        Err(e) => Err(format!(
            "{words} could not be started ({e}); Go 1.25 or newer is needed for the Go SDK (https://go.dev/dl)"
        )),
    }
}
