//! The conformance suite in one program: it holds the cases, plays clients and servers, starts testees, and judges by the wire and by what testees report.
//!
//! It links none of the code that it judges: no session, no server, no SDK. It asserts no time; a limit there is only ends a run that hangs.
//!
//! - [`case`] and [`verbs`]: what a case may say, [`case_schema`] for editors. [`pattern`] and [`value`]: what it expects.
//! - [`process`], [`peer`], [`proxy`]: the programs and connections of a run. [`ledger`]: the rules that every frame is held against.
//! - [`profile`]: what a run is put through besides; [`link`] and [`mishap`] do it, by [`chance`].
//! - [`engine`] runs one case, [`suite`] all of them; [`expected`] knows the known failures, [`report`] tells, [`trace`] and [`counts`] count.

mod case;
mod case_schema;
mod chance;
mod counts;
mod engine;
mod expected;
mod ledger;
mod link;
mod mishap;
mod node;
mod pattern;
mod peer;
mod process;
mod profile;
mod proxy;
mod report;
mod schema;
mod spec;
mod suite;
mod trace;
mod value;
mod verbs;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use case::Case;
use engine::Outcome;
use suite::{Plan, Sdk};

include!(concat!(env!("OUT_DIR"), "/cases.rs"));

/// Judges whether an SDK, or a server, keeps Thornback's protocol.
#[derive(Parser)]
#[command(name = "thornback-conformance", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run cases.
    Run(Box<Run>),
    /// List cases with what each is about.
    List {
        /// Only cases whose name fits (`*` for any text).
        #[arg(long, default_value = "*")]
        only: String,
        /// Only how many there are of each kind.
        #[arg(long)]
        counts: bool,
    },
    /// Read case files and say what is wrong with them.
    Check {
        /// Files; without any, those inside this program.
        files: Vec<PathBuf>,
    },
    /// Print the page of rules and their cases.
    Trace,
    /// Print the table of steps.
    Steps,
    /// Print the JSON Schema of case files, for editors.
    Schema,
}

#[derive(Args)]
struct Run {
    /// The server's program [default: THORNBACK_BINARY, or `thornback` on the PATH]
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// An SDK's testee: a name and a command as a JSON list, such as 'go=["./testee"]'. May be given more than once; each calls each.
    #[arg(long, value_name = "NAME=JSON")]
    testee: Vec<String>,
    /// Only cases whose name fits (`*` for any text). May be given more than once.
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,
    /// How the server is set up, and what happens to the run.
    #[arg(long, default_value = "default")]
    profile: String,
    /// What links break and processes die by, in profiles with such trouble: another number, other moments.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Let each SDK call only itself, not each of the others.
    #[arg(long)]
    no_pairs: bool,
    /// Leave out the cases that judge the server alone.
    #[arg(long)]
    no_server_cases: bool,
    /// Write a report: a page (.html) or JUnit (.xml). May be given more than once.
    #[arg(long, value_name = "FILE")]
    report: Vec<PathBuf>,
    /// Write the counts for a program.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Seconds after which what says nothing is said to hang. More for a slow machine; it measures nothing.
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3600))]
    patience: u64,
    /// A list of known failures (YAML).
    #[arg(long, value_name = "FILE")]
    expected: Option<PathBuf>,
    /// Other case files than those inside this program.
    #[arg(long, value_name = "FILE")]
    cases: Vec<PathBuf>,
    /// Say each instance as it ends, and all frames of a failure.
    #[arg(long, short)]
    verbose: bool,
    /// The testee's command.
    #[arg(last = true)]
    command: Vec<String>,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) => run(&args),
        Command::List { counts: true, .. } => read_cases(&[]).map(|cases| {
            print!("{}", counts::table(&cases));
            true
        }),
        Command::List { only, .. } => list(&only),
        Command::Check { files } => read_cases(&files).map(|cases| {
            println!("{} templates", cases.len());
            true
        }),
        Command::Trace => read_cases(&[]).map(|cases| {
            print!("{}", trace::page(&cases));
            true
        }),
        Command::Steps => {
            print!("{}", verbs::table());
            Ok(true)
        }
        Command::Schema => {
            print!("{}", case_schema::text());
            Ok(true)
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

/// All cases, or those of some files.
fn read_cases(files: &[PathBuf]) -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    if files.is_empty() {
        for (noun, text) in CASES {
            cases.extend(case::parse(noun, text)?);
        }
    }
    for path in files {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        let noun = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("case");
        cases.extend(case::parse(noun, &text).map_err(|error| format!("{}: {error}", path.display()))?);
    }
    Ok(cases)
}

fn list(only: &str) -> Result<bool, String> {
    for case in read_cases(&[])?.iter().filter(|case| expected::fits(only, &case.name)) {
        println!("{:44} {} [{}]", case.name, case.about, case.spec.join(" "));
    }
    Ok(true)
}

fn run(args: &Run) -> Result<bool, String> {
    peer::set_patience(std::time::Duration::from_secs(args.patience));
    let mut cases = read_cases(&args.cases)?;
    let templates = cases.len();
    if !args.only.is_empty() {
        cases.retain(|case| args.only.iter().any(|pattern| expected::fits(pattern, &case.name)));
        if cases.is_empty() {
            return Err(format!("no case fits {}", args.only.join(" or ")));
        }
    }
    let profile = profile::find(&args.profile).ok_or_else(|| {
        let known = profile::PROFILES.iter().map(|profile| format!("{} ({})", profile.name, profile.about));
        format!("there is no profile `{}`; there are {}", args.profile, known.collect::<Vec<_>>().join(", "))
    })?;
    let known = match &args.expected {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            expected::parse(&path.display().to_string(), &text)?
        }
        None => Vec::new(),
    };
    let sdks = sdks(args)?;
    // Some known failures are of pairs, some of cases that not every profile has.
    let complete = args.only.is_empty()
        && args.cases.is_empty()
        && sdks.len() > 1
        && !args.no_pairs
        && profile.name == "default";
    let server = args
        .server
        .clone()
        .or_else(|| std::env::var_os("THORNBACK_BINARY").map(PathBuf::from))
        .unwrap_or_else(|| "thornback".into());
    let plan = Plan {
        cases,
        sdks,
        server,
        profile,
        judge_server: !args.no_server_cases,
        pairs: !args.no_pairs,
        seed: args.seed,
    };
    let tell = |finding: &suite::Finding| {
        let word = match &finding.outcome {
            Outcome::Passed => "ok",
            Outcome::Unsupported(_) => "unsupported",
            Outcome::Failed(_) => "FAILED",
        };
        if args.verbose {
            println!("{word:12} {} {} {}", finding.instance, finding.who(), finding.carrier);
        }
    };
    let findings = suite::run(&plan, &tell)?;
    if findings.is_empty() {
        return Err("nothing ran: these cases want a testee (`run -- COMMAND`), or are not of this profile"
            .to_owned());
    }
    let (verdicts, complaints) = expected::judge(&findings, &known, complete);
    let report = report::Report {
        templates,
        profile: profile.name,
        findings: &findings,
        verdicts: &verdicts,
        complaints: &complaints,
    };
    report.print(args.verbose);
    for path in &args.report {
        report.write(path)?;
    }
    if let Some(path) = &args.json {
        std::fs::write(path, format!("{:#}\n", report.json()))
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    }
    Ok(report.passed())
}

fn sdks(args: &Run) -> Result<Vec<Sdk>, String> {
    let mut sdks = Vec::new();
    for text in &args.testee {
        let (name, command) = text.split_once('=').ok_or_else(|| format!("`{text}` is not NAME=JSON"))?;
        let command: Vec<String> = serde_json::from_str(command)
            .map_err(|error| format!("`{command}` is no JSON list of texts: {error}"))?;
        sdks.push(suite::hello(name, &command)?);
    }
    if !args.command.is_empty() {
        sdks.push(suite::hello("testee", &args.command)?);
    }
    Ok(sdks)
}
