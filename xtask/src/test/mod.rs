//! `cargo xtask test`: all tests, lints and format checks of all languages, cheapest first.
//!
//! A step that fails does not keep the others from running, so that one run shows everything there is to mend; a step
//! whose prerequisite is missing fails, it is never skipped. The last line is `N passed, N failed`, of steps.

mod report;
mod steps;

use std::time::Instant;

use crate::repo::{Repo, Result};

pub use steps::{go_command, python_sources, python_tools, server_binary};

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    /// Run only these steps (may be given more than once; see --list).
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Stop at the first step that fails.
    #[arg(long)]
    fail_fast: bool,
    /// Write the outcome of every step to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<std::path::PathBuf>,
    /// Print the steps and what each does, and run none.
    #[arg(long)]
    list: bool,
}

pub fn main(repo: &Repo, args: &Args) -> Result {
    if args.list {
        for step in steps::ALL {
            println!("{:14} {}", step.name, step.about);
        }
        return Ok(());
    }
    for name in &args.only {
        if !steps::ALL.iter().any(|step| step.name == name) {
            let known: Vec<&str> = steps::ALL.iter().map(|step| step.name).collect();
            return Err(format!("there is no step `{name}`; there are {}", known.join(", ")));
        }
    }
    let wanted = |step: &&steps::Step| args.only.is_empty() || args.only.iter().any(|name| name == step.name);
    let mut outcomes = Vec::new();
    for step in steps::ALL.iter().filter(wanted) {
        println!("\n=== {}: {}", step.name, step.about);
        let began = Instant::now();
        let mut tally = report::Tally::default();
        let failure = (step.run)(repo, &mut tally).err();
        let outcome =
            report::Outcome { name: step.name, seconds: began.elapsed().as_secs_f64(), tally, failure };
        println!("--- {outcome}");
        let stop = args.fail_fast && outcome.failure.is_some();
        outcomes.push(outcome);
        if stop {
            break;
        }
    }
    report::print(&outcomes);
    if let Some(path) = &args.json {
        report::write_json(path, &outcomes)?;
    }
    // Last, plain and alone on its line, for whatever reads the end of a log.
    let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    println!("{} passed, {failed} failed", outcomes.len() - failed);
    if failed == 0 { Ok(()) } else { Err("not all steps passed".to_owned()) }
}
