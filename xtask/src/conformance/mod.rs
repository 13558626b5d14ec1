//! `cargo xtask conformance`: builds the runner, the server and the testees of our SDKs, and runs the suite.
//!
//! The suite itself is `conformance/runner`; what is known here is only how each SDK's testee is built and started.

mod broken;

use std::path::PathBuf;

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
    /// How the server is set up: default, tiny-store, one-cpu.
    #[arg(long, default_value = "default")]
    profile: String,
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
    let mut program = Program::new(&runner, repo.root()).args(["run", "--profile", &args.profile]);
    program = program.args(["--server".as_ref(), test::server_binary(repo)?.as_os_str()]);
    for sdk in SDKS {
        let named = args.sdk.iter().any(|name| name == sdk.name);
        let there = repo.path(sdk.source).exists();
        if named && !there {
            return Err(format!("the testee of {} is not there: {}", sdk.name, sdk.source));
        }
        if there && (all || named) {
            let command = serde_json::Value::from((sdk.command)(repo)?);
            program = program.args(["--testee".to_owned(), format!("{}={command}", sdk.name)]);
        }
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

/// The step of continuous integration: the whole suite, and the page that is made from it.
pub fn check(repo: &Repo) -> Result {
    let runner = build(repo)?;
    Program::new(&runner, repo.root()).args(["check"]).run()?;
    let page = Program::new(&runner, repo.root()).args(["trace"]).capture()?;
    if repo.read(TRACE)? != page {
        return Err(format!("{TRACE} is stale: run `cargo xtask conformance --trace`"));
    }
    broken::check(repo, &[])?;
    let args = Args {
        sdk: vec!["all".to_owned()],
        only: Vec::new(),
        profile: "default".to_owned(),
        report: Vec::new(),
        json: None,
        verbose: false,
        trace: false,
        broken: false,
    };
    main(repo, &args)
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
