//! `cargo xtask bench`: Thornback and a peer on this machine, in turn, in one run.
//!
//! The programs are Python, in `bench/`, and the same for every system; this starts them (ours, the peer's, the limits,
//! ours, the peer's, …), takes the median of the rounds and prints the table. Absolute figures say little on a shared
//! machine; ratios taken in one run do.

mod table;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::npm::Npm;
use crate::repo::{Repo, Result};
use crate::run::Program;
use crate::test;
use crate::venv::Venv;
use table::Table;

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    alone: Option<Alone>,
    /// The system to measure beside Thornback.
    #[arg(long, value_enum, default_value_t = Peer::Ray)]
    against: Peer,
    /// Only rows whose name contains this (may be given more than once). Slow rows run only when named.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// How many seconds one row is repeated for in one round.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Write the rows to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the rows to this file, as a Markdown table with the machine and the versions above it.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Print the rows and run none.
    #[arg(long)]
    list: bool,
}

/// What is measured without a peer. Everything after the name goes to the program; `--help` says what it takes.
#[derive(clap::Subcommand)]
enum Alone {
    /// What a task costs as work grows: tasks queued, actors, drivers.
    #[command(disable_help_flag = true)]
    Scaling(Rest),
    /// Where the time of one task goes.
    #[command(disable_help_flag = true)]
    Waterfall(Rest),
    /// Many drivers that submit as fast as they can: memory, fairness, nothing lost.
    #[command(disable_help_flag = true)]
    Overload(Rest),
    /// The server's memory after a million tasks beside what it was after ten thousand.
    #[command(disable_help_flag = true)]
    Memory(Rest),
}

#[derive(clap::Args)]
struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    rest: Vec<String>,
}

impl Alone {
    fn program(&self) -> (&'static str, &[String]) {
        match self {
            Alone::Scaling(it) => ("bench/scaling.py", &it.rest),
            Alone::Waterfall(it) => ("bench/waterfall.py", &it.rest),
            Alone::Overload(it) => ("bench/overload.py", &it.rest),
            Alone::Memory(it) => ("bench/memory.py", &it.rest),
        }
    }
}

/// A system that people use today.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Peer {
    /// Ray, pinned, in an environment of its own.
    Ray,
    /// What Python brings along.
    Multiprocessing,
}

/// The systems, as `bench/main.py` names them.
const OURS: &str = "thornback";
const RAY: &str = "ray";
const MULTIPROCESSING: &str = "multiprocessing";
const LIMITS: &str = "limits";

/// The noun whose rows run programs of other SDKs than Python's.
const NATIVE: &str = "native";

const OUR_REQUIREMENTS: &str = "bench/requirements.txt";
const RAY_REQUIREMENTS: &str = "bench/requirements-ray.txt";

pub fn main(repo: &Repo, args: &Args) -> Result {
    if !(args.seconds.is_finite() && args.seconds > 0.0) {
        return Err("--seconds must be more than 0".to_owned());
    }
    let ours = our_venv(repo)?;
    if let Some(alone) = &args.alone {
        let (program, rest) = alone.program();
        return measure_alone(repo, &ours, program, rest, Profile::Release);
    }
    let mut table = Table::read(&list(repo, &ours)?)?;
    table.keep(&args.only)?;
    if args.list {
        table.print_names();
        return Ok(());
    }
    println!("building the server (release) and the environments …");
    let bench = Bench::build(repo, ours, &table, args.seconds, Profile::Release)?;
    let (peer, peer_venv) = match args.against {
        Peer::Ray => (RAY, Some(ray_venv(repo)?)),
        // The same interpreter and the same numpy as ours.
        Peer::Multiprocessing => (MULTIPROCESSING, None),
    };
    for round in 1..=args.rounds {
        for noun in table.nouns() {
            println!("round {round} of {}: {noun}", args.rounds);
            let mut order = [(OURS, &bench.ours), (peer, peer_venv.as_ref().unwrap_or(&bench.ours))];
            if round % 2 == 0 {
                // What one leaves behind may help the other, such as pages of memory that were just given back.
                order.reverse();
            }
            for (system, venv) in order {
                bench.measure(system, venv, &noun, &mut table)?;
            }
        }
        println!("round {round} of {}: limits", args.rounds);
        bench.measure(LIMITS, &bench.ours, LIMITS, &mut table)?;
    }
    table.print(peer);
    if let Some(path) = &args.json {
        table.write_json(path, peer)?;
    }
    if let Some(path) = &args.markdown {
        let version = match &peer_venv {
            Some(venv) => venv.program("python", repo.root()).args(["-c", PEER_VERSION]).capture()?,
            None => String::new(),
        };
        table.write_markdown(path, peer, &circumstances(repo, &bench.ours, &version)?)?;
    }
    Ok(())
}

const PEER_VERSION: &str = "import ray; print(f'Ray {ray.__version__}', end='')";

/// Where and with what it was measured, for people.
fn circumstances(repo: &Repo, venv: &Venv, peer: &str) -> Result<String> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map(|(_, name)| name);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let python = venv.program("python", repo.root()).args(["--version"]).capture()?;
    let commit = Program::new("git", repo.root()).args(["rev-parse", "--short", "HEAD"]).capture()?;
    let parts = [
        format!("{cpus} × {}", model.unwrap_or("an unknown processor")),
        format!("Linux {}", kernel.trim()),
        python.trim().to_owned(),
        peer.trim().to_owned(),
        format!("Thornback at {}", commit.trim()),
    ];
    Ok(parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ") + ".")
}

/// Runs every bench program for a moment, on the server of the debug build. It looks at no figure: a program that cannot
/// finish is what fails.
pub fn smoke(repo: &Repo) -> Result {
    let ours = our_venv(repo)?;
    let mut table = Table::read(&list(repo, &ours)?)?;
    table.keep(&[])?;
    let bench = Bench::build(repo, ours, &table, 0.05, Profile::Debug)?;
    for noun in table.nouns() {
        for system in [OURS, MULTIPROCESSING] {
            println!("{system}: {noun}");
            bench.measure(system, &bench.ours, &noun, &mut table)?;
        }
    }
    bench.measure(LIMITS, &bench.ours, LIMITS, &mut table)?;
    for (program, rest) in SHORT {
        println!("thornback: {program}");
        let rest: Vec<_> = rest.iter().map(|&argument| argument.to_owned()).collect();
        measure_alone(repo, &bench.ours, program, &rest, Profile::Debug)?;
    }
    let lacking = table.lacking(OURS);
    if lacking.is_empty() { Ok(()) } else { Err(format!("no figure came for: {}", lacking.join("; "))) }
}

/// The programs without a peer, as short as they come. Those that judge what they measure are not among them: in so short a time on a busy
/// machine they would judge the machine.
const SHORT: [(&str, &[&str]); 2] =
    [("bench/scaling.py", &["--quick"]), ("bench/waterfall.py", &["--tasks", "100"])];

fn measure_alone(repo: &Repo, venv: &Venv, program: &str, rest: &[String], profile: Profile) -> Result {
    let binary = build(repo, profile, &["--package", "thornback-server"])?.join("thornback");
    venv.program("python", repo.root()).args([program]).args(rest).env("THORNBACK_BINARY", binary).run()
}

/// Builds something, and says in which folder the programs are.
fn build(repo: &Repo, profile: Profile, what: &[&str]) -> Result<PathBuf> {
    let (flag, folder) = match profile {
        Profile::Debug => (None, "debug"),
        Profile::Release => (Some("--release"), "release"),
    };
    Program::cargo(repo.root()).args(["build", "--quiet", "--locked"]).args(flag).args(what).run()?;
    Ok(repo.target().join(folder))
}

/// What one row of a bench program may take before it is given up, beside the time that it is asked to run.
const GRACE: Duration = Duration::from_secs(120);

/// Which build is measured. Figures of the debug build mean nothing; it is there to see that a program runs.
#[derive(Clone, Copy)]
enum Profile {
    Debug,
    Release,
}

struct Bench<'a> {
    repo: &'a Repo,
    /// Where the built programs are.
    built: PathBuf,
    /// The driver and worker in Go, where Go is installed.
    go: Option<PathBuf>,
    /// The driver and worker in TypeScript, where Node.js is installed.
    typescript: Option<PathBuf>,
    ours: Venv,
    seconds: f64,
}

impl<'a> Bench<'a> {
    /// Builds what the programs run: the server and, for rows that want them, the drivers and workers of other languages.
    fn build(repo: &'a Repo, ours: Venv, table: &Table, seconds: f64, profile: Profile) -> Result<Self> {
        let built = build(repo, profile, &["--package", "thornback-server"])?;
        if table.nouns().iter().any(|noun| noun == NATIVE) {
            build(repo, profile, &["--package", "thornback", "--example", "bench_tasks"])?;
        }
        let wants_go = table.rows_of(NATIVE).iter().any(|row| row.starts_with("Go "));
        let go = if wants_go { build_go(repo)? } else { None };
        let wants_typescript = table.rows_of(NATIVE).iter().any(|row| row.starts_with("TypeScript "));
        let typescript = if wants_typescript { build_typescript(repo)? } else { None };
        Ok(Self { repo, built, go, typescript, ours, seconds })
    }

    /// Runs the rows of one noun on one system and records what came. A row that fails is reported and leaves a gap in
    /// the table; the others count all the same.
    fn measure(&self, system: &str, venv: &Venv, noun: &str, table: &mut Table) -> Result {
        let rows = table.rows_of(noun);
        let mut program = venv
            .program("python", self.repo.root())
            .args(["bench/main.py", "--system", system, "--noun", noun])
            .args(["--seconds", &self.seconds.to_string(), "--grace", &GRACE.as_secs().to_string()])
            .env("THORNBACK_BINARY", self.built.join("thornback"))
            .env("THORNBACK_BENCH_RUST", self.built.join("examples/bench_tasks"))
            // What is installed is compiled, and so is what users install of us: else our own start alone is that of a compiler.
            .without("PYTHONDONTWRITEBYTECODE")
            // Ray asks the network otherwise.
            .env("RAY_USAGE_STATS_ENABLED", "0");
        if let Some(go) = &self.go {
            program = program.env("THORNBACK_BENCH_GO", go);
        }
        if let Some(typescript) = &self.typescript {
            program = program.env("THORNBACK_BENCH_TYPESCRIPT", typescript);
        }
        if system != LIMITS {
            program = program.args(rows.iter().flat_map(|row| ["--row", row.as_str()]));
        }
        // Each figure counts as soon as it is said: a program that dies at its fifth row has measured four.
        let outcome = program.each_line(|line| {
            let Ok(said) = serde_json::from_str::<Value>(line) else {
                println!("  {line}");
                return;
            };
            let name = said["row"].as_str().unwrap_or_default();
            match (said["value"].as_f64(), said["error"].as_str()) {
                (Some(value), _) => table.record(system, name, value),
                (None, Some(error)) => println!("  {system}: {name}: {error}"),
                (None, None) => {}
            }
        });
        if let Err(why) = outcome {
            println!("  {system}: {noun}: {why}");
        }
        Ok(())
    }
}

/// The driver and worker in Go. Measuring needs Go no more than the rest of Thornback does: without it their row is left out, with a word.
fn build_go(repo: &Repo) -> Result<Option<PathBuf>> {
    let Ok(go) = test::go_command(repo) else {
        println!("  Go is not installed (https://go.dev/dl): its row is left out");
        return Ok(None);
    };
    let program = repo.target().join("bench-tasks-go");
    go.args(["build", "-o"]).args([program.as_path(), "./examples/bench_tasks".as_ref()]).run()?;
    Ok(Some(program))
}

/// The same in TypeScript, with Node.js.
fn build_typescript(repo: &Repo) -> Result<Option<PathBuf>> {
    let npm = match Npm::ready(repo) {
        Ok(npm) => npm,
        Err(why) => {
            println!("  {why}: the row of TypeScript is left out");
            return Ok(None);
        }
    };
    npm.script("build:test").run()?;
    Ok(Some(repo.path("sdks/ts/build/bench/tasks.js")))
}

fn list(repo: &Repo, venv: &Venv) -> Result<String> {
    venv.program("python", repo.root()).args(["bench/main.py", "--list"]).capture()
}

fn our_venv(repo: &Repo) -> Result<Venv> {
    let wanted = ["--editable", "sdks/python[numpy]", "--requirement", OUR_REQUIREMENTS].map(str::to_owned);
    Venv::ready(
        repo,
        "bench-venv",
        &wanted,
        &[repo.path("sdks/python/pyproject.toml"), repo.path(OUR_REQUIREMENTS)],
    )
}

fn ray_venv(repo: &Repo) -> Result<Venv> {
    let wanted = ["--requirement", RAY_REQUIREMENTS].map(str::to_owned);
    Venv::ready(repo, "bench-venv-ray", &wanted, &[repo.path(RAY_REQUIREMENTS)])
}
