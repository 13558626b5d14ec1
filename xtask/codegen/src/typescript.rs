//! The TypeScript messages, made by `protoc-gen-es` of the version that the SDK's `package.json` pins.
//!
//! It is a tool of the SDK, and has to be in `sdks/ts/node_modules` already.

use std::path::Path;
use std::process::Command;

use prost_types::FileDescriptorSet;

use crate::output::Output;
use crate::{Result, plugin};

const SDK: &str = "sdks/ts";

/// Makes `sdks/ts/src/gen/`.
pub(crate) fn generate(root: &Path, schemas: &FileDescriptorSet, output: &mut Output) -> Result {
    let program = root.join(SDK).join("node_modules/.bin/protoc-gen-es");
    if !program.is_file() {
        return Err(format!("{} is not there; run `npm ci` in {SDK}", program.display()));
    }
    let response = plugin::run(Command::new(program), schemas, "target=ts,import_extension=js")?;
    for file in response.file {
        output.file(&format!("{SDK}/src/gen/{}", file.name()), file.content().as_bytes())?;
    }
    Ok(())
}
