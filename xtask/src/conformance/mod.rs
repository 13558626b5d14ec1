//! `cargo xtask conformance`: builds the runner, the server and the testees of our SDKs, and runs the suite.
//!
//! The suite itself is `conformance/runner`; what is known here is only how each SDK's testee is built and started.

mod broken;

use std::path::{Path, PathBuf};

use crate::npm::Npm;
use crate::repo::{Repo, Result};
use crate::run::Program;
use crate::test;

/// The page of rules and their cases.
const TRACE: &str = "conformance/docs/traceability.md";
const EXPECTED: &str = "conformance/expected_failures.yaml";

/// Arguments of `cargo xtask conformance`.
#[derive(clap::Args)]
pub struct Args {
    /// Judge this SDK: rust, python, go, ts, or all. With all, each calls each.
    #[arg(long, value_name = "SDK", default_value = "all")]
    sdk: Vec<String>,
    /// Only cases whose name fits (`*` for any text).
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,
    /// How the server is set up and what happens to the run: default, tiny-store, one-cpu, lossy-link, kill. May be given more than once.
    #[arg(long, value_name = "NAME", default_value = "default")]
    profile: Vec<String>,
    /// What links break and processes die by: another number, other moments.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Let each SDK call only itself, not each of the others.
    #[arg(long)]
    no_pairs: bool,
    /// Write a report: a page (.html) or JUnit (.xml).
    #[arg(long, value_name = "FILE")]
    report: Vec<PathBuf>,
    /// Write the counts for a program.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Say each case as it ends, and all frames of a failure.
    #[arg(long, short)]
    verbose: bool,
    /// Run nothing, but write the page of rules and their cases again.
    #[arg(long)]
    trace: bool,
    /// Test the suite itself: testees that are broken on purpose must be reported, each for its fault. With --only, faults whose name contains that.
    #[arg(long)]
    broken: bool,
}

/// How the testee of an SDK is made and started.
struct Sdk {
    name: &'static str,
    /// Where it lies; an SDK without it is not there yet.
    source: &'static str,
    command: fn(&Repo) -> Result<Vec<String>>,
}

const SDKS: &[Sdk] = &[
    Sdk { name: "rust", source: "sdks/rust/conformance/Cargo.toml", command: rust },
    Sdk { name: "python", source: "sdks/python/conformance/testee.py", command: python },
    Sdk { name: "go", source: "sdks/go/conformance", command: go },
    Sdk { name: "ts", source: "sdks/ts/conformance", command: ts },
];

pub fn main(repo: &Repo, args: &Args) -> Result {
    if args.broken {
        return broken::check(repo, &args.only);
    }
    if args.profile.len() > 1 && !(args.report.is_empty() && args.json.is_none()) {
        return Err("a report is of one run: name one --profile with --report and --json".to_owned());
    }
    let runner = build(repo)?;
    if args.trace {
        let page = Program::new(&runner, repo.root()).args(["trace"]).capture()?;
        return std::fs::write(repo.path(TRACE), page).map_err(|e| format!("{TRACE} cannot be written: {e}"));
    }
    let all = args.sdk.iter().any(|name| name == "all");
    if let Some(unknown) =
        args.sdk.iter().find(|name| *name != "all" && !SDKS.iter().any(|sdk| sdk.name == **name))
    {
        return Err(format!("there is no SDK `{unknown}`; there are rust, python, go, ts, and all of them"));
    }
    let server = test::server_binary(repo)?;
    let mut testees = Vec::new();
    for sdk in SDKS {
        let named = args.sdk.iter().any(|name| name == sdk.name);
        let there = repo.path(sdk.source).exists();
        if named && !there {
            return Err(format!("the testee of {} is not there: {}", sdk.name, sdk.source));
        }
        if there && (all || named) {
            let command = serde_json::Value::from((sdk.command)(repo)?);
            testees.extend(["--testee".to_owned(), format!("{}={command}", sdk.name)]);
        }
    }
    let mut failed = Vec::new();
    for profile in &args.profile {
        if args.profile.len() > 1 {
            println!("\nprofile {profile}");
        }
        if let Err(error) = run(repo, args, &runner, &server, &testees, profile) {
            println!("{profile}: {error}");
            failed.push(profile.as_str());
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("not all cases passed: {}", failed.join(", "))) }
}

/// Runs the suite under one profile.
fn run(repo: &Repo, args: &Args, runner: &Path, server: &Path, testees: &[String], profile: &str) -> Result {
    let mut program = Program::new(runner, repo.root()).args(["run", "--profile", profile]);
    program = program.args(["--server".as_ref(), server.as_os_str()]).args(testees);
    program = program.args(["--seed", &args.seed.to_string()]);
    if args.no_pairs {
        program = program.args(["--no-pairs"]);
    }
    for pattern in &args.only {
        program = program.args(["--only", pattern]);
    }
    for path in &args.report {
        program = program.args(["--report".as_ref(), path.as_os_str()]);
    }
    if let Some(path) = &args.json {
        program = program.args(["--json".as_ref(), path.as_os_str()]);
    }
    if args.verbose {
        program = program.args(["--verbose"]);
    }
    if repo.path(EXPECTED).is_file() {
        program = program.args(["--expected", EXPECTED]);
    }
    program.run()
}

/// The step of continuous integration: the whole suite, each SDK under profiles, and the page that is made from the cases.
pub fn check(repo: &Repo) -> Result {
    let runner = build(repo)?;
    Program::new(&runner, repo.root()).args(["check"]).run()?;
    let page = Program::new(&runner, repo.root()).args(["trace"]).capture()?;
    if repo.read(TRACE)? != page {
        return Err(format!("{TRACE} is stale: run `cargo xtask conformance --trace`"));
    }
    broken::check(repo, &[])?;
    main(repo, &Args::all(&["default"], true))?;
    // Trouble is the same for each pair as for each SDK with itself; who calls whom was judged above.
    main(repo, &Args::all(&["tiny-store", "one-cpu", "lossy-link", "kill"], false))
}

impl Args {
    /// All cases for all SDKs.
    fn all(profiles: &[&str], pairs: bool) -> Self {
        Self {
            sdk: vec!["all".to_owned()],
            only: Vec::new(),
            profile: profiles.iter().map(|name| (*name).to_owned()).collect(),
            seed: 1,
            no_pairs: !pairs,
            report: Vec::new(),
            json: None,
            verbose: false,
            trace: false,
            broken: false,
        }
    }
}

fn build(repo: &Repo) -> Result<PathBuf> {
    cargo_build(repo, "thornback-conformance")?;
    Ok(repo.target().join("debug/thornback-conformance"))
}

fn cargo_build(repo: &Repo, package: &str) -> Result {
    Program::cargo(repo.root()).args(["build", "--quiet", "--locked", "--package", package]).run()
}

fn text(path: PathBuf) -> String {
    path.to_string_lossy().into_owned()
}

fn rust(repo: &Repo) -> Result<Vec<String>> {
    cargo_build(repo, "thornback-testee")?;
    Ok(vec![text(repo.target().join("debug/thornback-testee"))])
}

fn python(repo: &Repo) -> Result<Vec<String>> {
    let venv = test::python_tools(repo)?;
    Ok(vec![text(venv.path("python")), text(repo.path("sdks/python/conformance/testee.py"))])
}

fn go(repo: &Repo) -> Result<Vec<String>> {
    let binary = text(repo.target().join("conformance-testee-go"));
    Program::new("go", &repo.path("sdks/go")).args(["build", "-o", &binary, "./conformance"]).run()?;
    Ok(vec![binary])
}

fn ts(repo: &Repo) -> Result<Vec<String>> {
    Npm::ready(repo)?.script("build:test").run()?;
    Ok(vec!["node".to_owned(), text(repo.path("sdks/ts/build/conformance/testee.js"))])
}
