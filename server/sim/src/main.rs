//! `thornback-sim`: many seeds, one after the other, until one fails.
//!
//! `cargo run --release -p thornback-sim -- --seeds 1000 --start 1 --nodes 3 --faults all`

use std::process::ExitCode;
use std::time::Instant;

use thornback_sim::{Options, Profile, Report, run};

const USAGE: &str = "usage: thornback-sim [--seeds N] [--start SEED] [--nodes N] [--steps N] [--faults none|loss|crash|all] [--json] [--trace] [--keep-going]
  --seeds N        how many seeds (1000)
  --start SEED     the first of them (1)
  --nodes N        nodes of the cluster (1)
  --steps N        things that drivers do in a run (200)
  --faults NAME    what goes wrong (all)
  --json           one line of JSON at the end, for programs
  --trace          print all events of the seeds, not only the last 50 of one that fails
  --keep-going     go on after a seed that fails";

struct Flags {
    seeds: u64,
    start: u64,
    nodes: u64,
    steps: u64,
    faults: (&'static str, Profile),
    json: bool,
    trace: bool,
    keep_going: bool,
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Flags, String> {
    let mut flags = Flags {
        seeds: 1000,
        start: 1,
        nodes: 1,
        steps: 200,
        faults: ("all", Profile::All),
        json: false,
        trace: false,
        keep_going: false,
    };
    while let Some(flag) = args.next() {
        let mut number = || -> Result<u64, String> {
            let value = args.next().ok_or_else(|| format!("{flag} needs a number"))?;
            value.parse().map_err(|_| format!("{flag} needs a number, and {value:?} is none"))
        };
        match flag.as_str() {
            "--seeds" => flags.seeds = number()?,
            "--start" => flags.start = number()?,
            "--nodes" => flags.nodes = number()?.clamp(1, 100),
            "--steps" => flags.steps = number()?,
            "--faults" => {
                let name = args.next().unwrap_or_default();
                let known = Profile::ALL.iter().find(|(known, _)| *known == name);
                flags.faults = *known.ok_or_else(|| format!("there are no faults named {name:?}"))?;
            }
            "--json" => flags.json = true,
            "--trace" => flags.trace = true,
            "--keep-going" => flags.keep_going = true,
            other => return Err(format!("unknown flag {other:?}")),
        }
    }
    Ok(flags)
}

#[expect(
    clippy::disallowed_methods,
    reason = "seeds a minute are for people; nothing in a run sees this clock"
)]
fn now() -> Instant {
    Instant::now()
}

fn main() -> ExitCode {
    let flags = match parse(std::env::args().skip(1)) {
        Ok(flags) => flags,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let begin = now();
    let (mut failed, mut events, mut ran) = (Vec::new(), 0_u64, 0_u64);
    let mut totals = thornback_sim::Counts::default();
    for seed in flags.start..flags.start.saturating_add(flags.seeds) {
        let trace = if flags.trace { usize::MAX } else { 0 };
        let options = Options {
            seed,
            nodes: flags.nodes,
            steps: flags.steps,
            profile: flags.faults.1,
            trace,
            lose: None,
        };
        let report = run(&options);
        ran += 1;
        events += report.events;
        totals.submitted += report.counts.submitted;
        totals.values += report.counts.values;
        totals.failures += report.counts.failures;
        totals.reads += report.counts.reads;
        if flags.trace {
            report.trace.iter().for_each(|line| println!("{line}"));
        }
        if !report.problems.is_empty() {
            failed.push(seed);
            let last = if flags.trace { Vec::new() } else { run(&Options { trace: 50, ..options }).trace };
            tell(&flags, seed, &report, &last);
            if !flags.keep_going {
                break;
            }
        }
        if !flags.json && ran % 100 == 0 {
            let rate = ran as f64 / begin.elapsed().as_secs_f64() * 60.0;
            println!("{ran} seeds, {} failed, {rate:.0} seeds a minute", failed.len());
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    if flags.json {
        println!(
            "{{\"seeds\": {ran}, \"failed\": {failed:?}, \"nodes\": {}, \"faults\": \"{}\", \"events\": {events}, \"tasks\": {}, \"seconds\": {seconds:.3}}}",
            flags.nodes, flags.faults.0, totals.submitted
        );
    } else {
        println!(
            "{ran} seeds ({} nodes, faults: {}): {} failed; {} tasks, {} values, {} failures, {} reads, {events} events; {:.0} seeds a minute",
            flags.nodes,
            flags.faults.0,
            failed.len(),
            totals.submitted,
            totals.values,
            totals.failures,
            totals.reads,
            ran as f64 / seconds.max(1e-9) * 60.0
        );
    }
    ExitCode::from(u8::from(!failed.is_empty()))
}

fn tell(flags: &Flags, seed: u64, report: &Report, last: &[String]) {
    eprintln!(
        "seed {seed} fails (--start {seed} --seeds 1 --nodes {} --steps {} --faults {}):",
        flags.nodes, flags.steps, flags.faults.0
    );
    // (Programs and definitions make for long lines, and the start of each says what it is.)
    last.iter().for_each(|line| eprintln!("  {}", line.chars().take(240).collect::<String>()));
    report.problems.iter().for_each(|problem| eprintln!("  * {problem}"));
}
