//! `cargo xtask wheel`: a wheel of the Python SDK that carries the server, so that `pip install` is all a user does.
//!
//! It is built from a copy of the SDK's folder. A binary laid into the tree itself would be found by every editable
//! installation, and would be stale there at the next commit.

use std::fs;
use std::path::{Path, PathBuf};

use crate::repo::{Repo, Result};
use crate::run::Program;
use crate::test;
use crate::venv::Venv;

/// Where the SDK looks for the server that came with it.
const CARRIED: &str = "src/thornback/_bin/thornback";

pub fn main(repo: &Repo) -> Result {
    Program::cargo(repo.root())
        .args(["build", "--release", "--locked", "--package", "thornback-server"])
        .run()?;
    let wheel = build(repo, &repo.target().join("release/thornback"), &repo.target().join("wheels"))?;
    println!("{}", wheel.display());
    Ok(())
}

/// Installs a wheel with the server of the debug build in an environment that has nothing else, and runs an example.
pub fn smoke(repo: &Repo) -> Result {
    let wheel = build(repo, &test::server_binary(repo)?, &repo.target().join("wheels-test"))?;
    let venv = Venv::fresh(repo, "venv-wheel", &[wheel.to_string_lossy().into_owned()])?;
    // No variable names a binary, and the folder is not ours: what runs is what was installed.
    venv.program("python", &repo.target())
        .args([repo.path("examples/hello.py")])
        .without("THORNBACK_BINARY")
        .run()
}

/// Builds a wheel that carries `server`, alone in the folder `into`.
fn build(repo: &Repo, server: &Path, into: &Path) -> Result<PathBuf> {
    let staged = repo.target().join("wheel-staged");
    empty(&staged)?;
    empty(into)?;
    for file in repo.files()? {
        if let Some(inside) = file.strip_prefix("sdks/python/") {
            copy(&repo.path(&file), &staged.join(inside))?;
        }
    }
    copy(server, &staged.join(CARRIED))?;
    let tools = Venv::ready(repo, "venv-wheel-tools", &["wheel>=0.45".to_owned()], &[])?;
    let python = |dir: &Path| tools.program("python", dir);
    python(&staged)
        .args(["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"])
        .args([into, Path::new(".")])
        .run()?;
    // The builder takes it for pure Python. The binary inside is for this kind of machine only.
    let ask = "import sysconfig; print(sysconfig.get_platform().replace('-', '_').replace('.', '_'))";
    let platform = python(&staged).args(["-c", ask]).capture()?;
    python(into)
        .args(["-m", "wheel", "tags", "--remove", "--platform-tag", platform.trim()])
        .args([the_wheel(into)?])
        .quiet()?;
    the_wheel(into)
}

fn the_wheel(folder: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{} cannot be listed: {e}", folder.display()))?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|suffix| suffix == "whl"))
        .ok_or_else(|| format!("no wheel is in {}", folder.display()))
}

fn empty(folder: &Path) -> Result {
    // It may not be there; if it cannot be removed, making it again will say so.
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).map_err(|e| format!("{} cannot be made: {e}", folder.display()))
}

fn copy(from: &Path, to: &Path) -> Result {
    let failed = |e: std::io::Error| format!("{} cannot be copied to {}: {e}", from.display(), to.display());
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::copy(from, to).map(|_| ()).map_err(failed)
}
