//! The protobuf schemas and the Rust made from them: messages in one file, gRPC services in another, so that a
//! program without gRPC builds without tonic.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use prost_build::{Service, ServiceGenerator};
use prost_types::FileDescriptorSet;

use crate::Result;
use crate::output::Output;

/// The schemas, relative to `protocol/proto`.
pub(crate) const FILES: &[&str] = &[
    "thornback/v1/actor.proto",
    "thornback/v1/control.proto",
    "thornback/v1/failure.proto",
    "thornback/v1/object.proto",
    "thornback/v1/session.proto",
    "thornback/v1/task.proto",
    "thornback/v1/value.proto",
    "thornback/v1/worker.proto",
];

const HEADER: &str = "// Generated from protocol/proto by `cargo xtask gen`. Do not edit.\n\n";

/// Fields kept behind a pointer: large and rare, they would otherwise make every operation of a frame as large as they are.
const BOXED: &[&str] = &[
    "ClientOp.op.hello",
    "ClientOp.op.goodbye",
    "ClientOp.op.declare",
    "ClientOp.op.create_actor",
    "ClientOp.op.request",
    "ClientOp.op.yield",
    "ClientOp.op.actor_exit",
    "ServerOp.op.welcome",
    "ServerOp.op.goodbye",
    "ServerOp.op.refused",
    "ServerOp.op.declare",
    "ServerOp.op.stream_end",
    "ServerOp.op.reply",
    "ServerOp.op.log",
    "ServerOp.op.notice",
    "Completion.outcome.failure",
    "Created.outcome.failure",
    "Located.outcome.failure",
    "Done.failure",
    "Run.setup",
    "Failure.exception",
    "Request.request.create_actor",
    "Request.request.declare_pool",
    "Reply.reply.failure",
    "Reply.reply.status",
];

/// Reads and links the schemas.
pub(crate) fn compile(root: &Path) -> Result<FileDescriptorSet> {
    let folder = root.join("protocol/proto");
    let listed = fs::read_dir(folder.join("thornback/v1"))
        .map_err(|e| format!("{} cannot be listed: {e}", folder.display()))?;
    for entry in listed.flatten() {
        let name = format!("thornback/v1/{}", entry.file_name().to_string_lossy());
        if name.ends_with(".proto") && !FILES.contains(&name.as_str()) {
            return Err(format!("{name} is not in the list FILES of xtask/codegen/src/protobuf.rs"));
        }
    }
    protox::compile(FILES, [folder]).map_err(|e| format!("the schemas do not compile: {e:?}"))
}

/// Makes `protocol/wire/src/gen/`.
pub(crate) fn generate(schemas: &FileDescriptorSet, output: &mut Output) -> Result {
    let services = Arc::new(Mutex::new(String::new()));
    let mut config = prost_build::Config::new();
    config.bytes(["."]).btree_map(["."]).service_generator(Box::new(Apart(
        services.clone(),
        tonic_prost_build::configure().build_transport(false).service_generator(),
    )));
    for field in BOXED {
        config.boxed(format!(".thornback.v1.{field}"));
    }
    let modules = schemas
        .file
        .iter()
        .map(|file| (prost_build::Module::from_protobuf_package_name(file.package()), file.clone()))
        .collect();
    let generated = config.generate(modules).map_err(|e| format!("no Rust could be generated: {e}"))?;
    let [messages] = generated.values().collect::<Vec<_>>()[..] else {
        return Err("all schemas should be of one package".to_owned());
    };
    output.file("protocol/wire/src/gen/messages.rs", format!("{HEADER}{messages}").as_bytes())?;

    let services = services.lock().map_err(|_| "the generator of services panicked")?;
    output.file("protocol/wire/src/gen/services.rs", format!("{HEADER}{services}").as_bytes())
}

/// Lets tonic generate as it likes, but into a text of our own rather than among the messages.
struct Apart(Arc<Mutex<String>>, Box<dyn ServiceGenerator>);

impl ServiceGenerator for Apart {
    fn generate(&mut self, service: Service, _messages: &mut String) {
        let mut text = String::new();
        self.1.generate(service, &mut text);
        self.1.finalize(&mut text);
        if let Ok(mut services) = self.0.lock() {
            services.push_str(&text);
        }
    }
}
