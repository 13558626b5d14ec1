//! `cargo xtask fmt`: formats all code of all languages.

use crate::npm::Npm;
use crate::repo::{Repo, Result};
use crate::run::Program;
use crate::test;

/// Arguments of `cargo xtask fmt`.
#[derive(clap::Args)]
pub struct Args {
    /// Change nothing; fail if something is not formatted.
    #[arg(long)]
    check: bool,
}

pub fn main(repo: &Repo, args: &Args) -> Result {
    rust(repo, args.check)?;
    python(repo, args.check)?;
    typescript(repo, args.check)?;
    go(repo, args.check)
}

/// rustfmt over the workspace.
pub fn rust(repo: &Repo, check: bool) -> Result {
    Program::cargo(repo.root()).args(["fmt", "--all"]).args(check.then_some("--check")).run()
}

/// ruff's formatter over every Python source.
pub fn python(repo: &Repo, check: bool) -> Result {
    let venv = test::python_tools(repo)?;
    venv.program("ruff", repo.root())
        .args(["format", "--quiet"])
        .args(check.then_some("--diff"))
        .args(test::python_sources(repo))
        .run()
}

/// prettier over the TypeScript SDK.
fn typescript(repo: &Repo, check: bool) -> Result {
    Npm::ready(repo)?.script(if check { "format:check" } else { "format" }).run()
}

/// gofmt over every Go source.
pub fn go(repo: &Repo, check: bool) -> Result {
    // `gofmt` comes with Go; asking for that first gives the better message.
    test::go_command(repo)?;
    let listed = Program::new("gofmt", &repo.path("sdks/go")).args(["-l", "."]).quiet()?;
    if listed.trim().is_empty() {
        return Ok(());
    }
    if check {
        return Err(format!("not formatted; run `cargo xtask fmt`:\n{}", listed.trim_end()));
    }
    Program::new("gofmt", &repo.path("sdks/go")).args(["-w", "."]).run()
}
