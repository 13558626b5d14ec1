//! `thornback dev`: from flags to a running node, and back to nothing.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use serde_json::json;
use thornback_node::{Config, Ended, Environment, Listening};
use thornback_transport::Directory;
use thornback_types::{Resources, UNITS_PER_WHOLE};

use crate::flags::{Dev, Telemetry};
use crate::ports::PortsFile;
use crate::{Result, allocator, place, pools, telemetry};

/// Runs a node until a signal, the end of standard input or a `Stop` request ends it.
pub(crate) fn run(dev: &Dev, flags: &Telemetry) -> Result {
    if dev.background {
        // Away from the terminal of whoever started us. It fails only for a process that leads a group, and then nothing is lost.
        let _ = rustix::process::setsid();
    }
    telemetry::start(flags)?;
    let config = config(dev)?;
    let mut ports = None;
    let ended = thornback_node::run(config, |listening| {
        if let Some(path) = &dev.ports_file {
            let written = PortsFile::write(path, listening);
            ports = Some(
                written.map_err(|error| format!("cannot write --ports-file {}: {error}", path.display()))?,
            );
        }
        if dev.background {
            announce_to_parent(listening)
        } else {
            announce_to_person(dev, listening);
            Ok(())
        }
    });
    drop(ports);
    match ended.map_err(|error| error.to_string())? {
        Ended::Asked => Ok(()),
        // As the shell expects of a program that a signal ended.
        Ended::Signal(signal) if dev.background || signal == Ended::TERMINATE => Ok(()),
        Ended::Signal(signal) => process::exit(128 + signal),
    }
}

fn config(dev: &Dev) -> Result<Config> {
    let node = &dev.node;
    let cpus = node.num_cpus.unwrap_or_else(|| {
        let usable = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        usable as u64 * UNITS_PER_WHOLE
    });
    let resources = node
        .resources
        .clone()
        .unwrap_or_default()
        .with(Resources::CPU, cpus)
        .with(Resources::GPU, node.num_gpus);
    let spill_directory = match &node.spill_dir {
        Some(given) => given.clone(),
        None => {
            // In a directory that all may write to, somebody else may have made it.
            let ours = place::of_spill();
            Directory::private(&ours).map_err(|error| format!("{error}, or give a --spill-dir"))?;
            ours
        }
    };
    let pools = node.pools.as_deref().map(pools::read).transpose()?.unwrap_or_default();
    Ok(Config {
        directory: node.dir.clone().unwrap_or_else(place::of_dev),
        grpc: (!node.no_grpc).then_some(SocketAddr::new(node.grpc_address, node.grpc_port)),
        resources,
        memory_bytes: node.memory,
        worker_memory_limit: node.worker_memory_limit,
        store_bytes: node.store_bytes,
        backlog_bytes: node.backlog_bytes,
        spill_directory,
        grace: Duration::from_millis(node.grace_ms),
        pools,
        // A node in the foreground is somebody's own, who expects workers to see what they themselves see.
        environment: if dev.background { Environment::Minimal } else { Environment::Inherited },
        exit_with_stdin: dev.exit_with_stdin,
        version: env!("CARGO_PKG_VERSION"),
        on_quiet: allocator::give_back,
    })
}

/// The line that `thornback start` waits for.
fn announce_to_parent(listening: &Listening) -> std::result::Result<(), String> {
    let line = json!({ "unix": listening.unix, "grpc": listening.grpc.map(|address| address.to_string()) });
    println!("{line}");
    // Nobody reads what comes after.
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null");
    null.and_then(|null| Ok(rustix::stdio::dup2_stdout(&null)?))
        .map_err(|error| format!("cannot let go of standard output: {error}"))
}

fn announce_to_person(dev: &Dev, listening: &Listening) {
    if dev.ports_file.is_some() {
        return;
    }
    eprintln!("thornback: listening on unix:{}", listening.unix.display());
    if let Some(address) = listening.grpc {
        eprintln!(
            "thornback: listening on {address} (gRPC; the token is in {})",
            listening.token_file.display()
        );
    }
    let directory: PathBuf = listening.unix.parent().map_or_else(PathBuf::new, PathBuf::from);
    eprintln!(
        "thornback: `thornback status --dir {}` shows what it does; Ctrl-C ends it",
        directory.display()
    );
}
