//! The steps of `cargo xtask test`, in the order in which they run: what is cheap and often wrong comes first.

use std::path::PathBuf;

use super::report::Tally;
use crate::npm::Npm;
use crate::polyglot;
use crate::repo::{Repo, Result};
use crate::run::Program;
use crate::venv::Venv;
use crate::{bench, conformance, fmt, generate, house, quickstart, wheel};

/// One step.
pub struct Step {
    /// What `--only` takes.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// Does it. What it prints goes to the terminal; the error is the one line for the table.
    pub run: fn(&Repo, &mut Tally) -> Result,
}

/// Every step.
pub const ALL: &[Step] = &[
    Step { name: "rustfmt", about: "Rust is formatted", run: |repo, _| fmt::rust(repo, true) },
    Step { name: "house", about: "the rules of the repository itself", run: house_rules },
    Step { name: "generated", about: "generated code is fresh", run: |repo, _| generate::check(repo) },
    Step { name: "ruff-format", about: "Python is formatted", run: |repo, _| fmt::python(repo, true) },
    Step { name: "ruff", about: "Python lints", run: ruff },
    Step { name: "mypy", about: "Python types, strictly", run: mypy },
    Step { name: "gofmt", about: "Go is formatted", run: |repo, _| fmt::go(repo, true) },
    Step { name: "go-vet", about: "Go lints: vet, staticcheck, ineffassign, errcheck", run: go_vet },
    Step { name: "clippy", about: "Rust lints, warnings refused", run: clippy },
    Step { name: "rust", about: "Rust tests of the whole workspace", run: rust },
    Step { name: "rustdoc", about: "Rust documentation builds without warnings", run: rustdoc },
    Step { name: "python", about: "Python tests, against the server just built", run: python },
    Step { name: "go", about: "Go tests with the race detector, against the server just built", run: go },
    Step {
        name: "conformance",
        about: "the suite judges the server and every SDK",
        run: |repo, _| conformance::check(repo),
    },
    Step {
        name: "ts-lint",
        about: "TypeScript is formatted, lints, and its types are right",
        run: |repo, _| ts_lint(repo),
    },
    Step { name: "ts", about: "TypeScript tests, against the server just built", run: ts },
    Step {
        name: "polyglot",
        about: "one pipeline runs through workers in four languages, from a driver in each",
        run: |repo, _| polyglot::smoke(repo),
    },
    Step {
        name: "main-job",
        about: "the quickstart's script runs, and leaves nothing running",
        run: |repo, _| quickstart::smoke(repo),
    },
    Step {
        name: "wheel",
        about: "an installed wheel is enough to run an example",
        run: |repo, _| wheel::smoke(repo),
    },
    Step {
        name: "bench",
        about: "every bench program runs, one short round",
        run: |repo, _| bench::smoke(repo),
    },
];

fn house_rules(repo: &Repo, tally: &mut Tally) -> Result {
    (tally.passed, tally.failed) = house::check(repo)?;
    if tally.failed == 0 { Ok(()) } else { Err(format!("{} rules are broken", tally.failed)) }
}

fn clippy(repo: &Repo, _: &mut Tally) -> Result {
    Program::cargo(repo.root())
        .args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--locked",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ])
        .run()
}

fn rust(repo: &Repo, tally: &mut Tally) -> Result {
    // Tests that start a server want it as a program, and cargo builds another package's binary only when asked.
    let server = server_binary(repo)?;
    // `--no-fail-fast`: one failing test binary must not hide the next.
    Program::cargo(repo.root())
        .args(["test", "--workspace", "--all-features", "--locked", "--no-fail-fast"])
        .env("THORNBACK_BINARY", server)
        .env("THORNBACK_TEST_PYTHON", python_tools(repo)?.path("python"))
        .watch(|line| tally.see_libtest(line))
}

fn rustdoc(repo: &Repo, _: &mut Tally) -> Result {
    Program::cargo(repo.root())
        .args(["doc", "--workspace", "--no-deps", "--all-features", "--locked", "--quiet"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}

fn ruff(repo: &Repo, _: &mut Tally) -> Result {
    let venv = python_tools(repo)?;
    venv.program("ruff", repo.root()).args(["check", "--quiet"]).args(python_sources(repo)).run()
}

fn mypy(repo: &Repo, _: &mut Tally) -> Result {
    // In the SDK's folder, where its configuration is: which modules, how strict, which Python.
    let venv = python_tools(repo)?;
    venv.program("mypy", &repo.path("sdks/python")).run()
}

fn python(repo: &Repo, tally: &mut Tally) -> Result {
    let venv = python_tools(repo)?;
    let server = server_binary(repo)?;
    venv.program("python", &repo.path("sdks/python"))
        .args(["-m", "pytest", "-q", "--durations=10", "-p", "no:cacheprovider"])
        .env("THORNBACK_BINARY", server)
        .watch(|line| tally.see_pytest(line))
}

fn ts_lint(repo: &Repo) -> Result {
    let npm = Npm::ready(repo)?;
    ["format:check", "check", "lint"].into_iter().try_for_each(|script| npm.script(script).run())
}

fn ts(repo: &Repo, tally: &mut Tally) -> Result {
    let npm = Npm::ready(repo)?;
    let server = server_binary(repo)?;
    npm.script("test")
        .env("THORNBACK_BINARY", server)
        .env("THORNBACK_TEST_PYTHON", python_tools(repo)?.path("python"))
        .watch(|line| tally.see_tap(line))
}

/// The Go SDK, and the module beside it that pins its tools.
const GO_SDK: &str = "sdks/go";

/// The `go` command in the SDK's folder.
pub fn go_command(repo: &Repo) -> Result<Program> {
    let dir = repo.path(GO_SDK);
    Program::new("go", &dir).args(["version"]).quiet().map_err(|e| {
        format!("{e}\nThe tests need Go 1.25 or newer (https://go.dev/dl); the quickstart does not")
    })?;
    Ok(Program::new("go", &dir))
}

fn go_vet(repo: &Repo, _: &mut Tally) -> Result {
    go_command(repo)?.args(["vet", "./..."]).run()?;
    // What golangci-lint runs unless told otherwise, each from its own module: that bundle's licence is not one that we accept.
    let linters: [&[&str]; 3] =
        [&["staticcheck"], &["ineffassign"], &["errcheck", "-ignoretests", "-exclude", "tools/errcheck.txt"]];
    linters.into_iter().try_for_each(|linter| {
        go_command(repo)?.args(["tool", "-modfile=tools/go.mod"]).args(linter).args(["./..."]).run()
    })
}

fn go(repo: &Repo, tally: &mut Tally) -> Result {
    let server = server_binary(repo)?;
    go_command(repo)?
        .args(["test", "-race", "-count=1", "-timeout=10m", "-json", "./..."])
        .env("THORNBACK_BINARY", server)
        .env("THORNBACK_TEST_PYTHON", python_tools(repo)?.path("python"))
        .each_line(|line| tally.see_go(line))
}

/// The environment in which Python is linted and tested: the SDK as it lies in the tree, its development tools in pinned
/// versions, and what the examples need.
pub fn python_tools(repo: &Repo) -> Result<Venv> {
    const PINS: &str = "xtask/python-constraints.txt";
    const EXAMPLES: &str = "examples/requirements.txt";
    let wanted =
        ["--editable", "sdks/python[dev,grpc,numpy]", "--requirement", EXAMPLES, "--constraint", PINS];
    let sources = ["sdks/python/pyproject.toml", EXAMPLES, PINS].map(|file| repo.path(file));
    Venv::ready(repo, "venv-test", &wanted.map(str::to_owned), &sources)
}

/// Folders with Python of ours.
pub fn python_sources(repo: &Repo) -> Vec<PathBuf> {
    ["sdks/python", "sdks/gen", "bench", "examples", "conformance"]
        .map(|folder| repo.path(folder))
        .into_iter()
        .filter(|dir| dir.is_dir())
        .collect()
}

/// Builds the server for tests and says where it is.
pub fn server_binary(repo: &Repo) -> Result<PathBuf> {
    Program::cargo(repo.root())
        .args(["build", "--quiet", "--locked", "--package", "thornback-server"])
        .run()?;
    Ok(repo.target().join("debug/thornback"))
}
