//! Plugins of `protoc`, run without it: the schemas are compiled already, and a plugin takes them as a `CodeGeneratorRequest` on
//! its standard input.

use std::io::Write;
use std::process::{Command, Stdio};

use prost::Message;
use prost_types::FileDescriptorSet;
use prost_types::compiler::{CodeGeneratorRequest, CodeGeneratorResponse};

use crate::{Result, protobuf};

/// What a plugin makes of all our files.
pub(crate) fn run(
    mut plugin: Command,
    schemas: &FileDescriptorSet,
    parameter: &str,
) -> Result<CodeGeneratorResponse> {
    let name = format!("{:?}", plugin.get_program());
    let request = CodeGeneratorRequest {
        file_to_generate: protobuf::FILES.iter().map(|&file| file.to_owned()).collect(),
        parameter: Some(parameter.to_owned()),
        proto_file: schemas.file.clone(),
        compiler_version: None,
    };
    let answer = exchange(&mut plugin, &request.encode_to_vec())
        .map_err(|e| format!("{name} could not be run: {e}"))?;
    let response = CodeGeneratorResponse::decode(&answer[..])
        .map_err(|e| format!("{name} answered what cannot be read: {e}"))?;
    match response.error {
        Some(error) => Err(format!("{name} refused the schemas: {error}")),
        None => Ok(response),
    }
}

fn exchange(plugin: &mut Command, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut child = plugin.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // It reads everything before it writes anything, so neither side waits for the other.
        stdin.write_all(request)?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(std::io::Error::other(output.status.to_string()))
    }
}
