//! The Go messages, made by `protoc-gen-go` of the version that the SDK's `go.mod` pins.
//!
//! No `protoc` is needed: the schemas are compiled already, and a plugin takes them as a `CodeGeneratorRequest` on its
//! standard input.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use prost::Message;
use prost_types::FileDescriptorSet;
use prost_types::compiler::{CodeGeneratorRequest, CodeGeneratorResponse};

use crate::output::Output;
use crate::{Result, protobuf};

/// The SDK's module, and the package in it that holds generated code.
const MODULE: &str = "thornback.dev/go";
const PACKAGE: &str = "thornback.dev/go/internal/pb";
const SDK: &str = "sdks/go";
const PLUGIN: &str = "google.golang.org/protobuf/cmd/protoc-gen-go";

const HEADER: &str = "// Generated from protocol/ by `cargo xtask gen`. Do not edit.\n\n";

/// Makes `sdks/go/internal/pb/`.
pub(crate) fn generate(root: &Path, schemas: &FileDescriptorSet, output: &mut Output) -> Result {
    let plugin = build_plugin(root)?;
    let mut parameter = format!("module={MODULE}");
    for file in protobuf::FILES {
        parameter.push_str(&format!(",M{file}={PACKAGE}"));
    }
    let request = CodeGeneratorRequest {
        file_to_generate: protobuf::FILES.iter().map(|&file| file.to_owned()).collect(),
        parameter: Some(parameter),
        proto_file: schemas.file.clone(),
        compiler_version: None,
    };
    let answer = run_plugin(&plugin, &request.encode_to_vec())?;
    let response = CodeGeneratorResponse::decode(&answer[..])
        .map_err(|e| format!("{} answered what cannot be read: {e}", plugin.display()))?;
    if let Some(error) = response.error {
        return Err(format!("{} refused the schemas: {error}", plugin.display()));
    }
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

fn run_plugin(plugin: &Path, request: &[u8]) -> Result<Vec<u8>> {
    let fail = |e: std::io::Error| format!("{} could not be run: {e}", plugin.display());
    let mut child =
        Command::new(plugin).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(fail)?;
    if let Some(mut stdin) = child.stdin.take() {
        // It reads everything before it writes anything, so neither side waits for the other.
        stdin.write_all(request).map_err(fail)?;
    }
    let output = child.wait_with_output().map_err(fail)?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("{} failed: {}", plugin.display(), output.status))
    }
}
