//! Python environments of the repository, each in a folder of its own under `target/`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::repo::{Repo, Result};
use crate::run::Program;

/// The oldest Python that the SDK supports, as (major, minor).
const FLOOR: (u32, u32) = (3, 10);

/// What to tell someone who lacks it.
const MISSING: &str = "Python 3.10 or newer with its venv module is needed \
     (Debian: apt-get install python3 python3-venv); THORNBACK_PYTHON names another interpreter";

/// Holds what was installed, once all of it was.
const STAMP: &str = "installed.stamp";

/// One environment that exists.
pub struct Venv {
    dir: PathBuf,
}

impl Venv {
    /// Makes `target/<name>` if it is not there, and brings what is installed in it up to `wanted`.
    ///
    /// `wanted` are arguments of `pip install`; `sources` are files whose change means installing again.
    /// A finished installation is stamped, so the second call costs nothing.
    pub fn ready(repo: &Repo, name: &str, wanted: &[String], sources: &[PathBuf]) -> Result<Self> {
        let dir = repo.target().join(name);
        let venv = Self { dir };
        let stamp_file = venv.dir.join(STAMP);
        let python = find_python(repo)?;
        let mut stamp = format!("{}\n{}\n", python.version, wanted.join("\n"));
        for source in sources {
            let text = fs::read_to_string(source)
                .map_err(|e| format!("{} cannot be read: {e}", source.display()))?;
            stamp.push_str(&text);
        }
        if fs::read_to_string(&stamp_file).is_ok_and(|found| found == stamp) {
            return Ok(venv);
        }
        let same_python = fs::read_to_string(&stamp_file)
            .is_ok_and(|found| found.lines().next() == Some(python.version.as_str()));
        let mut create = vec!["-m".to_owned(), "venv".to_owned()];
        if !same_python {
            create.push("--clear".to_owned());
        }
        create.push(venv.dir.to_string_lossy().into_owned());
        // Away first: an installation that is cut short must not look finished.
        let _ = fs::remove_file(&stamp_file);
        Program::new(&python.path, repo.root())
            .args(create)
            .quiet()
            .map_err(|e| format!("{e}\n{MISSING}"))?;
        venv.pip(repo, wanted)?;
        fs::write(&stamp_file, stamp)
            .map_err(|e| format!("{} cannot be written: {e}", stamp_file.display()))?;
        Ok(venv)
    }

    /// As [`Venv::ready`], but installed anew, for a test of the installation itself.
    pub fn fresh(repo: &Repo, name: &str, wanted: &[String]) -> Result<Self> {
        // Without its stamp it is cleared. It may well not be there.
        let _ = fs::remove_file(repo.target().join(name).join(STAMP));
        Self::ready(repo, name, wanted, &[])
    }

    /// Where a program of the environment lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join("bin").join(name)
    }

    /// A program of the environment, such as `python` or `pytest`, to be run in `dir`.
    pub fn program(&self, name: &str, dir: &Path) -> Program {
        Program::new(self.path(name), dir).env("VIRTUAL_ENV", &self.dir)
    }

    /// Where its programs are, for a PATH.
    pub fn bin(&self) -> PathBuf {
        self.dir.join("bin")
    }

    /// `pip install` with these arguments.
    fn pip(&self, repo: &Repo, wanted: &[String]) -> Result {
        self.program("python", repo.root())
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(wanted)
            .run()
    }
}

struct Python {
    path: String,
    version: String,
}

fn find_python(repo: &Repo) -> Result<Python> {
    let named = std::env::var("THORNBACK_PYTHON").ok();
    let candidates: Vec<String> = match named {
        Some(named) => vec![named],
        None => std::iter::once("python3".to_owned())
            .chain((FLOOR.1..=FLOOR.1 + 9).rev().map(|minor| format!("python3.{minor}")))
            .collect(),
    };
    for path in candidates {
        let probe = "import sys, venv, ensurepip; print('%d.%d.%d' % sys.version_info[:3])";
        let Ok(said) = Program::new(&path, repo.root()).args(["-c", probe]).quiet() else { continue };
        let version = said.trim().to_owned();
        if at_least_floor(&version) {
            return Ok(Python { path, version });
        }
    }
    Err(MISSING.to_owned())
}

fn at_least_floor(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|part| part.parse::<u32>().ok());
    matches!((numbers.next(), numbers.next()), (Some(major), Some(minor)) if (major, minor) >= FLOOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_compares_numbers_and_not_text() {
        assert!(at_least_floor("3.10.0"));
        assert!(at_least_floor("3.13.1"));
        assert!(at_least_floor("4.0.0"));
        assert!(!at_least_floor("3.9.18"));
        assert!(!at_least_floor("2.7.18"));
        assert!(!at_least_floor("three"));
    }
}
