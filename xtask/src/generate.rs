//! `cargo xtask gen`: makes the checked-in generated code again from the schemas under `protocol/`, or checks that it is
//! what they give.
//!
//! The generators are in the package `xtask-codegen`, apart from this one, because they are heavy and most commands do
//! not need them.

use crate::npm::Npm;
use crate::repo::{Repo, Result};
use crate::run::Program;

/// Arguments of `cargo xtask gen`.
#[derive(clap::Args)]
pub struct Args {
    /// Change nothing; fail if what is checked in is not what the schemas give.
    #[arg(long)]
    check: bool,
}

pub fn main(repo: &Repo, args: &Args) -> Result {
    if args.check {
        return check(repo);
    }
    codegen(repo, false)
}

/// Fails, and says what to run, if generated code is stale.
pub fn check(repo: &Repo) -> Result {
    codegen(repo, true).map_err(|e| {
        format!(
            "{e}\nGenerated code is not what the schemas give: run `cargo xtask gen` and commit what changed"
        )
    })
}

fn codegen(repo: &Repo, check: bool) -> Result {
    // TypeScript's generator is one of its SDK's tools.
    Npm::ready(repo)?;
    Program::cargo(repo.root())
        .args(["run", "--quiet", "--locked", "--package", "xtask-codegen", "--"])
        .args(check.then_some("--check"))
        .run()
}
