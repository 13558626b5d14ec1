//! The flags, their defaults, and the amounts that they take.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use thornback_types::{Amount, Resources, UNITS_PER_WHOLE};

/// Tasks, actors and objects for programs in any language.
#[derive(Debug, Parser)]
#[command(name = "thornback", version, disable_help_subcommand = true)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) telemetry: Telemetry,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a node in the foreground. Ctrl-C ends it and leaves nothing behind.
    Dev(Box<Dev>),
    /// Run a node in the background.
    Start(Box<Start>),
    /// End the node that runs in the background.
    Stop(Stop),
    /// Show what a node has and does.
    Status(Ask),
    /// List live tasks, actors, objects, workers, pools or sessions.
    List(List),
    /// Write typed clients and workers of a WIT interface.
    Gen(Gen),
}

#[derive(Debug, Args)]
#[command(after_help = "Example: thornback gen --lang python --out src shop.wit")]
pub(crate) struct Gen {
    /// The interface: a WIT file with a package and its interfaces.
    #[arg(value_name = "FILE.wit")]
    pub(crate) file: PathBuf,
    /// The language to write.
    #[arg(long, value_parser = language)]
    pub(crate) lang: thornback_gen::Lang,
    /// Directory for what is written, made if it is missing [default: standard output]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Write nothing; fail if a file in --out is missing or not what would be written.
    #[arg(long, requires = "out")]
    pub(crate) check: bool,
    /// Print {"files": [{"path", "state"}]} as JSON; a file's state is "written", "unchanged" or "stale".
    #[arg(long, requires = "out")]
    pub(crate) json: bool,
}

fn language(name: &str) -> Result<thornback_gen::Lang, String> {
    let known = thornback_gen::Lang::ALL;
    known.iter().find(|(known, _)| *known == name).map(|(_, lang)| *lang).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        format!("there is {}", names.join(", "))
    })
}

#[derive(Debug, Args)]
pub(crate) struct Telemetry {
    /// What to log to standard error: error, warn, info, debug or trace, also per module ("info,thornback_node=debug").
    #[arg(long, global = true, value_name = "FILTER", default_value = "warn")]
    pub(crate) log_level: String,
    /// How to write it.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Dev {
    #[command(flatten)]
    pub(crate) node: Node,
    /// Write {"unix", "grpc", "token_file", "pid"} to this file as soon as the node listens. It appears whole or not at all.
    #[arg(long, value_name = "PATH")]
    pub(crate) ports_file: Option<PathBuf>,
    /// End when standard input ends: a program that holds the other end takes the node with it, however it ends itself.
    #[arg(long)]
    pub(crate) exit_with_stdin: bool,
    /// How `thornback start` runs it: in a session of its own, telling on standard output when it listens.
    #[arg(long, hide = true)]
    pub(crate) background: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Start {
    #[command(flatten)]
    pub(crate) node: Node,
}

#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// Directory of the node [default: that of `thornback start`]
    #[arg(long, value_name = "PATH")]
    pub(crate) dir: Option<PathBuf>,
    /// Do not wait for workers to end by themselves.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Ask {
    /// Directory of the node [default: that of `thornback start`]
    #[arg(long, value_name = "PATH")]
    pub(crate) dir: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// What to list.
    #[arg(value_enum)]
    pub(crate) kind: Kind,
    /// Most rows to show.
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) ask: Ask,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Calls that wait or run.
    Tasks,
    /// Actors that are not dead.
    Actors,
    /// Objects that somebody refers to.
    Objects,
    /// Worker processes.
    Workers,
    /// Pools and how they start workers.
    Pools,
    /// Drivers and workers that are connected, or may come back.
    Sessions,
}

impl Kind {
    /// The name in the protocol.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Tasks => "tasks",
            Kind::Actors => "actors",
            Kind::Objects => "objects",
            Kind::Workers => "workers",
            Kind::Pools => "pools",
            Kind::Sessions => "sessions",
        }
    }
}

/// What a node has, and where it listens.
#[derive(Debug, Args)]
pub(crate) struct Node {
    /// Directory for the socket, token and lock; only its owner may have rights to it [default: one of its own for `dev`;
    /// $XDG_RUNTIME_DIR/thornback or /tmp/thornback-UID for `start`]
    #[arg(long, value_name = "PATH")]
    pub(crate) dir: Option<PathBuf>,
    /// CPUs to schedule on, to 0.0001 [default: those that this process may use]
    #[arg(long, value_name = "N", value_parser = amount)]
    pub(crate) num_cpus: Option<Amount>,
    /// GPUs to schedule on, to 0.0001
    #[arg(long, value_name = "N", value_parser = amount, default_value = "0")]
    pub(crate) num_gpus: Amount,
    /// Memory that tasks may ask for, such as 8GiB [default: 70 % of what the machine or its cgroup has, less the store]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) memory: Option<u64>,
    /// Memory that workers may take together before one of them is ended, such as 8GiB [default: what the machine or its cgroup has]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) worker_memory_limit: Option<u64>,
    /// Custom resources: a JSON object of names and amounts, such as '{"licence": 2}'
    #[arg(long, value_name = "JSON", value_parser = resources)]
    pub(crate) resources: Option<Resources>,
    /// Size of the shared-memory object store, such as 4GiB [default: 30 % of memory]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) store_bytes: Option<u64>,
    /// Calls that drivers may have submitted and that have not ended, such as 1GiB; who submits more waits [default: a sixteenth of memory, from 64 MiB to
    /// 1 GiB]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) backlog_bytes: Option<u64>,
    /// Where objects go that the store has no room for; 256 MiB of its disk are left free [default: a directory of its own in $TMPDIR or /tmp]
    #[arg(long, value_name = "PATH")]
    pub(crate) spill_dir: Option<PathBuf>,
    /// TCP port of the gRPC carrier on 127.0.0.1; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) grpc_port: u16,
    /// Address of the gRPC carrier. Only a loopback address is accepted.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1", conflicts_with = "no_grpc")]
    pub(crate) grpc_address: std::net::IpAddr,
    /// Do not listen on TCP.
    #[arg(long, conflicts_with = "grpc_port")]
    pub(crate) no_grpc: bool,
    /// How long a session outlives its connection, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 3000)]
    pub(crate) grace_ms: u64,
    /// Pools that are there from the start: a JSON array of {"name", "language", "command", …} as in the protocol's DeclarePool.
    #[arg(long, value_name = "FILE")]
    pub(crate) pools: Option<PathBuf>,
}

/// A number of CPUs or the like, in units of 1/10000.
fn amount(text: &str) -> Result<Amount, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    units(number)
}

fn units(number: f64) -> Result<Amount, String> {
    let units = (number * UNITS_PER_WHOLE as f64).round();
    // Beyond 2^53 not every whole number is one; no machine has so much of anything.
    if !(0.0..=9e15).contains(&units) {
        return Err(format!("{number} is not an amount: from 0 to 9e11"));
    }
    if ((units / UNITS_PER_WHOLE as f64) - number).abs() > 1e-9 * number.max(1.0) {
        return Err(format!("{number} is finer than 0.0001"));
    }
    Ok(units as Amount)
}

/// A number of bytes, with or without a unit.
fn bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 13] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("k", 1 << 10),
        ("m", 1 << 20),
        ("g", 1 << 30),
        ("t", 1 << 40),
        ("B", 1),
    ];
    let text = text.trim();
    let ends = |unit: &str| {
        text.len() > unit.len()
            && text.is_char_boundary(text.len() - unit.len())
            && text[text.len() - unit.len()..].eq_ignore_ascii_case(unit)
    };
    let (number, unit) = UNITS
        .iter()
        .find(|(unit, _)| ends(unit))
        .map_or((text, 1), |(unit, size)| (&text[..text.len() - unit.len()], *size));
    let wrong = || format!("{text:?} is not a number of bytes, such as 4GiB or 500000000");
    let number = number.trim();
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(unit).ok_or_else(wrong);
    }
    match number.parse::<f64>() {
        Ok(fraction) if (0.0..=9e15).contains(&(fraction * unit as f64)) => {
            Ok((fraction * unit as f64) as u64)
        }
        _ => Err(wrong()),
    }
}

fn resources(text: &str) -> Result<Resources, String> {
    let amounts: std::collections::BTreeMap<String, f64> = serde_json::from_str(text)
        .map_err(|error| format!("not a JSON object of names and numbers: {error}"))?;
    let mut resources = Resources::new();
    for (name, number) in amounts {
        if name.is_empty() {
            return Err("a resource without a name".to_owned());
        }
        if [Resources::CPU, Resources::GPU, Resources::MEMORY].contains(&name.as_str()) {
            return Err(format!("{name} has a flag of its own: --num-cpus, --num-gpus, --memory"));
        }
        resources.set(&name, units(number)?);
    }
    Ok(resources)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Flags::command().debug_assert();
    }

    #[test]
    fn amounts_are_exact_or_refused() {
        assert_eq!(amount("2"), Ok(20_000));
        assert_eq!(amount("0.0001"), Ok(1));
        assert_eq!(amount("0.3"), Ok(3_000));
        for wrong in ["-1", "nan", "inf", "two", "0.00001", "1e300"] {
            assert!(amount(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bytes_take_the_usual_units() {
        assert_eq!(bytes("1048576"), Ok(1 << 20));
        assert_eq!(bytes("4GiB"), Ok(4 << 30));
        assert_eq!(bytes("4 gib"), Ok(4 << 30));
        assert_eq!(bytes("1.5GB"), Ok(1_500_000_000));
        assert_eq!(bytes("2g"), Ok(2 << 30));
        assert_eq!(bytes("10B"), Ok(10));
        for wrong in ["", "GiB", "-1", "1 potato", "99999999999TiB", "é"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn resources_are_a_json_object() {
        assert_eq!(
            resources(r#"{"licence": 2, "half": 0.5}"#),
            Ok(Resources::new().with("licence", 20_000).with("half", 5_000))
        );
        for wrong in ["[]", "{", r#"{"CPU": 1}"#, r#"{"": 1}"#, r#"{"x": -1}"#] {
            assert!(resources(wrong).is_err(), "{wrong}");
        }
    }
}
